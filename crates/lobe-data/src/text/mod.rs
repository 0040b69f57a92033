//! `text`: any number of files or folders, each a class of its own (or several to a class).

mod folder;
mod format;
mod repeats;
mod source;
mod tokenizer;

use std::path::Path;

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Examples, Payload};
use crate::error::{DataError, Result, setting};
use crate::labelling::WordList;
use crate::memory;
use crate::pack::{Packing, rows};
use crate::source::{DataSource, SourceEntry};
use crate::tokenizer::Tokenizer;

pub use format::Format;
pub use source::TextSource;
pub use tokenizer::TokenizerConfig;

/// Settings of the source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TextConfig {
    /// Where the text is: a list of tables.
    /// Example: `sources = [{ path = "virology/", class = "virology" }, { path = "rest.jsonl", class = "rest" }]`.
    pub sources: Vec<TextSource>,
    /// How it becomes ids: a table with a `kind`, or "byte" or "bpe" alone.
    /// Example: `tokenizer = { kind = "bpe", vocab = 1024 }`.
    pub tokenizer: TokenizerConfig,
    /// Positions per sequence. Example: `seq = 256`.
    pub seq: usize,
    /// Documents of one class packed end to end, or one document per sequence. In the second
    /// case what goes beyond `seq` is cut off. Example: `packing = "document"`.
    pub packing: Packing,
    /// Fraction of each source's documents that is held out, where it names no `test_path`.
    /// Example: `test_fraction = 0.1`.
    pub test_fraction: f64,
    /// Documents that contain one of some words form a class of their own (ERA).
    /// Example: `word_class = { class = "forest", words = ["tree", "forest"] }`.
    pub word_class: Option<WordClass>,
    /// Bytes accepted from one file, after decompression. Example: `max_bytes = 1_000_000_000`.
    pub max_bytes: u64,
}

impl Default for TextConfig {
    fn default() -> Self {
        TextConfig {
            sources: Vec::new(),
            tokenizer: TokenizerConfig::Byte,
            seq: 256,
            packing: Packing::Pack,
            test_fraction: 0.05,
            word_class: None,
            max_bytes: crate::file::MAX_BYTES,
        }
    }
}

/// A class made by a word list instead of by source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WordClass {
    /// The class's name. Example: `class = "forest"`.
    pub class: String,
    /// Any of these, as a whole word and in any case. Example: `words = ["tree", "forest"]`.
    pub words: Vec<String>,
}

/// One document on its way to tokens.
pub(crate) struct Document {
    pub(crate) text: String,
    pub(crate) class: u16,
}

impl DataSource for TextConfig {
    fn load(&self, dir: &Path, key: Key) -> Result<Dataset> {
        TextConfig::load(self, dir, key)
    }
}

/// The registered source.
pub(crate) const ENTRY: SourceEntry = SourceEntry::of::<TextConfig>(
    "text",
    "text, JSON or tab-separated files and folders of them, one class per source",
)
.from_files();

impl TextConfig {
    /// Loads the data set; relative paths start at `dir`. Documents keep the order of the
    /// sources, of the sorted files of a folder, and of each file. What is held out depends on
    /// the key only. Rows are grouped by class.
    ///
    /// # Errors
    /// One line each for a missing, empty, damaged or over-long file, wrong fields, settings out
    /// of range and tokenizers that do not load.
    pub fn load(&self, dir: &Path, key: Key) -> Result<Dataset> {
        self.load_with(dir, key, None)
    }

    /// [`TextConfig::load`] with a tokenizer that was trained earlier, for example by the first
    /// of several runs on the same text.
    ///
    /// # Errors
    /// As [`TextConfig::load`].
    pub fn load_with(&self, dir: &Path, key: Key, trained: Option<Tokenizer>) -> Result<Dataset> {
        if self.sources.is_empty() {
            return setting("text: no sources");
        }
        if !(2..=1 << 20).contains(&self.seq) {
            return setting(format!("text: seq = {}, outside of 2 to 1048576", self.seq));
        }
        if !(self.test_fraction > 0.0 && self.test_fraction < 1.0) {
            return setting(format!("text: test_fraction = {}, not between 0 and 1", self.test_fraction));
        }
        let word_class = match &self.word_class {
            Some(rule) => Some((&rule.class, WordList::new(&rule.words, "word_class")?)),
            None => None,
        };
        let mut classes: Vec<String> = Vec::new();
        let (mut train, mut test, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for (i, source) in self.sources.iter().enumerate() {
            let class = place(&mut classes, source.class_name());
            let (a, b) = source.documents(dir, self, key.child("split").index(i as u64), &mut notes)?;
            train.extend(a.into_iter().map(|text| Document { text, class }));
            test.extend(b.into_iter().map(|text| Document { text, class }));
        }
        if let Some((name, list)) = &word_class {
            let class = place(&mut classes, name);
            let holds = |d: &&mut Document| list.occurs_in(&d.text);
            train.iter_mut().chain(&mut test).filter(holds).for_each(|d| d.class = class);
        }
        notes.extend(repeats::notes(&classes, &repeats::repeats(&train, &test, classes.len()))?);
        let tokenizer = match trained {
            Some(t) => t,
            None => self.tokenizer.build(dir, &train, self.max_bytes)?,
        };
        self.fits([&train, &test], &tokenizer, memory::available())?;
        let documents = [&train, &test].map(|split| {
            (0..classes.len() as u16).map(|c| split.iter().filter(|d| d.class == c).count()).collect()
        });
        let train = self.examples(&train, classes.len(), &tokenizer)?;
        let test = self.examples(&test, classes.len(), &tokenizer)?;
        let data = Dataset::new("text", train, test, classes, Some(tokenizer), Vec::new())?;
        Ok(Dataset { documents, notes, ..data })
    }

    /// Refuses documents whose ids memory cannot hold, where their number is known before there are any:
    /// a row of its own is `seq` long however short its document is, and a byte is one id.
    fn fits(&self, splits: [&[Document]; 2], tokenizer: &Tokenizer, available: Option<u64>) -> Result<()> {
        let count = (splits[0].len() + splits[1].len()) as u64;
        let ids = match (self.packing, tokenizer) {
            (Packing::Document, _) => count.saturating_mul(self.seq as u64 + 1),
            (Packing::Pack, Tokenizer::Byte) => {
                splits.into_iter().flatten().map(|d| d.text.len() as u64).sum::<u64>()
            }
            (Packing::Pack, _) => return Ok(()),
        };
        let what = format!("text: {count} documents of {ids} ids");
        let help = match self.packing {
            Packing::Document => "lower seq or max_documents",
            Packing::Pack => "lower max_documents or max_chars",
        };
        memory::fits(&what, ids, available, help)
    }

    fn examples(&self, documents: &[Document], classes: usize, tokenizer: &Tokenizer) -> Result<Examples> {
        let (mut ids, mut class) = (Vec::new(), Vec::new());
        for c in 0..classes as u16 {
            let texts: Vec<&str> =
                documents.iter().filter(|d| d.class == c).map(|d| d.text.as_str()).collect();
            let encoded = tokenizer.encode_all(&texts)?;
            let added = rows(
                encoded.into_iter(),
                self.seq,
                self.packing,
                tokenizer.marks().map(|m| (m.begin.id, m.end.id)),
                &mut ids,
            );
            class.resize(class.len() + added, c);
        }
        Ok(Examples { payload: Payload::Tokens { seq: self.seq, ids }, class })
    }
}

/// The index of `name`, added if new.
fn place(classes: &mut Vec<String>, name: &str) -> u16 {
    let at = classes.iter().position(|c| c == name).unwrap_or_else(|| {
        classes.push(name.to_owned());
        classes.len() - 1
    });
    at as u16
}

/// Entry point for fuzzing: reads any bytes as a file of each format, zipped or not.
///
/// # Panics
/// If a document is blank, or there are more than were asked for.
pub fn fuzz_text(bytes: &[u8]) {
    let content = crate::file::fuzz_unzip(bytes).unwrap_or_else(|_| bytes.to_vec());
    let Ok(text) = crate::file::utf8(content, "fuzz") else { return };
    for format in [Format::Auto, Format::Txt, Format::Jsonl, Format::Json, Format::Tsv] {
        for most in [None, Some(2)] {
            let source = TextSource { format, max_documents: most, ..TextSource::new("fuzz", "fuzz") };
            if let Ok(found) = format::documents(&text, &source, "fuzz") {
                assert!(found.iter().all(|d| !d.trim().is_empty()), "no blank documents");
                assert!(most.is_none_or(|n| found.len() <= n), "as many as asked for");
            }
        }
    }
}

/// Nothing usable in a source.
pub(crate) fn empty<T>(what: &'static str, path: &str) -> Result<T> {
    Err(DataError::Empty { what, path: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_documents_or_an_error() {
        for text in [
            "",
            "[",
            "[{}]",
            r#"[["a"], 1"#,
            "{\"text\": \"a\"}\n{\"text\": 1}",
            "a\tb\n\n",
            "\u{feff}[\"a\"",
        ] {
            fuzz_text(text.as_bytes());
        }
        fuzz_text(&[0x1f, 0x8b, 8]);
        fuzz_text(&[0xff]);
        fuzz_text("[".repeat(100_000).as_bytes());
    }

    #[test]
    fn documents_whose_ids_memory_cannot_hold_are_refused_before_there_are_any() {
        let document = || Document { text: "four".into(), class: 0 };
        let (train, test) = (vec![document(), document()], vec![document()]);
        let of = |packing, available| {
            let config = TextConfig { packing, seq: 9, ..TextConfig::default() };
            config.fits([&train, &test], &Tokenizer::Byte, available)
        };
        // Three rows of ten ids, or twelve ids, of four bytes each.
        assert!(of(Packing::Document, Some(120)).is_ok() && of(Packing::Document, None).is_ok());
        assert!(of(Packing::Pack, Some(48)).is_ok() && of(Packing::Pack, Some(47)).is_err());
        let e = of(Packing::Document, Some(119)).unwrap_err().to_string();
        assert!(e.starts_with("data: text: 3 documents of 30 ids take ") && e.contains("lower seq"), "{e}");
    }
}
