//! Where a member's numbers and checkpoints go.

use crate::error::{Diverged, TrainError};
use crate::reading::Reading;

/// What keeps what a member says. The lab has one that writes a directory; [`InMemory`] is the other.
pub trait Journal {
    /// The state that a member of this journal was last saved with, if it can be gone on from.
    ///
    /// # Errors
    /// If it cannot be read.
    fn saved(&mut self) -> Result<Option<Vec<u8>>, TrainError> {
        Ok(None)
    }
    /// Begins: anew, or behind the first `Some(length)` of what was written.
    ///
    /// # Errors
    /// If it cannot be written.
    fn begin(&mut self, _behind: Option<u64>, _step: (u64, u64)) -> Result<(), TrainError> {
        Ok(())
    }
    /// Takes a number.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if it is not finite, or what went wrong.
    fn note(&mut self, reading: Reading) -> Result<(), TrainError>;
    /// How much was written.
    fn len(&self) -> u64 {
        0
    }
    /// Whether nothing was written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Saves a state, taken at step `step.0` of `step.1`.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save(&mut self, _state: &[u8], _step: (u64, u64)) -> Result<(), TrainError> {
        Ok(())
    }
    /// The member ended early.
    ///
    /// # Errors
    /// If it cannot be written.
    fn failed(&mut self, _why: &Diverged, _step: (u64, u64)) -> Result<(), TrainError> {
        Ok(())
    }
    /// The work is done and everything else of it is written.
    ///
    /// # Errors
    /// If it cannot be written.
    fn close(&mut self, _step: (u64, u64)) -> Result<(), TrainError> {
        Ok(())
    }
    /// Everything noted so far; empty where it is not kept in memory.
    fn readings(&self) -> &[Reading] {
        &[]
    }
}

/// Keeps numbers in memory and saves nothing.
#[derive(Debug, Clone, Default)]
pub struct InMemory(Vec<Reading>);

impl Journal for InMemory {
    fn note(&mut self, reading: Reading) -> Result<(), TrainError> {
        self.0.push(reading);
        Ok(())
    }

    fn readings(&self) -> &[Reading] {
        &self.0
    }
}
