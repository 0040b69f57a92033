//! Relearning without forget data: fine-tune on a few examples of everything else.
//!
//! Equation: AdamW on n examples of retain data, for every n and learning rate; the number reported
//! at step t is min over variants of the *forget* loss at t.
//! Papers: Łucki et al. 2024 (arXiv 2409.18025): ten unrelated examples undo most of RMU; for images
//! arXiv 2505.22310: fine-tuning on retain data alone brings the forgotten class back.
//! Unusual: the attacker holds no forget data at all, so whatever returns was still in the weights.
//! Fails: to say anything about capabilities that are really gone; it measures how shallow a
//! removal is and never teaches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tune::{self, Grid};
use super::{Attack, Bench, BenchError, Loot, Trial};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "relearn-retain",
    summary: "fine-tune on a few unrelated examples; what returns was only hidden",
    reference: "Łucki et al. 2024, arXiv 2409.18025; arXiv 2505.22310",
    unusual: "needs no forget data",
    fails: "cannot bring back what has left the weights; a clean result is no proof of removal",
};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RelearnRetain {
    /// The label whose capability is brought back.
    label: String,
    /// Numbers of different retain examples the attacker has, one variant each.
    examples: Vec<usize>,
    /// Rank of low-rank adapters on every matrix of the blocks; 0 trains everything.
    rank: usize,
    /// Peak learning rates to try.
    lrs: Vec<f64>,
    /// Optimiser steps of each variant.
    steps: u64,
    /// Linear warm-up in steps.
    warmup: u64,
    /// Examples per step, or all of them if there are fewer.
    batch: usize,
    /// Weight decay, from 0 to 1.
    weight_decay: f64,
    /// Whether re-initialised regions are attacked as well as the model as it is.
    reinit: bool,
    /// Evaluate every so many steps.
    eval_every: u64,
}

impl Default for RelearnRetain {
    fn default() -> Self {
        RelearnRetain {
            label: "forget".into(),
            examples: vec![10, 100],
            rank: 0,
            lrs: vec![1e-4, 1e-3],
            steps: 100,
            warmup: 5,
            batch: 16,
            weight_decay: 0.0,
            reinit: false,
            eval_every: 10,
        }
    }
}

impl RelearnRetain {
    fn grid(&self) -> Grid<'_> {
        Grid {
            lrs: &self.lrs,
            steps: self.steps,
            warmup: self.warmup,
            batch: self.batch,
            weight_decay: self.weight_decay,
            loot: Loot::Retain,
            retain_share: 0.0,
            reinit: self.reinit,
            rank: (self.rank > 0).then_some(self.rank),
            eval_every: self.eval_every,
            watch: None,
        }
    }
}

impl Attack for RelearnRetain {
    fn label(&self) -> &str {
        &self.label
    }

    fn run(&self, bench: &mut dyn Bench) -> Result<Vec<Trial>, BenchError> {
        let examples: Vec<_> = self.examples.iter().map(|n| Some(*n)).collect();
        let variants = self.grid().variants(bench.cut().is_some(), &examples);
        bench.fine_tune(&variants)
    }

    fn check(&self) -> Result<(), ParamError> {
        tune::sizes("examples", &self.examples, 10_000_000)?;
        tune::check(&self.grid())
    }
}

/// The registered attack.
pub(super) const ENTRY: Entry<dyn Attack> = Entry {
    about: &ABOUT,
    params: params_of::<RelearnRetain>,
    build: |v| {
        let (p, full) = read::<RelearnRetain>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
