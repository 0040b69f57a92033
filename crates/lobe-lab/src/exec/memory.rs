//! Whether this machine can hold what a run trains.

use super::Experiment;
use crate::error::LabError;

/// Refuses a network that does not fit into memory while it trains, before anything is made for it.
///
/// # Errors
/// With both sizes.
pub(super) fn check(x: &Experiment) -> Result<(), LabError> {
    let Some(lanes) = x.trained().map(|a| x.recipe.train_of(&a.arm).lanes).max() else { return Ok(()) };
    let params = x.layout().len();
    // Weights, two moments, and a gradient per lane.
    let needs = (params as u64).saturating_mul(4 * (3 + lanes as u64));
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    match memory() {
        Some(has) if needs > has => Err(LabError::other(format!(
            "model: {params} parameters take {:.1} GiB to train, this machine has {:.1} GiB",
            gib(needs),
            gib(has)
        ))),
        _ => Ok(()),
    }
}

/// Bytes of memory of this machine, where the system says so.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
