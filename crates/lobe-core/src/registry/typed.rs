//! Deserialising a section with errors in the recipe's own words.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::did_you_mean;

/// Reads `value` as a `T`.
///
/// # Errors
/// If the value does not fit the type: the path inside of `value`, and what was expected. For an unknown key
/// or choice the nearest valid one is named.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, (Vec<String>, String)> {
    // Each `T` has its own reader, once; everything else is the same for all.
    let read = |value: &Value| serde_path_to_error::deserialize::<_, T>(value).map_err(said);
    read(value).map_err(|(path, raw)| explained(value, path, &raw, &|asked| read(asked).err().map(|e| e.1)))
}

/// Where serde stopped, and its message.
fn said(e: serde_path_to_error::Error<serde_json::Error>) -> (Vec<String>, String) {
    (e.path().iter().filter_map(segment).collect(), e.into_inner().to_string())
}

/// The whole way, and the message in words; `asks` reads another value as the same type and gives the message.
fn explained(
    value: &Value,
    mut path: Vec<String>,
    raw: &str,
    asks: &dyn Fn(&Value) -> Option<String>,
) -> (Vec<String>, String) {
    if let Some(key) = unknown(raw, "unknown field").map(|(key, _)| key)
        && path.last() != Some(&key)
    {
        // A tagged enum hides the way to its fields: the key itself shows it.
        let here = path.iter().try_fold(value, |v, key| step(v, key)).unwrap_or(value);
        path.extend(way_to(here, &key).unwrap_or_else(|| vec![key]));
    }
    let message = kinds(value, &path, raw, asks).unwrap_or_else(|| in_words(raw));
    (path, message)
}

/// A struct of parameters with every default, as it is saved.
///
/// # Errors
/// If JSON cannot say it.
pub fn full<T: Serialize>(params: &T) -> Result<Value, serde_json::Error> {
    // Through text: a narrow float then has its own shortest digits and not those of its f64.
    serde_json::from_str(&serde_json::to_string(params)?)
}

/// Where a table with a kind was expected and something else found: which kinds there are. Serde names
/// them only when it meets a wrong one, so it is given one.
fn kinds(
    value: &Value,
    path: &[String],
    raw: &str,
    asks: &dyn Fn(&Value) -> Option<String>,
) -> Option<String> {
    let found = raw.strip_prefix("invalid type: ")?.split_once(", expected internally tagged enum")?.0;
    let mut asked = value.clone();
    let place = path.iter().try_fold(&mut asked, |v, key| match v {
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        other => other.get_mut(key),
    })?;
    *place = serde_json::json!({ "kind": "" });
    let (_, kinds) = unknown(&asks(&asked)?, "unknown variant")?;
    let first = kinds.iter().find(|k| found == format!("string {k:?}")).or(kinds.first())?;
    let all = kinds.join(", ");
    Some(format!("expected a table {{ kind = {first:?}, … }}, found {}; kinds: {all}", plain_found(found)))
}

fn step<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    }
}

/// The keys that lead to the first table that has `key`.
fn way_to(value: &Value, key: &str) -> Option<Vec<String>> {
    let entries: Vec<(String, &Value)> = match value {
        Value::Object(map) if map.contains_key(key) => return Some(vec![key.to_owned()]),
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), v)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => return None,
    };
    entries.into_iter().find_map(|(name, inner)| {
        let mut way = way_to(inner, key)?;
        way.insert(0, name);
        Some(way)
    })
}

fn segment(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Rewrites serde's message: no type names of Rust, and a suggestion.
fn in_words(raw: &str) -> String {
    if let Some((key, valid)) = unknown(raw, "unknown field") {
        let valid: Vec<&str> = valid.iter().map(String::as_str).collect();
        return format!("unknown key{}", did_you_mean(&key, valid.iter().copied()));
    }
    if let Some((word, valid)) = unknown(raw, "unknown variant") {
        let valid: Vec<&str> = valid.iter().map(String::as_str).collect();
        return format!("unknown choice {word:?}{}", did_you_mean(&word, valid.iter().copied()));
    }
    if let Some(key) = between_ticks(raw.strip_prefix("missing field ").unwrap_or_default()).first() {
        return format!("the key {key:?} is missing");
    }
    let Some(rest) = raw.strip_prefix("invalid type: ").or_else(|| raw.strip_prefix("invalid value: "))
    else {
        return raw.to_owned();
    };
    match rest.rsplit_once(", expected ") {
        Some((found, expected)) => format!("expected {}, found {}", plain_type(expected), plain_found(found)),
        None => raw.to_owned(),
    }
}

fn plain_type(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, zero or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "string or map" => "text",
        "a map" => "a table",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("internally tagged enum ") => "a table { kind = \"…\", … }",
        other => other,
    }
}

fn plain_found(found: &str) -> &str {
    let (kind, value) = found.split_once(' ').unwrap_or((found, ""));
    match kind {
        "string" => value,
        "integer" | "boolean" => value.trim_matches('`'),
        "floating" => value.trim_start_matches("point ").trim_matches('`'),
        "sequence" => "a list",
        "map" => "a table",
        _ => found,
    }
}

/// ``unknown field `x`, expected one of `a`, `b` `` → (`x`, [`a`, `b`]).
fn unknown(raw: &str, start: &str) -> Option<(String, Vec<String>)> {
    // The name is what the recipe says and may itself hold a tick: split at serde's own words.
    let rest = raw.strip_prefix(start)?.strip_prefix(" `")?;
    let cut = rest.rfind("`, expected ").or_else(|| rest.rfind("`, there are no "))?;
    Some((rest[..cut].to_owned(), between_ticks(&rest[cut + 1..])))
}

fn between_ticks(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn check(raw: &str, words: &str) {
        assert_eq!(in_words(raw), words);
    }

    #[test]
    fn messages_speak_of_recipes_not_of_rust() {
        check("unknown field `stpes`, expected one of `steps`, `lr`", "unknown key; did you mean \"steps\"?");
        check("unknown field `a`b`, expected `zz`", "unknown key; valid: zz");
        check("unknown field `x`, there are no fields", "unknown key");
        check(
            "unknown variant `adan`, expected one of `sgd`, `adam`",
            "unknown choice \"adan\"; did you mean \"adam\"?",
        );
        check("missing field `kind`", "the key \"kind\" is missing");
        check("invalid type: string \"abc\", expected f64", "expected a number, found \"abc\"");
        check("invalid value: integer `-3`, expected u64", "expected a whole number, zero or more, found -3");
        check(
            "invalid type: floating point `1.5`, expected u64",
            "expected a whole number, zero or more, found 1.5",
        );
        check("invalid type: sequence, expected a string", "expected text, found a list");
        check("something else", "something else");
    }

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        parts: Vec<Part>,
        eps: f32,
    }

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
    enum Part {
        Wide { width: u32 },
    }

    #[test]
    fn a_key_inside_of_a_tagged_enum_is_found() {
        let value =
            json!({"eps": 1e-5, "parts": [{"kind": "wide", "width": 2}, {"kind": "wide", "widht": 1}]});
        let error = typed::<Outer>(&value).unwrap_err();
        let words = |path: &[&str], message: &str| {
            (path.iter().map(ToString::to_string).collect::<Vec<_>>(), message.to_owned())
        };
        assert_eq!(error, words(&["parts", "1", "widht"], "unknown key; did you mean \"width\"?"));
        let error = typed::<Outer>(&json!({"eps": 1e-5, "parts": ["wide"]})).unwrap_err();
        let kinds = "expected a table { kind = \"wide\", … }, found \"wide\"; kinds: wide";
        assert_eq!(error, words(&["parts", "0"], kinds));
    }

    #[test]
    fn narrow_floats_keep_their_digits() {
        let value = json!({"eps": 1e-5, "parts": []});
        let read = typed::<Outer>(&value).unwrap();
        assert_eq!((read.eps, full(&read).unwrap()["eps"].as_f64()), (1e-5, Some(1e-5)));
    }
}
