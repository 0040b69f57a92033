//! Published numbers beside the measured ones: met, missed, or not measured. A comparison and no test.

use lobe_runs::{Need, Target};

use crate::RunData;
use crate::format::{MISSING, interval, number};
use crate::run::summary;
use crate::stats::Summary;
use crate::tables::{Cell, Table};

/// Most targets that are read.
const MOST: usize = 1000;

/// What a run says to one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<'a> {
    /// The target.
    pub target: &'a Target,
    /// What was measured; `None` if nothing was.
    pub measured: Option<Summary>,
}

impl Answer<'_> {
    /// How far the mean is from what the target allows, 0 if it is met; `None` if nothing was measured.
    pub fn missed_by(&self) -> Option<f64> {
        Some(self.target.missed_by(self.measured.as_ref()?.mean))
    }

    /// `met`, `missed by 0.02`, `not measured`.
    pub fn words(&self) -> String {
        match self.missed_by() {
            None => "not measured".to_owned(),
            Some(0.0) => "met".to_owned(),
            Some(by) => format!("missed by {}", number(by.abs())),
        }
    }

    /// `0.12 ± 0.01`, `at most 0.12`.
    pub fn published(&self) -> String {
        let t = self.target;
        let room = if t.tolerance > 0.0 { format!(" ± {}", number(t.tolerance)) } else { String::new() };
        let side = match t.need {
            Need::Near => "",
            Need::AtMost => "at most ",
            Need::AtLeast => "at least ",
        };
        format!("{side}{}{room}", number(t.value))
    }

    /// `mse of a1 on low`, with stage and step where the target names them.
    pub fn what(&self) -> String {
        let t = self.target;
        let stage = t.stage.as_ref().map_or_else(String::new, |s| format!(", {s}"));
        let step = t.step.map_or_else(String::new, |s| format!(" at step {s}"));
        format!("{} of {} on {}{stage}{step}", t.metric, t.arm, t.label)
    }
}

/// What the run says to each of its targets, in the recipe's order.
pub fn answers(run: &RunData) -> Vec<Answer<'_>> {
    let one = |target| Answer { target, measured: summary(&measured(run, target)) };
    let usable = |t: &&Target| t.value.is_finite() && t.tolerance.is_finite();
    run.manifest.targets.iter().filter(usable).take(MOST).map(one).collect()
}

fn measured(run: &RunData, t: &Target) -> Vec<(u64, f64)> {
    let Some(stage) = &t.stage else { return run.after(&t.arm, &t.metric, &t.label) };
    let Some(all) = run.measured(stage, &t.metric, &t.label) else { return Vec::new() };
    if t.step.is_none() {
        return all.finals(&t.arm);
    }
    let at = |(seed, points): (&u64, &Vec<crate::Point>)| {
        Some((*seed, points.iter().rev().find(|p| p.step == t.step)?.value))
    };
    all.by_arm.get(&t.arm).into_iter().flatten().filter_map(at).collect()
}

/// `Targets: 3 of 5 met, 1 missed, 1 not measured.`; `None` without targets.
pub(crate) fn overview(run: &RunData) -> Option<String> {
    let all = answers(run);
    let met = all.iter().filter(|a| a.missed_by() == Some(0.0)).count();
    let open = all.iter().filter(|a| a.measured.is_none()).count();
    let missed = all.len() - met - open;
    let count = |n: usize, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
    let rest = format!("{}{}", count(missed, "missed"), count(open, "not measured"));
    (!all.is_empty()).then(|| format!("Targets: {met} of {} met{rest}.", all.len()))
}

/// One row for each.
pub(crate) fn table(run: &RunData) -> Table {
    let row = |a: &Answer<'_>| {
        let t = a.target;
        let stage = match (&t.stage, t.step) {
            (None, _) => MISSING.to_owned(),
            (Some(stage), None) => stage.clone(),
            (Some(stage), Some(step)) => format!("{stage}, step {step}"),
        };
        let shown = a.measured.as_ref().map_or_else(|| MISSING.to_owned(), interval);
        [
            t.arm.clone(),
            t.label.clone(),
            t.metric.clone(),
            stage,
            shown,
            a.published(),
            a.words(),
            t.source.clone(),
        ]
        .map(Cell::from)
        .to_vec()
    };
    Table {
        header: ["arm", "label", "metric", "stage", "measured", "published", "answer", "source"]
            .map(String::from)
            .to_vec(),
        heads: 3,
        rows: answers(run).iter().map(row).collect(),
    }
}
