//! Final metrics per label and arm: what every recipe has, whatever its labels are called.

use super::{Figure, Ink, Panel, Size, axis, extent, seeds};
use crate::data::summary;
use crate::format::interval;
use crate::svg::{Anchor, Frame, Scale, Svg, axes, fit, pad};

/// Metrics that are curves, counts or about an attack; the tables have them.
const NOT_DRAWN: [&str; 14] = [
    "train_loss",
    "gap_closed",
    "leakage",
    "probe_chance",
    "steps_to_baseline",
    "steps_budget",
    "steps_target",
    "region_units",
    "region_params",
    "params",
    "targets",
    "forget_targets",
    "undiscovered_targets",
    "relearn_loss",
];
/// Most metrics drawn and most labels of each.
const MOST: usize = 6;
const ROW: f64 = 24.0;

/// One figure per metric, one panel per label.
pub(super) fn build(ink: &Ink<'_>, losses_are_shown: bool) -> Result<Vec<Figure>, String> {
    let run = ink.run;
    let mut metrics: Vec<&str> = Vec::new();
    for (q, _) in run.ordered() {
        // What single decoders make of images is what such a run is about; single classes the tables have.
        let part = q.metric.split_once('@').is_some_and(|(metric, _)| !["mse", "mae"].contains(&metric));
        let skip = NOT_DRAWN.contains(&q.metric.as_str())
            || part
            || (losses_are_shown && q.metric == "loss")
            || run.attack_stages().contains(&q.stage.as_str());
        if !skip && !metrics.contains(&q.metric.as_str()) {
            metrics.push(&q.metric);
        }
    }
    let figures: Vec<Figure> = metrics.iter().take(MOST).filter_map(|m| figure(ink, m)).collect();
    if figures.is_empty() { Err("no held-out metric was measured".into()) } else { Ok(figures) }
}

fn figure(ink: &Ink<'_>, metric: &str) -> Option<Figure> {
    let run = ink.run;
    let labels: Vec<&str> = run.manifest.labels.iter().map(String::as_str).collect();
    let has = |label: &&str| run.arms().iter().any(|a| !run.after(&a.name, metric, label).is_empty());
    let labels: Vec<&str> = labels.into_iter().filter(has).take(MOST).collect();
    let values = labels.iter().flat_map(|label| {
        run.arms().iter().flat_map(move |a| {
            [run.after(&a.name, metric, label), run.before(&a.name, metric, label)].into_iter().flatten()
        })
    });
    // One scale for all labels, so that panels compare.
    let (low, high) = extent(values.map(|(_, v)| v))?;
    let domain = pad(low, high, 0.07);
    let panels: Vec<Panel> = labels.iter().map(|label| panel(ink, metric, label, domain)).collect();
    let counts = labels.iter().flat_map(|l| run.arms().iter().map(|a| run.after(&a.name, metric, l).len()));
    let n = seeds(counts.filter(|n| *n > 0));
    let words = metric.replace('_', " ");
    let chance = labels.iter().any(|l| chance(ink, metric, l).is_some());
    Some(Figure {
        id: format!(
            "final-{}",
            metric.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>()
        ),
        title: format!("Final {words}, by label"),
        panels,
        caption: format!(
            "Held-out {words} of the finished model of each arm, one panel per label, all on one scale. Small markers are \
             seeds, large ones their mean with a 95 % interval ({n}); hollow markers are the same arm before the \
             cut.{}",
            if chance { " Dashed: chance." } else { "" }
        ),
        steps_of: None,
        below: Vec::new(),
    })
}

/// The level of guessing, for metrics that have one.
fn chance(ink: &Ink<'_>, metric: &str, label: &str) -> Option<f64> {
    let name = metric.strip_suffix("_accuracy").map(|m| format!("{m}_chance"))?;
    let found = ink.run.results.iter().find(|(q, _)| q.metric == name && q.label == label);
    found?.1.by_arm.values().flatten().find_map(|(_, p)| p.last()).map(|p| p.value)
}

fn panel(ink: &Ink<'_>, metric: &str, label: &str, domain: (f64, f64)) -> Panel {
    let run = ink.run;
    let shown: Vec<_> = ink.arms().filter(|(arm, _)| !run.after(arm, metric, label).is_empty()).collect();
    let bottom = 40.0 + ROW * shown.len() as f64;
    let mut svg = Svg::new(336.0, bottom + 46.0);
    let frame = Frame { left: 116.0, top: 36.0, right: 322.0, bottom };
    let x = Scale::linear(domain, frame.x());
    // The y axis has names, not numbers: a scale without ticks leaves room for them.
    let none = Scale::linear((0.0, 0.0), frame.y());
    axes(&mut svg, frame, &x, &none, (&axis(metric, run.unit(metric)), label));
    if let Some(v) = chance(ink, metric, label) {
        svg.path(&[(x.at(v), frame.top), (x.at(v), frame.bottom)], "level", "4 3");
    }
    for (i, (arm, look)) in shown.iter().enumerate() {
        let y = frame.top + ROW * (i as f64 + 0.5) + 2.0;
        let after = run.after(arm, metric, label);
        let Some(s) = summary(&after) else { continue };
        svg.line((frame.left, y), (frame.right, y), "grid");
        svg.open(look.class, &format!("{arm}: {}", interval(&s)));
        svg.text((frame.left - 8.0, y + 4.0), Anchor::End, "label", &fit(arm, 104.0));
        if run.changed(arm, metric) {
            for (_, v) in run.before(arm, metric, label) {
                svg.marker((x.at(v), y), 4.0, look.marker, "ghost");
            }
        }
        for (_, v) in &after {
            svg.marker((x.at(*v), y), 3.0, look.marker, "seed");
        }
        if let Some((low, high)) = s.interval {
            svg.line((x.at(low), y), (x.at(high), y), "bar");
        }
        svg.marker((x.at(s.mean), y), 5.0, look.marker, "mean");
        svg.close();
    }
    Panel { svg: svg.finish(&format!("{metric} for {label}, per arm")), size: Size::Narrow }
}
