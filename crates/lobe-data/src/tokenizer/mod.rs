//! Text to token ids and back.

#[cfg(feature = "bpe")]
mod bpe;
#[cfg(feature = "bpe")]
mod cuts;
mod words;

use serde_json::{Value, json};

use crate::error::{DataError, Result, one_line};

#[cfg(feature = "bpe")]
pub use bpe::Bpe;
pub use words::Words;

/// Longest accepted tokenizer file, in bytes.
const MAX_FILE: usize = 256 << 20;

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
                let text: Vec<u32> = ids.iter().copied().filter(|&i| i != self.eos()).collect();
                w.decode(&text)
            }
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.decode(ids),
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

    /// The id that starts a text. Often the same as [`Tokenizer::eos`].
    pub fn bos(&self) -> u32 {
        match self {
            Tokenizer::Byte => 256,
            Tokenizer::Words(_) => 0,
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.bos(),
        }
    }

    /// The id that ends a text.
    pub fn eos(&self) -> u32 {
        match self {
            Tokenizer::Byte => 256,
            Tokenizer::Words(_) => 0,
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.eos(),
        }
    }

    /// The tokenizer as a file: the `tokenizers` format for byte-pair encoding, a small one of
    /// our own for the others.
    pub fn to_json(&self) -> Vec<u8> {
        match self {
            Tokenizer::Byte => json!({ "lobe": "byte" }).to_string().into_bytes(),
            Tokenizer::Words(w) => json!({ "lobe": "words", "words": w.list() }).to_string().into_bytes(),
            #[cfg(feature = "bpe")]
            Tokenizer::Bpe(b) => b.to_json(),
        }
    }

    /// Reads what [`Tokenizer::to_json`] wrote, or a `tokenizer.json` with a BPE model. `path`
    /// names it in messages.
    ///
    /// # Errors
    /// If it is not such a file. Hostile content is an error, never a panic.
    pub fn from_json(bytes: &[u8], path: &str) -> Result<Tokenizer> {
        let fail = |what: String| Err(DataError::Tokenizer { what, path: path.into() });
        if bytes.len() > MAX_FILE {
            return fail(format!("longer than {MAX_FILE} bytes"));
        }
        let value: Value = match serde_json::from_slice(bytes) {
            Ok(v) => v,
            Err(e) => return fail(format!("not JSON: {}", one_line(&e))),
        };
        match value.get("lobe").and_then(Value::as_str) {
            Some("byte") => Ok(Tokenizer::Byte),
            Some("words") => match value.get("words").map(|w| serde_json::from_value(w.clone())) {
                Some(Ok(words)) => Ok(Tokenizer::Words(Words::from_list(words, path)?)),
                _ => fail("\"words\" is not a list of words".into()),
            },
            Some(other) => fail(format!("unknown kind {other:?}")),
            #[cfg(feature = "bpe")]
            None => Ok(Tokenizer::Bpe(Bpe::from_value(value, path)?)),
            #[cfg(not(feature = "bpe"))]
            None => fail("this build has no byte-pair encoding".into()),
        }
    }
}
