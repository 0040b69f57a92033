//! Numbers that follow from comparing arms of one seed: gap closed, steps to the baseline, recovery.

use std::collections::BTreeMap;

use lobe_core::{FORGET, LabelId};
use lobe_methods::measure::{gap::gap_closed, recovery::recovery, steps::steps_to};

use super::summary::row;
use crate::graph::{Context, members};
use crate::plan::Experiment;
use crate::recipe::Stage;
use crate::store::{Metric, ResultRow};

/// What was measured, by member: a run may hold a hundred thousand numbers.
pub(super) struct Numbers<'a>(BTreeMap<(&'a str, &'a str, u64), Vec<&'a ResultRow>>);

impl<'a> Numbers<'a> {
    pub(super) fn new(rows: &'a [ResultRow]) -> Numbers<'a> {
        let mut all: BTreeMap<_, Vec<&ResultRow>> = BTreeMap::new();
        for r in rows {
            all.entry((r.stage.as_str(), r.arm.as_str(), r.seed)).or_default().push(r);
        }
        Numbers(all)
    }

    /// All rows of a member.
    fn rows<'s>(&'s self, stage: &'s str, arm: &'s str, seed: u64) -> &'s [&'a ResultRow] {
        self.0.get(&(stage, arm, seed)).map_or(&[], Vec::as_slice)
    }

    /// A number without a step.
    pub(super) fn of(&self, stage: &str, arm: &str, seed: u64, label: &str, metric: &str) -> Option<f64> {
        let hit = |r: &&&ResultRow| r.metric == metric && r.label == label && r.step.is_none();
        self.rows(stage, arm, seed).iter().find(hit).map(|r| r.value)
    }
}

/// One row per comparison.
pub(super) fn compare(c: &Context<'_>, numbers: &Numbers<'_>) -> Vec<ResultRow> {
    let x = c.experiment;
    let mut out = Vec::new();
    for stage in &x.recipe.stages {
        let label = stage.label();
        for (index, seed) in members(c, stage) {
            let arm = &x.arms[index].arm.name;
            if c.stage(stage).is_ok_and(|does| does.cut_regions(&x.arms[index].arm).is_some()) {
                out.extend(gaps(x, numbers, stage, index, seed));
            }
            let here = |metric: &str| numbers.of(&stage.name, arm, seed, label, metric);
            let mut add = |metric: &str, value: Option<f64>, unit: &str| {
                let Some(value) = value else { return };
                out.push(row(&stage.name, arm, seed, Metric::new(label, metric, value, unit)));
            };
            if !stage.is_attack() {
                continue;
            }
            let (low, high) = (here("baseline_start"), here("control_start"));
            let mine: Vec<&ResultRow> =
                numbers.rows(&stage.name, arm, seed).iter().filter(|r| r.label == label).copied().collect();
            // The axis of a curve is steps only where something was trained.
            let budget = here("steps_budget");
            let trained = budget.is_some();
            let back_after = |metric: &str| low.and_then(|b| steps_to(&curve(&mine, metric), b));
            let losses = format!("{}_loss", stage.does);
            if trained {
                add("steps_target", low, "nat");
                if low.is_some() {
                    let (steps, unit) = or_more(back_after(&losses), budget);
                    add("steps_to_baseline", steps, unit);
                }
            }
            let back = |best: f64| low.zip(high).and_then(|(low, high)| recovery(best, low, high));
            add("recovery", here("attack_best").and_then(back), "fraction");
            for r in &mine {
                if let Some(variant) = r.metric.strip_prefix("attack_best@") {
                    add(&format!("recovery@{variant}"), back(r.value), "fraction");
                    if trained && low.is_some() {
                        let (steps, unit) = or_more(back_after(&format!("{losses}@{variant}")), budget);
                        add(&format!("steps_to_baseline@{variant}"), steps, unit);
                    }
                }
            }
        }
    }
    out
}

/// Steps until the baseline's loss is back, or the attack's budget as a bound: the unit then says that it
/// took more. Left out, a seed that never came back would drop from every mean that somebody takes.
fn or_more(steps: Option<f64>, budget: Option<f64>) -> (Option<f64>, &'static str) {
    match steps {
        Some(steps) => (Some(steps), "steps"),
        None => (budget, "> steps"),
    }
}

/// How far a cut closed the gap between baseline and control, for every label that the arm is to be without.
fn gaps(x: &Experiment, numbers: &Numbers<'_>, stage: &Stage, arm: usize, seed: u64) -> Vec<ResultRow> {
    let plan = &x.arms[arm];
    // What removes nothing has the gap all the same: a cut of the baseline, or of the control.
    let labels = if plan.removes.is_empty() { vec![FORGET] } else { plan.removes.clone() };
    let baseline = x.recipe.reference().baseline;
    let of = |label: LabelId| {
        let label = x.labels.name(label);
        // References count as they were trained or loaded.
        let made = |name: &str| numbers.of(&x.recipe.origin_of(name)?.name, name, seed, label, "loss");
        let cut = numbers.of(&stage.name, &plan.arm.name, seed, label, "loss")?;
        let (low, high) = (made(baseline.as_deref()?)?, made(&x.recipe.control_of(label)?.name)?);
        let closed = gap_closed(cut, low, high)?;
        Some(row(&stage.name, &plan.arm.name, seed, Metric::new(label, "gap_closed", closed, "fraction")))
    };
    labels.into_iter().filter_map(of).collect()
}

/// A loss by step: of one variant of an attack, or of its worst case.
fn curve(mine: &[&ResultRow], metric: &str) -> Vec<(u64, f64)> {
    let of = mine.iter().filter(|r| r.metric == metric);
    let mut curve: Vec<(u64, f64)> = of.filter_map(|r| Some((r.step?, r.value))).collect();
    curve.sort_by_key(|p| p.0);
    curve
}
