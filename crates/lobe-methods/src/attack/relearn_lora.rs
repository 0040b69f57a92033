//! Relearning through low-rank adapters.
//!
//! Equation: every matrix W of the blocks becomes W + A·B with A `[in, r]` drawn and B `[r, out]` zero;
//! only A and B train, by AdamW on the forget objective; then as in `relearn`.
//! Papers: Hu et al. 2021 (arXiv 2106.09685); as an attack: Łucki et al. 2024 (arXiv 2409.18025), who
//! use rank 128.
//! Unusual: an adapter spans its whole matrix, so the first step gives zeroed units an out-row
//! again and they come alive; a model attacked as it is needs no new draw here.
//! Fails: as a lower bound on cost, at ranks near the width of a small model, where the adapters hold as
//! many numbers as the matrices.

use super::tune::{self, FineTune, refuse};
use super::{AttackEntry, Axis, Battery, Loot};
use lobe_core::registry::About;

const ABOUT: About = About {
    name: "relearn-lora",
    summary: "fine-tunes on forget data through low-rank adapters on every matrix of the blocks",
    reference: "Hu et al. 2021, arXiv 2106.09685; as an attack: Łucki et al. 2024, arXiv 2409.18025",
    unusual: "the adapters reach into the cut as well, so zeroed units become active after one step",
    fails: "at ranks near the width it equals full fine-tuning at another learning rate",
};

/// Its parameters, for [`Tuning`](super::tune::Tuning).
pub fn defaults() -> FineTune {
    FineTune { rank: 8, lrs: vec![1e-3, 3e-3, 1e-2], reinit: false, ..FineTune::default() }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis::STEPS,
    battery: Battery::Always,
    sweeps: tune::SWEEPS,
    params: || tune::params(&defaults()),
    build: |v| {
        let (attack, full) = tune::attack(v, &defaults(), Loot::Forget)?;
        if full["rank"] == 0 {
            refuse("rank", "must be in 1..=4096; without adapters it is `relearn`")?;
        }
        Ok((attack, full))
    },
};
