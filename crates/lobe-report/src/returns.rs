//! How soon an attack brought the baseline's loss back, and whether that is sooner than the control.

use crate::RunData;
use crate::data::{Measured, paired_summary, summary};
use crate::format::{difference, interval, number};

/// How long an attack took to bring the baseline's loss back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Return {
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
        (!attacked.is_empty()).then_some(Return { reached, attacked, budget })
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

/// A sentence about one attack, and how the arm stands against the control: different only where the
/// interval of the paired differences leaves out 0 and every seed agrees. A seed that never came back counts as at least the
/// budget.
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
    let n = both.len();
    let Some((a, b)) = own.at_least(&both).zip(other.at_least(&both)).filter(|_| n > 1) else {
        let why =
            if n == 1 { "One seed: this is not judged." } else { "No seed has both: this is not judged." };
        return (format!("{base} {why}"), None);
    };
    if both.iter().all(|s| own.at(*s).is_none() && other.at(*s).is_none()) {
        let tail = "Neither came back, so the attack does not tell them apart.";
        return (format!("{base} {tail}"), Some(Against::Alike));
    }
    // Arms of one seed share initial weights and the order of the data: their difference counts.
    let by = paired_summary(&a, &b);
    let clear = by.and_then(|d| d.interval).is_some_and(|(low, high)| low > 0.0 || high < 0.0);
    let missed = both.iter().any(|s| own.at(*s).is_none() || other.at(*s).is_none());
    let counted = if missed { ", a seed that was not reached counting as the whole budget" } else { "" };
    let by = by.map_or(String::new(), |d| format!(" (paired difference {} steps{counted})", difference(&d)));
    let sooner = a.iter().zip(&b).filter(|(a, b)| a.1 < b.1).count();
    let later = a.iter().zip(&b).filter(|(a, b)| a.1 > b.1).count();
    let (tail, judged) = if clear && sooner == n {
        (format!("That is sooner than {control} in all {n} seeds{by}."), Against::Sooner)
    } else if clear && sooner == 0 {
        (format!("That is no sooner than {control} in any of {n} seeds{by}."), Against::Later)
    } else {
        let tail = format!(
            "Sooner than {control} in {sooner} of {n} seeds, later in {later}{by}: this run does not tell them apart."
        );
        (tail, Against::Alike)
    };
    (format!("{base} {tail}"), Some(judged))
}
