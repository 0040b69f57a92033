//! What a family of arms (`grid` in a recipe) comes to along each of its numbers.

use std::collections::{BTreeMap, BTreeSet};

use lobe_runs::{Chart, ChartAxis, Coordinate, Level, Role, Series, Shape, part};

use super::charts::{self, Group};
use super::{Data, Figure, Ink, Place, seeds};
use crate::palette::Look;
use crate::run::summary;
use crate::svg::Marker;

/// Most families, and most metrics of one, that are drawn; `results.csv` has them all.
const MOST: usize = 8;
const MOST_METRICS: usize = 6;
/// From which ratio of the largest to the smallest value on the axis is logarithmic.
const WIDE: f64 = 20.0;

/// One figure for each family and key with numbers.
pub(super) fn build(ink: &Ink<'_>) -> Vec<Figure> {
    let mut dials: Vec<(&str, &str)> = Vec::new();
    for family in ink.run.arms().iter().filter_map(|a| a.family.as_ref()) {
        for c in family.point.iter().filter(|c| number(c).is_some()) {
            if !dials.contains(&(&*family.name, &*c.key)) && dials.len() < MOST {
                dials.push((&family.name, &c.key));
            }
        }
    }
    let one = |(i, (family, key)): (usize, &(&str, &str))| figure(ink, i, family, key);
    dials.iter().enumerate().filter_map(one).collect()
}

fn number(c: &Coordinate) -> Option<f64> {
    c.number.filter(|x| x.abs() <= 1e30)
}

/// An arm of the family: its name, where it stands on the dial, and its other coordinates in words.
type Standing<'a> = (&'a str, f64, String);

fn standing<'a>(ink: &Ink<'a>, family: &str, key: &str) -> Vec<Standing<'a>> {
    let of = |a: &'a lobe_runs::Arm| {
        let point = &a.family.as_ref().filter(|f| f.name == family)?.point;
        let at = number(point.iter().find(|c| c.key == key)?)?;
        let rest: Vec<&str> = point.iter().filter(|c| c.key != key).map(|c| c.text.as_str()).collect();
        Some((a.name.as_str(), at, rest.join(", ")))
    };
    ink.run.arms().iter().filter_map(of).collect()
}

fn figure(ink: &Ink<'_>, number: usize, family: &str, key: &str) -> Option<Figure> {
    let arms = standing(ink, family, key);
    let values: BTreeSet<u64> = arms.iter().map(|a| a.1.to_bits()).collect();
    if values.len() < 2 {
        return None;
    }
    let mut data = Data::new(&[]);
    let mut panels = Vec::new();
    let mut counts = Vec::new();
    for metric in metrics(ink, &arms) {
        let all = by_seed(ink, &arms, key, metric);
        counts.push(all.len());
        let members: Vec<(u64, &Chart)> = all.iter().map(|(seed, chart)| (*seed, chart)).collect();
        let Some((_, first)) = members.first() else { continue };
        let group = Group { first, stage: "", arms: vec![(family, LOOK, members.clone())] };
        let (drawn, own) = charts::lines(&group);
        panels.extend(drawn);
        data.header = own.header;
        data.rows.extend(own.rows);
    }
    let point = ink.run.arms().iter().find_map(|a| a.family.as_ref().filter(|f| f.name == family));
    let others: Vec<String> = point.map_or_else(Vec::new, |f| {
        f.point.iter().filter(|c| c.key != key).map(|c| format!("`{}`", c.key)).collect()
    });
    let by = if others.is_empty() {
        String::new()
    } else {
        format!(" Lines by label and {}.", others.join(" and "))
    };
    (!panels.is_empty()).then(|| Figure {
        id: format!("family-{}", number + 1),
        title: format!("{family} along {key}"),
        panels,
        caption: format!(
            "Finished models of the family `{family}`, attacks aside.{by} Dotted: the same number of the references. \
             Means over seeds with 95 % intervals ({}).",
            seeds(counts.into_iter())
        ),
        data,
        below: Vec::new(),
        place: Place::Body,
    })
}

const LOOK: Look = Look { class: "k1", marker: Marker::Circle, dash: "", rest: false };

/// Outcomes that two arms of the family at least have of their finished models.
fn metrics<'a>(ink: &Ink<'a>, arms: &[Standing<'_>]) -> Vec<&'a str> {
    let run = ink.run;
    let mut out: Vec<&str> = Vec::new();
    for (q, m) in run.ordered() {
        let info = run.catalogue.get(&q.metric);
        let detail = part(&q.metric).1.is_some() && !info.is_some_and(|m| m.parts_count);
        let known = arms.iter().filter(|a| m.by_arm.contains_key(a.0)).count() > 1;
        let outcome = info.is_some_and(|m| m.role == Role::Outcome) && !detail && !run.is_attack(&q.stage);
        if outcome && known && !out.contains(&q.metric.as_str()) {
            out.push(&q.metric);
        }
    }
    out.truncate(MOST_METRICS);
    out
}

/// A chart of one metric for each seed: a line for each label and for each choice of the other keys.
fn by_seed(ink: &Ink<'_>, arms: &[Standing<'_>], key: &str, metric: &str) -> BTreeMap<u64, Chart> {
    let run = ink.run;
    let positive = arms.iter().all(|a| a.1 > 0.0);
    let (low, high) =
        arms.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), a| (l.min(a.1), h.max(a.1)));
    let mut out: BTreeMap<u64, Chart> = BTreeMap::new();
    let title = run.catalogue.title(metric);
    for label in &run.manifest.labels {
        for (arm, at, rest) in arms {
            let name = if rest.is_empty() { label.clone() } else { format!("{label}, {rest}") };
            for (seed, value) in run.after(arm, metric, label).into_iter().filter(|(_, v)| v.abs() <= 1e30) {
                let chart = out.entry(seed).or_insert_with(|| Chart {
                    name: metric.to_owned(),
                    title: title.clone(),
                    caption: None,
                    x: ChartAxis {
                        name: key.to_owned(),
                        log: positive && high > WIDE * low,
                        ..ChartAxis::default()
                    },
                    y: ChartAxis {
                        name: title.clone(),
                        unit: run.unit(metric).to_owned(),
                        ..ChartAxis::default()
                    },
                    levels: levels(ink, metric),
                    shape: Shape::Lines { series: Vec::new() },
                });
                let Shape::Lines { series } = &mut chart.shape else { continue };
                match series.iter_mut().find(|s| s.name == name) {
                    Some(s) => s.points.push((*at, value)),
                    None => series.push(Series { name: name.clone(), points: vec![(*at, value)] }),
                }
            }
        }
    }
    out
}

/// What the references have.
fn levels(ink: &Ink<'_>, metric: &str) -> Vec<Level> {
    let run = ink.run;
    let mut out = Vec::new();
    for arm in [run.baseline(), run.control()].into_iter().flatten() {
        for label in &run.manifest.labels {
            let mean = summary(&run.after(arm, metric, label)).map(|s| s.mean).filter(|v| v.abs() <= 1e30);
            out.extend(mean.map(|value| Level { value, name: format!("{label}, {arm}") }));
        }
    }
    out
}
