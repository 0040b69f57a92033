//! Published numbers and measured ones side by side: a row for each `[[target]]`, a panel for each metric.

use super::{Data, Figure, Ink, Panel, Place, Size, plain, seeds, with_intervals};
use crate::format::{interval, shorten};
use crate::palette::Look;
use crate::stats::extent;
use crate::svg::{Anchor, Drawing, Frame, Marker, Scale, Svg, axes, pad};
use crate::targets::{Answer, answers};

/// Most rows of one panel, and most panels; the table of targets has them all.
const MOST_ROWS: usize = 40;
const MOST_METRICS: usize = 6;
/// Height of a row, and the longest name of one.
const ROW: f64 = 19.0;
const NAME: usize = 30;

/// Nothing where the recipe names no published number.
pub(super) fn build(ink: &Ink<'_>) -> Option<Figure> {
    let all = answers(ink.run);
    let mut metrics: Vec<&str> = Vec::new();
    for answer in all.iter().filter(|a| a.measured.is_some()) {
        if !metrics.contains(&answer.target.metric.as_str()) {
            metrics.push(&answer.target.metric);
        }
    }
    let mut data =
        Data::new(&["metric", "arm", "label", "published", "tolerance", "mean", "low", "high", "seeds"]);
    let mut panels = Vec::new();
    for metric in metrics.into_iter().take(MOST_METRICS) {
        let rows: Vec<&Answer<'_>> =
            all.iter().filter(|a| a.target.metric == metric).take(MOST_ROWS).collect();
        for answer in &rows {
            write(&mut data, answer);
        }
        panels.extend(draw(ink, metric, &rows).map(|drawing| Panel { drawing, size: Size::Plain }));
    }
    let n = seeds(all.iter().filter_map(|a| a.measured.as_ref()).map(|s| s.n));
    (!panels.is_empty()).then(|| Figure {
        id: "published".into(),
        title: "Measured and published".into(),
        panels,
        caption: format!(
            "A row for each number that the recipe is held against. Hollow: as published or derived, with what it may \
             miss by. Filled: measured here, mean with its 95 % interval ({n})."
        ),
        data,
        below: Vec::new(),
        place: Place::Body,
    })
}

fn write(data: &mut Data, a: &Answer<'_>) {
    let (t, s) = (a.target, a.measured.as_ref());
    let mut row = vec![t.metric.clone(), t.arm.clone(), t.label.clone()];
    row.extend([Some(t.value), Some(t.tolerance), s.map(|s| s.mean)].map(plain));
    row.extend([s.and_then(|s| s.interval).map(|i| i.0), s.and_then(|s| s.interval).map(|i| i.1)].map(plain));
    row.push(s.map_or(0, |s| s.n).to_string());
    data.rows.push(row);
}

fn draw(ink: &Ink<'_>, metric: &str, rows: &[&Answer<'_>]) -> Option<Drawing> {
    let measured = || rows.iter().filter_map(|a| a.measured.as_ref());
    let edges =
        rows.iter().flat_map(|a| [a.target.value - a.target.tolerance, a.target.value + a.target.tolerance]);
    let values = measured().map(|s| s.mean).chain(rows.iter().map(|a| a.target.value)).chain(edges);
    let known = extent(values)?;
    let (low, high) = with_intervals(
        [known.0, known.1].into_iter(),
        measured().filter_map(|s| s.interval).flat_map(|i| [i.0, i.1]),
    )?;
    let bottom = 30.0 + ROW * rows.len() as f64 + 4.0;
    let frame = Frame { left: 190.0, top: 30.0, right: 490.0, bottom };
    let mut svg = Svg::new(500.0, bottom + 48.0);
    let x = Scale::linear(pad(low, high, 0.06), frame.x());
    let title = super::axis(&ink.run.catalogue.title(metric), ink.run.unit(metric));
    axes(&mut svg, frame, &x, &Scale::linear((0.0, 0.0), frame.y()), (&title, ""));
    for (i, a) in rows.iter().enumerate() {
        let (t, y) = (a.target, frame.top + ROW * (i as f64 + 0.5));
        let name = if t.label == "all" { t.arm.clone() } else { format!("{}, {}", t.arm, t.label) };
        svg.text((frame.left - 8.0, y + 4.0), Anchor::End, "tick", &shorten(&name, NAME));
        svg.open("grey", &format!("{}, published: {}", a.what(), a.published()));
        svg.line((x.at(t.value - t.tolerance), y), (x.at(t.value + t.tolerance), y), "bar");
        svg.marker((x.at(t.value), y), 5.5, Marker::Diamond, "hollow");
        svg.close();
        let Some(s) = &a.measured else { continue };
        let look = ink.arms().find(|(arm, _)| *arm == t.arm).map_or(PLAIN, |(_, look)| look);
        svg.open(look.class, &format!("{}: {}, {}", a.what(), interval(s), a.words()));
        if let Some((low, high)) = s.interval {
            let at = |v: f64| x.at(v).clamp(frame.left, frame.right);
            svg.line((at(low), y), (at(high), y), "bar");
        }
        svg.marker((x.at(s.mean), y), 4.0, Marker::Circle, "mean");
        svg.close();
    }
    Some(svg.finish_open(&format!("Measured and published: {title}")))
}

const PLAIN: Look = Look { class: "ink", marker: Marker::Circle, dash: "", rest: false };
