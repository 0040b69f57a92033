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

use super::{Attack, Bench, BenchError, Loot, Start, Trial, Variant, starts};
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
    /// One variant per start and learning rate.
    fn variants(&self, cut: bool) -> Vec<Variant> {
        let one = |(start, name): &(Start, &str), lr: f64| Variant {
            name: format!("{name},lr={lr}"),
            start: *start,
            lr,
            steps: self.steps,
            warmup: self.warmup,
            batch: self.batch,
            weight_decay: self.weight_decay,
            loot: Loot::Forget,
            retain_share: self.retain_share,
            examples: (self.examples > 0).then_some(self.examples),
            rank: None,
            eval_every: self.eval_every,
        };
        starts(cut, self.reinit).iter().flat_map(|s| self.lrs.iter().map(move |lr| one(s, *lr))).collect()
    }
}

impl Attack for Relearn {
    fn label(&self) -> &str {
        &self.label
    }

    fn run(&self, bench: &mut dyn Bench) -> Result<Vec<Trial>, BenchError> {
        bench.fine_tune(&self.variants(bench.cut().is_some()))
    }

    fn check(&self) -> Result<(), ParamError> {
        let refuse = |path: &str, message: String| Err(ParamError { path: path.into(), message });
        if self.lrs.is_empty() || self.lrs.len() > 32 || self.lrs.iter().any(|x| !(*x > 0.0 && *x <= 10.0)) {
            return refuse("lrs", "needs 1 to 32 learning rates in (0, 10]".into());
        }
        if self.steps == 0 || self.steps > 10_000_000 {
            return refuse("steps", format!("is {}, must be in 1..=10000000", self.steps));
        }
        if self.batch == 0 || self.batch > 1 << 20 {
            return refuse("batch", format!("is {}, must be in 1..=1048576", self.batch));
        }
        if self.eval_every == 0 {
            return refuse("eval_every", "must be at least 1".into());
        }
        if !(0.0..=0.9).contains(&self.retain_share) {
            return refuse("retain_share", format!("is {}, must be in 0..=0.9", self.retain_share));
        }
        Ok(())
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
