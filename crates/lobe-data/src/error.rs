//! What can go wrong with data: one clear line each, the file last and by its given name.

use std::io;

use thiserror::Error;

/// Why data could not be loaded, labelled or streamed.
#[derive(Debug, Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot read {what}: {reason}: {path}")]
    Read {
        /// What the file is for.
        what: &'static str,
        /// The system's reason. Part of the message, so not a source that would be printed again.
        reason: io::Error,
        /// The file as the recipe names it.
        path: String,
    },
    /// More content than the limit allows, counted after decompression.
    #[error("more than max_bytes = {limit} bytes of content: {path}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// The file as the recipe names it.
        path: String,
    },
    /// A damaged or truncated gzip stream.
    #[error("gzip: {reason}: {path}")]
    Gzip {
        /// What is wrong.
        reason: String,
        /// The file as the recipe names it.
        path: String,
    },
    /// Text that is not UTF-8.
    #[error("invalid UTF-8 in line {line}: {path}")]
    Utf8 {
        /// Line number, from 1.
        line: usize,
        /// The file as the recipe names it.
        path: String,
    },
    /// Content that does not follow its format.
    #[error("{format}: {what}: {path}")]
    Format {
        /// The format.
        format: &'static str,
        /// What is wrong.
        what: String,
        /// The file as the recipe names it.
        path: String,
    },
    /// Nothing in it.
    #[error("no {what}: {path}")]
    Empty {
        /// What is missing.
        what: &'static str,
        /// The source as the recipe names it.
        path: String,
    },
    /// A setting that cannot be satisfied.
    #[error("data: {what}")]
    Setting {
        /// What is wrong.
        what: String,
    },
    /// A labelling that cannot be satisfied.
    #[error("labelling: {what}")]
    Labelling {
        /// What is wrong.
        what: String,
    },
    /// A tokenizer that cannot be used.
    #[error("tokenizer: {what}: {path}")]
    Tokenizer {
        /// What is wrong.
        what: String,
        /// The tokenizer's file or description.
        path: String,
    },
}

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, DataError>;

/// A [`DataError::Setting`].
pub(crate) fn setting<T>(what: impl Into<String>) -> Result<T> {
    Err(DataError::Setting { what: what.into() })
}

/// Keeps an error on one line: foreign messages may hold line breaks or be very long.
pub(crate) fn one_line(text: &dyn std::fmt::Display) -> String {
    let text: String = text.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(200).collect()
}
