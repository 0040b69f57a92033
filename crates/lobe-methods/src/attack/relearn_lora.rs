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

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tune::{self, Grid};
use super::{Attack, Bench, BenchError, Loot, Trial};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "relearn-lora",
    summary: "relearn through low-rank adapters on every matrix of the blocks",
    reference: "Hu et al. 2021, arXiv 2106.09685; as an attack: Łucki et al. 2024, arXiv 2409.18025",
    unusual: "adapters span the cut as well, so zeroed units come alive after one step",
    fails: "at ranks near the width it is full fine-tuning at another learning rate",
};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RelearnLora {
    /// The label whose capability is brought back.
    label: String,
    /// Rank of the adapters, from 1 to 4096.
    rank: usize,
    /// Peak learning rates to try.
    lrs: Vec<f64>,
    /// Optimiser steps of each variant.
    steps: u64,
    /// Linear warm-up in steps.
    warmup: u64,
    /// Examples per step.
    batch: usize,
    /// Weight decay, from 0 to 1.
    weight_decay: f64,
    /// Share of each batch drawn from retain data, from 0 to 0.9.
    retain_share: f64,
    /// How many different forget examples the attacker has; 0 is all.
    examples: usize,
    /// Whether re-initialised regions are attacked as well as the model as it is.
    reinit: bool,
    /// Evaluate every so many steps.
    eval_every: u64,
}

impl Default for RelearnLora {
    fn default() -> Self {
        RelearnLora {
            label: "forget".into(),
            rank: 8,
            lrs: vec![1e-3, 3e-3, 1e-2],
            steps: 100,
            warmup: 5,
            batch: 16,
            weight_decay: 0.0,
            retain_share: 0.0,
            examples: 0,
            reinit: false,
            eval_every: 10,
        }
    }
}

impl RelearnLora {
    fn grid(&self) -> Grid<'_> {
        Grid {
            lrs: &self.lrs,
            steps: self.steps,
            warmup: self.warmup,
            batch: self.batch,
            weight_decay: self.weight_decay,
            loot: Loot::Forget,
            retain_share: self.retain_share,
            reinit: self.reinit,
            rank: Some(self.rank),
            eval_every: self.eval_every,
            watch: None,
        }
    }
}

impl Attack for RelearnLora {
    fn label(&self) -> &str {
        &self.label
    }

    fn run(&self, bench: &mut dyn Bench) -> Result<Vec<Trial>, BenchError> {
        let examples = (self.examples > 0).then_some(self.examples);
        let variants = self.grid().variants(bench.cut().is_some(), &[examples]);
        bench.fine_tune(&variants)
    }

    fn check(&self) -> Result<(), ParamError> {
        tune::check(&self.grid())
    }
}

/// The registered attack.
pub(super) const ENTRY: Entry<dyn Attack> = Entry {
    about: &ABOUT,
    params: params_of::<RelearnLora>,
    build: |v| {
        let (p, full) = read::<RelearnLora>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
