//! How many steps an attack took until the baseline's loss was back.
//!
//! A seed that never came back has no number of steps but a bound: more than the attack's budget. A bound
//! is never averaged as if it were a measurement.

use crate::RunData;
use crate::format::{interval, number};
use crate::run::judge::shares::{BySeed, at};
use crate::run::{Measured, summary};
use crate::starts::{ALL, Of, Start, starts};
use crate::stats::{self, Summary};

/// Most seeds that a cell holds one by one.
const FEW: usize = 4;

/// How long an attack took to bring the baseline's loss back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Steps {
    /// Steps of the seeds that came back.
    pub(crate) reached: BySeed,
    /// Seeds that were attacked, and for which the baseline's loss is known.
    pub(crate) attacked: Vec<u64>,
    /// Steps the attack had.
    pub(crate) budget: Option<f64>,
}

/// A quantity of an attack stage: of the label `forget`, or of whatever label it has.
pub(crate) fn forgotten<'a>(run: &'a RunData, stage: &str, metric: &str) -> Option<&'a Measured> {
    run.measured(stage, metric, run.target(stage, metric)?)
}

impl Steps {
    /// `None` where the attack takes no steps, or where nobody knows the loss it had to reach: that is
    /// not the same as not reaching it.
    pub(crate) fn of(run: &RunData, stage: &str, arm: &str) -> Option<Steps> {
        let seeds = |metric| forgotten(run, stage, metric).map_or_else(Vec::new, |m| m.finals(arm));
        let reached = seeds("steps_to_baseline");
        let bounds = forgotten(run, stage, "steps_to_baseline").map_or_else(Vec::new, |m| m.bounds(arm));
        let known = reached.iter().chain(&bounds);
        let mut attacked: Vec<u64> = known.chain(&seeds("steps_target")).map(|(s, _)| *s).collect();
        attacked.sort_unstable();
        attacked.dedup();
        let budget = seeds("steps_budget").iter().map(|(_, v)| *v).reduce(f64::max);
        (!attacked.is_empty()).then_some(Steps { reached, attacked, budget })
    }

    /// The same, start by start. What one attack spends is the same for each of them.
    pub(crate) fn by_start(run: &RunData, stage: &str, arm: &str) -> Vec<(&'static str, Steps)> {
        let Some(whole) = Steps::of(run, stage, arm) else { return Vec::new() };
        let told = run.variants.keys().any(|q| q.stage == stage && q.metric == "steps_to_baseline");
        let Some(label) = run.target(stage, "steps_target").filter(|_| told) else {
            return vec![(ALL, whole)];
        };
        let of_metric = |metric| Of { stage, metric, label, arm };
        // A start from which nothing came back has no steps, but it has a loss.
        let steps = starts(run, of_metric("steps_to_baseline"), f64::min);
        let reached =
            |name| steps.iter().find(|s| s.name == name).map_or_else(Vec::new, |s| s.values.clone());
        let of = |s: Start| (s.name, Steps { reached: reached(s.name), ..whole.clone() });
        starts(run, of_metric("attack_best"), f64::min).into_iter().map(of).collect()
    }

    /// Seeds that did not come back within the budget.
    pub(crate) fn missed(&self) -> usize {
        self.attacked.len().saturating_sub(self.reached.len())
    }

    /// Steps on `seeds`; the budget, of which it took more, where it did not come back.
    fn at_least(&self, seeds: &[u64]) -> Option<BySeed> {
        seeds.iter().map(|s| Some((*s, at(&self.reached, *s).or(self.budget)?))).collect()
    }

    /// `44 [39, 50]` with a unit behind it, or the seeds one by one where some only have a bound: `42, 49, > 64`.
    pub(crate) fn short(&self, unit: &str) -> String {
        if self.missed() == 0 {
            let Some(mean) = summary(&self.reached) else { return String::new() };
            return if mean.mean < 1.0 { format!("< 1{unit}") } else { format!("{}{unit}", interval(&mean)) };
        }
        let bound = self.budget.map_or_else(|| "> budget".into(), |b| format!("> {}", number(b)));
        if self.reached.is_empty() {
            return bound + unit;
        }
        if self.attacked.len() > FEW {
            return format!("{bound}{unit} in {} of {} seeds", self.missed(), self.attacked.len());
        }
        let tenth = |v: f64| number((v * 10.0).round() / 10.0);
        let one = |seed: &u64| at(&self.reached, *seed).map_or_else(|| bound.clone(), tenth);
        self.attacked.iter().map(one).collect::<Vec<_>>().join(", ") + unit
    }

    /// `44 [39, 50] steps`; with seeds that never came back the bound instead of a mean.
    pub(crate) fn words(&self) -> String {
        let (missed, n) = (self.missed(), self.attacked.len());
        let budget = self.budget.map_or_else(|| "its budget".into(), |b| format!("{} steps", number(b)));
        match summary(&self.reached) {
            Some(s) if missed == 0 && s.mean < 1.0 => "less than one step".into(),
            Some(s) if missed == 0 => format!("{} steps", interval(&s)),
            None if n == 1 => format!("more than {budget}"),
            None => format!("more than {budget} in all {n} seeds"),
            Some(_) => {
                let each: Vec<String> = self.reached.iter().map(|(_, v)| number(*v)).collect();
                format!("{} steps, and more than {budget} in {missed} of {n} seeds", each.join(" and "))
            }
        }
    }
}

/// How many steps longer `own` resists than `other`: positive is longer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Longer {
    pub(crate) by: Summary,
    /// Some seed did not come back, so its budget stands in for it.
    pub(crate) bounded: bool,
    /// Mean steps of `other`, the scale of the difference.
    pub(crate) scale: f64,
}

/// Paired over the seeds that both have; `None` without one, or where no seed of either came back, which
/// says nothing of which is sooner.
pub(crate) fn longer(own: &Steps, other: &Steps) -> Option<Longer> {
    let both: Vec<u64> = own.attacked.iter().filter(|s| other.attacked.contains(s)).copied().collect();
    let back = |s: &Steps, seed: &u64| at(&s.reached, *seed).is_some();
    if !both.iter().any(|s| back(own, s) || back(other, s)) {
        return None;
    }
    let (a, b) = own.at_least(&both).zip(other.at_least(&both))?;
    let bounded = both.iter().any(|s| !back(own, s) || !back(other, s));
    let scale = stats::mean(&b.iter().map(|(_, v)| *v).collect::<Vec<_>>())?;
    Some(Longer { by: stats::difference(&a, &b)?, bounded, scale })
}
