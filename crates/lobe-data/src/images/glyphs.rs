//! `glyphs`: generated digits that look drawn by hand, for quick tests without files.
//!
//! A digit is one of a few stroke polylines, bent, slanted, scaled and shifted at random, drawn
//! with a pen of random width, plus noise. Image `i` depends on the key and `i` only.

use std::path::Path;

use lobe_core::{Key, Rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pixels;
use crate::dataset::{Dataset, Examples, Payload};
use crate::error::{Result, setting};
use crate::source::{DataSource, SourceEntry};

/// Height and width.
const SIDE: usize = 28;

/// Settings of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GlyphsConfig {
    /// Training images, the digits in turn.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// How much shapes vary: 0 not at all, 1 about as handwriting does.
    pub variety: f64,
    /// Standard deviation of the noise on each pixel.
    pub noise: f64,
    /// What the numbers become.
    pub pixels: Pixels,
}

impl Default for GlyphsConfig {
    fn default() -> Self {
        GlyphsConfig { train: 6000, test: 1000, variety: 1.0, noise: 0.05, pixels: Pixels::Unit }
    }
}

type Point = (f32, f32);

/// Strokes per digit as "x,y x,y …; next stroke", variants apart by "|". The box is 0 to 10
/// across and 0 to 14 down.
const STROKES: [&str; 10] = [
    "5,0 2,1 0,5 0,9 2,13 5,14 8,13 10,9 10,5 8,1 5,0|5,0 1,4 1,10 5,14 9,10 9,4 5,0; 8,2 2,12",
    "5,0 5,14|2,3 5,0 5,14|2,3 5,0 5,14; 2,14 8,14",
    "1,3 3,0 7,0 9,2 9,5 1,14 10,14|0,3 4,0 9,2 8,6 3,11 1,14 3,12 6,13 10,14",
    "1,1 5,0 9,2 8,5 4,7 9,9 9,12 5,14 0,13|1,0 9,0 4,6 8,7 10,10 8,13 4,14 0,12",
    "7,14 7,0 0,9 10,9|1,0 1,7 9,7; 8,1 7,14",
    "9,0 2,0 1,6 5,5 9,7 10,10 8,13 4,14 0,13|2,0 1,6 6,6 9,9 8,13 3,14 0,12; 2,0 9,0",
    "8,0 3,4 0,9 1,13 5,14 9,12 9,9 5,7 1,9|7,0 2,5 1,10 3,14 8,13 8,9 4,8 1,11",
    "0,0 10,0 4,14|0,0 10,0 6,7 4,14; 3,7 9,7|0,2 0,0 9,0 8,5 4,14",
    "5,7 1,4 2,1 5,0 8,1 9,4 5,7 1,10 2,13 5,14 8,13 9,10 5,7|9,1 3,0 1,3 9,10 7,14 2,13 1,10 9,3 9,1",
    "9,5 5,7 1,5 2,1 5,0 9,2 9,5 8,14|9,4 5,8 0,5 2,1 6,0 9,3 9,8 6,14 2,14",
];

fn strokes(text: &str) -> Vec<Vec<Point>> {
    let number = |s: &str| s.parse().unwrap_or(0.0f32);
    let point = |p: &str| p.split_once(',').map_or((0.0, 0.0), |(x, y)| (number(x), number(y)));
    text.split(';').map(|s| s.split_whitespace().map(point).collect()).collect()
}

impl DataSource for GlyphsConfig {
    fn load(&self, _: &Path, key: Key) -> Result<Dataset> {
        GlyphsConfig::load(self, key)
    }
}

/// The registered source.
pub(crate) const ENTRY: SourceEntry =
    SourceEntry::of::<GlyphsConfig>("glyphs", "generated digits, 28 by 28, that look drawn by hand");

impl GlyphsConfig {
    /// Draws the data set: shape (1, 28, 28), classes `0` to `9`.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn load(&self, key: Key) -> Result<Dataset> {
        if !(0.0..=2.0).contains(&self.variety) || !(0.0..=1.0).contains(&self.noise) {
            return setting(format!(
                "glyphs: variety {} (0 to 2) or noise {} (0 to 1)",
                self.variety, self.noise
            ));
        }
        if self.train > 1_000_000 || self.test > 1_000_000 {
            return setting("glyphs: more than 1000000 images");
        }
        let train = self.split(self.train, key.child("train"));
        let test = self.split(self.test, key.child("test"));
        Dataset::new("glyphs", train, test, (0..10).map(|d| d.to_string()).collect(), None, Vec::new())
    }

    fn split(&self, n: usize, key: Key) -> Examples {
        let shapes: Vec<Vec<Vec<Vec<Point>>>> =
            STROKES.iter().map(|s| s.split('|').map(strokes).collect()).collect();
        let mut pixels = Vec::with_capacity(n * SIDE * SIDE);
        for i in 0..n {
            let mut rng = key.index(i as u64).rng();
            let variants = &shapes[i % 10];
            let image = self.draw(&variants[rng.below(variants.len())], &mut rng);
            pixels.extend_from_slice(&image);
        }
        let class = (0..n).map(|i| (i % 10) as u16).collect();
        let (width, image) = (SIDE * SIDE, Some((1, SIDE, SIDE)));
        Examples { payload: Payload::Rows { width, values: pixels, wanted: None, image }, class }
    }

    fn draw(&self, strokes: &[Vec<Point>], rng: &mut Rng) -> [f32; SIDE * SIDE] {
        let mut jitter = |spread: f64| (rng.normal() * spread * self.variety) as f32;
        let (sx, sy) = (1.25 + jitter(0.12), 1.3 + jitter(0.08));
        let (slant, turn) = (jitter(0.15), jitter(0.1));
        let (dx, dy) = (14.0 + jitter(1.0), 14.0 + jitter(1.0));
        let pen = (1.1 + jitter(0.3)).clamp(0.6, 2.2);
        let (sin, cos) = turn.sin_cos();
        let mut ink = [0.0f32; SIDE * SIDE];
        for stroke in strokes {
            let place = |&(x, y): &Point| {
                let (x, y) = (x - 5.0 + jitter(0.35), y - 7.0 + jitter(0.35));
                let (x, y) = (sx * (x - slant * y), sy * y);
                (dx + cos * x - sin * y, dy + sin * x + cos * y)
            };
            let bent: Vec<Point> = stroke.iter().map(place).collect();
            let smooth = round(&bent);
            smooth.windows(2).for_each(|s| segment(&mut ink, s[0], s[1], pen));
        }
        for p in &mut ink {
            let noisy = *p + (rng.normal() * self.noise) as f32;
            *p = self.pixels.scale(if self.noise > 0.0 { noisy.clamp(0.0, 1.0) } else { *p });
        }
        ink
    }
}

/// Cuts the corners of a polyline twice (Chaikin), as a moving hand does.
fn round(line: &[Point]) -> Vec<Point> {
    let mut line = line.to_vec();
    for _ in 0..2 {
        let (Some(&first), Some(&last)) = (line.first(), line.last()) else { return line };
        let mut next = vec![first];
        for s in line.windows(2) {
            let between = |t: f32| (s[0].0 + t * (s[1].0 - s[0].0), s[0].1 + t * (s[1].1 - s[0].1));
            next.extend([between(0.25), between(0.75)]);
        }
        next.push(last);
        line = next;
    }
    line
}

/// Inks the pixels near a line, with a soft edge one pixel wide.
fn segment(ink: &mut [f32; SIDE * SIDE], a: Point, b: Point, pen: f32) {
    let reach = pen + 1.0;
    let range = |u: f32, v: f32| {
        let lo = (u.min(v) - reach).floor().clamp(0.0, SIDE as f32) as usize;
        let hi = (u.max(v) + reach).ceil().clamp(0.0, SIDE as f32) as usize;
        lo..hi
    };
    let (ux, uy) = (b.0 - a.0, b.1 - a.1);
    let length = (ux * ux + uy * uy).max(1e-9);
    for y in range(a.1, b.1) {
        for x in range(a.0, b.0) {
            let (px, py) = (x as f32 + 0.5 - a.0, y as f32 + 0.5 - a.1);
            let t = ((px * ux + py * uy) / length).clamp(0.0, 1.0);
            let (ex, ey) = (px - t * ux, py - t * uy);
            let distance = (ex * ex + ey * ey).sqrt();
            let shade = (pen + 0.5 - distance).clamp(0.0, 1.0);
            let p = &mut ink[y * SIDE + x];
            *p = p.max(shade);
        }
    }
}
