//! Text from a file that somebody else may have written.

use serde::{Deserialize, Deserializer};

/// Longest text taken from a file; a name that is longer is cut, not refused.
const LONGEST: usize = 400;
/// Longest text in sentences.
const LONG: usize = 4000;

/// `raw` without control characters and without marks that reorder text: both could make a
/// terminal or a page show something else than what is there.
pub fn readable(raw: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    raw.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()
}

/// [`readable`], and no longer than a name may be.
pub fn clean(raw: &str) -> String {
    let short: String = raw.chars().take(LONGEST).collect();
    readable(&short)
}

/// Text of several lines, at most `most` characters of it, each line [`readable`].
pub fn lines(raw: &str, most: usize) -> String {
    let short: String = raw.chars().take(most).collect();
    short.lines().map(|l| readable(&l.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(clean(&String::deserialize(from)?))
}

pub(crate) fn maybe_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|s| clean(&s)))
}

pub(crate) fn maybe_long<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|s| lines(&s, LONG)))
}

pub(crate) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.iter().map(|s| clean(s)).collect())
}

pub(crate) fn any_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(s) => clean(&s),
        other => clean(&other.to_string()),
    })
}
