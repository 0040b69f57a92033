//! `stages/<stage>/<arm>.<seed>/`: what one stage leaves for one network.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::{json, refuse_link, remove_leftovers, write_atomic, write_atomic_with};
use crate::charts::{Chart, MemberCharts};
use crate::checkpoint::{self, Checkpoint};
use crate::error::StoreError;
use crate::metrics::{Metric, MetricsLog};
use crate::name::check_name;
use crate::variants::Variants;

/// How far a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Started, not finished.
    Running,
    /// Everything is written.
    Done,
    /// A number that is not finite ended it; the same work would end the same way.
    Failed,
}

/// Why a member ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened, in a line.
    pub reason: String,
    /// The step it was seen at, counted from 1; 0 where there are no steps.
    pub step: u64,
}

/// The content of `status.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Hash of everything the result depends on.
    pub key: String,
    /// How far it is.
    pub state: State,
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Bytes of the finished log: a shorter or longer one was changed by somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<u64>,
    /// The arm whose work of the same stage and seed this was copied from: both are one network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failure>,
}

/// Everything but checkpoints and records of variants. The status goes first: without it nothing else counts.
const OWN: [&str; 9] = [
    "status.json",
    "metrics.jsonl",
    "model.safetensors",
    "activity.json",
    "samples.json",
    "timing.json",
    "variants.json",
    "prefixes.json",
    "charts.json",
];

/// The directory of one member in one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDir {
    path: PathBuf,
}

impl MemberDir {
    /// Creates or opens the directory, without what a killed process was writing.
    pub(crate) fn open(path: PathBuf) -> Result<MemberDir, StoreError> {
        fs::create_dir_all(&path).map_err(StoreError::io("cannot be created", &path))?;
        remove_leftovers(&path)?;
        Ok(MemberDir { path })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The weights, if the stage makes a model.
    pub fn model_path(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// The status; `None` if there is none, or one that cannot be read (then the work starts anew).
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn status(&self) -> Result<Option<Status>, StoreError> {
        let path = self.path.join("status.json");
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(StoreError::io("cannot be read", &path))?,
        };
        let status = serde_json::from_slice(&bytes);
        if let Err(e) = &status {
            tracing::warn!("status ignored: {e}: {}", path.display());
        }
        Ok(status.ok())
    }

    /// Whether the work for `key` is finished.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn is_done(&self, key: &str) -> Result<bool, StoreError> {
        let Some(status) = self.status()?.filter(|s| s.state == State::Done && s.key == key) else {
            return Ok(false);
        };
        let whole = status.log.is_none_or(|bytes| bytes == self.log_bytes());
        if !whole {
            tracing::warn!("the log is not as it was finished; done again: {}", self.path.display());
        }
        Ok(whole)
    }

    /// Why the work for `key` failed, if it did.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn failure(&self, key: &str) -> Result<Option<Failure>, StoreError> {
        let status = self.status()?.filter(|s| s.state == State::Failed && s.key == key);
        Ok(status.and_then(|s| s.failed))
    }

    /// The records of an attack's variants.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn variants(&self) -> Result<Variants, StoreError> {
        Variants::open(&self.path)
    }

    /// Bytes of the log of measured numbers; 0 if there is none.
    pub fn log_bytes(&self) -> u64 {
        fs::metadata(self.path.join("metrics.jsonl")).map_or(0, |m| m.len())
    }

    /// Makes the directory that of `key`: work of another key that is finished, or that a checkpoint could go
    /// on with, moves to `kept/` in the run instead of being lost, and work of this key that was moved there
    /// comes back. Returns whether something was moved away.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn settle(&self, key: &str) -> Result<bool, StoreError> {
        let status = self.status()?;
        if status.as_ref().is_some_and(|s| s.key == key) {
            return Ok(false);
        }
        let move_to = |from: &Path, to: &Path| {
            let parent = to.parent().unwrap_or(to);
            fs::create_dir_all(parent).map_err(StoreError::io("cannot be created", parent))?;
            fs::rename(from, to).map_err(StoreError::io("cannot be moved", from))
        };
        // A link could lead out of the run.
        for part in self.kept(key).iter().flat_map(|k| k.ancestors().take(3)) {
            refuse_link(part)?;
        }
        let mut moved = false;
        let worth = |s: &Status| s.state == State::Done || checkpoint::exists(&self.path);
        if let Some(old) = status.filter(worth)
            && let Some(kept) = self.kept(&old.key)
            && !kept.exists()
        {
            move_to(&self.path, &kept)?;
            moved = true;
        }
        if let Some(kept) = self.kept(key).filter(|k| k.is_dir()) {
            if self.path.exists() {
                fs::remove_dir_all(&self.path).map_err(StoreError::io("cannot be removed", &self.path))?;
            }
            move_to(&kept, &self.path)?;
        } else {
            fs::create_dir_all(&self.path).map_err(StoreError::io("cannot be created", &self.path))?;
            // What is left of another key cannot be gone on with, and a report would show its numbers.
            self.reset()?;
        }
        Ok(moved)
    }

    /// The same for an attack, whose variants are kept by themselves: results of another key go, and are put
    /// together again from the records when they are asked for.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn renew(&self, key: &str) -> Result<(), StoreError> {
        if self.status()?.is_some_and(|s| s.key != key) { self.reset() } else { Ok(()) }
    }

    /// Where finished work of another key is kept: `kept/STAGE/ARM.SEED.KEY`; `None` for a key that is no
    /// hash.
    fn kept(&self, key: &str) -> Option<PathBuf> {
        let short = key.get(..16).filter(|k| k.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let (member, stage) = (self.path.file_name()?, self.path.parent()?);
        let run = stage.parent()?.parent()?;
        let name = format!("{}.{short}", member.to_str()?);
        Some(run.join("kept").join(stage.file_name()?).join(name))
    }

    /// Writes the status.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn set_status(&self, status: &Status) -> Result<(), StoreError> {
        write_atomic(&self.path.join("status.json"), &json(status, &self.path)?)
    }

    /// Opens the log of measured numbers for appending.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn metrics(&self) -> Result<MetricsLog, StoreError> {
        MetricsLog::open(&self.path.join("metrics.jsonl"))
    }

    /// Reads all measured numbers.
    ///
    /// # Errors
    /// If a line is not a metric.
    pub fn read_metrics(&self) -> Result<Vec<Metric>, StoreError> {
        MetricsLog::read(&self.path.join("metrics.jsonl"))
    }

    /// Writes a file of the member.
    ///
    /// # Errors
    /// If the name cannot be part of a path, or the file system refuses.
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), StoreError> {
        check_name(name)?;
        write_atomic_with(&self.path.join(name), write)
    }

    /// Writes the charts that the stage leaves.
    ///
    /// # Errors
    /// If one cannot be drawn, or the file system refuses.
    pub fn write_charts(&self, charts: &[Chart]) -> Result<(), StoreError> {
        let path = self.path.join("charts.json");
        if let Some((chart, why)) = charts.iter().find_map(|c| Some((c, c.fault()?))) {
            return Err(StoreError::content(&path, format!("the chart {:?}: {why}", chart.name)));
        }
        let file = MemberCharts { charts: charts.to_vec() };
        write_atomic(&path, &json(&file, &self.path)?)
    }

    /// Writes a checkpoint; the one before it is kept. `version` is that of the payload.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn save_checkpoint(&self, version: u32, payload: &[u8]) -> Result<(), StoreError> {
        checkpoint::save(&self.path, version, payload)
    }

    /// The newest checkpoint that is whole.
    ///
    /// # Errors
    /// If the file system refuses, or the checkpoint has another version.
    pub fn load_checkpoint(&self, version: u32) -> Result<Option<Checkpoint>, StoreError> {
        checkpoint::load(&self.path, version)
    }

    /// Copies what another member measured, and how long that took.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn take_log(&self, other: &MemberDir) -> Result<(), StoreError> {
        for name in ["metrics.jsonl", "timing.json", "variants.json", "prefixes.json", "charts.json"] {
            let path = other.path.join(name);
            match fs::read(&path) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                read => write_atomic(
                    &self.path.join(name),
                    &read.map_err(StoreError::io("cannot be read", &path))?,
                )?,
            }
        }
        Ok(())
    }

    /// Removes all checkpoints.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn clear_checkpoints(&self) -> Result<(), StoreError> {
        checkpoint::clear(&self.path)
    }

    /// Removes everything: the work starts anew, for example under another key.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn reset(&self) -> Result<(), StoreError> {
        for name in OWN {
            match fs::remove_file(self.path.join(name)) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(StoreError::io("cannot be removed", &self.path)(e));
                }
                _ => {}
            }
        }
        self.clear_checkpoints()
    }
}
