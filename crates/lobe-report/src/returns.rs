//! How soon an attack brought the baseline's loss back, and whether that is sooner than the control.

use crate::RunData;
use crate::data::{Measured, summary};
use crate::format::{difference, interval, number};
use crate::starts::{ALL, Start, starts};
use crate::stats;

/// How long an attack took to bring the baseline's loss back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Return {
    /// The arm.
    arm: String,
    /// Steps of the seeds that came back.
    pub(crate) reached: Vec<(u64, f64)>,
    /// Seeds that were attacked, and for which the baseline's loss is known.
    pub(crate) attacked: Vec<u64>,
    /// Steps the attack had.
    pub(crate) budget: Option<f64>,
}

impl Return {
    /// `None` where the attack takes no steps, or where nobody knows the loss it had to reach: that is
    /// not the same as not reaching it.
    pub(crate) fn of(run: &RunData, stage: &str, arm: &str) -> Option<Return> {
        let seeds = |metric| forgotten(run, stage, metric).map_or_else(Vec::new, |m| m.finals(arm));
        let reached = seeds("steps_to_baseline");
        let mut attacked: Vec<u64> = reached.iter().chain(&seeds("steps_target")).map(|(s, _)| *s).collect();
        attacked.sort_unstable();
        attacked.dedup();
        let budget = seeds("steps_budget").iter().map(|(_, v)| *v).reduce(f64::max);
        (!attacked.is_empty()).then(|| Return { arm: arm.to_owned(), reached, attacked, budget })
    }

    fn at(&self, seed: u64) -> Option<f64> {
        self.reached.iter().find(|(s, _)| *s == seed).map(|(_, v)| *v)
    }

    /// Steps on `seeds`, the whole budget where it did not come back: at least so many.
    fn at_least(&self, seeds: &[u64]) -> Option<Vec<(u64, f64)>> {
        seeds.iter().map(|s| Some((*s, self.at(*s).or(self.budget)?))).collect()
    }

    /// `310 steps [280, 340]`, with what is missing said.
    pub(crate) fn words(&self) -> String {
        let (k, n) = (self.attacked.len() - self.reached.len().min(self.attacked.len()), self.attacked.len());
        let budget = self.budget.map_or_else(|| "the budget".into(), |b| format!("{} steps", number(b)));
        match summary(&self.reached) {
            None => format!("not reached within {budget} in {k} of {n} seeds"),
            Some(s) if k == 0 => format!("{} steps", interval(&s)),
            Some(s) => {
                format!(
                    "{} steps where reached; not reached within {budget} in {k} of {n} seeds",
                    interval(&s)
                )
            }
        }
    }
}

/// A quantity of an attack stage: of the label `forget`, or of whatever label it has.
pub(crate) fn forgotten<'a>(run: &'a RunData, stage: &str, metric: &str) -> Option<&'a Measured> {
    run.measured(stage, metric, run.target(stage, metric)?)
}

/// How an arm's return compares with the control's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Against {
    Sooner,
    Alike,
    Later,
}

/// An arm's returns, start by start. What one attack spends is the same for each of them.
fn by_start(run: &RunData, stage: &str, arm: &str, whole: &Return) -> Vec<(&'static str, Return)> {
    let told = run.results.keys().any(|q| q.stage == stage && q.metric.starts_with("steps_to_baseline@"));
    let Some(label) = run.target(stage, "steps_target").filter(|_| told) else {
        return vec![(ALL, whole.clone())];
    };
    // A start from which nothing came back has no steps, but it has a loss.
    let steps = starts(run, stage, "steps_to_baseline", label, arm, f64::min);
    let reached = |name| steps.iter().find(|s| s.name == name).map_or_else(Vec::new, |s| s.values.clone());
    let of = |s: Start| (s.name, Return { reached: reached(s.name), ..whole.clone() });
    starts(run, stage, "attack_best", label, arm, f64::min).into_iter().map(of).collect()
}

/// How one start of an attack compares with the control's: different only where the interval of the
/// paired differences leaves out 0. A seed that never came back counts as at least the budget.
fn against(own: &Return, other: &Return, seeds: &[u64]) -> Option<(Against, String)> {
    let (a, b) = own.at_least(seeds).zip(other.at_least(seeds)).filter(|_| seeds.len() > 1)?;
    if seeds.iter().all(|s| own.at(*s).is_none() && other.at(*s).is_none()) {
        return Some((Against::Alike, "neither came back".to_owned()));
    }
    // Arms of one seed share initial weights and the order of the data: their difference counts.
    let by = stats::difference(&a, &b)?;
    let (low, high) = by.interval?;
    let judged = match () {
        () if high < 0.0 => Against::Sooner,
        () if low > 0.0 => Against::Later,
        () => Against::Alike,
    };
    let missed = seeds.iter().any(|s| own.at(*s).is_none() || other.at(*s).is_none());
    let counted = if missed { ", a seed that was not reached counting as the whole budget" } else { "" };
    let sooner = a.iter().zip(&b).filter(|(a, b)| a.1 < b.1).count();
    let words = format!(
        "sooner in {sooner} of {} seeds, paired difference {} steps{counted}",
        seeds.len(),
        difference(&by)
    );
    Some((judged, words))
}

/// A sentence about one attack, and how the arm stands against the control: sooner where some start is,
/// later where every start is.
pub(crate) fn relearning(run: &RunData, stage: &str, own: &Return) -> (String, Option<Against>) {
    let came = match own.reached.len() {
        0 => format!("Attack {stage}: the baseline's loss was {}", own.words()),
        _ => format!("Attack {stage} brought it back to the baseline's loss: {}", own.words()),
    };
    let Some((control, other)) = run.control().and_then(|c| Some((c, Return::of(run, stage, c)?))) else {
        return (format!("{came}."), None);
    };
    let base = format!("{came}; {control}: {}.", other.words());
    let both: Vec<u64> = own.attacked.iter().filter(|s| other.attacked.contains(s)).copied().collect();
    let starts = by_start(run, stage, &own.arm, own);
    let each: Vec<_> =
        starts.iter().filter_map(|(name, r)| Some((*name, against(r, &other, &both)?))).collect();
    if each.is_empty() {
        let why = match both.len() {
            0 => "No seed has both: this is not judged.",
            1 => "One seed: this is not judged.",
            _ => "The attack's budget is not known: this is not judged.",
        };
        return (format!("{base} {why}"), None);
    }
    let judged = match () {
        () if each.iter().any(|(_, (j, _))| *j == Against::Sooner) => Against::Sooner,
        () if each.iter().all(|(_, (j, _))| *j == Against::Later) => Against::Later,
        () => Against::Alike,
    };
    let found: Vec<String> = each
        .iter()
        .map(
            |(name, (_, words))| if each.len() > 1 { format!("from {name}: {words}") } else { words.clone() },
        )
        .collect();
    let sum = match judged {
        Against::Sooner => format!("that is sooner than {control}"),
        Against::Later => format!("that is later than {control}"),
        Against::Alike => "this run does not tell them apart".to_owned(),
    };
    (format!("{base} Against {control}, {}: {sum}.", found.join("; ")), Some(judged))
}
