//! The gap between what learnt a capability and what never had it: the scale of every judgement.

use crate::RunData;
use crate::run::judge::shares::{self, BySeed};
use crate::stats;

/// What is known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// The control is worse than the baseline.
    Open,
    /// It is on average, but the interval reaches 0.
    Uncertain,
    /// It is not, so there was nothing to remove.
    None,
    /// Not measured.
    Unknown,
}

/// The gap on `label`, of the references as they were trained or loaded.
pub(crate) fn gap(run: &RunData, label: &str) -> Gap {
    let (Some(baseline), Some(control)) = (run.baseline(), run.control()) else { return Gap::Unknown };
    let [low, high] = [baseline, control].map(|arm| run.before(arm, "loss", label));
    match stats::difference(&high, &low) {
        None => Gap::Unknown,
        Some(width) if width.mean <= 0.0 => Gap::None,
        Some(width) if width.interval.is_some_and(|i| i.0 <= 0.0) => Gap::Uncertain,
        Some(_) => Gap::Open,
    }
}

/// Share of the gap that an arm closes as its last stage left it, by seed.
pub(crate) fn closed(run: &RunData, arm: &str, label: &str) -> BySeed {
    if label == "forget" {
        return run.gap_closed(arm);
    }
    less(shares::of_losses(run, label, &run.after(arm, "loss", label)))
}

/// The same before anything was removed from it.
pub(crate) fn closed_before(run: &RunData, arm: &str, label: &str) -> BySeed {
    less(shares::of_losses(run, label, &run.before(arm, "loss", label)))
}

/// A share that is there, as the share that is closed.
fn less(shares: BySeed) -> BySeed {
    shares.into_iter().map(|(seed, share)| (seed, 1.0 - share)).collect()
}
