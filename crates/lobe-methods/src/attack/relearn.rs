//! Relearning: fine-tune on forget data and watch the loss come back.
//!
//! Equation: ordinary AdamW on the forget objective, for every learning rate of a sweep and from
//! every start; the number reported at step t is min over variants of the forget loss at t.
//! Papers: Shilov et al. 2025 (arXiv 2512.05648) §5; Cloud et al. 2024 (few-shot form).
//! Unusual: zeroed *and* re-initialised regions are attacked, because zeroed GELU units have
//! gradient zero for ever and the attacker would train a narrower network.
//! Fails: as evidence, when the sweep is too narrow or too short: a curve that still falls at its
//! last step has not been attacked to the end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tune::{self, Grid};
use super::{Attack, Bench, BenchError, Loot, Trial};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "relearn",
    summary: "fine-tune on forget data; the worst case over learning rates and starts",
    reference: "Shilov et al. 2025, arXiv 2512.05648, §5; Cloud et al. 2024, arXiv 2410.04332, appendix C",
    unusual: "attacks zeroed and re-initialised regions; every arm gets the same sweep and the same data order",
    fails: "a sweep that is too narrow or too short flatters the method",
};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Relearn {
    /// The label whose capability is brought back.
    label: String,
    /// Peak learning rates to try.
    lrs: Vec<f64>,
    /// Optimiser steps of each variant.
    steps: u64,
    /// Linear warm-up in steps.
    warmup: u64,
    /// Examples per step.
    batch: usize,
    /// Weight decay.
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

impl Default for Relearn {
    fn default() -> Self {
        Relearn {
            label: "forget".into(),
            lrs: vec![3e-4, 1e-3, 3e-3],
            steps: 100,
            warmup: 5,
            batch: 16,
            weight_decay: 0.0,
            retain_share: 0.0,
            examples: 0,
            reinit: true,
            eval_every: 10,
        }
    }
}

impl Relearn {
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

impl Attack for Relearn {
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
    params: params_of::<Relearn>,
    build: |v| {
        let (p, full) = read::<Relearn>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
