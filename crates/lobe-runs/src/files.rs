//! Reading a run directory that somebody else may have written.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::error::ReadError;
use crate::text::clean;

/// Most bytes read of one file.
const LIMIT: u64 = 256 << 20;
/// Most bytes read of one run.
const TOTAL: u64 = 1 << 30;
/// Most folders listed of one folder.
const MOST_FOLDERS: usize = 256_000;

/// A directory from which only its own ordinary files are read, and of them only so much.
#[derive(Debug)]
pub struct Files {
    dir: PathBuf,
    left: Cell<u64>,
}

impl Files {
    /// Opens a directory.
    ///
    /// # Errors
    /// If it is not there.
    pub fn open(dir: &Path) -> Result<Files, ReadError> {
        let fail = |source| ReadError::Io { file: dir.display().to_string(), source };
        Ok(Files { dir: dir.canonicalize().map_err(fail)?, left: Cell::new(TOTAL) })
    }

    /// Names of the folders in a folder, sorted; none if it does not exist.
    ///
    /// # Errors
    /// If it lies outside, or the file system refuses.
    pub fn folders(&self, name: &str) -> Result<BTreeSet<String>, ReadError> {
        let fail = |source| ReadError::Io { file: name.to_owned(), source };
        let path = match self.dir.join(name).canonicalize() {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
            found => found.map_err(fail)?,
        };
        if !path.starts_with(&self.dir) {
            return Err(ReadError::Outside { file: name.to_owned() });
        }
        let mut out = BTreeSet::new();
        for entry in path.read_dir().map_err(fail)?.take(MOST_FOLDERS) {
            out.extend(entry.map_err(fail)?.file_name().into_string());
        }
        Ok(out)
    }

    /// The text of a file, or `None` if it does not exist.
    ///
    /// # Errors
    /// If it is no ordinary file of the directory, too large, or not UTF-8.
    pub fn read(&self, name: &str) -> Result<Option<String>, ReadError> {
        self.read_up_to(name, LIMIT)
    }

    /// The text of a file of at most `most` bytes, or `None` if it does not exist.
    ///
    /// # Errors
    /// See [`Files::read`].
    pub fn read_up_to(&self, name: &str, most: u64) -> Result<Option<String>, ReadError> {
        let fail = |source| ReadError::Io { file: name.to_owned(), source };
        let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        let path = match self.dir.join(name).canonicalize() {
            _ if !plain => return Err(ReadError::Outside { file: name.to_owned() }),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            found => found.map_err(fail)?,
        };
        // Links are followed by `canonicalize`; what they lead to must still be inside.
        let meta = path.metadata().map_err(fail)?;
        if !path.starts_with(&self.dir) || !meta.is_file() {
            return Err(ReadError::Outside { file: name.to_owned() });
        }
        let limit = most.min(self.left.get());
        if meta.len() > limit {
            return Err(ReadError::TooLarge { file: name.to_owned(), bytes: meta.len(), limit });
        }
        let mut bytes = Vec::new();
        // The file may grow while it is read: the limit holds for the reading, too.
        File::open(&path).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(fail)?;
        self.left.set(self.left.get().saturating_sub(bytes.len() as u64));
        String::from_utf8(bytes).map(Some).map_err(|e| {
            let line = 1 + String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()])
                .matches('\n')
                .count();
            ReadError::content(name, line, "not UTF-8")
        })
    }
}

/// A value from JSON text that starts behind `lines_before` lines of `file`.
///
/// # Errors
/// With the line and column of what is wrong.
pub fn from_json<'a, T: Deserialize<'a>>(
    file: &str,
    lines_before: usize,
    text: &'a str,
) -> Result<T, ReadError> {
    serde_json::from_str(text).map_err(|e| {
        let message = e.to_string();
        // serde_json appends its own position, which would be wrong for a line of a longer file.
        let message = message.split(" at line ").next().unwrap_or_default();
        let message = format!("column {}: {}", e.column(), clean(message));
        ReadError::content(file, lines_before + e.line(), message)
    })
}
