//! Why a run directory cannot be written or read.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// A failed access to a run directory. The path stands last.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("{what}: {source}: {}", path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A directory with other content.
    #[error("not an empty directory and not a run: {}", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// Another process writes this run.
    #[error("another process is writing this run: {}", path.display())]
    Locked {
        /// The run directory.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{message}: {}", path.display())]
    Content {
        /// What is wrong.
        message: String,
        /// The file.
        path: PathBuf,
    },
    /// A number to be logged that is infinite or no number.
    #[error("{message}: {}", path.display())]
    NotFinite {
        /// Which one.
        message: String,
        /// The log.
        path: PathBuf,
    },
    /// What was found there is no part of a run.
    #[error("{message}: {}", path.display())]
    Damaged {
        /// What is wrong.
        message: String,
        /// The file.
        path: PathBuf,
    },
    /// A name that cannot be part of a path.
    #[error("{name:?} cannot be part of a path: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// A row that cannot be written.
    #[error("results: {message}")]
    Row {
        /// What is wrong with it.
        message: String,
    },
}

impl StoreError {
    /// For `map_err`: what was attempted on which path.
    pub(super) fn io<'a>(
        what: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> StoreError + 'a {
        move |source| StoreError::Io { what, path: path.to_owned(), source }
    }

    pub(super) fn content(path: &Path, message: impl Into<String>) -> StoreError {
        StoreError::Content { message: message.into(), path: path.to_owned() }
    }
}
