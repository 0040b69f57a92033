//! What can go wrong in training.

use lobe_data::DataError;
use lobe_engine::EngineError;
use thiserror::Error;

/// Why a member ended early: a number that is not finite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diverged {
    /// What happened, in a line.
    pub reason: String,
    /// The step it was seen at, counted from 1; 0 where there are no steps.
    pub step: u64,
}

/// Why training or an evaluation ended.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A step failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The data refuse.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A number that is not finite; others are not touched by that.
    #[error("{}", .0.reason)]
    Diverged(Diverged),
    /// Somebody asked to stop; everything is saved.
    #[error("interrupted")]
    Interrupted,
    /// Parts that do not fit each other.
    #[error("{0}")]
    Refused(String),
    /// The journal failed.
    #[error(transparent)]
    Journal(Box<dyn std::error::Error + Send + Sync>),
}

impl TrainError {
    /// Why a single member's work ended, if this is an error that says nothing about the others. `step` is what is
    /// known of where.
    pub fn diverged(&self, step: u64) -> Option<Diverged> {
        match self {
            TrainError::Diverged(d) if d.step > 0 => Some(d.clone()),
            TrainError::Diverged(d) => Some(Diverged { step, ..d.clone() }),
            TrainError::Engine(e @ EngineError::NonFinite { .. }) => {
                Some(Diverged { reason: e.to_string(), step })
            }
            _ => None,
        }
    }
}
