//! Lines over steps, and the training curves.

use std::collections::{BTreeMap, BTreeSet};

use super::{Figure, Ink, Panel, Size, axis, extent, seeds};
use crate::data::{Measured, summary};
use crate::format::number;
use crate::palette::Look;
use crate::svg::{Anchor, Frame, Marker, Scale, Svg, axes, dodge, fit, pad, steps, text_width};

/// Most points drawn per line; more cannot be seen and make the file heavy.
const MOST_POINTS: usize = 200;

/// Most single seeds drawn per arm.
const MOST_SEEDS: usize = 24;

/// Width that a name may take beside the plot.
const ROOM: f64 = 110.0;

pub(super) type Line = Vec<(f64, f64)>;

/// The curves of one arm.
pub(super) struct Bundle<'a> {
    pub(super) arm: &'a str,
    pub(super) look: Look,
    pub(super) seeds: Vec<Line>,
    pub(super) mean: Line,
    /// Upper and lower edge.
    pub(super) band: Option<(Line, Line)>,
}

pub(super) fn bundle<'a>(arm: &'a str, look: Look, measured: &Measured) -> Option<Bundle<'a>> {
    let curves: Vec<Line> = measured.curves(arm).into_iter().map(|(_, c)| thin(c)).collect();
    if curves.is_empty() {
        return None;
    }
    let mut by_step: BTreeMap<u64, Vec<(u64, f64)>> = BTreeMap::new();
    for (seed, curve) in curves.iter().enumerate() {
        for (step, v) in curve {
            by_step.entry(*step as u64).or_default().push((seed as u64, *v));
        }
    }
    // Only steps that all seeds share: a mean over changing seeds would jump.
    let most = by_step.values().map(Vec::len).max().unwrap_or(0);
    let shared: Vec<_> = by_step
        .iter()
        .filter(|(_, v)| v.len() == most)
        .filter_map(|(step, v)| Some((*step as f64, summary(v)?)))
        .collect();
    let band = shared
        .iter()
        .map(|(x, s)| Some(((*x, s.interval?.1), (*x, s.interval?.0))))
        .collect::<Option<Vec<_>>>();
    Some(Bundle {
        arm,
        look,
        mean: shared.iter().map(|(x, s)| (*x, s.mean)).collect(),
        band: band.map(|b| b.into_iter().unzip()),
        seeds: curves,
    })
}

/// Averages neighbours until at most [`MOST_POINTS`] are left.
fn thin(curve: Line) -> Line {
    let bucket = curve.len().div_ceil(MOST_POINTS);
    if bucket <= 1 {
        return curve;
    }
    let middle = |points: &[(f64, f64)]| {
        let n = points.len() as f64;
        (points[points.len() / 2].0, points.iter().map(|p| p.1 / n).sum())
    };
    curve.chunks(bucket).map(middle).collect()
}

/// Size and axis of a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// With names beside the lines.
    Plain,
    /// One of several with a common [`key`].
    Small,
}

/// What differs between the kinds of figure.
pub(super) struct Plot<'a> {
    pub(super) titles: (&'a str, &'a str),
    pub(super) about: &'a str,
    /// A level to compare with, and its name.
    pub(super) level: Option<(f64, String)>,
    pub(super) bands: bool,
    pub(super) narrow_log: bool,
    pub(super) shape: Shape,
    /// Whether x is logarithmic, however the points lie.
    pub(super) log_x: bool,
}

/// The frame, and how wide and high the drawing around it is.
fn room(bundles: &[Bundle<'_>], shape: Shape) -> (Frame, f64, f64) {
    if shape != Shape::Plain {
        return (Frame { left: 50.0, top: 34.0, right: 324.0, bottom: 192.0 }, 336.0, 240.0);
    }
    // Every named arm needs a line of its own beside the plot.
    let named = bundles.iter().filter(|b| !b.look.rest).count();
    let bottom = (36.0 + 16.0 * (named + 1) as f64).max(348.0);
    (Frame { left: 60.0, top: 36.0, right: 536.0, bottom }, 680.0, bottom + 52.0)
}

/// Where a line ends, and what stands beside it.
struct End {
    at: (f64, f64),
    name: String,
    class: &'static str,
    marker: Option<Marker>,
}

/// From numbers to places in the drawing.
struct Axes {
    x: Scale,
    y: Scale,
    /// Where zero stands on a logarithmic axis.
    zero: Option<f64>,
}

impl Axes {
    fn at(&self, &(a, b): &(f64, f64)) -> (f64, f64) {
        (self.zero.filter(|_| a <= 0.0).unwrap_or_else(|| self.x.at(a)), self.y.at(b))
    }

    fn path(&self, line: &Line) -> Vec<(f64, f64)> {
        line.iter().map(|p| self.at(p)).collect()
    }
}

pub(super) fn draw(bundles: &[Bundle<'_>], plot: &Plot<'_>) -> Option<String> {
    let (frame, width, height) = room(bundles, plot.shape);
    let mut svg = Svg::new(width, height);
    let axes = scales(&mut svg, bundles, plot, frame)?;
    let mut ends: Vec<End> = Vec::new();
    if let Some((level, name)) = &plot.level {
        let height = axes.y.at(*level);
        svg.line((frame.left, height), (frame.right, height), "level");
        ends.push(End { at: (frame.right, height), name: name.clone(), class: "ink", marker: None });
    }
    for b in bundles.iter().filter(|b| b.look.rest) {
        svg.open("rest", b.arm);
        svg.path(&axes.path(&b.mean), "faint", "");
        svg.close();
    }
    for b in bundles.iter().filter(|b| !b.look.rest) {
        curve(&mut svg, b, plot, &axes);
        let last = b.mean.last().map(|last| axes.at(last));
        let (class, marker) = (b.look.class, Some(b.look.marker));
        ends.extend(last.map(|at| End { at, name: fit(b.arm, ROOM), class, marker }));
    }
    if plot.shape == Shape::Plain {
        names(&mut svg, &ends, frame);
    }
    Some(svg.finish(plot.about))
}

/// Axes that hold everything that is drawn; `None` where nothing is.
fn scales(svg: &mut Svg, bundles: &[Bundle<'_>], plot: &Plot<'_>, frame: Frame) -> Option<Axes> {
    let drawn = |b: &Bundle<'_>| -> Line {
        let mut all: Line = b.mean.clone();
        match (&b.band, plot.bands) {
            (Some((upper, lower)), true) => all.extend(upper.iter().chain(lower)),
            _ => all.extend(b.seeds.iter().flatten()),
        }
        all
    };
    let all: Line = bundles.iter().flat_map(drawn).collect();
    let xs: Vec<f64> = all.iter().map(|p| p.0).collect();
    let (low, high) = extent(all.iter().map(|p| p.1).chain(plot.level.as_ref().map(|l| l.0)))?;
    let (x, zero) = if plot.log_x { log_or_linear(&xs, frame.x()) } else { steps(&xs, frame.x()) };
    let y = if plot.narrow_log && low > 0.0 && high / low > 4.0 {
        let room = (high / low).powf(0.06);
        Scale::log((low / room, high * room), frame.y())
    } else {
        Scale::linear(pad(low, high, 0.06), frame.y())
    };
    axes(svg, frame, &x, &y, plot.titles);
    if let Some(at) = zero {
        svg.text((at, frame.bottom + 17.0), Anchor::Middle, "tick", "0");
        // Two strokes across the axis: what lies left of them is not to scale.
        let middle = f64::midpoint(at, x.range.0);
        for x in [middle - 2.0, middle + 2.0] {
            svg.line((x - 2.0, frame.bottom + 5.0), (x + 2.0, frame.bottom - 5.0), "axis");
        }
    }
    Some(Axes { x, y, zero })
}

/// One arm: its band or its seeds, and its mean.
fn curve(svg: &mut Svg, b: &Bundle<'_>, plot: &Plot<'_>, axes: &Axes) {
    svg.open(b.look.class, b.arm);
    match (&b.band, plot.bands) {
        (Some((upper, lower)), true) => svg.band(&axes.path(upper), &axes.path(lower), "band"),
        _ => b.seeds.iter().take(MOST_SEEDS).for_each(|s| svg.path(&axes.path(s), "thin", "")),
    }
    // Dashes drown in the noise of a running loss; there the markers keep arms apart.
    let (class, dash) = match (plot.shape, plot.bands) {
        (_, false) => ("curve fine", ""),
        (Shape::Plain, true) => ("curve", b.look.dash),
        (_, true) => ("curve fine", b.look.dash),
    };
    svg.path(&axes.path(&b.mean), class, dash);
    // A few markers keep the arms apart without colour; the phase differs per shape so that
    // they do not stack where curves meet.
    let stride = b.mean.len().div_ceil(7).max(1);
    let phase = b.look.marker as usize % stride;
    for p in b.mean.iter().skip(phase).step_by(stride) {
        svg.marker(axes.at(p), 3.6, b.look.marker, "mean");
    }
    svg.close();
}

/// Names beside the lines, moved apart.
fn names(svg: &mut Svg, ends: &[End], frame: Frame) {
    let wanted: Vec<f64> = ends.iter().map(|e| e.at.1).collect();
    let placed = dodge(&wanted, 16.0, frame.top + 4.0, frame.bottom - 2.0);
    for (End { at: (x, y), name, class, marker }, to) in ends.iter().zip(placed) {
        svg.open(class, "");
        svg.path(&[(x + 3.0, *y), (frame.right + 8.0, *y), (frame.right + 16.0, to)], "leader", "");
        if let Some(marker) = marker {
            svg.marker((frame.right + 23.0, to), 3.6, *marker, "mean");
        }
        let inset = if marker.is_some() { 31.0 } else { 19.0 };
        svg.text((frame.right + inset, to + 4.5), Anchor::Start, "label", name);
        svg.close();
    }
}

/// A logarithmic axis where the numbers allow one; the second value is where zero stands.
fn log_or_linear(all: &[f64], range: (f64, f64)) -> (Scale, Option<f64>) {
    let (low, high) = match extent(all.iter().copied().filter(|v| *v > 0.0)) {
        Some((low, high)) if high > low => (low, high),
        _ => return steps(all, range),
    };
    let zero = all.contains(&0.0);
    let from = if zero { range.0 + 34.0 } else { range.0 };
    (Scale::log((low, high), (from, range.1)), zero.then_some(range.0 + 6.0))
}

/// What the looks of several small plots mean.
pub(super) fn key(arms: &[(&str, Look)], level: bool, crowd: usize) -> String {
    const WIDE: f64 = 1020.0;
    let mut entries: Vec<(String, Option<Look>)> =
        arms.iter().map(|(a, l)| (fit(a, 200.0), Some(*l))).collect();
    if level {
        entries.push(("baseline before the attack".to_owned(), None));
    }
    if crowd > 0 {
        entries.push((
            format!("{crowd} other arms"),
            Some(Look { class: "rest", marker: Marker::Circle, dash: "", rest: true }),
        ));
    }
    let mut spots = Vec::new();
    let (mut x, mut y) = (4.0, 14.0);
    for (text, _) in &entries {
        let wide = 46.0 + text_width(text, 13.0) * 1.16 + 14.0;
        if x > 4.0 && x + wide > WIDE {
            (x, y) = (4.0, y + 22.0);
        }
        spots.push((x, y));
        x += wide;
    }
    let mut svg = Svg::new(WIDE, y + 12.0);
    for ((text, look), (x, y)) in entries.iter().zip(spots) {
        svg.open(look.map_or("ink", |l| l.class), "");
        let line = [(x, y), (x + 36.0, y)];
        match look {
            None => svg.line(line[0], line[1], "level"),
            Some(l) if l.rest => svg.path(&line, "faint", ""),
            Some(l) => {
                svg.path(&line, "curve", l.dash);
                svg.marker((x + 18.0, y), 3.6, l.marker, "mean");
            }
        }
        svg.text((x + 42.0, y + 4.5), Anchor::Start, "label", text);
        svg.close();
    }
    svg.finish_open("Which line is which arm")
}

/// Training loss of every arm.
pub(super) fn training(ink: &Ink<'_>) -> Result<Figure, String> {
    let run = ink.run;
    let attacks: BTreeSet<&str> = run.attack_stages().into_iter().collect();
    let mut panels = Vec::new();
    let mut count = Vec::new();
    let all = run.ordered();
    for (quantity, measured) in
        all.iter().filter(|(q, _)| q.metric == "train_loss" && !attacks.contains(q.stage.as_str()))
    {
        let bundles: Vec<_> = ink.arms().filter_map(|(arm, look)| bundle(arm, look, measured)).collect();
        let what = if matches!(quantity.label.as_str(), "" | "all") {
            String::new()
        } else {
            format!(", {}", quantity.label)
        };
        let y = axis(&format!("training loss{what}"), &measured.unit);
        let x = format!("steps of {}", quantity.stage);
        let about = format!("Training loss of stage {}{what}", quantity.stage);
        let plot = Plot {
            titles: (&x, &y),
            about: &about,
            level: None,
            bands: false,
            narrow_log: true,
            shape: Shape::Plain,
            log_x: false,
        };
        // A stage of one step has a number but no curve.
        if bundles.iter().all(|b| b.mean.len() < 2) || panels.len() == 6 {
            continue;
        }
        count.extend(bundles.iter().map(|b| b.seeds.len()));
        panels.extend(draw(&bundles, &plot).map(|svg| Panel { svg, size: Size::Plain }));
    }
    if panels.is_empty() {
        return Err("no training loss over steps".into());
    }
    let thinned =
        all.iter().filter(|(q, _)| q.metric == "train_loss").flat_map(|(_, m)| m.by_arm.values().flatten());
    let longest = thinned.map(|(_, points)| points.len()).max().unwrap_or(0);
    let thinned = if longest > MOST_POINTS {
        format!(
            " Neighbouring steps are averaged: {} points become {MOST_POINTS} at most.",
            number(longest as f64)
        )
    } else {
        String::new()
    };
    Ok(Figure {
        id: "training".into(),
        title: "Training".into(),
        panels,
        caption: format!(
            "Running training loss. Heavy lines are means over seeds, faint ones single seeds ({}). Each arm averages over \
             the data it trains on, so levels of different arms compare only where their data agree.{thinned}{}",
            seeds(count.into_iter()),
            ink.crowd_words()
        ),
        steps_of: None,
        below: Vec::new(),
    })
}
