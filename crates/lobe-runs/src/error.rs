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
    pub(crate) fn io<'a>(
        what: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> StoreError + 'a {
        move |source| StoreError::Io { what, path: path.to_owned(), source }
    }

    pub(crate) fn content(path: &Path, message: impl Into<String>) -> StoreError {
        StoreError::Content { message: message.into(), path: path.to_owned() }
    }
}

/// A run directory that cannot be read. Every variant names the file, and the line where one is known.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("cannot read {file}")]
    Io {
        /// The run directory, or a file name inside it.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is larger than any real run makes it.
    #[error("{file} has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// File name inside the run directory.
        file: String,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// A file leads outside the run directory, or is not an ordinary file.
    #[error("{file} is not an ordinary file inside the run directory")]
    Outside {
        /// File name inside the run directory.
        file: String,
    },
    /// The run is of a later version of Lobe.
    #[error("{file}: a run of format {format}, and this Lobe reads formats up to {known}{}", made_by(build))]
    Newer {
        /// File name inside the run directory.
        file: String,
        /// The number of its format.
        format: u32,
        /// The highest number that is known here.
        known: u32,
        /// Version and commit that made the run, as it says; may be empty.
        build: String,
    },
    /// The content is not what the format says.
    #[error("{file} line {line}: {message}")]
    Content {
        /// File name inside the run directory.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// An entry of a file is well formed but cannot be true.
    #[error("{file} entry {entry}: {message}")]
    Entry {
        /// File name inside the run directory.
        file: String,
        /// Position of the entry, from 0.
        entry: usize,
        /// What is wrong there.
        message: String,
    },
}

fn made_by(build: &str) -> String {
    if build.is_empty() { "; use a newer one".to_owned() } else { format!("; it was made by {build}") }
}

impl ReadError {
    /// What is wrong in a line of a file.
    pub fn content(file: &str, line: usize, message: impl Into<String>) -> ReadError {
        ReadError::Content { file: file.to_owned(), line, message: message.into() }
    }
}
