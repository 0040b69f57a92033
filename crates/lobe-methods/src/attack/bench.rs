//! What an attacker has: the model, data, and ways to run and change it. `lobe-lab` implements it
//! with files, threads and caches; an attack knows only this.

use std::sync::Arc;

use lobe_core::{Key, Selection};
use lobe_engine::{Plan, SiteId};
use lobe_nets::{Batch, Network};
use serde::{Deserialize, Serialize};

use super::Variant;

/// Whose data an attacker draws from. All of it is training data; what is reported is held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loot {
    /// Data whose capability was removed.
    Forget,
    /// Everything else.
    Retain,
    /// Half of the forget data: what tells only of one half of the names in it, or, where data has no
    /// names, every other example.
    FirstHalf,
    /// What tells only of the other half.
    SecondHalf,
}

/// What an attack needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Optimiser steps (0 for attacks that train nothing).
    pub steps: u64,
    /// Tokens that went through the network in training or search.
    pub tokens: u64,
    /// Different examples used.
    pub examples: u64,
    /// Numbers that were trained or changed.
    pub parameters: u64,
}

/// Mean held-out loss per label, in the order of [`Bench::labels`]; `None` where there is no data.
pub type Losses = Vec<Option<f64>>;

/// A further number of a variant: (metric, value, unit).
pub type Extra = (String, f64, String);

/// What one variant of an attack reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Name of the variant: `int4,per-channel`, `zero,lr=0.001`.
    pub variant: String,
    /// Held-out losses at each (step or size on the attack's own axis), ascending.
    pub curve: Vec<(u64, Losses)>,
    /// What it needed.
    pub budget: Budget,
    /// Further numbers of this variant, e.g. probe accuracies.
    pub extra: Vec<Extra>,
    /// Tokens that it found, if it searched for some: a prefix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<u32>,
}

impl Trial {
    /// A variant with its curve and budget, and nothing else measured.
    pub fn new(variant: impl Into<String>, curve: Vec<(u64, Losses)>, budget: Budget) -> Trial {
        Trial { variant: variant.into(), curve, budget, extra: Vec::new(), found: Vec::new() }
    }

    /// The same with further numbers: (metric, value, unit).
    pub fn with<'a>(mut self, extra: impl IntoIterator<Item = (&'a str, f64, &'a str)>) -> Trial {
        self.extra
            .extend(extra.into_iter().map(|(name, value, unit)| (name.to_owned(), value, unit.to_owned())));
        self
    }
}

/// Why an attack could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] lobe_engine::EngineError),
    /// The experiment cannot give what the attack asks for.
    #[error("{0}")]
    Missing(String),
    /// Whoever runs the attack stopped it.
    #[error("interrupted")]
    Interrupted,
    /// The layer that runs the attack failed (files, data).
    #[error("{0}")]
    Other(String),
}

/// The attacker's workbench for one model.
pub trait Bench {
    /// The network.
    fn net(&self) -> &Arc<dyn Network>;
    /// Parameters of the model under attack.
    fn victim(&self) -> &[f32];
    /// Parameters of the model that still has the capability (the baseline of the same seed), for
    /// attacks that patch from it.
    fn original(&self) -> Option<&[f32]>;
    /// The region that was cut out of the victim; `None` if nothing was cut.
    fn cut(&self) -> Option<&Selection>;
    /// Root of everything random in this attack; the same for all arms of a seed.
    fn key(&self) -> Key;
    /// Names of the labels that [`Losses`] are in the order of.
    fn labels(&self) -> &[String];
    /// Index of the label whose capability is brought back.
    fn target(&self) -> usize;
    /// The first `n` training examples of `loot` in an order that depends on the seed alone (fewer if
    /// there are not as many). Every sequence is a shard of its own.
    ///
    /// # Errors
    /// If there is no such data.
    fn examples(&mut self, loot: Loot, n: usize) -> Result<Batch, BenchError>;
    /// Takes over a finished variant; whoever runs the attack may write it down at once.
    ///
    /// # Errors
    /// If it cannot be written.
    fn keep(&mut self, trial: Trial) -> Result<(), BenchError>;
    /// How many variants [`Bench::fine_tune`] trains at a time at best.
    fn side_by_side(&self) -> usize {
        1
    }
    /// Fine-tunes the victim in each of these ways, side by side; one trial each.
    ///
    /// # Errors
    /// If training fails.
    fn fine_tune(&mut self, variants: &[Variant]) -> Result<Vec<Trial>, BenchError>;
    /// Held-out losses of these parameters under the interventions of `plan`.
    ///
    /// # Errors
    /// If an intervention does not fit.
    fn losses(&mut self, params: &[f32], plan: &Plan) -> Result<Losses, BenchError>;
    /// Held-out losses of the victim as it is; a bench that knows them already takes none.
    ///
    /// # Errors
    /// If the network refuses its data.
    fn before(&mut self) -> Result<Losses, BenchError> {
        let (victim, plan) = (self.victim().to_vec(), self.net().plain());
        self.losses(&victim, &plan)
    }
    /// Held-out losses with `prefix` (token ids, at most `room`) before every sequence; the prefix is
    /// not scored, and neither is the end of a sequence that would not fit behind `room` tokens.
    ///
    /// # Errors
    /// If the context is too short.
    fn losses_after(&mut self, params: &[f32], prefix: &[u32], room: usize) -> Result<Losses, BenchError>;
    /// Activations at `sites` for every counted row of `batch`, `[rows, cols]` each.
    ///
    /// # Errors
    /// If a site does not exist in this network.
    fn activations(
        &mut self,
        params: &[f32],
        batch: &Batch,
        sites: &[SiteId],
    ) -> Result<Vec<Vec<f32>>, BenchError>;
    /// Mean loss over `batch` and its gradient with respect to all parameters.
    ///
    /// # Errors
    /// If the loss is not finite.
    fn gradient(&mut self, params: &[f32], batch: &Batch, plan: &Plan)
    -> Result<(f64, Vec<f32>), BenchError>;
    /// Mean loss over `batch`; a bench that can do without the backward pass says how.
    ///
    /// # Errors
    /// If the loss is not finite.
    fn loss_on(&mut self, params: &[f32], batch: &Batch) -> Result<f64, BenchError> {
        let plan = self.net().plain();
        Ok(self.gradient(params, batch, &plan)?.0)
    }
    /// Share of the knowledge probes answered rightly that the forget data tell the answer to and that are
    /// about the names of `loot`, one of the halves. `None` where there are no such probes.
    ///
    /// # Errors
    /// If the network refuses them.
    fn knowledge(&mut self, params: &[f32], loot: Loot) -> Result<Option<f64>, BenchError>;
    /// Mean loss over `batch` and its gradient with respect to the activation at `site`, `[all rows, cols]`
    /// in the order of the batch (rows that do not count included).
    ///
    /// # Errors
    /// If the loss is not finite.
    fn site_gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        site: SiteId,
    ) -> Result<(f64, Vec<f32>), BenchError>;
    /// The first `n` of those held-out sequences of a label (an index into [`Bench::labels`]) that losses
    /// are taken over: for probes, never for choosing anything.
    ///
    /// # Errors
    /// If there is no such data.
    fn held_out(&mut self, label: usize, n: usize) -> Result<Batch, BenchError>;
    /// Says how far the attack is, in [0, 1]; an error if it was interrupted.
    ///
    /// # Errors
    /// [`BenchError::Interrupted`]
    fn progress(&mut self, share: f64) -> Result<(), BenchError>;
}
