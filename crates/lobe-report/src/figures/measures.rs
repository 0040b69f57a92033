//! Final numbers per metric and label as one table of small drawings: what every recipe has, whatever its labels
//! are called.

use lobe_runs::{Role, part};

use super::{Data, Ink, plain};
use crate::format::{interval, number};
use crate::palette::Look;
use crate::run::summary;
use crate::stats::{Summary, extent};
use crate::svg::{Drawing, Scale, Svg, pad};

/// Most columns.
const MOST: usize = 24;

/// One column: a metric on one label.
pub(crate) struct Column {
    pub(crate) metric: String,
    pub(crate) title: String,
    pub(crate) label: String,
    pub(crate) unit: String,
    /// One scale for all labels of a metric.
    domain: (f64, f64),
    /// The level of guessing, if there is one.
    chance: Option<f64>,
}

/// One arm's number.
pub(crate) struct Value {
    pub(crate) after: Summary,
    pub(crate) before: Option<f64>,
}

/// All of it.
pub(crate) struct Measures<'a> {
    pub(crate) columns: Vec<Column>,
    /// Arms that have a number at all.
    pub(crate) rows: Vec<(&'a str, Look, Vec<Option<Value>>)>,
    pub(crate) data: Data,
}

/// Nothing where nothing was measured.
pub(crate) fn build<'a>(ink: &Ink<'a>) -> Option<Measures<'a>> {
    let run = ink.run;
    let attacks = run.attack_stages();
    let mut metrics: Vec<&str> = Vec::new();
    for (q, _) in run.ordered() {
        let info = run.catalogue.get(&q.metric);
        // Single decoders of images are what such a run is about; single classes the tables have.
        let detail = part(&q.metric).1.is_some() && !info.is_some_and(|m| m.parts_count);
        let other = info.is_some_and(|m| m.role != Role::Outcome);
        let skip = other || detail || attacks.contains(&q.stage.as_str());
        if !skip && !metrics.contains(&q.metric.as_str()) {
            metrics.push(&q.metric);
        }
    }
    let mut columns = Vec::new();
    for metric in metrics {
        columns.extend(columns_of(ink, metric));
    }
    columns.truncate(MOST);
    let mut data = Data::new(&["arm", "metric", "label", "unit", "before", "after", "low", "high", "seeds"]);
    let mut rows = Vec::new();
    for (arm, look) in ink.arms() {
        let values: Vec<Option<Value>> = columns.iter().map(|c| value(ink, arm, c)).collect();
        for (c, v) in columns.iter().zip(&values) {
            let Some(v) = v else { continue };
            let s = &v.after;
            let mut row: Vec<String> = [arm, &c.metric, &c.label, &c.unit].map(str::to_owned).to_vec();
            row.extend([v.before, Some(s.mean), s.interval.map(|i| i.0), s.interval.map(|i| i.1)].map(plain));
            row.push(s.n.to_string());
            data.rows.push(row);
        }
        if values.iter().any(Option::is_some) {
            rows.push((arm, look, values));
        }
    }
    (!columns.is_empty() && !rows.is_empty()).then_some(Measures { columns, rows, data })
}

/// A number of the finished model.
fn value(ink: &Ink<'_>, arm: &str, c: &Column) -> Option<Value> {
    let run = ink.run;
    let after = summary(&run.after(arm, &c.metric, &c.label))?;
    let changed = run.changed(arm, &c.metric);
    let before = changed.then(|| summary(&run.before(arm, &c.metric, &c.label))).flatten();
    Some(Value { after, before: before.map(|b| b.mean) })
}

fn columns_of(ink: &Ink<'_>, metric: &str) -> Vec<Column> {
    let run = ink.run;
    let has = |l: &&String| run.arms().iter().any(|a| !run.after(&a.name, metric, l).is_empty());
    let labels: Vec<&String> = run.manifest.labels.iter().filter(has).collect();
    // A network that was never trained must not set the scale.
    let arms = || run.arms().iter().filter(|a| Some(a.name.as_str()) != run.fresh());
    let values = labels.iter().flat_map(|label| {
        arms().flat_map(move |a| {
            [run.after(&a.name, metric, label), run.before(&a.name, metric, label)].into_iter().flatten()
        })
    });
    let Some((low, high)) = extent(values.map(|(_, v)| v)) else { return Vec::new() };
    let column = |label: &&String| Column {
        metric: metric.to_owned(),
        title: run.catalogue.title(metric),
        label: (*label).clone(),
        unit: Some(run.unit(metric)).filter(|u| *u != metric).unwrap_or_default().to_owned(),
        domain: pad(low, high, 0.06),
        chance: chance(ink, metric, label),
    };
    labels.iter().map(column).collect()
}

/// The level of guessing, for metrics that have one.
fn chance(ink: &Ink<'_>, metric: &str, label: &str) -> Option<f64> {
    let name = ink.run.catalogue.get(metric)?.chance.as_deref()?;
    let found = ink.run.results.iter().find(|(q, _)| q.metric == name && q.label == label);
    found?.1.by_arm.values().flatten().find_map(|(_, p)| p.last()).map(|p| p.value)
}

/// One cell as a drawing: where the arm stands on the metric's scale, and where it stood before.
pub(crate) fn strip(c: &Column, arm: &str, look: Look, v: &Value) -> Drawing {
    const WIDE: f64 = 104.0;
    let mut svg = Svg::new(WIDE, 14.0);
    let x = Scale::linear(c.domain, (5.0, WIDE - 5.0));
    // What lies outside of the scale is drawn at its end.
    let at = |v: f64| x.at(v).clamp(2.0, WIDE - 2.0);
    svg.line((0.0, 7.0), (WIDE, 7.0), "grid");
    if let Some(chance) = c.chance {
        svg.path(&[(at(chance), 0.0), (at(chance), 14.0)], "level", "");
    }
    svg.open(if look.rest { "rest" } else { look.class }, "");
    if let Some(before) = v.before {
        svg.line((at(before), 7.0), (at(v.after.mean), 7.0), "thin");
        svg.marker((at(before), 7.0), 3.4, look.marker, "hollow");
    }
    if let Some((low, high)) = v.after.interval {
        svg.line((at(low), 7.0), (at(high), 7.0), "bar");
    }
    svg.marker((at(v.after.mean), 7.0), 4.4, look.marker, "mean");
    svg.close();
    let before = v.before.map_or_else(String::new, |b| format!(", before {}", number(b)));
    svg.finish(&format!("{arm}, {} of {}: {}{before}", c.title, c.label, interval(&v.after)))
}
