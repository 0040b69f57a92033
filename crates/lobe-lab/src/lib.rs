//! Recipes, stage graph, cache, runs and statistics.

mod error;
pub mod recipe;
pub mod store;

pub use error::LabError;
