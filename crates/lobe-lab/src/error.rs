//! What can go wrong in an experiment, whichever part it happened in.

use lobe_data::DataError;
use lobe_engine::EngineError;
use lobe_nets::NetError;
use thiserror::Error;

use crate::recipe::{PathError, RecipeError, Written};
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
    /// The same, where one key is to be changed. [`LabError::located`] adds file and line.
    #[error("{0}")]
    At(PathError),
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
    #[error("interrupted; run the same command again to resume")]
    Interrupted,
}

impl LabError {
    pub(crate) fn setting(e: &PathError) -> LabError {
        LabError::At(e.clone())
    }

    /// The same error with the file and the line of the recipe that it is about.
    #[must_use]
    pub fn located(self, written: &Written) -> LabError {
        match self {
            LabError::At(e) => LabError::Recipe(written.locate(e)),
            other => other,
        }
    }

    pub(crate) fn other(what: impl Into<String>) -> LabError {
        LabError::Setting(what.into())
    }

    /// Whether the user has to change the recipe or the data (exit code 2).
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            LabError::Recipe(_)
                | LabError::Setting(_)
                | LabError::At(_)
                | LabError::Data(_)
                | LabError::Net(_)
        )
    }
}
