//! Which ids begin and end a text: what the files beside a `tokenizer.json` say, what it says itself,
//! and only then a name that is usual. Nothing is ever added to a vocabulary.

use std::fmt;

use serde_json::Value;

use super::words::END;

/// A token that begins or ends a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub text: String,
    /// Where it was found: a file, or in words.
    pub from: &'static str,
}

/// What begins and what ends a text. Often the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// Put before a text.
    pub begin: Mark,
    /// Put after it.
    pub end: Mark,
}

impl Marks {
    /// The same mark on both sides.
    pub(super) fn one(id: u32, text: &str, from: &'static str) -> Marks {
        let mark = Mark { id, text: text.to_owned(), from };
        Marks { begin: mark.clone(), end: mark }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (id {}, {})", self.text, self.id, self.from)
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.begin.id == self.end.id {
            write!(f, "texts begin and end with {}", self.end)
        } else {
            write!(f, "texts begin with {} and end with {}", self.begin, self.end)
        }
    }
}

/// Files that may lie beside a `tokenizer.json` and name marks, in the order they count.
pub(super) const BESIDE: [&str; 4] =
    ["tokenizer_config.json", "special_tokens_map.json", "config.json", "generation_config.json"];

/// What a tokenizer is asked while marks are looked for.
pub(super) trait Vocabulary {
    /// The id of a token.
    fn id(&self, text: &str) -> Option<u32>;
    /// The text of a token that was added as a special one.
    fn special(&self, id: u32) -> Option<String>;
}

/// Finds the marks. `own` is the content of `tokenizer.json`, `beside` that of the files beside it
/// by name. `None` where nothing names one: then texts have none.
pub(super) fn find(v: &dyn Vocabulary, own: &Value, beside: &[(&'static str, Value)]) -> Option<Marks> {
    let begins = ["<s>", "<|begin_of_text|>", "<bos>", "<|bos|>", "[BOS]"];
    let ends = [END, "</s>", "<|end_of_text|>", "<eos>", "<|eos|>", "[EOS]"];
    let begin = mark(v, "bos_token", beside)
        .or_else(|| template(v, own, true))
        .or_else(|| by_id(v, "bos_token_id", beside))
        .or_else(|| usual(v, &begins));
    let end = mark(v, "eos_token", beside)
        .or_else(|| template(v, own, false))
        .or_else(|| by_id(v, "eos_token_id", beside))
        .or_else(|| usual(v, &ends));
    // Where one is missing the other stands on both sides: texts must not run into each other.
    let (begin, end) = (begin.clone().or_else(|| end.clone())?, end.or(begin)?);
    Some(Marks { begin, end })
}

/// A mark that a file names by its text, as a string or as a table.
fn mark(v: &dyn Vocabulary, key: &str, beside: &[(&'static str, Value)]) -> Option<Mark> {
    beside.iter().find_map(|(from, value)| {
        let named = value.get(key)?;
        let text = named.as_str().or_else(|| named.get("content")?.as_str())?;
        Some(Mark { id: v.id(text)?, text: text.to_owned(), from })
    })
}

/// A mark that a model's configuration names by its id. Configurations often keep the ids of some
/// other vocabulary, so only a special token counts.
fn by_id(v: &dyn Vocabulary, key: &str, beside: &[(&'static str, Value)]) -> Option<Mark> {
    beside.iter().find_map(|(from, value)| {
        let ids = value.get(key)?;
        let one = std::slice::from_ref(ids);
        let ids = ids.as_array().map_or(one, Vec::as_slice);
        ids.iter().find_map(|id| {
            let id = u32::try_from(id.as_u64()?).ok()?;
            Some(Mark { id, text: v.special(id)?, from })
        })
    })
}

/// What the post-processor puts first or last around a text.
fn template(v: &dyn Vocabulary, own: &Value, first: bool) -> Option<Mark> {
    let pieces = templated(own.get("post_processor")?)?;
    let piece = if first { pieces.first() } else { pieces.last() };
    let text = piece?.get("SpecialToken")?.get("id")?.as_str()?;
    Some(Mark { id: v.id(text)?, text: text.to_owned(), from: "tokenizer.json" })
}

/// The pieces of the template for one text, in a post-processor or in a sequence of them.
fn templated(processor: &Value) -> Option<&Vec<Value>> {
    match processor.get("type")?.as_str()? {
        "TemplateProcessing" => processor.get("single")?.as_array(),
        "Sequence" => processor.get("processors")?.as_array()?.iter().find_map(templated),
        _ => None,
    }
}

/// A mark under a name that many vocabularies have.
fn usual(v: &dyn Vocabulary, names: &[&str]) -> Option<Mark> {
    let found = names.iter().find_map(|name| Some((v.id(name)?, *name)));
    found.map(|(id, text)| Mark { id, text: text.to_owned(), from: "by its name" })
}
