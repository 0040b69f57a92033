//! An example for every key and every word, as TOML that a recipe accepts.

use lobe_methods::{Choice, ParamDoc};
use serde_json::Value;

use super::keys::{Found, Step, tag};

/// Values of keys whose default says nothing: text, lists, tables, and what is absent or 0 by default. The
/// first part is the end of the key's path, without kinds.
const VALUES: &[(&str, &str)] = &[
];

/// How the words of the catalogue stand in a recipe.
pub(super) fn of_word(kind: &str, name: &str) -> String {
    match (kind, name) {
        ("method", "none" | "filter") => format!("[arms.{name}]\nmethod = \"{name}\"\n"),
        ("method", "modular") => {
            "[arms.modular]\nmethod = \"modular\"\nregion = [\"spanish\", \"french\"]\n\
             restricted = [\"forget\", \"french\"]\n"
                .to_owned()
        }
        ("method", "routes") => {
            "[arms.mine]\nmethod = \"routes\"\nregion = \"spanish\"\n\
             routes = [{ label = \"forget\", target = \"elsewhere\", update = 0 }]\n"
                .to_owned()
        }
        ("method", _) => format!("[arms.{name}]\nmethod = \"{name}\"\nregion = \"spanish\"\n"),
        ("unlearning", "undo") => "[arms.undo]\nmethod = \"undo\"\nfrom   = \"npo\"\n".to_owned(),
        ("unlearning", _) => format!("[arms.{name}]\nmethod = \"{name}\"\nfrom   = \"baseline\"\n"),
        ("attack", "relearn-retain") => format!("[[stage]]\ndo = \"{name}\"\n"),
        ("attack", _) => format!("[[stage]]\ndo    = \"{name}\"\nlabel = \"forget\"\n"),
        ("stage", "load") => {
            "[[stage]]\ndo   = \"load\"\narms = [\"baseline\"]\npath = \"gpt2\"\n".to_owned()
        }
        ("removal" | "stage", _) => format!("[[stage]]\ndo = \"{name}\"\n"),
        ("data", "text") => "[data]\nkind    = \"text\"\nsources = [\n  { path = \"english.txt\", class = \"en\" },\n  \
             { path = \"spanish/\", class = \"es\" },\n]\nforget  = { class = \"es\" }\nretain  = { class = \"en\" }\n"
            .to_owned(),
        ("data", "idx" | "cifar") => format!("[data]\nkind = \"{name}\"\ndir  = \"FOLDER\"\n"),
        ("data" | "model", _) => format!("[{kind}]\nkind = \"{name}\"\n"),
        ("tokenizer", "byte") => "[data]\nkind      = \"text\"\ntokenizer = { kind = \"byte\" }\n".to_owned(),
        ("tokenizer", "bpe") => {
            "[data]\nkind      = \"text\"\ntokenizer = { kind = \"bpe\", vocab = 2048 }\n".to_owned()
        }
        ("tokenizer", "file") => {
            "[data]\nkind      = \"text\"\ntokenizer = { kind = \"file\", path = \"tokenizer.json\" }\n".to_owned()
        }
        ("tokenizer", "gpt2") => "[data]\nkind      = \"text\"\n\
             tokenizer = { kind = \"gpt2\", vocab = \"vocab.json\", merges = \"merges.txt\" }\n"
            .to_owned(),
        _ => String::new(),
    }
}

/// A value that the key accepts, as TOML; `None` where nothing is known that would say more than its type.
pub fn value_of(found: &Found<'_>) -> Option<String> {
    let path = plain_path(found);
    let fits = |end: &str| path == end || path.ends_with(&format!(".{end}"));
    let longest = VALUES.iter().filter(|(end, _)| fits(end)).max_by_key(|(end, _)| end.len());
    longest.map(|(_, value)| (*value).to_owned()).or_else(|| value(found.key))
}

/// The dotted path without kinds.
fn plain_path(found: &Found<'_>) -> String {
    let mut names: Vec<&str> = found.way.iter().map(|s| s.key.name.as_str()).collect();
    names.push(&found.key.name);
    names.join(".")
}

fn value(key: &ParamDoc) -> Option<String> {
    let default = key.default.as_deref().and_then(|d| serde_json::from_str::<Value>(d).ok());
    let default = default.filter(|d| !d.is_null());
    if let Some(c) = key.choices.iter().find(|c| c.is_table) {
        return Some(table(Some((tag(&key.name), c)), &c.keys, None));
    }
    // A word that is not the default says more.
    let other = |c: &&Choice| default.as_ref().and_then(Value::as_str) != Some(&c.name);
    if let Some(c) = key.choices.iter().find(other).or(key.choices.first()) {
        return Some(format!("{:?}", c.name));
    }
    match default {
        Some(Value::Bool(b)) => Some((!b).to_string()),
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::Array(list)) if list.is_empty() => None,
        Some(Value::Object(_)) => None,
        Some(Value::Number(_)) => key.default.clone(),
        Some(other) => Some(toml_of(&other)),
        None if key.kind == "true or false" => Some("true".into()),
        None if !key.keys.is_empty() && key.kind == "table" => Some(table(None, &key.keys, None)),
        None => None,
    }
}

/// A table with the keys it must have, and one more.
fn table(kind: Option<(&str, &Choice)>, keys: &[ParamDoc], more: Option<(&str, &str)>) -> String {
    let mut parts: Vec<String> = kind.iter().map(|(tag, c)| format!("{tag} = {:?}", c.name)).collect();
    let own = more.map(|(name, _)| name);
    let must = keys.iter().filter(|k| k.required && Some(k.name.as_str()) != own);
    parts.extend(must.filter_map(|k| {
        let short = Found { way: Vec::new(), key: k };
        Some(format!("{} = {}", k.name, value_of(&short)?))
    }));
    parts.extend(more.map(|(name, value)| format!("{name} = {value}")));
    if parts.is_empty() { "{}".into() } else { format!("{{ {} }}", parts.join(", ")) }
}

/// JSON as TOML; what has no place in TOML is left out.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().filter(|(_, v)| !v.is_null());
            let entries: Vec<String> = entries.map(|(k, v)| format!("{k} = {}", toml_of(v))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Where a key stands in a recipe, with a value: a few lines of TOML.
pub fn example_of(found: &Found<'_>) -> Option<String> {
    let value = value_of(found)?;
    let Some((outer, inner)) = found.way.split_first() else {
        return Some(top(found.key, &value));
    };
    // From the inside out: each table around the value is written in one line.
    let mut line = (found.key.name.clone(), value);
    for step in inner.iter().rev() {
        let text = around(*step, &line.0, &line.1);
        line = (step.key.name.clone(), text);
    }
    let name = outer.kind.map_or("mine", |c| c.name.as_str());
    let heading = match outer.key.name.as_str() {
        "stage" => "[[stage]]".to_owned(),
        "arms" => format!("[arms.{name}]"),
        other => format!("[{other}]"),
    };
    // A key that every kind has needs some kind beside it.
    let kind = outer.kind.map(|c| c.name.as_str()).or(match (outer.key.name.as_str(), line.0.as_str()) {
        ("data", "kind") | ("arms", "method") | ("stage", "do") => None,
        ("data", _) => Some("bilingual"),
        ("arms", "from") => Some("npo"),
        ("arms", _) => Some("none"),
        ("stage", _) => Some("ablate"),
        _ => None,
    });
    let kind = kind.map_or(String::new(), |c| format!("{} = {c:?}\n", tag(&outer.key.name)));
    Some(format!("{heading}\n{kind}{} = {}\n", line.0, line.1))
}

fn around(step: Step<'_>, name: &str, value: &str) -> String {
    let kind = step.kind.map(|c| (tag(&step.key.name), c));
    let keys = step.kind.map_or(&step.key.keys, |c| &c.keys);
    let table = table(kind, keys, Some((name, value)));
    match step.key.kind.split(' ').next() {
        Some("list") => format!("[{table}]"),
        _ if step.key.kind.ends_with("by name") || step.key.name == "labels" => {
            format!("{{ forget = {table} }}")
        }
        _ => table,
    }
}

/// A key of the recipe itself.
fn top(key: &ParamDoc, value: &str) -> String {
    match key.name.as_str() {
        "data" | "model" | "train" | "unlearn" | "regions" | "arms" | "stage" | "presets" => {
            format!("{}\n", value.trim_end())
        }
        name => format!("{name} = {value}\n"),
    }
}
