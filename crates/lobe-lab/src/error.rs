//! What can go wrong in an experiment, whichever part it happened in.

use lobe_data::DataError;
use lobe_engine::EngineError;
use lobe_nets::NetError;
use thiserror::Error;

use crate::recipe::{PathError, RecipeError};
use crate::store::StoreError;

/// Any error of this crate.
#[derive(Debug, Error)]
pub enum LabError {
    /// The recipe does not say what to do.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Parts of the recipe that are right alone do not fit each other.
    #[error("{0}")]
    Setting(String),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A network or its weights are refused.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A step failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The run directory cannot be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody asked to stop; everything is saved.
    #[error("interrupted; the same command goes on from here")]
    Interrupted,
}

impl LabError {
    pub(crate) fn setting(e: &PathError) -> LabError {
        let at = e.path.join(".");
        LabError::Setting(if at.is_empty() { e.message.clone() } else { format!("{at}: {}", e.message) })
    }

    pub(crate) fn other(what: impl Into<String>) -> LabError {
        LabError::Setting(what.into())
    }

    /// Whether the user has to change the recipe or the data (exit code 2).
    pub fn is_input(&self) -> bool {
        matches!(self, LabError::Recipe(_) | LabError::Setting(_) | LabError::Data(_) | LabError::Net(_))
    }
}
