//! The files of the repository, sorted, without what builds and runs leave behind.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Directories that hold nothing to check: (directory name, where; empty is anywhere).
const SKIPPED: [(&str, &str); 5] =
    [(".git", ""), ("target", ""), ("runs", ""), ("corpus", "fuzz"), ("artifacts", "fuzz")];

/// A text file of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextFile {
    /// Path from the root, with forward slashes.
    pub(crate) path: String,
    /// Its content.
    pub(crate) text: String,
}

impl TextFile {
    /// Whether its name ends with `.extension`.
    pub(crate) fn is(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, e)| e == extension)
    }
}

/// All text files; files that are not UTF-8 are left out.
pub(crate) fn texts(root: &Path) -> Result<Vec<TextFile>> {
    let mut out = Vec::new();
    walk(root, "", &mut out)?;
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

fn walk(root: &Path, at: &str, out: &mut Vec<TextFile>) -> Result<()> {
    let dir = root.join(at);
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {at:?}"))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !SKIPPED.iter().any(|(skip, place)| *skip == name && (place.is_empty() || *place == at)) {
                walk(root, &path, out)?;
            }
        } else if kind.is_file() && name != ".git" {
            // In a linked worktree `.git` is a file, with a path of its machine.
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path:?}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                out.push(TextFile { path, text });
            }
        }
    }
    Ok(())
}
