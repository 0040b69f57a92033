//! `variants/KEY.json` in a member's directory: what single variants of an attack reached. A file depends on
//! nothing but its key, so it stays whatever else the recipe asks for.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic::{json, refuse_link, remove_leftovers, write_atomic};
use crate::error::StoreError;
use crate::name::check_name;

/// Most bytes of one record.
const MOST: u64 = 64 << 20;

/// The records of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variants {
    dir: PathBuf,
}

impl Variants {
    /// Opens the folder in a member's directory, and makes it if it is not there.
    pub(crate) fn open(member: &Path) -> Result<Variants, StoreError> {
        let dir = member.join("variants");
        refuse_link(&dir)?;
        fs::create_dir_all(&dir).map_err(StoreError::io("cannot be created", &dir))?;
        remove_leftovers(&dir)?;
        Ok(Variants { dir })
    }

    /// The record of a key; `None` if there is none, or one that cannot be read (then it is made anew).
    pub fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let path = self.dir.join(name(key)?);
        let mut bytes = Vec::new();
        File::open(&path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
        let record = serde_json::from_slice(&bytes);
        if let Err(e) = &record {
            tracing::warn!("variant ignored: {e}: {}", path.display());
        }
        record.ok()
    }

    /// Writes the record of a key.
    ///
    /// # Errors
    /// If the key is no hash, or the file system refuses.
    pub fn write(&self, key: &str, record: &impl Serialize) -> Result<(), StoreError> {
        let name = name(key).ok_or_else(|| StoreError::content(&self.dir, "a key that is no hash"))?;
        write_atomic(&self.dir.join(name), &json(record, &self.dir)?)
    }
}

fn name(key: &str) -> Option<String> {
    let short = key.get(..32).filter(|k| k.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let name = format!("{short}.json");
    check_name(&name).ok()?;
    Some(name)
}
