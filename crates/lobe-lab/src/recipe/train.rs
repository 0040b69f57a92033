//! `[train]`: how networks are trained.

use std::sync::Arc;

use lobe_core::did_you_mean;
use lobe_core::registry::{Entry, params_of};
use lobe_engine::MOST_LANES;
use lobe_engine::optim::{OPTIMISERS, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::{at_least, one_of, range};
use super::error::PathError;
use super::typed::{path_error, typed};

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
    /// Falls by the same factor at every step, from `lr` to `min_lr`.
    Exponential,
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
#[serde(default)]
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
    /// The optimiser's rule. Its parameters are further keys of the table.
    pub optimiser: String,
    /// Weight decay per unit of learning rate, 0 to 1000.
    #[schemars(range(min = 0, max = 1000))]
    pub weight_decay: f64,
    /// What weight decay shrinks: "all" parameters, or "matrices" without norms, biases and embeddings.
    pub decay: Decay,
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
    /// The parameters of the optimiser's rule, complete.
    #[serde(flatten)]
    pub rule: Map<String, Value>,
}

impl Default for Train {
    fn default() -> Train {
        Train {
            steps: 1000,
            batch: 32,
            lr: 1e-3,
            optimiser: "adamw".into(),
            weight_decay: 0.01,
            decay: Decay::All,
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
            rule: Map::new(),
        }
    }
}

impl Train {
    /// Reads the table: its own keys, and as further keys those of the optimiser.
    ///
    /// # Errors
    /// With the path of what is wrong.
    pub fn read(value: &Value) -> Result<Train, PathError> {
        let mut train: Train = typed(value)?;
        let entry = entry(&train.optimiser)?;
        if let Some(key) = train.rule.keys().find(|key| !has(entry, key)) {
            return Err(unknown(key, Some(entry)));
        }
        let (_, full) = built(entry, &train.rule)?;
        train.rule = full.as_object().cloned().unwrap_or_default();
        Ok(train)
    }

    /// Reads changes to another table of this kind, which may say what the optimiser is.
    ///
    /// # Errors
    /// With the path of what is wrong.
    pub(super) fn read_changes(value: &Value) -> Result<Train, PathError> {
        if value.get("optimiser").is_some() {
            return Train::read(value);
        }
        let train: Train = typed(value)?;
        let strange = train.rule.keys().find(|key| !OPTIMISERS.iter().any(|e| has(e, key)));
        strange.map_or(Ok(()), |key| Err(unknown(key, None))).map(|()| train)
    }

    /// The optimiser's rule with its parameters.
    ///
    /// # Errors
    /// If there is no such optimiser, or it refuses a parameter.
    pub fn rule(&self) -> Result<Arc<dyn Rule>, PathError> {
        built(entry(&self.optimiser)?, &self.rule).map(|(rule, _)| rule.into())
    }

    /// Holds every number against its range.
    pub(super) fn check(&self) -> Result<(), PathError> {
        range("steps", self.steps, 1..=1_000_000_000)?;
        range("batch", self.batch, 1..=1 << 20)?;
        range("lr", self.lr, 0.0..=1e3)?;
        range("weight_decay", self.weight_decay, 0.0..=1e3)?;
        if self.warmup > self.steps {
            let message =
                format!("{} is out of range 0 to {} (the number of steps)", self.warmup, self.steps);
            return Err(PathError::new("warmup", message));
        }
        range("min_lr", self.min_lr, 0.0..=1.0)?;
        if self.schedule == Schedule::Exponential && self.min_lr == 0.0 {
            return Err(PathError::new("min_lr", "must be above 0: no factor leads from `lr` to 0"));
        }
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

type Optimiser = Entry<dyn Rule>;

fn entry(name: &str) -> Result<&'static Optimiser, PathError> {
    one_of("optimiser", "choice", name, OPTIMISERS.iter().map(|e| e.about.name))?;
    let found = OPTIMISERS.iter().find(|e| e.about.name == name);
    found.ok_or_else(|| PathError::new("optimiser", format!("unknown choice {name:?}")))
}

fn built(entry: &Optimiser, params: &Map<String, Value>) -> Result<(Box<dyn Rule>, Value), PathError> {
    (entry.build)(&Value::Object(params.clone())).map_err(|e| path_error(&e))
}

/// Whether the optimiser has a parameter of this name.
fn has(entry: &Optimiser, key: &str) -> bool {
    (entry.params)().iter().any(|p| p.name == key)
}

/// A key that neither the table nor its optimiser has.
fn unknown(key: &str, entry: Option<&Optimiser>) -> PathError {
    let others: Vec<&str> = OPTIMISERS.iter().filter(|e| has(e, key)).map(|e| e.about.name).collect();
    if let (Some(entry), false) = (entry, others.is_empty()) {
        let what =
            format!("unknown key for {}; it is a parameter of {}", entry.about.name, others.join(" and "));
        return PathError::new("", what).within(&[key]);
    }
    let of = OPTIMISERS.iter().filter(|e| entry.is_none_or(|own| own.about.name == e.about.name));
    let mut valid: Vec<String> = params_of::<Train>().into_iter().map(|p| p.name).collect();
    valid.extend(of.flat_map(|e| (e.params)()).map(|p| p.name));
    let message = format!("unknown key{}", did_you_mean(key, valid.iter().map(String::as_str)));
    PathError::new("", message).within(&[key])
}

/// Whether `key` is a parameter of other optimisers and not of this one.
pub(super) fn is_of_another(optimiser: &str, key: &str) -> bool {
    let (own, others): (Vec<_>, Vec<_>) = OPTIMISERS.iter().partition(|e| e.about.name == optimiser);
    !own.iter().any(|e| has(e, key)) && others.iter().any(|e| has(e, key))
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
