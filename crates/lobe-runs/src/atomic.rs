//! Files that are there completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::error::StoreError;

/// Suffix of files that are being written.
const TEMPORARY: &str = ".tmp";

/// Writes `bytes` to `path`: temporary name in the same directory, sync, rename.
///
/// # Errors
/// If the file system refuses; `path` then still holds what it held.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_atomic_with(path, |out| out.write_all(bytes))
}

/// Like [`write_atomic`], for content that is better streamed than held.
///
/// # Errors
/// If `write` or the file system fails; `path` then still holds what it held.
pub fn write_atomic_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), StoreError> {
    let temporary = temporary(path)?;
    let written = fill(&temporary, write).and_then(|()| fs::rename(&temporary, path));
    if let Err(e) = written {
        // The error that matters is the first one.
        fs::remove_file(&temporary).ok();
        return Err(StoreError::io("cannot be written", path)(e));
    }
    sync_parent(path);
    Ok(())
}

fn fill(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    // A new file and nothing else: an existing link at this name must not be followed.
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut out = BufWriter::new(file);
    write(&mut out)?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}

fn temporary(path: &Path) -> Result<PathBuf, StoreError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
        return Err(StoreError::content(path, "not the name of a file"));
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(path.with_file_name(format!(".{name}.{}-{count}{TEMPORARY}", std::process::id())))
}

/// Makes the rename itself durable. Not every system lets a directory be synced, and the content
/// is safe either way: after a power failure the old or the new file is there.
pub(crate) fn sync_parent(path: &Path) {
    if let Some(parent) = path.parent() {
        File::open(parent).and_then(|d| d.sync_all()).ok();
    }
}

/// Whether `name` is a file that a killed process was writing.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY)
}

/// Removes what killed processes left in `dir`.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(StoreError::io("cannot be listed", dir))? {
        let entry = entry.map_err(StoreError::io("cannot be listed", dir))?;
        if entry.file_name().to_str().is_some_and(is_temporary) {
            fs::remove_file(entry.path()).map_err(StoreError::io("cannot be removed", &entry.path()))?;
        }
    }
    Ok(())
}

/// Indented JSON with a line end.
pub(crate) fn json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| StoreError::content(path, e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Nothing is written through a link.
pub(crate) fn refuse_link(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_symlink() => Err(StoreError::content(path, "a link inside of a run")),
        _ => Ok(()),
    }
}
