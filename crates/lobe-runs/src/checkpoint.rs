//! Checkpoints: an opaque payload whose damage is noticed.
//!
//! ```text
//! magic "LOBECKPT" | version u32 | payload bytes u64 | blake3 of the payload (32 bytes) | payload
//! ```
//!
//! Numbers are little-endian. The last two checkpoints are kept: if the newest is torn, the
//! previous one is used, which costs some steps but no correctness.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::atomic::write_atomic_with;
use crate::error::StoreError;

const MAGIC: &[u8; 8] = b"LOBECKPT";
const HEADER_BYTES: usize = 8 + 4 + 8 + 32;
const NEWEST: &str = "checkpoint.bin";
const PREVIOUS: &str = "checkpoint.previous.bin";

/// A checkpoint that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// What the writer put in.
    pub payload: Vec<u8>,
    /// Why the newest one was not used, if this is the previous one.
    pub warning: Option<String>,
}

enum Read {
    Good(Vec<u8>),
    Absent,
    Damaged(String),
}

/// Writes the newest checkpoint; the one before it is kept, older ones go.
pub(crate) fn save(dir: &Path, version: u32, payload: &[u8]) -> Result<(), StoreError> {
    let newest = dir.join(NEWEST);
    // The new one is completely written before the old one moves, and a damaged file never
    // displaces a good one: `load` has removed it.
    let staged = dir.join("checkpoint.next.bin");
    write_atomic_with(&staged, |out| {
        out.write_all(MAGIC)?;
        out.write_all(&version.to_le_bytes())?;
        out.write_all(&(payload.len() as u64).to_le_bytes())?;
        out.write_all(blake3::hash(payload).as_bytes())?;
        out.write_all(payload)
    })?;
    rename(&newest, &dir.join(PREVIOUS))?;
    rename(&staged, &newest)?;
    crate::atomic::sync_parent(&newest);
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    match fs::rename(from, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(StoreError::io("cannot be renamed", from)(e)),
        _ => Ok(()),
    }
}

/// Reads the newest checkpoint that is whole. Damaged ones are reported, removed and skipped.
pub(crate) fn load(dir: &Path, version: u32) -> Result<Option<Checkpoint>, StoreError> {
    let mut warning = None;
    for name in [NEWEST, PREVIOUS] {
        let path = dir.join(name);
        match read(&path, version)? {
            Read::Good(payload) => return Ok(Some(Checkpoint { payload, warning })),
            Read::Absent => {}
            Read::Damaged(why) => {
                tracing::warn!("checkpoint ignored: {why}: {}", path.display());
                fs::remove_file(&path).map_err(StoreError::io("cannot be removed", &path))?;
                warning = Some(format!("{name}: {why}"));
            }
        }
    }
    Ok(None)
}

/// Whether there is something to go on with, whole or not.
pub(crate) fn exists(dir: &Path) -> bool {
    [NEWEST, PREVIOUS].iter().any(|name| dir.join(name).is_file())
}

/// Removes all checkpoints: the stage is done.
pub(crate) fn clear(dir: &Path) -> Result<(), StoreError> {
    for name in [NEWEST, PREVIOUS, "checkpoint.next.bin"] {
        remove(&dir.join(name))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(StoreError::io("cannot be removed", path)(e)),
        _ => Ok(()),
    }
}

fn read(path: &PathBuf, version: u32) -> Result<Read, StoreError> {
    let mut bytes = Vec::new();
    match fs::File::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Read::Absent),
        Err(e) => return Err(StoreError::io("cannot be read", path)(e)),
        Ok(mut file) => file.read_to_end(&mut bytes).map_err(StoreError::io("cannot be read", path))?,
    };
    let damaged = |why: &str| Ok(Read::Damaged(why.to_owned()));
    if bytes.len() < HEADER_BYTES {
        return damaged("shorter than its header");
    }
    let payload = bytes.split_off(HEADER_BYTES);
    let (magic, rest) = bytes.split_at(8);
    let (found, rest) = rest.split_at(4);
    let (length, checksum) = rest.split_at(8);
    if magic != MAGIC {
        return damaged("not a checkpoint");
    }
    if length != (payload.len() as u64).to_le_bytes() {
        return damaged("torn: its length is not what its header says");
    }
    if blake3::hash(&payload).as_bytes() != checksum {
        return damaged("its checksum does not match");
    }
    if found != version.to_le_bytes() {
        // Whole, but of another version of Lobe: not ours to remove or to skip.
        return Err(StoreError::content(path, "a checkpoint of another version of Lobe"));
    }
    Ok(Read::Good(payload))
}
