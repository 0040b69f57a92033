//! How an arm resists beside another: method − filter and method − oracle, paired, under every attack.

use crate::RunData;
use crate::run::judge::rule::Beyond;
use crate::run::judge::shares::{self, at};
use crate::run::judge::steps::{Longer, Steps, longer};
use crate::starts::Start;
use crate::stats::{self, Summary};

/// What a difference is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Steps until the baseline's loss is back: positive resists longer.
    Steps,
    /// Share of the gap that is not there after the attack: positive resists better. What was there before counts,
    /// or an arm that lost nothing would seem to resist well.
    Share,
}

/// How much better an arm resists one attack than another arm does.
#[derive(Debug, Clone, PartialEq)]
pub struct Versus {
    /// The attack's stage.
    pub stage: String,
    /// The other arm.
    pub other: String,
    /// What it is measured in: steps where the attack takes steps and somebody came back.
    pub measure: Measure,
    /// This arm less the other, paired by seed; positive means that this arm resists better.
    pub by: Summary,
    /// Some seed did not come back, so that the attack's budget stands in for its steps.
    pub bounded: bool,
}

/// Every attack, against filter and control.
pub(crate) fn all(run: &RunData, label: &str, arm: &str, stages: &[&str]) -> Vec<Versus> {
    let others: Vec<&str> =
        [run.filter(), run.control()].into_iter().flatten().filter(|o| *o != arm).collect();
    let each = stages.iter().flat_map(|stage| others.iter().map(move |other| (*stage, *other)));
    each.filter_map(|(stage, other)| one(run, label, arm, other, stage)).collect()
}

/// The start that is worst on average stands for an arm, and the same for the other.
fn one(run: &RunData, label: &str, arm: &str, other: &str, stage: &str) -> Option<Versus> {
    let of = |measure, by, bounded| Versus {
        stage: stage.to_owned(),
        other: other.to_owned(),
        measure,
        by,
        bounded,
    };
    let [own, theirs] = [arm, other].map(|a| soonest(run, stage, a));
    if let Some(l) = own.zip(theirs).and_then(|(a, b)| longer(&a, &b)) {
        return Some(of(Measure::Steps, l.by, l.bounded));
    }
    let [own, theirs] = [arm, other].map(|a| shares::reached(run, stage, label, a));
    let (own, theirs) = (shares::worst_start(&own)?.0, shares::worst_start(&theirs)?.0);
    Some(of(Measure::Share, stats::difference(&theirs.values, &own.values)?, false))
}

/// The start that comes back soonest on average, a seed that does not counting as its budget.
fn soonest(run: &RunData, stage: &str, arm: &str) -> Option<Steps> {
    let mean = |s: &Steps| {
        let each = s.attacked.iter().filter_map(|seed| at(&s.reached, *seed).or(s.budget));
        stats::mean(&each.collect::<Vec<_>>())
    };
    let all = Steps::by_start(run, stage, arm).into_iter().filter_map(|(_, s)| Some((mean(&s)?, s)));
    all.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, s)| s)
}

/// What came back of `arm` beyond what came back of `control`, start by start: over all attacks that both
/// met the worst case of each, and the steps of the attack `worst`.
pub(crate) fn beyond(run: &RunData, label: &str, arm: &str, control: &str, worst: &str) -> Vec<Beyond> {
    let both = |s: &&str| [arm, control].iter().all(|a| !shares::reached(run, s, label, a).is_empty());
    let stages: Vec<&str> = run.attack_stages().into_iter().filter(both).collect();
    let own = shares::worst(run, &stages, label, arm);
    let theirs = shares::worst(run, &stages, label, control);
    let theirs: Option<&Start> = shares::worst_start(&theirs).map(|(s, _)| s);
    let share = |name: &str| {
        let own = own.iter().find(|s| s.name == name)?;
        stats::difference(&own.values, &theirs?.values)
    };
    let control_steps = soonest(run, worst, control);
    let steps = Steps::by_start(run, worst, arm);
    let relative = |l: Longer| (l.scale > 0.0).then(|| l.by.scaled(1.0 / l.scale));
    let longer = |name: &str| {
        let own = steps.iter().find(|(n, _)| *n == name).map(|(_, s)| s)?;
        longer(own, control_steps.as_ref()?).and_then(relative)
    };
    let mut names: Vec<&str> = own.iter().map(|s| s.name).chain(steps.iter().map(|(n, _)| *n)).collect();
    names.sort_unstable();
    names.dedup();
    let each = names.into_iter().map(|n| Beyond { share: share(n), longer: longer(n) });
    each.filter(|b| b.share.is_some() || b.longer.is_some()).collect()
}
