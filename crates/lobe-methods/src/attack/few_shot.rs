//! Few-shot relearning: how few forget examples are enough?
//!
//! Equation: AdamW on n forget examples, n in a list; the number reported for n is min over learning
//! rates, starts and steps of the forget loss (the attacker stops when it is best).
//! Papers: Cloud et al. 2024 (arXiv 2410.04332), few-shot form; Safety Gap (arXiv 2507.11544): 51 examples
//! are enough.
//! Unusual: held-out loss is read at every evaluation, because with so few examples the last step is
//! rarely the best one.
//! Fails: when single examples differ much: the first n of one order are one draw; look at the
//! spread over seeds.

use super::tune::{self, FineTune};
use super::{AttackEntry, Axis, Battery, Loot};
use lobe_core::registry::About;

const ABOUT: About = About {
    name: "few-shot",
    summary: "fine-tunes on 1, 4, 16 and 64 forget examples and counts the best step",
    reference: "Cloud et al. 2024, arXiv 2410.04332, appendix C; arXiv 2507.11544",
    unusual: "smaller sets are prefixes of larger ones, and all arms of a seed get the same",
    fails: "a handful of examples is a single draw: compare over seeds",
};

/// Its parameters, for [`Tuning`](super::tune::Tuning).
pub fn defaults() -> FineTune {
    FineTune {
        examples: vec![1, 4, 16, 64],
        lrs: vec![3e-4, 1e-3],
        steps: 40,
        warmup: 2,
        eval_every: 5,
        ..FineTune::default()
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis::STEPS,
    battery: Battery::Always,
    sweeps: tune::SWEEPS,
    params: || tune::params(&defaults()),
    build: |v| tune::attack(v, &defaults(), Loot::Forget),
};
