//! Lines along an axis, one per arm, with their spread over seeds.

use crate::stats::extent;
use std::collections::BTreeMap;

use super::{Data, clip, plain, with_intervals};
use crate::palette::Look;
use crate::run::{Measured, summary};
use crate::svg::{Anchor, Drawing, Frame, Marker, Scale, Svg, axes, dodge, fit, pad, steps};

/// Most points drawn per line; more cannot be seen and make the file heavy.
pub(super) const MOST_POINTS: usize = 200;

/// Most single seeds drawn per arm.
const MOST_SEEDS: usize = 24;

/// Width that a name may take beside the plot.
const ROOM: f64 = 92.0;

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

/// The columns of what [`write`] adds.
pub(super) const COLUMNS: [&str; 6] = ["plot", "arm", "x", "mean", "low", "high"];

/// The drawn numbers of a plot.
pub(super) fn write(data: &mut Data, plot: &str, bundles: &[Bundle<'_>]) {
    for b in bundles {
        for (i, (x, mean)) in b.mean.iter().enumerate() {
            let edge =
                |pick: fn(&(Line, Line)) -> &Line| b.band.as_ref().and_then(|e| Some(pick(e).get(i)?.1));
            let numbers = [Some(*x), Some(*mean), edge(|e| &e.1), edge(|e| &e.0)].map(plain);
            let mut row = vec![plot.to_owned(), b.arm.to_owned()];
            row.extend(numbers);
            data.rows.push(row);
        }
    }
}

/// Size and axis of a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// With names beside the lines.
    Plain,
    /// One of several with a common key.
    Small,
}

/// What differs between the kinds of figure.
pub(super) struct Plot<'a> {
    pub(super) titles: (&'a str, &'a str),
    pub(super) about: &'a str,
    /// Levels to compare with, and their names.
    pub(super) levels: Vec<(f64, String)>,
    pub(super) bands: bool,
    pub(super) narrow_log: bool,
    pub(super) shape: Shape,
    /// Whether x is logarithmic, however the points lie.
    pub(super) log_x: bool,
    /// An arm that is far from all others and does not set the scale: it is cut off at the edge.
    pub(super) outsider: Option<&'a str>,
}

/// The frame, and how wide and high the drawing around it is.
fn room(bundles: &[Bundle<'_>], shape: Shape) -> (Frame, f64, f64) {
    if shape != Shape::Plain {
        return (Frame { left: 50.0, top: 34.0, right: 344.0, bottom: 196.0 }, 356.0, 244.0);
    }
    // Every named arm needs a line of its own beside the plot.
    let named = bundles.iter().filter(|b| !b.look.rest).count();
    let bottom = (36.0 + 16.0 * (named + 1) as f64).max(296.0);
    (Frame { left: 50.0, top: 34.0, right: 342.0, bottom }, 470.0, bottom + 48.0)
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
    frame: Frame,
}

impl Axes {
    fn at(&self, &(a, b): &(f64, f64)) -> (f64, f64) {
        (self.zero.filter(|_| a <= 0.0).unwrap_or_else(|| self.x.at(a)), self.y.at(b))
    }

    fn path(&self, line: &Line) -> Vec<(f64, f64)> {
        line.iter().map(|p| self.at(p)).collect()
    }

    fn holds(&self, (_, y): (f64, f64)) -> bool {
        (self.frame.top - 0.5..=self.frame.bottom + 0.5).contains(&y)
    }

    /// Draws what is inside of the frame.
    fn line(&self, svg: &mut Svg, line: &Line, class: &str, dash: &str) {
        for piece in clip::pieces(&self.path(line), self.frame.top, self.frame.bottom) {
            svg.path(&piece, class, dash);
        }
    }

    fn inside(&self, line: &Line) -> Vec<(f64, f64)> {
        self.path(line).into_iter().map(|(x, y)| (x, y.clamp(self.frame.top, self.frame.bottom))).collect()
    }
}

pub(super) fn draw(bundles: &[Bundle<'_>], plot: &Plot<'_>) -> Option<Drawing> {
    let (frame, width, height) = room(bundles, plot.shape);
    let mut svg = Svg::new(width, height);
    let axes = scales(&mut svg, bundles, plot, frame)?;
    let mut ends: Vec<End> = Vec::new();
    for (level, name) in &plot.levels {
        let height = axes.y.at(*level);
        svg.line((frame.left, height), (frame.right, height), "level");
        ends.push(End { at: (frame.right, height), name: fit(name, ROOM), class: "ink", marker: None });
    }
    for b in bundles.iter().filter(|b| b.look.rest) {
        svg.open("rest", b.arm);
        axes.line(&mut svg, &b.mean, "faint", "");
        svg.close();
    }
    for b in bundles.iter().filter(|b| !b.look.rest) {
        curve(&mut svg, b, plot, &axes);
        let Some(last) = b.mean.last() else { continue };
        let (x, y) = axes.at(last);
        let arrow = if y < frame.top - 0.5 { "↑ " } else { "" };
        let at = (x, y.clamp(frame.top, frame.bottom));
        let name = format!("{arrow}{}", fit(b.arm, ROOM));
        ends.push(End { at, name, class: b.look.class, marker: Some(b.look.marker) });
    }
    if plot.shape == Shape::Plain {
        names(&mut svg, &ends, frame);
    }
    Some(svg.finish(plot.about))
}

/// Axes that hold everything that is drawn, the outsider aside; `None` where nothing is.
fn scales(svg: &mut Svg, bundles: &[Bundle<'_>], plot: &Plot<'_>, frame: Frame) -> Option<Axes> {
    let lines = |b: &&Bundle<'_>| -> Line {
        let seeds = b.seeds.iter().flatten().filter(|_| !plot.bands);
        b.mean.iter().chain(seeds).copied().collect()
    };
    let edges = |b: &&Bundle<'_>| -> Line {
        let band = b.band.as_ref().filter(|_| plot.bands);
        band.into_iter().flat_map(|(upper, lower)| upper.iter().chain(lower).copied()).collect()
    };
    let xs: Vec<f64> = bundles.iter().flat_map(|b| lines(&b)).map(|p| p.0).collect();
    let ordinary = || bundles.iter().filter(|b| Some(b.arm) != plot.outsider);
    let counted: Vec<&Bundle<'_>> =
        if ordinary().any(|b| !b.mean.is_empty()) { ordinary().collect() } else { bundles.iter().collect() };
    let ys = counted.iter().flat_map(lines).map(|p| p.1).chain(plot.levels.iter().map(|l| l.0));
    let (low, high) = with_intervals(ys, counted.iter().flat_map(edges).map(|p| p.1))?;
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
    Some(Axes { x, y, zero, frame })
}

/// One arm: its band or its seeds, and its mean.
fn curve(svg: &mut Svg, b: &Bundle<'_>, plot: &Plot<'_>, axes: &Axes) {
    svg.open(b.look.class, b.arm);
    match (&b.band, plot.bands) {
        (Some((upper, lower)), true) => svg.band(&axes.inside(upper), &axes.inside(lower), "band"),
        _ => b.seeds.iter().take(MOST_SEEDS).for_each(|s| axes.line(svg, s, "thin", "")),
    }
    // Dashes drown in the noise of a running loss; there the markers keep arms apart.
    let (class, dash) = match (plot.shape, plot.bands) {
        (_, false) => ("curve fine", ""),
        (Shape::Plain, true) => ("curve", b.look.dash),
        (_, true) => ("curve fine", b.look.dash),
    };
    axes.line(svg, &b.mean, class, dash);
    // A few markers keep the arms apart without colour; the phase differs per shape so that
    // they do not stack where curves meet.
    let stride = b.mean.len().div_ceil(7).max(1);
    let phase = b.look.marker as usize % stride;
    for p in b.mean.iter().skip(phase).step_by(stride).map(|p| axes.at(p)).filter(|p| axes.holds(*p)) {
        svg.marker(p, 3.6, b.look.marker, "mean");
    }
    // An arrow where the line goes on outside.
    if let Some((x, _)) = b.mean.iter().map(|p| axes.at(p)).find(|p| p.1 < axes.frame.top - 0.5) {
        svg.marker((x.max(axes.frame.left + 6.0), axes.frame.top + 5.0), 4.2, Marker::Triangle, "mean");
    }
    svg.close();
}

/// Names beside the lines, moved apart.
fn names(svg: &mut Svg, ends: &[End], frame: Frame) {
    let wanted: Vec<f64> = ends.iter().map(|e| e.at.1).collect();
    let placed = dodge(&wanted, 16.0, frame.top + 4.0, frame.bottom - 2.0);
    for (End { at: (x, y), name, class, marker }, to) in ends.iter().zip(placed) {
        svg.open(class, "");
        svg.path(&[(x + 3.0, *y), (frame.right + 6.0, *y), (frame.right + 13.0, to)], "leader", "");
        if let Some(marker) = marker {
            svg.marker((frame.right + 19.0, to), 3.6, *marker, "mean");
        }
        let inset = if marker.is_some() { 27.0 } else { 16.0 };
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
