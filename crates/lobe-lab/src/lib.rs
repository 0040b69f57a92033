//! Recipes, stage graph, cache, runs and statistics: the only crate that writes run directories.
//!
//! ```text
//! Written ──► Recipe ──► Experiment ──► stages (train, ablate, attacks, measure) ──► run directory
//! recipe/     resolved   plan/          stages/, over graph/, by schedule/          lobe-runs
//! ```

mod advice;
mod error;
pub mod graph;
pub mod plan;
pub mod recipe;
pub mod schedule;
pub mod stages;
pub mod words;

pub(crate) use lobe_runs as store;

pub use advice::{Advice, Concern, advice, smallest_difference};
pub use error::LabError;
