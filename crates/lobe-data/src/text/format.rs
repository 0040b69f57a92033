//! The formats of text files: documents apart by a separator, JSON lines, tab-separated columns.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TextSource;
use crate::error::{DataError, Result, one_line};

/// How a file holds documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// By the name's ending: .jsonl, .tsv, otherwise text; `.gz` is ignored.
    #[default]
    Auto,
    /// Text, documents apart by the source's separator.
    Txt,
    /// One JSON object a line; the document is in the source's `field`, a text or a list of texts.
    Jsonl,
    /// One document a line, in the source's `column`.
    Tsv,
}

impl Format {
    /// The format of a file of this name.
    pub(crate) fn of(self, name: &str) -> Format {
        let name = name.to_ascii_lowercase();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        match (self, plain.rsplit('.').next()) {
            (Format::Auto, Some("jsonl" | "ndjson")) => Format::Jsonl,
            (Format::Auto, Some("tsv")) => Format::Tsv,
            (Format::Auto, _) => Format::Txt,
            (fixed, _) => fixed,
        }
    }
}

/// The documents of one file, in order. Blank documents are left out.
pub(crate) fn documents(text: &str, source: &TextSource, given: &str) -> Result<Vec<String>> {
    let enough = source.max_documents.unwrap_or(usize::MAX);
    let fail = |format, line: usize, what: String| {
        Err(DataError::Format { format, what: format!("line {}: {what}", line + 1), path: given.into() })
    };
    let mut out: Vec<String> = Vec::new();
    let push = |out: &mut Vec<String>, text: &str| {
        if !text.trim().is_empty() {
            out.push(source.cut(text));
        }
    };
    match source.format.of(given) {
        Format::Txt | Format::Auto => {
            // An empty separator would split between any two characters.
            if source.separator.is_empty() {
                push(&mut out, text.trim());
            } else {
                text.split(&source.separator).for_each(|d| {
                    if out.len() < enough {
                        push(&mut out, d.trim());
                    }
                });
            }
        }
        Format::Jsonl => {
            for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
                if out.len() >= enough {
                    break;
                }
                let value: Value = match serde_json::from_str(line) {
                    Ok(v) => v,
                    Err(e) => return fail("jsonl", i, one_line(&e)),
                };
                if source.only.iter().any(|(k, want)| value.get(k).and_then(Value::as_str) != Some(want)) {
                    continue;
                }
                match value.get(&source.field) {
                    Some(Value::String(s)) => push(&mut out, s),
                    Some(Value::Array(parts)) if parts.iter().all(Value::is_string) => {
                        let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
                        push(&mut out, &parts.join("\n"));
                    }
                    Some(_) => {
                        return fail(
                            "jsonl",
                            i,
                            format!("{:?} is neither text nor a list of texts", source.field),
                        );
                    }
                    None => return fail("jsonl", i, format!("no field {:?}", source.field)),
                }
            }
        }
        Format::Tsv => {
            for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
                if out.len() >= enough {
                    break;
                }
                match line.split('\t').nth(source.column) {
                    Some(cell) => push(&mut out, cell),
                    None => return fail("tsv", i, format!("no column {} (the first is 0)", source.column)),
                }
            }
        }
    }
    Ok(out)
}
