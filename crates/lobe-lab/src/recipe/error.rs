//! Errors that point at the place in the recipe that has to change.

use std::fmt;

use super::tree::{Node, Origin};

/// A refused recipe: `recipe.toml:12: train.lerning_rate: unknown key; did you mean "lr"?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeError {
    /// The file as the caller named it, or the `--set` argument.
    pub file: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// Dotted key; empty for the whole file.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// What else is wrong and does not depend on this.
    pub others: Vec<RecipeError>,
}

/// One line for each error.
impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        self.others.iter().try_for_each(|other| write!(f, "\n{other}"))
    }
}

impl std::error::Error for RecipeError {}

impl RecipeError {
    /// An error about the whole file.
    pub(super) fn file(file: &str, message: impl Into<String>) -> RecipeError {
        RecipeError {
            file: file.to_owned(),
            line: None,
            path: String::new(),
            message: message.into(),
            others: Vec::new(),
        }
    }
}

/// An error inside a section, placed by the keys that lead to it. The recipe turns it into a
/// [`RecipeError`] with file and line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// Keys and list positions, relative to the section.
    pub path: Vec<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl PathError {
    /// An error at a dotted path relative to the section; empty for the section itself.
    pub fn new(path: &str, message: impl Into<String>) -> PathError {
        let path = path.split('.').filter(|p| !p.is_empty()).map(String::from).collect();
        PathError { path, message: message.into() }
    }

    /// The same error seen from `outer`.
    pub fn within(mut self, outer: &[&str]) -> PathError {
        self.path.splice(0..0, outer.iter().map(|p| (*p).to_owned()));
        self
    }

    /// Finds the line in the tree: of the named value, or of the nearest table around it.
    pub(super) fn locate(self, file: &str, tree: &Node) -> RecipeError {
        let (file, line) = match tree.origin(&self.path) {
            Origin::Line(line) => (file.to_owned(), Some(line)),
            Origin::Set(text) => (format!("--set {text}"), None),
            Origin::Nowhere => (file.to_owned(), None),
        };
        let path = tree.describe(&self.path);
        RecipeError { file, line, path, message: self.message, others: Vec::new() }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join("."))?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for PathError {}
