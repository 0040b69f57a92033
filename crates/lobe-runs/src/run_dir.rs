//! A run directory that this process alone writes.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::atomic::{is_temporary, json, refuse_link, remove_leftovers, write_atomic, write_atomic_with};
use crate::catalogue::Catalogue;
use crate::csv::{AttackRow, Order, ResultRow, TimingRow, attacks_csv, results_csv, timings_csv};
use crate::error::{ReadError, StoreError};
use crate::manifest::Manifest;
use crate::member::MemberDir;
use crate::name::check_name;

const LOCK: &str = "run.lock";
const MANIFEST: &str = "manifest.json";
/// All that a run can hold that was killed before its manifest was written.
const EARLY: [&str; 4] = [LOCK, "recipe.toml", "resolved.toml", "stages"];

/// An open run directory. Other processes are kept from writing it until this is dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Holds the lock; the system releases it when the process ends, however it ends.
    _lock: File,
}

impl RunDir {
    /// Creates a run directory, or opens one to go on with it.
    ///
    /// # Errors
    /// If the directory holds something else, or another process writes it.
    pub fn create_or_open(path: &Path) -> Result<RunDir, StoreError> {
        fs::create_dir_all(path).map_err(StoreError::io("cannot be created", path))?;
        if !is_run_or_empty(path)? {
            return Err(StoreError::NotARun { path: path.to_owned() });
        }
        let lock = path.join(LOCK);
        refuse_link(&lock)?;
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&lock);
        let file = file.map_err(StoreError::io("cannot be opened", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            // Some network file systems have no locks; a run there is better than none.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {
                tracing::warn!("no locks here, so nothing keeps a second process out: {}", path.display());
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::io("cannot be locked", &lock)(e)),
        }
        remove_leftovers(path)?;
        let run = RunDir { path: path.to_owned(), _lock: file };
        // Whatever else the directory holds, its manifest must be one of ours.
        run.manifest()?;
        Ok(run)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest; `None` in a new run.
    ///
    /// # Errors
    /// If it cannot be read as a manifest.
    pub fn manifest(&self) -> Result<Option<Manifest>, StoreError> {
        let path = self.path.join(MANIFEST);
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(StoreError::io("cannot be read", &path))?,
        };
        let damaged = |message: String| StoreError::Damaged { message, path: path.clone() };
        let text =
            String::from_utf8(bytes).map_err(|_| damaged("not the manifest of a run: not UTF-8".into()))?;
        match Manifest::parse(MANIFEST, &text) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(e @ ReadError::Newer { .. }) => Err(damaged(e.to_string())),
            Err(e) => Err(damaged(format!("not the manifest of a run: {e}"))),
        }
    }

    /// Writes the manifest.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        write_atomic(&self.path.join(MANIFEST), &json(manifest, &self.path)?)
    }

    /// Saves the recipe as written and as resolved.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write_recipe(&self, written: &str, resolved: &str) -> Result<(), StoreError> {
        write_atomic(&self.path.join("recipe.toml"), written.as_bytes())?;
        write_atomic(&self.path.join("resolved.toml"), resolved.as_bytes())
    }

    /// Creates or opens `stages/<stage>/<arm>.<seed>/`.
    ///
    /// # Errors
    /// If a name cannot be part of a path, a part of the path is a link, or the file system refuses.
    pub fn member(&self, stage: &str, arm: &str, seed: u64) -> Result<MemberDir, StoreError> {
        let path = self.member_path(stage, arm, seed)?;
        // A link could lead out of the run.
        for part in path.ancestors().take_while(|p| *p != self.path) {
            refuse_link(part)?;
        }
        MemberDir::open(path)
    }

    /// Where a member's directory is, or would be.
    ///
    /// # Errors
    /// If a name cannot be part of a path.
    pub fn member_path(&self, stage: &str, arm: &str, seed: u64) -> Result<PathBuf, StoreError> {
        check_name(stage)?;
        check_name(arm)?;
        Ok(self.path.join("stages").join(stage).join(format!("{arm}.{seed}")))
    }

    /// Writes `results.csv`.
    ///
    /// # Errors
    /// If a row is refused (see [`results_csv`]), or the file system refuses.
    pub fn write_results(&self, rows: &[ResultRow], order: Order) -> Result<(), StoreError> {
        write_atomic(&self.path.join("results.csv"), results_csv(rows, order)?.as_bytes())
    }

    /// Writes `attacks.csv`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write_attacks(&self, rows: &[AttackRow]) -> Result<(), StoreError> {
        write_atomic(&self.path.join("attacks.csv"), attacks_csv(rows).as_bytes())
    }

    /// Writes `timings.csv`.
    ///
    /// # Errors
    /// If a row is refused (see [`timings_csv`]), or the file system refuses.
    pub fn write_timings(&self, rows: &[TimingRow], order: Order) -> Result<(), StoreError> {
        write_atomic(&self.path.join("timings.csv"), timings_csv(rows, order)?.as_bytes())
    }

    /// Writes `metrics.json`.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write_catalogue(&self, all: &Catalogue) -> Result<(), StoreError> {
        write_atomic(&self.path.join("metrics.json"), &json(all, &self.path)?)
    }

    /// Writes another file of the run, such as `activity.json` or `report.html`.
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
}

fn is_run_or_empty(path: &Path) -> Result<bool, StoreError> {
    let (mut locked, mut known, mut empty) = (false, true, true);
    for entry in fs::read_dir(path).map_err(StoreError::io("cannot be listed", path))? {
        let name = entry.map_err(StoreError::io("cannot be listed", path))?.file_name();
        if name == MANIFEST {
            return Ok(true);
        }
        empty = false;
        locked |= name == LOCK;
        known &= name.to_str().is_some_and(|n| EARLY.contains(&n) || is_temporary(n));
    }
    Ok(empty || (locked && known))
}
