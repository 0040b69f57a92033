//! Optimisers: one file for each rule, and one fused pass that sums the lanes in order, clips, updates, and
//! clears them.
//!
//! A rule ([`Rule`]) sees pieces of the parameters with their gradient and its own numbers of state.
//! [`OPTIMISERS`] is the explicit ordered list; recipes, `lobe list` and `lobe explain` are made from it.

mod adam;
mod adamw;
mod muon;
mod pass;
mod pieces;
mod rule;
mod sgd;

use std::sync::Arc;

use lobe_core::registry::{Entry, List, ParamError, read};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use adam::Adam;
pub use adamw::AdamW;
pub use muon::Muon;
pub use rule::{MOST_SLOTS, Matrix, Piece, Rule, Step};
pub use sgd::Sgd;

pub use self::pass::MOST_LANES;
use self::pass::Pass;
pub(crate) use self::pass::Target;
pub(crate) use self::pieces::{Cut, Cutting, cut};
use crate::buffer::Buf;
use crate::layout::Layout;
use crate::schedule::Schedule;
use crate::tape::plan::Plan;

/// All optimisers, in the order they are listed.
pub static OPTIMISERS: List<Entry<dyn Rule>> =
    List::new(&[sgd::ENTRY, adam::ENTRY, adamw::ENTRY, muon::ENTRY]);

/// What happens to entries that no data of a step may update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Masked {
    /// Their gradient is zero: momentum and decay go on (the reference behaviour of SGTM).
    #[default]
    ZeroGrad,
    /// They do not move and their moments do not change.
    Freeze,
}

/// An optimiser's settings.
#[derive(Debug, Clone)]
pub struct Optimiser {
    /// The update rule.
    pub rule: Arc<dyn Rule>,
    /// Learning rate over the steps.
    pub schedule: Schedule,
    /// Weight decay.
    pub weight_decay: f32,
    /// Whether decay leaves vectors (biases, norms) and embeddings alone.
    pub decay_matrices_only: bool,
    /// Largest global gradient norm.
    pub clip: Option<f32>,
    /// Masked entries.
    pub masked: Masked,
}

impl Optimiser {
    /// A rule without weight decay or clipping.
    pub fn new(rule: impl Rule + 'static, schedule: Schedule) -> Optimiser {
        Optimiser {
            rule: Arc::new(rule),
            schedule,
            weight_decay: 0.0,
            decay_matrices_only: false,
            clip: None,
            masked: Masked::default(),
        }
    }
}

/// A rule's numbers and how many updates it made. Empty until the first update, which makes what the rule
/// needs.
#[derive(Debug, Clone, Default)]
pub struct OptimiserState {
    /// The rule's numbers, one buffer for each of its slots: the first moment (momentum), the second, …
    pub slots: Vec<Buf>,
    /// Updates made.
    pub updates: u64,
}

impl OptimiserState {
    /// Back to zeros.
    pub fn reset(&mut self) {
        self.slots.iter_mut().for_each(|s| s.fill(0.0));
        self.updates = 0;
    }

    /// Makes room for what `rule` keeps of `len` parameters. Begins anew where there is room for another
    /// number of parameters or slots.
    pub fn fit(&mut self, rule: &dyn Rule, len: usize) {
        let slots = rule.slots();
        if self.slots.len() != slots || self.slots.iter().any(|s| s.len() != len) {
            self.slots = (0..slots).map(|_| Buf::zeros(len)).collect();
            self.updates = 0;
        }
    }
}

impl Optimiser {
    /// Sums the lanes in order, updates the parameters, and clears the lanes. Returns the gradient norm before
    /// clipping, when clipping is on. `step` drives the schedule.
    pub(crate) fn apply(&self, step: u64, cuts: &[Cut], target: Target<'_>) -> Option<f32> {
        let Target { params, state, moving, lanes, norms } = target;
        state.fit(&*self.rule, moving);
        state.updates += 1;
        let pass = Pass::new(self, params, state, lanes);
        pass.run(step, cuts, norms)
    }

    /// One update of plain numbers on this thread: `params` of the tensors of `layout`, from their `gradient`,
    /// which it clears. For what is trained beside a network and not as part of one.
    ///
    /// # Panics
    /// If the lengths are not the layout's.
    pub fn step_on(
        &self,
        layout: &Layout,
        state: &mut OptimiserState,
        params: &mut [f32],
        gradient: &mut [f32],
        step: u64,
    ) {
        assert!(params.len() == layout.len() && gradient.len() == layout.len(), "lengths of the layout");
        state.fit(&*self.rule, params.len());
        state.updates += 1;
        let cuts = cut(layout, &Plan::plain(layout), &|_| false, self.cutting());
        Pass::on_one(self, params, state, gradient).run_here(step, &cuts);
    }

    /// How the parameters are cut into pieces for this rule.
    pub(crate) fn cutting(&self) -> Cutting {
        Cutting { matrices_only: self.decay_matrices_only, whole: self.rule.whole_matrices() }
    }
}

/// Reads a rule's parameters and holds them against their ranges.
fn built<P: Rule + DeserializeOwned + Serialize + 'static>(
    value: &Value,
    check: fn(&P) -> Result<(), ParamError>,
) -> Result<(Box<dyn Rule>, Value), ParamError> {
    let (params, full) = read::<P>(value)?;
    check(&params)?;
    Ok((Box::new(params), full))
}

fn below_one(path: &str, value: f32) -> Result<(), ParamError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    let message = format!("{value} is out of range: at least 0 and below 1");
    Err(ParamError { path: path.into(), message })
}

fn above_zero(path: &str, value: f32, most: f32) -> Result<(), ParamError> {
    if value > 0.0 && value <= most {
        return Ok(());
    }
    Err(ParamError { path: path.into(), message: format!("{value} is out of range: above 0 to {most}") })
}
