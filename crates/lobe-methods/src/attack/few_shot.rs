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

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tune::{self, Grid};
use super::{Attack, Bench, BenchError, Loot, Trial};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "few-shot",
    summary: "fine-tune on 1, 4, 16, 64 forget examples; the best step counts",
    reference: "Cloud et al. 2024, arXiv 2410.04332, appendix C; arXiv 2507.11544",
    unusual: "smaller sets are the beginnings of larger ones; the same for all arms of a seed",
    fails: "a handful of examples is one draw: compare over seeds",
};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FewShot {
    /// The label whose capability is brought back.
    label: String,
    /// Numbers of different forget examples, one variant each.
    examples: Vec<usize>,
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
    /// Share of each batch drawn from retain data, from 0 to 0.9.
    retain_share: f64,
    /// Whether re-initialised regions are attacked as well as the model as it is.
    reinit: bool,
    /// Evaluate every so many steps.
    eval_every: u64,
}

impl Default for FewShot {
    fn default() -> Self {
        FewShot {
            label: "forget".into(),
            examples: vec![1, 4, 16, 64],
            lrs: vec![3e-4, 1e-3],
            steps: 40,
            warmup: 2,
            batch: 16,
            weight_decay: 0.0,
            retain_share: 0.0,
            reinit: true,
            eval_every: 5,
        }
    }
}

impl FewShot {
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
            rank: None,
            eval_every: self.eval_every,
            watch: None,
        }
    }
}

impl Attack for FewShot {
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
    params: params_of::<FewShot>,
    build: |v| {
        let (p, full) = read::<FewShot>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
