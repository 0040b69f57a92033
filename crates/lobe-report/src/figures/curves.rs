//! Lines over steps: relearning and training.

use std::collections::{BTreeMap, BTreeSet};

use super::{Figure, Ink, Panel, axis, extent, seeds};
use crate::data::{Measured, summary};
use crate::format::number;
use crate::palette::Look;
use crate::svg::{Anchor, Frame, Marker, Scale, Svg, axes, dodge, fit, pad, steps};

/// Most points drawn per line; more cannot be seen and make the file heavy.
const MOST_POINTS: usize = 200;

/// Most single seeds drawn per arm.
const MOST_SEEDS: usize = 24;

/// Width that a name may take beside the plot.
const ROOM: f64 = 110.0;

type Line = Vec<(f64, f64)>;

/// The curves of one arm.
struct Bundle<'a> {
    arm: &'a str,
    look: Look,
    seeds: Vec<Line>,
    mean: Line,
    band: Option<(Line, Line)>,
}

fn bundle<'a>(arm: &'a str, look: Look, measured: &Measured) -> Option<Bundle<'a>> {
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

/// What differs between the two kinds of figure.
struct Plot<'a> {
    titles: (&'a str, &'a str),
    about: &'a str,
    /// A level to compare with, and its name.
    level: Option<(f64, String)>,
    bands: bool,
    narrow_log: bool,
}

fn draw(bundles: &[Bundle<'_>], plot: &Plot<'_>) -> Option<String> {
    let drawn = |b: &Bundle<'_>| -> Line {
        let mut all: Line = b.mean.clone();
        match (&b.band, plot.bands) {
            (Some((upper, lower)), true) => all.extend(upper.iter().chain(lower)),
            _ => all.extend(b.seeds.iter().flatten()),
        }
        all
    };
    let all: Line = bundles.iter().flat_map(drawn).collect();
    let xs: Vec<f64> = all.iter().map(|p| p.0).collect::<Vec<_>>();
    let (low, high) = extent(all.iter().map(|p| p.1).chain(plot.level.as_ref().map(|l| l.0)))?;

    // Every arm needs a line of its own beside the plot.
    let bottom = (36.0 + 16.0 * (bundles.len() + 1) as f64).max(348.0);
    let mut svg = Svg::new(680.0, bottom + 52.0);
    let frame = Frame { left: 60.0, top: 36.0, right: 536.0, bottom };
    let (x, zero) = steps(&xs, frame.x());
    let y = if plot.narrow_log && low > 0.0 && high / low > 4.0 {
        {
            let room = (high / low).powf(0.06);
            Scale::log((low / room, high * room), frame.y())
        }
    } else {
        Scale::linear(pad(low, high, 0.06), frame.y())
    };
    axes(&mut svg, frame, &x, &y, plot.titles);
    if let Some(at) = zero {
        svg.text((at, frame.bottom + 17.0), Anchor::Middle, "tick", "0");
        // Two strokes across the axis: what lies left of them is not to scale.
        let middle = f64::midpoint(at, x.range.0);
        for x in [middle - 2.0, middle + 2.0] {
            svg.line((x - 2.0, frame.bottom + 5.0), (x + 2.0, frame.bottom - 5.0), "axis");
        }
    }
    let at = |&(a, b): &(f64, f64)| (zero.filter(|_| a <= 0.0).unwrap_or_else(|| x.at(a)), y.at(b));
    let path = |line: &Line| line.iter().map(at).collect::<Vec<_>>();

    let mut ends: Vec<(f64, f64, String, &'static str, Option<Marker>)> = Vec::new();
    if let Some((level, name)) = &plot.level {
        let height = y.at(*level);
        svg.line((frame.left, height), (frame.right, height), "level");
        ends.push((frame.right, height, name.clone(), "ink", None));
    }
    for b in bundles {
        svg.open(b.look.class, b.arm);
        match (&b.band, plot.bands) {
            (Some((upper, lower)), true) => svg.band(&path(upper), &path(lower), "band"),
            _ => b.seeds.iter().take(MOST_SEEDS).for_each(|s| svg.path(&path(s), "thin", "")),
        }
        // Dashes drown in the noise of a running loss; there the markers keep arms apart.
        let (class, dash) = if plot.bands { ("curve", b.look.dash) } else { ("curve fine", "") };
        svg.path(&path(&b.mean), class, dash);
        // A few markers keep the arms apart without colour; the phase differs per shape so that
        // they do not stack where curves meet.
        let stride = b.mean.len().div_ceil(7).max(1);
        let phase = b.look.marker as usize % stride;
        for p in b.mean.iter().skip(phase).step_by(stride) {
            svg.marker(at(p), 3.6, b.look.marker, "mean");
        }
        svg.close();
        if let Some(last) = b.mean.last() {
            ends.push((at(last).0, at(last).1, fit(b.arm, ROOM), b.look.class, Some(b.look.marker)));
        }
    }
    let wanted: Vec<f64> = ends.iter().map(|e| e.1).collect();
    let placed = dodge(&wanted, 16.0, frame.top + 4.0, frame.bottom - 2.0);
    for ((x, y, text, class, marker), to) in ends.iter().zip(placed) {
        svg.open(class, "");
        svg.path(&[(x + 3.0, *y), (frame.right + 8.0, *y), (frame.right + 16.0, to)], "leader", "");
        if let Some(marker) = marker {
            svg.marker((frame.right + 23.0, to), 3.6, *marker, "mean");
        }
        let inset = if marker.is_some() { 31.0 } else { 19.0 };
        svg.text((frame.right + inset, to + 4.5), Anchor::Start, "label", text);
        svg.close();
    }
    Some(svg.finish(plot.about))
}

/// One figure per attack stage.
pub(super) fn relearning(ink: &Ink<'_>) -> Result<Vec<Figure>, String> {
    let run = ink.run;
    let stages = run.attack_stages();
    if stages.is_empty() {
        return Err("no stage tried to bring the capability back".into());
    }
    let mut out = Vec::new();
    for stage in &stages {
        let found =
            run.ordered().into_iter().filter(|(q, _)| q.stage == *stage && q.metric == "relearn_loss");
        // The forgotten label is what an attack is about; another one is shown only without it.
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(q, _)| q.label != "forget");
        let Some((quantity, measured)) = found.first().copied() else { continue };
        let bundles: Vec<_> = ink.arms().filter_map(|(arm, look)| bundle(arm, look, measured)).collect();
        let level = run.baseline().and_then(|b| {
            let finals = run.before(b, "loss", &quantity.label);
            Some((summary(&finals)?.mean, format!("{} level", fit(b, ROOM - 40.0))))
        });
        let caption_level = if level.is_some() {
            " The horizontal line is the baseline arm's loss before the attack: an arm is back once its curve meets it."
        } else {
            ""
        };
        let y = axis(&format!("{} loss, worst case of the sweep", quantity.label), &measured.unit);
        let plot = Plot {
            titles: ("attack steps", &y),
            about: &format!("Relearning curves of stage {stage}"),
            level,
            bands: true,
            narrow_log: false,
        };
        let Some(svg) = draw(&bundles, &plot) else { continue };
        let n = seeds(bundles.iter().map(|b| b.seeds.len()));
        out.push(Figure {
            id: format!("relearning-{}", out.len() + 1),
            title: if stages.len() > 1 { format!("Bringing it back: {stage}") } else { "Bringing it back".into() },
            panels: vec![Panel { svg, narrow: false }],
            caption: format!(
                "Loss while the attack trains on what was forgotten, the worst case over the attack's own sweep at each \
                 step. A curve that falls early means the capability was still there. Lines are means, bands 95 % bootstrap \
                 intervals ({n}).{caption_level}"
            ),
            steps_of: Some((*stage).to_owned()),
        });
    }
    if out.is_empty() { Err("the attack stages have not measured a loss yet".into()) } else { Ok(out) }
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
        let plot = Plot { titles: (&x, &y), about: &about, level: None, bands: false, narrow_log: true };
        // A stage of one step has a number but no curve.
        if bundles.iter().all(|b| b.mean.len() < 2) || panels.len() == 6 {
            continue;
        }
        count.extend(bundles.iter().map(|b| b.seeds.len()));
        panels.extend(draw(&bundles, &plot).map(|svg| Panel { svg, narrow: false }));
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
             the data it trains on, so levels of different arms compare only where their data agree.{thinned}",
            seeds(count.into_iter())
        ),
        steps_of: None,
    })
}
