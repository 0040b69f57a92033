//! Whether this machine can hold what a run trains.

use lobe_data::memory::{self, gib};

use crate::error::LabError;
use crate::plan::{Experiment, optimiser};

/// Refuses a network that does not fit into memory while it trains, before anything is made for it.
///
/// # Errors
/// With both sizes.
pub(super) fn check(x: &Experiment) -> Result<(), LabError> {
    let params = x.layout().len();
    let mut most = None;
    for arm in x.trained() {
        let train = x.recipe.train_of(&arm.arm);
        let slots = optimiser(train)?.rule.slots();
        // Of what moves: the optimiser's numbers, and a gradient per lane.
        let beside = (arm.plan.moving().len() as u64).saturating_mul((slots + train.lanes) as u64);
        most = most.max(Some((params as u64).saturating_add(beside).saturating_mul(4)));
    }
    let Some(needs) = most else { return Ok(()) };
    match memory::total() {
        Some(has) if needs > has => Err(LabError::other(format!(
            "model: {params} parameters take {} to train, this machine has {}",
            gib(needs),
            gib(has)
        ))),
        _ => Ok(()),
    }
}
