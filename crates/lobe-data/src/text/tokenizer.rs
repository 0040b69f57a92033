//! Which tokenizer, as a recipe writes it: a table, or the name of one that needs nothing else.

use std::path::Path;

use schemars::{JsonSchema, Schema};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Document;
#[cfg(not(feature = "bpe"))]
use crate::error::DataError;
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// Which tokenizer: a table with a `kind`, or `"byte"` or `"bpe"` alone.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(transform = with_names)]
pub enum TokenizerConfig {
    /// One id per byte: 257 with the mark between texts. Example: `tokenizer = { kind = "byte" }`.
    Byte,
    /// Byte-pair encoding of bytes, trained on the training documents.
    /// Example: `tokenizer = { kind = "bpe", vocab = 1024 }`.
    Bpe {
        /// Number of ids, at least 257.
        #[schemars(default = "vocab")]
        vocab: usize,
    },
    /// A `tokenizer.json` (gzipped or not). Marks at the beginning and end of texts are those that
    /// `tokenizer_config.json`, `config.json` or `generation_config.json` beside it name; nothing is added to
    /// its vocabulary. Example: `tokenizer = { kind = "file", path = "tokenizer.json" }`.
    File {
        /// Where it is.
        path: String,
    },
    /// GPT-2's two files (gzipped or not).
    /// Example: `tokenizer = { kind = "gpt2", vocab = "vocab.json", merges = "merges.txt" }`.
    Gpt2 {
        /// The file `encoder.json` or `vocab.json`.
        vocab: String,
        /// The file `vocab.bpe` or `merges.txt`.
        merges: String,
    },
}

/// Ids of `kind = "bpe"` where nobody says how many.
fn vocab() -> usize {
    1024
}

/// The table: what is derived would call it by its name in Rust.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Table {
    Byte,
    Bpe {
        #[serde(default = "vocab")]
        vocab: usize,
    },
    File {
        path: String,
    },
    Gpt2 {
        vocab: String,
        merges: String,
    },
}

/// Kinds, each with its table.
const KINDS: [(&str, &str); 4] = [
    ("byte", r#"{ kind = "byte" }"#),
    ("bpe", r#"{ kind = "bpe", vocab = 1024 }"#),
    ("file", r#"{ kind = "file", path = "tokenizer.json" }"#),
    ("gpt2", r#"{ kind = "gpt2", vocab = "vocab.json", merges = "merges.txt" }"#),
];

impl<'de> Deserialize<'de> for TokenizerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let written = value.as_str().or_else(|| value.get("kind").and_then(Value::as_str));
        let known = written.and_then(|w| KINDS.iter().find(|(kind, _)| *kind == w));
        let (Some((kind, table)), true) = (known, value.is_string() || value.is_object()) else {
            return Err(Error::custom(unknown(written)));
        };
        let table_or_name = if value.is_string() { json!({ "kind": kind }) } else { value };
        match serde_json::from_value(table_or_name) {
            Ok(Table::Byte) => Ok(TokenizerConfig::Byte),
            Ok(Table::Bpe { vocab }) => Ok(TokenizerConfig::Bpe { vocab }),
            Ok(Table::File { path }) => Ok(TokenizerConfig::File { path }),
            Ok(Table::Gpt2 { vocab, merges }) => Ok(TokenizerConfig::Gpt2 { vocab, merges }),
            Err(e) if e.to_string().starts_with("missing field") => {
                let files = if *kind == "gpt2" { "two files" } else { "a file" };
                Err(Error::custom(format!("{kind:?} needs {files}: tokenizer = {table}")))
            }
            Err(e) => Err(Error::custom(e)),
        }
    }
}

fn unknown(written: Option<&str>) -> String {
    let tables: Vec<&str> = KINDS.iter().map(|(_, table)| *table).collect();
    let found = written.map_or_else(String::new, |w| {
        let near = lobe_core::nearest(w, KINDS.iter().map(|(kind, _)| *kind));
        let near = near.map_or_else(String::new, |n| format!("did you mean {n:?}? "));
        format!("no tokenizer is called {w:?}; {near}")
    });
    format!("{found}expected \"byte\", \"bpe\" or a table: {}", tables.join(", "))
}

/// Editors accept the two names as well.
fn with_names(schema: &mut Schema) {
    if let Some(kinds) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        let about = "The same by name: one id per byte, or byte-pair encoding of 1024 ids.";
        kinds.push(json!({ "type": "string", "enum": ["byte", "bpe"], "description": about }));
    }
}

impl TokenizerConfig {
    pub(super) fn build(&self, dir: &Path, train: &[Document], limit: u64) -> Result<Tokenizer> {
        match self {
            TokenizerConfig::Byte => Ok(Tokenizer::Byte),
            TokenizerConfig::File { path } => Tokenizer::open_in(dir, path, limit),
            #[cfg(feature = "bpe")]
            TokenizerConfig::Bpe { vocab } => {
                let texts = train.iter().map(|d| d.text.as_str());
                Ok(Tokenizer::Bpe(crate::tokenizer::Bpe::train(texts, *vocab)?))
            }
            #[cfg(feature = "bpe")]
            TokenizerConfig::Gpt2 { vocab, merges } => {
                let map = crate::file::read(dir, vocab, "vocabulary", limit)?;
                let list = crate::file::utf8(crate::file::read(dir, merges, "merges", limit)?, merges)?;
                Ok(Tokenizer::Bpe(crate::tokenizer::Bpe::from_gpt2(&map, &list, vocab)?))
            }
            #[cfg(not(feature = "bpe"))]
            _ => {
                let what = format!("this build has no byte-pair encoding, for {} documents", train.len());
                Err(DataError::Setting { what })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokenizer_is_a_table_or_a_name() {
        let read = |value: Value| serde_json::from_value::<TokenizerConfig>(value);
        assert_eq!(read(json!("byte")).unwrap(), TokenizerConfig::Byte);
        assert_eq!(read(json!("bpe")).unwrap(), TokenizerConfig::Bpe { vocab: 1024 });
        assert_eq!(read(json!({"kind": "bpe", "vocab": 300})).unwrap(), TokenizerConfig::Bpe { vocab: 300 });
        let saved = serde_json::to_value(TokenizerConfig::Bpe { vocab: 1024 }).unwrap();
        assert_eq!(saved, json!({"kind": "bpe", "vocab": 1024}));

        let error = |value: Value| read(value).unwrap_err().to_string();
        let gpt2 = r#""gpt2" needs two files: tokenizer = { kind = "gpt2", vocab = "vocab.json", merges = "merges.txt" }"#;
        assert_eq!(error(json!({"kind": "gpt2"})), gpt2);
        assert_eq!(error(json!("gpt2")), gpt2);
        assert_eq!(
            error(json!("file")),
            r#""file" needs a file: tokenizer = { kind = "file", path = "tokenizer.json" }"#
        );
        for wrong in [json!("word"), json!({"kind": "word"})] {
            let text = error(wrong);
            assert!(
                text.starts_with(r#"no tokenizer is called "word"; expected "byte", "bpe" or a table: "#),
                "{text}"
            );
            assert!(KINDS.iter().all(|(_, table)| text.contains(table)), "{text}");
        }
        assert!(error(json!(3)).starts_with(r#"expected "byte", "bpe" or a table: { kind = "byte" }"#));
        assert!(error(json!({"vocab": 300})).starts_with("expected \"byte\""));
        assert!(error(json!({"kind": "bpe", "vocabb": 300})).starts_with("unknown field `vocabb`"));
    }
}
