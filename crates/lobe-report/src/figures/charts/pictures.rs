//! Small grey pictures in rows, of the first seed of each arm. What is dark on light paper is light in the dark theme.

use lobe_runs::{Picture, Shape};

use super::{Drawn, Group, MOST_ARMS};
use crate::figures::{Data, Panel, Size};
use crate::format::shorten;
use crate::svg::{Anchor, Drawing, Svg};

/// Shades of grey, the paper aside.
const SHADES: usize = 15;
/// Width of a picture on the page.
const SIDE: f64 = 56.0;
const ROW: usize = 10;

pub(super) fn draw(g: &Group<'_>) -> Drawn {
    let mut data = Data::new(&["arm", "picture", "row", "pixels"]);
    let mut panels = Vec::new();
    for (arm, _, members) in g.arms.iter().take(MOST_ARMS) {
        let Some((_, chart)) = members.first() else { continue };
        let Shape::Pictures { pictures } = &chart.shape else { continue };
        for p in pictures {
            for (row, pixels) in p.pixels.chunks(p.width.max(1)).enumerate() {
                let text = pixels.iter().map(|v| format!("{v:.2}")).collect::<Vec<_>>().join(" ");
                data.rows.push(vec![(*arm).to_owned(), p.name.clone(), row.to_string(), text]);
            }
        }
        if !pictures.is_empty() {
            panels.push(Panel { drawing: panel(g, arm, pictures), size: Size::Wide });
        }
    }
    (panels, data)
}

fn panel(g: &Group<'_>, arm: &str, pictures: &[Picture]) -> Drawing {
    let (across, down) = (pictures.len().min(ROW), pictures.len().div_ceil(ROW));
    let head = 26.0;
    let (wide, tall) = (SIDE + 8.0, SIDE + 24.0);
    let mut svg = Svg::new(wide * across as f64 + 8.0, head + tall * down as f64);
    svg.text((4.0, 16.0), Anchor::Start, "panel-title", &shorten(arm, 26));
    for (i, p) in pictures.iter().enumerate() {
        let (x, y) = (4.0 + wide * (i % ROW) as f64, head + tall * (i / ROW) as f64);
        svg.open("ink", &p.name);
        svg.rect((x, y), (SIDE, SIDE), "paper");
        for (shade, path) in runs(p).into_iter().enumerate().filter(|(_, p)| !p.is_empty()) {
            let scale = SIDE / p.width.max(p.pixels.len() / p.width.max(1)).max(1) as f64;
            svg.pixels((x, y), scale, &path, (shade + 1) as f64 / SHADES as f64);
        }
        svg.text((x + SIDE / 2.0, y + SIDE + 15.0), Anchor::Middle, "tick", &shorten(&p.name, 9));
        svg.close();
    }
    svg.finish_open(&format!("{}, {arm}", g.first.title))
}

/// For each shade the runs of pixels that have it, as the path of an SVG in units of pixels.
pub(super) fn runs(p: &Picture) -> Vec<String> {
    let mut out = vec![String::new(); SHADES];
    for (y, row) in p.pixels.chunks(p.width.max(1)).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| shade(*a) == shade(*b)) {
            if let Some(path) = shade(run[0]).checked_sub(1).and_then(|s| out.get_mut(s)) {
                path.push_str(&format!("M{x} {y}h{n}v1h-{n}z", n = run.len()));
            }
            x += run.len();
        }
    }
    out
}

/// 0 is paper, [`SHADES`] is ink.
fn shade(v: f32) -> usize {
    (v.clamp(0.0, 1.0) * SHADES as f32).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_rectangle() {
        let p = Picture { name: String::new(), width: 3, pixels: vec![1.0, 1.0, 0.0, 0.2, f32::NAN, 7.0] };
        let found = runs(&p);
        assert_eq!(
            (found[SHADES - 1].as_str(), found[2].as_str()),
            ("M0 0h2v1h-2zM2 1h1v1h-1z", "M0 1h1v1h-1z")
        );
        assert_eq!(found.iter().filter(|r| !r.is_empty()).count(), 2);
    }
}
