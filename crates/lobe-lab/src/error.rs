//! What can go wrong in an experiment, whichever part it happened in.

use thiserror::Error;

use crate::recipe::RecipeError;
use crate::store::StoreError;

/// Any error of this crate.
#[derive(Debug, Error)]
pub enum LabError {
    /// The recipe does not say what to do.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The run directory cannot be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
