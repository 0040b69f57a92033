//! One source of text: a file or a folder, its class, and what is held out of it.

use std::collections::BTreeMap;
use std::path::Path;

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format::{Format, documents};
use super::{TextConfig, empty};
use crate::error::{DataError, Result, setting};
use crate::file;

/// Deepest folder that is searched.
const MAX_DEPTH: usize = 16;
/// Endings of files taken from a folder, before `.gz`.
const ENDINGS: [&str; 6] = ["txt", "text", "md", "jsonl", "ndjson", "tsv"];

/// One source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextSource {
    /// A file, or a folder whose text files are read in the order of their names.
    pub path: String,
    /// The class of its documents. Default: the path.
    #[serde(default)]
    pub class: Option<String>,
    /// How files hold documents.
    #[serde(default)]
    pub format: Format,
    /// With JSON lines: the field of the text.
    #[serde(default = "field")]
    pub field: String,
    /// With JSON lines: keep only objects whose fields have these texts.
    #[serde(default)]
    pub only: BTreeMap<String, String>,
    /// With tab-separated columns: the column of the text, from 0.
    #[serde(default)]
    pub column: usize,
    /// With text files: what stands between documents. Empty: a file is one document.
    #[serde(default = "separator")]
    pub separator: String,
    /// Held-out documents come from here instead of from a fraction of `path`.
    #[serde(default)]
    pub test_path: Option<String>,
    /// Use at most this many documents of `path` and of `test_path` each.
    #[serde(default)]
    pub max_documents: Option<usize>,
    /// Cut each document to this many characters.
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

    /// Training and held-out documents.
    pub(crate) fn documents(
        &self,
        dir: &Path,
        config: &TextConfig,
        key: Key,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let all = self.read(dir, &self.path, config.max_bytes)?;
        if let Some(path) = &self.test_path {
            return Ok((all, self.read(dir, path, config.max_bytes)?));
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

    fn read(&self, dir: &Path, given: &str, limit: u64) -> Result<Vec<String>> {
        let mut files = Vec::new();
        if dir.join(given).is_dir() {
            search(dir, given, 0, &mut files)?;
            if files.is_empty() {
                return empty("text files in the folder", given);
            }
        } else {
            files.push(given.to_owned());
        }
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

/// Adds the text files below a folder, sorted by name. Links to folders are not followed, so a
/// loop of links ends.
fn search(dir: &Path, given: &str, depth: usize, out: &mut Vec<String>) -> Result<()> {
    let refused = |reason| DataError::Read { what: "folder", reason, path: given.into() };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir.join(given)).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push((name, entry.file_type().map_err(refused)?.is_dir()));
    }
    entries.sort_unstable();
    for (name, is_dir) in entries {
        let path = format!("{}/{name}", given.trim_end_matches('/'));
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
        if is_dir && depth < MAX_DEPTH {
            search(dir, &path, depth + 1, out)?;
        } else if !is_dir && plain.rsplit_once('.').is_some_and(|(_, e)| ENDINGS.contains(&e)) {
            out.push(path);
        }
    }
    Ok(())
}
