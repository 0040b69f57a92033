//! Held-out facts: train on one half of the forget data, look at the other half.
//!
//! Equation: forget data = T ∪ V, split by fact (by example where the data knows no facts); AdamW on T;
//! the numbers are the held-out loss at each step and the smallest mean loss on V.
//! Paper: Deeb and Roger 2024 (arXiv 2410.08827), "RTT": at least 88 % of the accuracy on V came back after
//! training on T, for methods that were said to remove the facts.
//! Unusual: V is training data of the model that the attacker never trains on. If its loss falls
//! further than that of text no model ever saw, the facts were still in the weights.
//! Fails: where T tells about V (a shared language or style): then V is taught, not recovered.
//! Compare with the control that never saw either.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tune::{self, Grid};
use super::{Attack, Bench, BenchError, Loot, Trial, WATCHED, WATCHED_LOSS};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "held-out-facts",
    summary: "train on half of the forget data; what returns of the other half was not removed",
    reference: "Deeb and Roger 2024, arXiv 2410.08827",
    unusual: "reports the loss on the half that the attacker never trains on, before and after",
    fails: "halves that share a language or a style teach each other; read it against the control",
};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct HeldOutFacts {
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
    /// Weight decay, from 0 to 1.
    weight_decay: f64,
    /// Whether re-initialised regions are attacked as well as the model as it is.
    reinit: bool,
    /// Evaluate every so many steps.
    eval_every: u64,
}

impl Default for HeldOutFacts {
    fn default() -> Self {
        HeldOutFacts {
            label: "forget".into(),
            lrs: vec![3e-4, 1e-3, 3e-3],
            steps: 100,
            warmup: 5,
            batch: 16,
            weight_decay: 0.0,
            reinit: true,
            eval_every: 10,
        }
    }
}

impl HeldOutFacts {
    fn grid(&self) -> Grid<'_> {
        Grid {
            lrs: &self.lrs,
            steps: self.steps,
            warmup: self.warmup,
            batch: self.batch,
            weight_decay: self.weight_decay,
            loot: Loot::FirstHalf,
            retain_share: 0.0,
            reinit: self.reinit,
            rank: None,
            eval_every: self.eval_every,
            watch: Some(Loot::SecondHalf),
        }
    }
}

impl Attack for HeldOutFacts {
    fn label(&self) -> &str {
        &self.label
    }

    fn run(&self, bench: &mut dyn Bench) -> Result<Vec<Trial>, BenchError> {
        let other = bench.examples(Loot::SecondHalf, WATCHED)?;
        let mut known = Vec::new();
        let models =
            [("before", Some(bench.victim().to_vec())), ("original", bench.original().map(<[f32]>::to_vec))];
        for (name, params) in models {
            let Some(params) = params else { continue };
            known.push((format!("{WATCHED_LOSS}_{name}"), bench.loss_on(&params, &other)?, "nat"));
        }
        let variants = self.grid().variants(bench.cut().is_some(), &[None]);
        let mut trials = bench.fine_tune(&variants)?;
        for t in &mut trials {
            t.extra.extend(known.iter().cloned());
        }
        Ok(trials)
    }

    fn check(&self) -> Result<(), ParamError> {
        tune::check(&self.grid())
    }
}

/// The registered attack.
pub(super) const ENTRY: Entry<dyn Attack> = Entry {
    about: &ABOUT,
    params: params_of::<HeldOutFacts>,
    build: |v| {
        let (p, full) = read::<HeldOutFacts>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
