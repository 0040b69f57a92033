//! Relearning: fine-tune on forget data and watch the loss come back.
//!
//! Equation: ordinary AdamW on the forget objective, for every learning rate of a sweep and from
//! every start; the number reported at step t is min over variants of the forget loss at t.
//! Papers: Shilov et al. 2025 (arXiv 2512.05648) §5; Cloud et al. 2024 (few-shot form).
//! Unusual: zeroed *and* re-initialised regions are attacked, because zeroed GELU units have
//! gradient zero for ever and the attacker would train a narrower network.
//! Fails: as evidence, when the sweep is too narrow or too short: a curve that still falls at its
//! last step has not been attacked to the end.

use super::tune::{self, FineTune};
use super::{AttackEntry, Axis, Battery, Loot};
use lobe_core::registry::About;

const ABOUT: About = About {
    name: "relearn",
    summary: "fine-tunes on forget data and counts the worst case over learning rates and starts",
    reference: "Shilov et al. 2025, arXiv 2512.05648, §5; Cloud et al. 2024, arXiv 2410.04332, appendix C",
    unusual: "starts from zeroed and from re-initialised regions; every arm gets the same sweep and the same data order",
    fails: "a sweep that is too narrow or too short flatters the method",
};

/// The attack, with its parameters: fine-tuning on forget data.
pub type Relearn = FineTune;

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis::STEPS,
    battery: Battery::Always,
    sweeps: tune::SWEEPS,
    params: || tune::params(&FineTune::default()),
    build: |v| tune::attack(v, &FineTune::default(), Loot::Forget),
};
