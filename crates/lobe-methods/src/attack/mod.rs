//! Attacks: ways to bring a removed capability back. An attack is a list of variants; the report
//! takes the worst case over them.

mod relearn;

use crate::registry::{Entry, ParamError};

/// What an attack starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The model as it was handed over (zeroed units stay dead).
    AsIs,
    /// The cut region drawn again, so that it can learn.
    Reinit,
}

/// One way of running an attack: ordinary fine-tuning with these settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name in results: `zero,lr=0.001`.
    pub name: String,
    /// What it starts from.
    pub start: Start,
    /// Peak learning rate.
    pub lr: f64,
    /// Optimiser steps.
    pub steps: u64,
    /// Linear warm-up in steps.
    pub warmup: u64,
    /// Examples per step.
    pub batch: usize,
    /// Weight decay (AdamW).
    pub weight_decay: f64,
    /// Share of each batch drawn from retain data, to keep the rest of the model alive.
    pub retain_share: f64,
    /// How many different forget examples the attacker has; `None` is all.
    pub examples: Option<usize>,
    /// Evaluate every so many steps.
    pub eval_every: u64,
}

/// An attack.
pub trait Attack: Send + Sync {
    /// The true class group it trains on, by label name.
    fn label(&self) -> &str;
    /// Its variants, for a model that was cut (or not).
    fn variants(&self, cut: bool) -> Vec<Variant>;
    /// Checks ranges.
    ///
    /// # Errors
    /// With the path of what is out of range.
    fn check(&self) -> Result<(), ParamError>;
}

/// All attacks, in the order they are listed.
pub static ATTACKS: &[Entry<dyn Attack>] = &[relearn::ENTRY];
