//! The formats of text files: documents apart by a separator, JSON lines or lists, tab-separated columns.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TextSource;
use crate::error::{DataError, Result, one_line};

/// How a file holds documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// By the name's ending: .jsonl and .ndjson, .json, .tsv, otherwise text; `.gz` is ignored. Endings
    /// that stand for something else, such as .csv, are refused.
    #[default]
    Auto,
    /// Text, documents apart by the source's separator.
    Txt,
    /// One JSON value a line: an object with the document in the source's `field` (a text or a list of
    /// texts), or the text itself.
    Jsonl,
    /// The same values in one list, or one behind the other with any white space between them.
    Json,
    /// One document a line, in the source's `column`.
    Tsv,
}

/// Most fields that are named where the wanted one is missing.
const NAMED: usize = 8;
/// Endings of files that are no text, or text whose marks would be taken for part of the documents.
const OTHER: [&str; 24] = [
    "csv",
    "parquet",
    "arrow",
    "feather",
    "xlsx",
    "zip",
    "tar",
    "tgz",
    "xz",
    "zst",
    "bz2",
    "7z",
    "rar",
    "pdf",
    "doc",
    "docx",
    "epub",
    "ipynb",
    "geojson",
    "npy",
    "npz",
    "pkl",
    "pt",
    "safetensors",
];

impl Format {
    /// The format of a file of this name.
    pub(crate) fn of(self, name: &str) -> Result<Format> {
        let lower = name.to_ascii_lowercase();
        let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
        let ending = plain.rsplit_once('.').map_or("", |(_, e)| e);
        match (self, ending) {
            (Format::Auto, "jsonl" | "ndjson") => Ok(Format::Jsonl),
            (Format::Auto, "json") => Ok(Format::Json),
            (Format::Auto, "tsv") => Ok(Format::Tsv),
            (Format::Auto, other) if OTHER.contains(&other) => {
                let what = format!(
                    "a .{other} file is not read as documents; make it .txt, .jsonl, .json or .tsv, or say \
                     what it is with format = \"txt\""
                );
                Err(DataError::Format { format: "text", what, path: name.into() })
            }
            (Format::Auto, _) => Ok(Format::Txt),
            (fixed, _) => Ok(fixed),
        }
    }
}

/// The documents of one file, in order. Blank documents are left out.
pub(crate) fn documents(text: &str, source: &TextSource, given: &str) -> Result<Vec<String>> {
    let mut out = Collected { source, given, documents: Vec::new() };
    match source.format.of(given)? {
        Format::Txt | Format::Auto => {
            // An empty separator would split between any two characters.
            if source.separator.is_empty() {
                out.push(text.trim());
            } else {
                text.split(&source.separator).for_each(|d| out.push(d.trim()));
            }
        }
        Format::Jsonl => {
            for (line, content) in lines(text) {
                if out.enough() {
                    break;
                }
                let place = || format!("line {line}");
                match serde_json::from_str(content) {
                    Ok(value) => out.record("jsonl", place, &value)?,
                    Err(e) => return out.fail("jsonl", &place(), &one_line(&e)),
                }
            }
        }
        Format::Json => out.json(text)?,
        Format::Tsv => {
            for (line, content) in lines(text) {
                if out.enough() {
                    break;
                }
                let Some(cell) = content.split('\t').nth(source.column) else {
                    let what = format!("no column {} (the first is 0)", source.column);
                    return out.fail("tsv", &format!("line {line}"), &what);
                };
                out.push(cell);
            }
        }
    }
    Ok(out.documents)
}

/// Lines that are not blank, numbered from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, l)| !l.trim().is_empty())
}

/// The documents of a file as far as it was read.
struct Collected<'a> {
    source: &'a TextSource,
    given: &'a str,
    documents: Vec<String>,
}

impl Collected<'_> {
    fn enough(&self) -> bool {
        self.source.max_documents.is_some_and(|n| self.documents.len() >= n)
    }

    fn push(&mut self, text: &str) {
        if !text.trim().is_empty() && !self.enough() {
            self.documents.push(self.source.cut(text));
        }
    }

    fn fail<T>(&self, format: &'static str, place: &str, what: &str) -> Result<T> {
        let what = if place.is_empty() { what.to_owned() } else { format!("{place}: {what}") };
        Err(DataError::Format { format, what, path: self.given.into() })
    }

    /// Adds the document of one JSON value.
    fn record(&mut self, format: &'static str, place: impl Fn() -> String, value: &Value) -> Result<()> {
        let field = &self.source.field;
        let fields = match value {
            Value::String(text) => {
                self.push(text);
                return Ok(());
            }
            Value::Object(fields) => fields,
            Value::Array(_) if format == "jsonl" => {
                return self.fail(format, &place(), "a list; format = \"json\" reads lists");
            }
            _ => return self.fail(format, &place(), "neither an object nor a text"),
        };
        if self.source.only.iter().any(|(k, want)| fields.get(k).and_then(Value::as_str) != Some(want)) {
            return Ok(());
        }
        match fields.get(field) {
            Some(Value::String(s)) => self.push(s),
            Some(Value::Array(parts)) if parts.iter().all(Value::is_string) => {
                let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
                self.push(&parts.join("\n"));
            }
            Some(_) => {
                return self.fail(
                    format,
                    &place(),
                    &format!("{field:?} is neither text nor a list of texts"),
                );
            }
            None => {
                let names: Vec<&str> = fields.keys().take(NAMED).map(String::as_str).collect();
                let there = match names.as_slice() {
                    [] => String::new(),
                    some => format!(", only {}; field = \"…\" says which", one_line(&some.join(", "))),
                };
                return self.fail(format, &place(), &format!("no field {field:?}{there}"));
            }
        }
        Ok(())
    }

    /// Adds the documents of a list of JSON values, or of values that follow each other. One value is held
    /// at a time.
    fn json(&mut self, text: &str) -> Result<()> {
        if text.trim_start().starts_with('[') {
            let mut found = Ok(());
            let mut deserializer = serde_json::Deserializer::from_str(text);
            let list = List { out: self, found: &mut found };
            let read = list.deserialize(&mut deserializer).and_then(|()| deserializer.end());
            found?;
            return read.or_else(|e| self.fail("json", "", &one_line(&e)));
        }
        let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        for (number, value) in (1..).zip(values) {
            if self.enough() {
                break;
            }
            match value {
                Ok(value) => self.record("json", || format!("value {number}"), &value)?,
                Err(e) => return self.fail("json", "", &one_line(&e)),
            }
        }
        Ok(())
    }
}

/// Hands the values of a list on, one after the other.
struct List<'a, 'b> {
    out: &'a mut Collected<'b>,
    found: &'a mut Result<()>,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects or texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        let mut number = 0;
        while self.found.is_ok() && !self.out.enough() {
            let Some(value) = items.next_element::<Value>()? else { return Ok(()) };
            number += 1;
            *self.found = self.out.record("json", || format!("item {number}"), &value);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
