//! What stages leave to be seen (`charts.json`), drawn by its shape. One file for each shape.

mod bars;
mod heat;
mod lines;
mod pictures;
mod roc;
mod scatter;

use lobe_runs::{Chart, MemberChart, Series, Shape};

use super::{Data, Figure, Ink, Panel, Place, axis, seeds};
use crate::palette::Look;
use crate::run::summary;
use crate::stats::Summary;
use crate::svg::Marker;

/// Most charts of a page, and most arms that have a drawing of their own.
const MOST: usize = 40;
const MOST_ARMS: usize = 12;

/// The charts of one stage and name: arms in the run's order, seeds ascending.
pub(super) struct Group<'a> {
    /// The first of them, whose words hold for all.
    pub(super) first: &'a Chart,
    pub(super) stage: &'a str,
    pub(super) arms: Vec<(&'a str, Look, Vec<(u64, &'a Chart)>)>,
}

/// The curves of a group.
pub(super) fn lines(g: &Group<'_>) -> Drawn {
    lines::draw(g)
}

/// One figure per stage and name.
pub(super) fn build(ink: &Ink<'_>) -> Vec<Figure> {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for c in &ink.run.charts {
        if !names.contains(&(&*c.stage, &*c.chart.name)) && names.len() < MOST {
            names.push((&c.stage, &c.chart.name));
        }
    }
    let one = |(i, (stage, name)): (usize, &(&str, &str))| figure(i, &group(ink, stage, name)?);
    names.iter().enumerate().filter_map(one).collect()
}

fn group<'a>(ink: &Ink<'a>, stage: &'a str, name: &str) -> Option<Group<'a>> {
    let all: Vec<&MemberChart> =
        ink.run.charts.iter().filter(|c| c.stage == stage && c.chart.name == name).collect();
    let first = &all.first()?.chart;
    let same =
        |c: &&&MemberChart| std::mem::discriminant(&c.chart.shape) == std::mem::discriminant(&first.shape);
    let of_arm = |(arm, look): (&'a str, Look)| {
        let mut members: Vec<(u64, &Chart)> =
            all.iter().filter(|c| c.arm == arm).filter(same).map(|c| (c.seed, &c.chart)).collect();
        members.sort_by_key(|m| m.0);
        (!members.is_empty()).then_some((arm, look, members))
    };
    Some(Group { first, stage, arms: ink.arms().filter_map(of_arm).collect() })
}

fn figure(number: usize, g: &Group<'_>) -> Option<Figure> {
    let (panels, data) = match &g.first.shape {
        Shape::Lines { .. } => lines::draw(g),
        Shape::Scatter { .. } => scatter::draw(g),
        Shape::Roc { .. } => roc::draw(g),
        Shape::Bars { .. } => bars::draw(g),
        Shape::Heat { .. } => heat::draw(g),
        Shape::Pictures { .. } => pictures::draw(g),
        Shape::Other => return None,
    };
    if panels.is_empty() {
        return None;
    }
    let own = g.first.caption.as_deref().map_or_else(String::new, |c| format!("{c} "));
    let spread = match &g.first.shape {
        Shape::Pictures { .. } => "Of the first seed.".to_owned(),
        Shape::Scatter { .. } => format!("Every seed has its points ({}).", counted(g)),
        Shape::Heat { .. } => format!("Means over seeds ({}).", counted(g)),
        _ => format!("Means over seeds with 95 % intervals ({}).", counted(g)),
    };
    Some(Figure {
        id: format!("chart-{}", number + 1),
        title: g.first.title.clone(),
        panels,
        caption: format!("{own}{spread} From the stage {}.", g.stage),
        data,
        below: Vec::new(),
        place: Place::Body,
    })
}

fn counted(g: &Group<'_>) -> String {
    seeds(g.arms.iter().map(|a| a.2.len()))
}

/// What a series of an arm is called: by the arm, by its own name, or by both where there are several of both.
fn named(g: &Group<'_>, arm: &str, series: &str) -> String {
    match (series, g.arms.len()) {
        ("", _) => arm.to_owned(),
        (series, 1) => series.to_owned(),
        (series, _) => format!("{arm}, {series}"),
    }
}

/// The look of series number `nth` of an arm: the arm's own for the first, others by their place.
fn look_of(look: Look, nth: usize, alone: bool) -> Look {
    const HUES: [&str; 8] = ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"];
    const MARKERS: [Marker; 5] =
        [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond, Marker::Cross];
    const DASHES: [&str; 4] = ["", "7 3", "2 2.5", "9 3 2 3"];
    if !alone && nth == 0 {
        return look;
    }
    let class = if alone { HUES[nth % HUES.len()] } else { look.class };
    Look { class, marker: MARKERS[nth % MARKERS.len()], dash: DASHES[nth % DASHES.len()], rest: look.rest }
}

/// Every series of every arm with its name and look, and what each seed has of it.
fn series<'a>(g: &Group<'a>) -> Vec<(String, Look, Vec<(u64, &'a Series)>)> {
    let of = |c: &'a Chart| match &c.shape {
        Shape::Lines { series } | Shape::Scatter { series } | Shape::Roc { series } => series.as_slice(),
        _ => &[],
    };
    let mut out: Vec<(String, Look, Vec<(u64, &Series)>)> = Vec::new();
    for (arm, look, members) in &g.arms {
        let mut names: Vec<&str> = Vec::new();
        for s in members.iter().flat_map(|m| of(m.1)) {
            if !names.contains(&s.name.as_str()) {
                names.push(&s.name);
            }
        }
        for (nth, name) in names.iter().enumerate() {
            let own = |m: &(u64, &'a Chart)| Some((m.0, of(m.1).iter().find(|s| s.name == *name)?));
            let look = look_of(*look, nth, g.arms.len() == 1 && names.len() > 1);
            out.push((named(g, arm, name), look, members.iter().filter_map(own).collect()));
        }
    }
    out
}

/// Both axis titles.
fn titles(c: &Chart) -> (String, String) {
    (axis(&c.x.name, &c.x.unit), axis(&c.y.name, &c.y.unit))
}

/// Mean and interval of what seeds have.
fn over_seeds(values: &[(u64, Option<f64>)]) -> Option<Summary> {
    let known: Vec<(u64, f64)> = values.iter().filter_map(|(s, v)| Some((*s, (*v)?))).collect();
    summary(&known)
}

pub(super) type Drawn = (Vec<Panel>, Data);
