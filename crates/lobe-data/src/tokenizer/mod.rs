//! Text to token ids and back.

#[cfg(feature = "bpe")]
mod bpe;
#[cfg(feature = "bpe")]
mod cuts;
mod format;
mod marks;
mod words;

use std::path::Path;

use serde_json::Value;

use crate::error::{DataError, Result, one_line};
use crate::file;

#[cfg(feature = "bpe")]
pub use bpe::Bpe;
pub use marks::{Mark, Marks};
use words::END;
pub use words::Words;

/// Longest accepted tokenizer file, in bytes.
const MAX_FILE: usize = 256 << 20;
/// Longest file beside it that is looked at.
const MAX_BESIDE: u64 = 16 << 20;

/// A tokenizer. [`Tokenizer::to_json`] keeps it beside a model.
#[derive(Debug, Clone)]
pub enum Tokenizer {
    /// One id per byte, and id 256 for start and end.
    Byte,
    /// A closed vocabulary of words.
    Words(Words),
    /// Byte-pair encoding.
    #[cfg(feature = "bpe")]
    Bpe(Bpe),
}

impl Tokenizer {
    /// The ids of `text`, without start or end mark.
    ///
    /// # Errors
    /// If a loaded tokenizer fails on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Tokenizer::Byte => Ok(text.bytes().map(u32::from).collect()),
            Tokenizer::Words(w) => Ok(w.encode(text)),
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.encode(text),
        }
    }

    /// [`Tokenizer::encode`] of many texts, in order, on all cores where that pays.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>> {
        match self {
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.encode_all(texts),
            _ => texts.iter().map(|t| self.encode(t)).collect(),
        }
    }

    /// The text of `ids`. Unknown ids and the padding mark are left out; broken UTF-8 becomes the
    /// replacement character.
    pub fn decode(&self, ids: &[u32]) -> String {
        match self {
            Tokenizer::Byte => {
                let bytes: Vec<u8> = ids.iter().filter_map(|&i| u8::try_from(i).ok()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Tokenizer::Words(w) => {
                let text: Vec<u32> = ids.iter().copied().filter(|&i| Some(i) != self.eos()).collect();
                w.decode(&text)
            }
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.decode(ids),
        }
    }

    /// The text of one id, marks included; empty for an id that is no token.
    pub fn token(&self, id: u32) -> String {
        match self.marks().filter(|m| id == m.begin.id || id == m.end.id) {
            Some(marks) if id == marks.begin.id => marks.begin.text,
            Some(marks) => marks.end.text,
            None => self.decode(&[id]),
        }
    }

    /// Number of ids.
    pub fn vocab_size(&self) -> usize {
        match self {
            Tokenizer::Byte => 257,
            Tokenizer::Words(w) => w.list().len(),
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.vocab_size(),
        }
    }

    /// The tokens that begin and end a text; `None` where the vocabulary has none.
    pub fn marks(&self) -> Option<Marks> {
        match self {
            Tokenizer::Byte => Some(Marks::one(format::BYTE_MARK, END, "after the bytes")),
            Tokenizer::Words(_) => Some(Marks::one(0, END, "before the words")),
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.marks().cloned(),
        }
    }

    /// The id that begins a text. Often the same as [`Tokenizer::eos`].
    pub fn bos(&self) -> Option<u32> {
        self.marks().map(|m| m.begin.id)
    }

    /// The id that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.marks().map(|m| m.end.id)
    }

    /// The tokenizer as a `tokenizer.json`, which `tokenizers` and `transformers` open.
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            Tokenizer::Byte => format::bytes().to_string().into_bytes(),
            Tokenizer::Words(w) => format::words(w.list()).to_string().into_bytes(),
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.to_json(),
        }
    }

    /// The `tokenizer_config.json` beside it, which names the marks.
    pub fn config_json(&self) -> Vec<u8> {
        let words = if let Tokenizer::Words(w) = self { Some(w) } else { None };
        let marks = self.marks();
        let marks = marks.as_ref().map(|m| (m.begin.text.as_str(), m.end.text.as_str()));
        format::config(marks, words)
    }

    /// Opens a file, gzipped or not. What `tokenizer_config.json`, `config.json` and
    /// `generation_config.json` say about marks counts if the file is called `tokenizer.json` and they
    /// lie beside it.
    ///
    /// # Errors
    /// As [`Tokenizer::from_json`], or if the file cannot be read.
    pub fn open(path: &Path) -> Result<Tokenizer> {
        Tokenizer::open_in(Path::new(""), &path.display().to_string(), MAX_FILE as u64)
    }

    /// [`Tokenizer::open`] of `given`, resolved against `dir`.
    pub(crate) fn open_in(dir: &Path, given: &str, limit: u64) -> Result<Tokenizer> {
        let bytes = file::read(dir, given, "tokenizer", limit)?;
        let path = dir.join(given);
        let named = path.file_name().is_some_and(|n| n == "tokenizer.json" || n == "tokenizer.json.gz");
        let mut beside = Vec::new();
        for name in marks::BESIDE.into_iter().filter(|_| named) {
            let file = path.with_file_name(name);
            // A file that is damaged says nothing about marks; who needs it for more will refuse it.
            let value = file
                .is_file()
                .then(|| file::read(Path::new(""), &file.display().to_string(), name, MAX_BESIDE));
            let value = value.and_then(Result::ok).and_then(|b| serde_json::from_slice(&b).ok());
            beside.extend(value.map(|v| (name, v)));
        }
        Tokenizer::parse(&bytes, given, &beside)
    }

    /// Reads what [`Tokenizer::to_json`] wrote, or a `tokenizer.json` with a BPE model. `path`
    /// names it in messages.
    ///
    /// # Errors
    /// If it is not such a file. Hostile content is an error, never a panic.
    pub fn from_json(bytes: &[u8], path: &str) -> Result<Tokenizer> {
        Tokenizer::parse(bytes, path, &[])
    }

    fn parse(bytes: &[u8], path: &str, beside: &[(&'static str, Value)]) -> Result<Tokenizer> {
        let fail = |what: String| Err(DataError::Tokenizer { what, path: path.into() });
        if bytes.len() > MAX_FILE {
            return fail(format!("longer than {MAX_FILE} bytes"));
        }
        let value: Value = match serde_json::from_slice(bytes) {
            Ok(v) => v,
            Err(e) => return fail(format!("not JSON: {}", one_line(&e))),
        };
        if format::is_bytes(&value) {
            return Ok(Tokenizer::Byte);
        }
        if let Some(words) = format::listed(&value) {
            return Ok(Tokenizer::Words(Words::from_list(words, path)?));
        }
        // The kinds that runs of earlier versions hold.
        match value.get("lobe").and_then(Value::as_str) {
            Some("byte") => Ok(Tokenizer::Byte),
            Some("words") => match value.get("words").map(|w| serde_json::from_value(w.clone())) {
                Some(Ok(words)) => Ok(Tokenizer::Words(Words::from_list(words, path)?)),
                _ => fail("\"words\" is not a list of words".into()),
            },
            Some(other) => fail(format!("unknown kind {other:?}")),
            #[cfg(feature = "bpe")]
            None => Ok(Tokenizer::Bpe(Bpe::from_value(value, path, beside)?)),
            #[cfg(not(feature = "bpe"))]
            None => fail("this build has no byte-pair encoding".into()),
        }
    }
}
