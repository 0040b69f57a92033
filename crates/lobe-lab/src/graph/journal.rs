//! The journal of a member of a run: its log, status and checkpoints.

use lobe_train::{Diverged, Journal, Reading, TrainError};

use crate::error::LabError;
use crate::store::{Failure, MemberDir, Metric, MetricsLog, State, Status, StoreError};

/// Version of what a checkpoint holds.
const CHECKPOINT: u32 = 2;

/// A reading as a line of results.
pub(crate) fn metric(r: &Reading) -> Metric {
    Metric::new(&r.label, &r.metric, r.value, r.unit).at(r.step)
}

/// Writes a member's directory.
pub(crate) struct MemberJournal {
    dir: MemberDir,
    /// Hash of everything its result depends on.
    key: String,
    log: Option<MetricsLog>,
}

fn failed(e: StoreError) -> TrainError {
    LabError::Store(e).while_training()
}

impl MemberJournal {
    /// The journal of `dir` for the work of `key`.
    pub(crate) fn new(dir: MemberDir, key: String) -> MemberJournal {
        MemberJournal { dir, key, log: None }
    }

    fn status(&self, state: State, step: (u64, u64), failure: Option<Failure>) -> Result<(), TrainError> {
        let log = (state == State::Done).then(|| self.dir.log_bytes());
        let (key, (step, steps)) = (self.key.clone(), step);
        let status = Status { key, state, step, steps, log, same_as: None, failed: failure };
        self.dir.set_status(&status).map_err(failed)
    }

    fn sync(&mut self) -> Result<(), TrainError> {
        self.log.as_mut().map_or(Ok(()), |log| log.sync().map_err(failed))
    }
}

impl Journal for MemberJournal {
    fn saved(&mut self) -> Result<Option<Vec<u8>>, TrainError> {
        let same = self.dir.status().map_err(failed)?.is_some_and(|s| s.key == self.key);
        if !same {
            return Ok(None);
        }
        let checkpoint = self.dir.load_checkpoint(CHECKPOINT).map_err(failed)?;
        Ok(checkpoint.map(|c| {
            if let Some(w) = &c.warning {
                tracing::warn!("{w}");
            }
            c.payload
        }))
    }

    fn begin(&mut self, behind: Option<u64>, step: (u64, u64)) -> Result<(), TrainError> {
        if behind.is_none() {
            self.dir.reset().map_err(failed)?;
        }
        let mut log = self.dir.metrics().map_err(failed)?;
        if let Some(length) = behind {
            log.truncate_to(length).map_err(failed)?;
        }
        self.log = Some(log);
        self.status(State::Running, step, None)
    }

    fn note(&mut self, reading: Reading) -> Result<(), TrainError> {
        let line = metric(&reading);
        self.log.as_mut().map_or(Ok(()), |log| log.append(&line).map_err(failed))
    }

    fn len(&self) -> u64 {
        self.log.as_ref().map_or(0, MetricsLog::len)
    }

    fn save(&mut self, state: &[u8], step: (u64, u64)) -> Result<(), TrainError> {
        self.sync()?;
        self.dir.save_checkpoint(CHECKPOINT, state).map_err(failed)?;
        self.status(State::Running, step, None)
    }

    fn failed(&mut self, why: &Diverged, step: (u64, u64)) -> Result<(), TrainError> {
        self.dir.clear_checkpoints().map_err(failed)?;
        self.sync()?;
        let failure = Failure { reason: why.reason.clone(), step: why.step };
        self.status(State::Failed, step, Some(failure))
    }

    fn close(&mut self, step: (u64, u64)) -> Result<(), TrainError> {
        self.sync()?;
        self.status(State::Done, step, None)?;
        self.dir.clear_checkpoints().map_err(failed)
    }
}
