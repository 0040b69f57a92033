//! What can be wrong with a run directory.

/// A run directory that cannot be read. Every variant names the file, and the line where one is known.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
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

impl ReportError {
    pub(crate) fn content(file: &str, line: usize, message: impl Into<String>) -> Self {
        ReportError::Content { file: file.to_owned(), line, message: message.into() }
    }
}
