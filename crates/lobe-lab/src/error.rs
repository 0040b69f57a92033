//! What can go wrong in an experiment, whichever part it happened in.

use lobe_data::DataError;
use lobe_engine::EngineError;
use lobe_nets::NetError;
use lobe_train::{Diverged, TrainError};
use thiserror::Error;

use crate::recipe::{PathError, RecipeError, Written};
use crate::store::{FailedMember, Failure, StoreError};

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
    /// The work on one member ended with a number that is not finite; others are not touched by that.
    #[error("{}", told(.0))]
    Diverged(Failure),
    /// Everything is finished but these members and what starts from them.
    #[error("{}", partly(.0))]
    Partly(Vec<FailedMember>),
    /// Somebody asked to stop; everything is saved.
    #[error("interrupted; run the same command again to resume")]
    Interrupted,
}

/// Most failures that are told one by one.
const TOLD: usize = 4;

fn told(f: &Failure) -> String {
    if f.step == 0 { f.reason.clone() } else { format!("step {}: {}", f.step, f.reason) }
}

fn partly(all: &[FailedMember]) -> String {
    let one = |f: &FailedMember| {
        let at = Failure { reason: f.reason.clone(), step: f.step };
        format!("{}: {}, seed {}: {}", f.stage, f.arm, f.seed, told(&at))
    };
    let mut lines: Vec<String> = all.iter().take(TOLD).map(one).collect();
    if all.len() > TOLD {
        lines.push(format!("and {} more in manifest.json", all.len() - TOLD));
    }
    let arm = all.first().map_or("ARM", |f| f.arm.as_str());
    format!(
        "{} failed, everything else is finished: {}. A lower rate (--set arms.{arm}.train.lr=…) or a clipped gradient \
         (--set arms.{arm}.train.clip=1) helps, and only what failed is done again",
        if all.len() == 1 { "1 member".to_owned() } else { format!("{} members", all.len()) },
        lines.join("; ")
    )
}

impl From<TrainError> for LabError {
    fn from(e: TrainError) -> LabError {
        match e {
            TrainError::Engine(e) => LabError::Engine(e),
            TrainError::Data(e) => LabError::Data(e),
            TrainError::Diverged(Diverged { reason, step }) => LabError::Diverged(Failure { reason, step }),
            TrainError::Interrupted => LabError::Interrupted,
            TrainError::Refused(what) => LabError::Setting(what),
            TrainError::Journal(e) => match e.downcast::<LabError>() {
                Ok(e) => *e,
                Err(e) => LabError::Setting(e.to_string()),
            },
        }
    }
}

impl LabError {
    /// The same on its way through the trainer.
    pub(crate) fn while_training(self) -> TrainError {
        match self.diverged(0) {
            Some(Failure { reason, step }) => TrainError::Diverged(Diverged { reason, step }),
            None => TrainError::Journal(Box::new(self)),
        }
    }

    /// Why a single member's work ended, if this is an error that says nothing about the others: a number that
    /// is not finite. `step` is what is known of where.
    pub(crate) fn diverged(&self, step: u64) -> Option<Failure> {
        let reason = match self {
            LabError::Diverged(failure) => return Some(failure.clone()),
            LabError::Engine(e @ EngineError::NonFinite { .. }) => e.to_string(),
            LabError::Store(StoreError::NotFinite { message, .. }) => message.clone(),
            _ => return None,
        };
        Some(Failure { reason, step })
    }

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
