//! Whether this machine can hold what a run trains.

use lobe_data::memory::{self, gib};

use crate::error::LabError;
use crate::plan::Experiment;

/// Refuses a network that does not fit into memory while it trains, before anything is made for it.
///
/// # Errors
/// With both sizes.
pub(super) fn check(x: &Experiment) -> Result<(), LabError> {
    let Some(lanes) = x.trained().map(|a| x.recipe.train_of(&a.arm).lanes).max() else { return Ok(()) };
    let params = x.layout().len();
    // Weights, two moments, and a gradient per lane.
    let needs = (params as u64).saturating_mul(4 * (3 + lanes as u64));
    match memory::total() {
        Some(has) if needs > has => Err(LabError::other(format!(
            "model: {params} parameters take {} to train, this machine has {}",
            gib(needs),
            gib(has)
        ))),
        _ => Ok(()),
    }
}
