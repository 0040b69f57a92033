//! One source of text: a file or a folder, its class, and what is held out of it.

use std::collections::BTreeMap;
use std::path::Path;

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::folder;
use super::format::{Format, documents};
use super::{TextConfig, empty};
use crate::error::{DataError, Result, setting};
use crate::file;

/// One source: a table in the list `sources`, such as `{ path = "virology/", class = "virology" }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextSource {
    /// A file, or a folder whose text files (.txt, .text, .md, .jsonl, .ndjson, .json, .tsv, each also with
    /// .gz) are read in the order of their names. Hidden files are left out; a linked folder is read once.
    /// Example: `path = "virology/"`.
    pub path: String,
    /// The class of its documents; sources may share one. Labels name classes. Default: the path.
    /// Example: `class = "virology"`.
    #[serde(default)]
    pub class: Option<String>,
    /// How files hold documents: "auto" (by the ending), "txt", "jsonl", "json" or "tsv".
    /// Example: `format = "jsonl"`.
    #[serde(default)]
    pub format: Format,
    /// With JSON: the field of the text. Example: `field = "abstract"`.
    #[serde(default = "field")]
    pub field: String,
    /// With JSON: keep only objects whose fields have these texts. Example: `only = { lang = "en" }`.
    #[serde(default)]
    pub only: BTreeMap<String, String>,
    /// With tab-separated columns: the column of the text, from 0. Example: `column = 1`.
    #[serde(default)]
    pub column: usize,
    /// With text files: what stands between documents. Empty: a file is one document.
    /// Example: `separator = "\n\n"`.
    #[serde(default = "separator")]
    pub separator: String,
    /// Held-out documents come from this file or folder instead of from a fraction of `path`.
    /// Example: `test_path = "virology-held-out.jsonl"`.
    #[serde(default)]
    pub test_path: Option<String>,
    /// Use at most this many documents of `path` and of `test_path` each: the first ones.
    /// Example: `max_documents = 5000`.
    #[serde(default)]
    pub max_documents: Option<usize>,
    /// Cut each document to this many characters. Example: `max_chars = 2000`.
    #[serde(default)]
    pub max_chars: Option<usize>,
}

fn field() -> String {
    "text".into()
}

fn separator() -> String {
    "<|endoftext|>".into()
}

impl TextSource {
    /// A source with default settings.
    pub fn new(path: &str, class: &str) -> TextSource {
        TextSource {
            path: path.into(),
            class: Some(class.into()),
            format: Format::Auto,
            field: field(),
            only: BTreeMap::new(),
            column: 0,
            separator: separator(),
            test_path: None,
            max_documents: None,
            max_chars: None,
        }
    }

    pub(crate) fn class_name(&self) -> &str {
        self.class.as_deref().unwrap_or(&self.path)
    }

    /// A document, cut to the wanted number of characters.
    pub(crate) fn cut(&self, text: &str) -> String {
        match self.max_chars.and_then(|n| text.char_indices().nth(n)) {
            Some((at, _)) => text[..at].to_owned(),
            None => text.to_owned(),
        }
    }

    /// Training and held-out documents. What is worth saying about folders is added to `notes`.
    pub(crate) fn documents(
        &self,
        dir: &Path,
        config: &TextConfig,
        key: Key,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let all = self.read(dir, &self.path, config.max_bytes, notes)?;
        if let Some(path) = &self.test_path {
            return Ok((all, self.read(dir, path, config.max_bytes, notes)?));
        }
        if let [only] = all.as_slice() {
            return split_one(only, config.test_fraction, &self.path);
        }
        // The documents with the smallest numbers are held out: exactly the wanted count, and a
        // larger fraction holds out a superset.
        let mut order: Vec<(f64, usize)> =
            (0..all.len()).map(|i| (key.index(i as u64).uniform(), i)).collect();
        order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let held = ((all.len() as f64 * config.test_fraction).round() as usize).clamp(1, all.len() - 1);
        let mut is_test = vec![false; all.len()];
        order[..held].iter().for_each(|&(_, i)| is_test[i] = true);
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (text, is_test) in all.into_iter().zip(is_test) {
            if is_test { test.push(text) } else { train.push(text) }
        }
        Ok((train, test))
    }

    fn read(&self, dir: &Path, given: &str, limit: u64, notes: &mut Vec<String>) -> Result<Vec<String>> {
        let files = if dir.join(given).is_dir() {
            let found = folder::search(dir, given)?;
            notes.extend(found.notes(given));
            if found.files.is_empty() && found.left_out.is_empty() {
                return empty("text files in the folder", given);
            }
            if found.files.is_empty() {
                let what = format!("no text files; left out: {}", found.left_out);
                return Err(DataError::Format { format: "folder", what, path: given.into() });
            }
            found.files
        } else {
            vec![given.to_owned()]
        };
        let mut out = Vec::new();
        for name in &files {
            let text = file::utf8(file::read(dir, name, "text", limit)?, name)?;
            out.extend(documents(&text, self, name)?);
            if self.max_documents.is_some_and(|n| out.len() >= n) {
                break;
            }
        }
        out.truncate(self.max_documents.unwrap_or(usize::MAX));
        if out.is_empty() { empty("documents", given) } else { Ok(out) }
    }
}

/// One long document, such as a book: its end is held out, from the start of a word.
fn split_one(text: &str, fraction: f64, path: &str) -> Result<(Vec<String>, Vec<String>)> {
    let wanted = (text.len() as f64 * (1.0 - fraction)) as usize;
    match text.match_indices(char::is_whitespace).find(|(i, _)| *i >= wanted) {
        Some((at, _)) if !text[..at].trim().is_empty() && !text[at..].trim().is_empty() => {
            Ok((vec![text[..at].trim().to_owned()], vec![text[at..].trim().to_owned()]))
        }
        _ => setting(format!("one short document cannot be split into training and test: {path}")),
    }
}
