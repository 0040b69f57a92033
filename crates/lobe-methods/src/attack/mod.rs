//! Attacks: ways to bring a removed capability back. An attack is a list of variants; the report
//! takes the worst case over them.

mod acts;
mod bench;
mod case;
pub mod few_shot;
mod graft;
pub mod held_out_facts;
pub mod linear_probe;
pub mod logit_lens;
pub mod orthogonalise;
pub mod patch;
mod places;
pub mod prefix;
mod prefixed;
pub mod prune_magnitude;
pub mod prune_set_difference;
pub mod quantise;
pub mod relearn;
pub mod relearn_lora;
pub mod relearn_retain;
mod ridge;
pub mod sparse_graft;
pub mod steer;
pub mod tune;

pub use bench::{Bench, BenchError, Budget, Extra, Loot, Losses, Trial};
pub use case::{Axis, Battery, Case};
pub use relearn::Relearn;

use case::{Grid, cases_of, chosen};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use lobe_core::registry::{About, List, Listed, ParamDoc, ParamError, in_range, read};

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
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Examples per step.
    pub batch: usize,
    /// Weight decay (AdamW).
    pub weight_decay: f64,
    /// What it trains on.
    pub loot: Loot,
    /// Share of each batch drawn from retain data, to keep the rest of the model alive.
    pub retain_share: f64,
    /// How many different examples of the loot the attacker has; `None` is all.
    pub examples: Option<usize>,
    /// Rank of low-rank adapters on every matrix of the blocks (LoRA); `None` trains everything.
    pub rank: Option<usize>,
    /// Steps between evaluations.
    pub eval_every: u64,
    /// At each evaluation the mean loss over the first [`WATCHED`] training examples of this is taken,
    /// too; the smallest goes to [`Trial::extra`] as [`WATCHED_LOSS`], in `nat`, and what is known of it in
    /// the end as [`WATCHED_ACCURACY`], a fraction. Nothing trains on it.
    pub watch: Option<Loot>,
}

/// Examples that [`Variant::watch`] evaluates.
pub const WATCHED: usize = 256;

/// The metric of [`Variant::watch`].
pub const WATCHED_LOSS: &str = "watched_loss";

/// The other metric of [`Variant::watch`]: [`Bench::knowledge`] of the same, after the last step.
pub const WATCHED_ACCURACY: &str = "watched_accuracy";

/// What fine-tuning attacks start from, with the names of the starts: a cut model as it is and with
/// its region drawn again.
pub(crate) fn starts(cut: bool, reinit: bool) -> &'static [(Start, &'static str)] {
    match (cut, reinit) {
        (true, true) => &[(Start::AsIs, "zero"), (Start::Reinit, "reinit")],
        (true, false) => &[(Start::AsIs, "zero")],
        (false, _) => &[(Start::AsIs, "whole")],
    }
}

/// An attack.
pub trait Attack: Send + Sync {
    /// The true class group whose capability it brings back, by label name.
    fn label(&self) -> &str;
    /// Whether it needs the model from before the removal.
    fn needs_original(&self) -> bool {
        false
    }
    /// Whether it makes use of that model where there is one.
    fn uses_original(&self) -> bool {
        self.needs_original()
    }
    /// Whether the examples it is given are of the data whose capability it brings back.
    fn holds_forget(&self) -> bool {
        true
    }
    /// The blocks that its parameters name: a network has to have them.
    fn layers(&self) -> &[usize] {
        &[]
    }
    /// Losses of the victim before the attack, on exactly the tokens that the attack is judged by.
    ///
    /// # Errors
    /// If the bench cannot give what it needs.
    fn start(&self, bench: &mut dyn Bench) -> Result<Losses, BenchError> {
        bench.before()
    }
    /// Its variants against the model on the bench, in the order of results.
    fn cases(&self, bench: &dyn Bench) -> Vec<Case>;
    /// Runs these of its variants, in their order, and hands each over with [`Bench::keep`] as soon as it is
    /// done. A variant that the model leaves nothing to try for (no direction to project out) is not handed over.
    ///
    /// # Errors
    /// If the bench cannot give what it needs.
    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError>;
}

/// A registered attack.
pub struct AttackEntry {
    /// Its description.
    pub about: &'static About,
    /// What its curves run along.
    pub axis: Axis,
    /// Whether `lobe attack` makes it unasked.
    pub battery: Battery,
    /// Parameters that only list variants. A variant's result depends on the others and on its own [`Case`].
    pub sweeps: &'static [&'static str],
    /// Its parameters.
    pub params: fn() -> Vec<ParamDoc>,
    /// Builds it; returns the attack and its parameters with all defaults.
    pub build: fn(&Value) -> Result<(Box<dyn Attack>, Value), ParamError>,
}

impl Listed for AttackEntry {
    fn name(&self) -> &'static str {
        self.about.name
    }
}

/// Reads an attack's parameters. No number lies outside of the range in their schema; where that has no
/// lower end, it is 0.
fn parse<P: DeserializeOwned + Serialize + JsonSchema>(value: &Value) -> Result<(P, Value), ParamError> {
    let (params, full) = read::<P>(value)?;
    in_range::<P>(&full)?;
    Ok((params, full))
}

/// All attacks, in the order they are listed.
pub static ATTACKS: List<AttackEntry> = List::new(&[
    relearn::ENTRY,
    relearn_lora::ENTRY,
    relearn_retain::ENTRY,
    held_out_facts::ENTRY,
    few_shot::ENTRY,
    quantise::ENTRY,
    prune_magnitude::ENTRY,
    prune_set_difference::ENTRY,
    sparse_graft::ENTRY,
    logit_lens::ENTRY,
    linear_probe::ENTRY,
    orthogonalise::ENTRY,
    steer::ENTRY,
    patch::ENTRY,
    prefix::ENTRY,
]);
