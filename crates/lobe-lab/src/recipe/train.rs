//! `[train]`: how networks are trained.

use lobe_engine::MOST_LANES;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{at_least, range};
use super::error::PathError;

/// The optimiser's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Optimiser {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Adam; weight decay is added to the gradient.
    Adam,
    /// Gradient descent with momentum.
    Sgd,
}

/// How the learning rate moves after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Remains at `lr`.
    Constant,
    /// Falls along half a cosine from `lr` to `min_lr`.
    Cosine,
    /// Falls in a straight line from `lr` to `min_lr`.
    Linear,
}

/// What happens to parameters whose update a route switches off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Masked {
    /// Their gradient is zero; momentum and weight decay still move them.
    ZeroGrad,
    /// They do not move at all.
    Freeze,
}

/// What weight decay shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Every parameter.
    All,
    /// Matrices; norms, biases and embeddings are left alone.
    Matrices,
}

/// How networks are trained. An arm may override any key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Optimiser steps, 1 to 1e9. `scale` multiplies it.
    #[schemars(range(min = 1, max = 1_000_000_000u64))]
    pub steps: u64,
    /// Sequences or images per step, 1 to 1048576.
    #[schemars(range(min = 1, max = 1_048_576u64))]
    pub batch: usize,
    /// Peak learning rate, 0 to 1000.
    #[schemars(range(min = 0, max = 1000))]
    pub lr: f64,
    /// The optimiser's rule.
    pub optimiser: Optimiser,
    /// Adam's decay rates of the first and second moment, each at least 0 and below 1.
    pub betas: [f64; 2],
    /// Adam's term in the denominator, above 0, at most 1.
    pub eps: f64,
    /// Weight decay per unit of learning rate, 0 to 1000.
    #[schemars(range(min = 0, max = 1000))]
    pub weight_decay: f64,
    /// What weight decay shrinks: "all" parameters, or "matrices" without norms, biases and embeddings.
    pub decay: Decay,
    /// Momentum of `sgd`, at least 0 and below 1.
    pub momentum: f64,
    /// Number of warm-up steps, 0 to `steps`: the learning rate rises linearly from zero. Absent: `steps` /
    /// 20.
    pub warmup: u64,
    /// How the learning rate moves after the warm-up.
    pub schedule: Schedule,
    /// Learning rate at the end as a fraction of `lr`, 0 to 1. Ignored when `schedule = "constant"`.
    #[schemars(range(min = 0, max = 1))]
    pub min_lr: f64,
    /// Clips the norm of the whole gradient to this value, above 0, at most 1e9. Absent: no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// What happens to parameters whose update a route switches off.
    pub masked: Masked,
    /// Number of reduction lanes, 1 to 64. Results depend on it, but never on the number of threads.
    #[schemars(range(min = 1, max = 64))]
    pub lanes: usize,
    /// Sequences or images a worker takes at once, 1 to `batch`. Absent: one sequence, or a lane's share of
    /// the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_shard: Option<usize>,
    /// Steps between held-out evaluations, at least 1. Absent: `steps` / 20.
    #[schemars(range(min = 1))]
    pub eval_every: u64,
    /// Seconds between checkpoints, 0 to 86400; 0 checkpoints after every step.
    #[schemars(range(min = 0, max = 86_400))]
    pub checkpoint_secs: u64,
    /// Steps between points of the training curve, at least 1. Absent: `steps` / 100.
    #[schemars(range(min = 1))]
    pub log_every: u64,
}

impl Default for Train {
    fn default() -> Train {
        Train {
            steps: 1000,
            batch: 32,
            lr: 1e-3,
            optimiser: Optimiser::Adamw,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.01,
            decay: Decay::All,
            momentum: 0.0,
            warmup: 50,
            schedule: Schedule::Cosine,
            min_lr: 0.1,
            clip: None,
            masked: Masked::ZeroGrad,
            lanes: 2,
            rows_per_shard: None,
            eval_every: 50,
            checkpoint_secs: 60,
            log_every: 10,
        }
    }
}

impl Train {
    /// Holds every number against its range.
    pub(super) fn check(&self) -> Result<(), PathError> {
        range("steps", self.steps, 1..=1_000_000_000)?;
        range("batch", self.batch, 1..=1 << 20)?;
        range("lr", self.lr, 0.0..=1e3)?;
        for (i, beta) in self.betas.into_iter().enumerate() {
            below_one(&format!("betas.{i}"), beta)?;
        }
        above_zero("eps", self.eps, 1.0)?;
        range("weight_decay", self.weight_decay, 0.0..=1e3)?;
        below_one("momentum", self.momentum)?;
        if self.warmup > self.steps {
            let message =
                format!("{} is out of range 0 to {} (the number of steps)", self.warmup, self.steps);
            return Err(PathError::new("warmup", message));
        }
        range("min_lr", self.min_lr, 0.0..=1.0)?;
        if let Some(clip) = self.clip {
            above_zero("clip", clip, 1e9)?;
        }
        range("lanes", self.lanes, 1..=MOST_LANES)?;
        if let Some(rows) = self.rows_per_shard {
            range("rows_per_shard", rows, 1..=self.batch)?;
        }
        at_least("eval_every", self.eval_every, 1)?;
        range("checkpoint_secs", self.checkpoint_secs, 0..=86_400)?;
        at_least("log_every", self.log_every, 1)
    }
}

fn below_one(path: &str, value: f64) -> Result<(), PathError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(PathError::new(path, format!("{value} is out of range: at least 0 and below 1")))
}

/// `value` is above 0 and at most `most`.
///
/// # Errors
/// Names the key, the value and the range.
pub fn above_zero(path: &str, value: f64, most: f64) -> Result<(), PathError> {
    if value > 0.0 && value <= most {
        return Ok(());
    }
    Err(PathError::new(path, format!("{value} is out of range: above 0 to {most}")))
}
