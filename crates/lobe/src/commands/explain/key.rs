//! How `lobe explain` shows a key of a recipe: its type, default, an example, what it accepts, and the keys
//! inside of it.

use lobe_lab::recipe::Starts;
use lobe_lab::words::{Found, Step, Word, example_of, tag, value_of};
use lobe_methods::{Choice, ParamDoc};
use serde_json::{Value, json};

use crate::describe::indent;
use crate::out;
use crate::table::wrap;

/// Keys of the same name that mean the same, wherever they stand.
pub(super) fn grouped<'a>(keys: &[Found<'a>]) -> Vec<Vec<Found<'a>>> {
    let mut out: Vec<Vec<Found<'a>>> = Vec::new();
    let same = |a: &ParamDoc, b: &ParamDoc| (&a.kind, &a.default, &a.doc) == (&b.kind, &b.default, &b.doc);
    for found in keys {
        match out.iter_mut().find(|g| same(g[0].key, found.key)) {
            Some(group) => group.push(found.clone()),
            None => out.push(vec![found.clone()]),
        }
    }
    out
}

/// `default 0.001`, `must be given`, or nothing.
fn default(key: &ParamDoc) -> Option<String> {
    match key.default.as_deref() {
        Some("null") => Some("absent by default".to_owned()),
        Some(d) if d.starts_with('{') => None,
        Some(d) => Some(format!("default {d}")),
        None if key.required => Some("must be given".to_owned()),
        None => None,
    }
}

/// One key, or several that mean the same.
pub(super) fn text(group: &[Found<'_>], width: usize) -> String {
    let Some(first) = group.first() else { return String::new() };
    let key = first.key;
    let sort = if first.way.is_empty() { "section or key of a recipe" } else { "key of a recipe" };
    let mut out = format!("{} ({sort})\n\n{}", out::bold(&key.name), wrap(&key.doc, width, 0));
    let places: Vec<String> = group.iter().map(Found::path).collect();
    out += &format!("\n  where    {}", wrap(&places.join(", "), width, 11).trim_start());
    out += &format!("  type     {}", wrap(&key.kind, width, 11).trim_start());
    if let Some(text) = default(key) {
        let text = text.strip_prefix("default ").unwrap_or(&text).to_owned();
        out += &format!("  {}  {text}\n", if key.required { "required" } else { "default " });
    }
    if let Some(example) = example_of(first) {
        out += &format!("\nExample\n{}", indent(&example));
    }
    out += &accepts(key, first, width);
    if !key.keys.is_empty() {
        let place = [&first.way[..], &[Step { key, kind: None }]].concat();
        out += &format!("\nKeys\n{}", list(&key.keys, &place, width));
    }
    out
}

/// The words that a key accepts, or the kinds of tables with their keys.
fn accepts(key: &ParamDoc, found: &Found<'_>, width: usize) -> String {
    if key.choices.is_empty() {
        return String::new();
    }
    let mut out = "\nAccepts\n".to_owned();
    // Sections have dozens of kinds with pages of their own.
    let short = found.way.is_empty();
    for c in &key.choices {
        out += &choice(key, c, short, width);
        if c.is_table && !short {
            let place = [&found.way[..], &[Step { key, kind: Some(c) }]].concat();
            out += &indent(&indent(&list(&c.keys, &place, width.saturating_sub(4))));
        }
    }
    if short && key.choices.iter().any(|c| c.is_table) {
        out += "\n`lobe explain NAME` shows the keys of each.\n";
    }
    out
}

fn choice(key: &ParamDoc, c: &Choice, short: bool, width: usize) -> String {
    let word =
        if c.is_table { format!("{} = {:?}", tag(&key.name), c.name) } else { format!("{:?}", c.name) };
    let column = if short { 34 } else { 24 };
    if c.doc.is_empty() {
        return format!("  {word}\n");
    }
    let text = wrap(&c.doc, width, column);
    // The word stands in the margin of the first line, if there is room.
    if word.chars().count() + 3 < column {
        format!("  {word:<fill$}{}", text.trim_start(), fill = column - 2)
    } else {
        format!("  {word}\n{text}")
    }
}

/// Keys one below the other: an example, type and default, what it means, and the words it accepts.
pub(super) fn list(keys: &[ParamDoc], way: &[Step<'_>], width: usize) -> String {
    let mut out = String::new();
    for key in keys {
        let found = Found { way: way.to_vec(), key };
        let value = value_of(&found).filter(|v| !v.contains('\n'));
        let head = value.map_or_else(|| key.name.clone(), |v| format!("{} = {v}", key.name));
        let kind = std::iter::once(key.kind.clone()).chain(default(key)).collect::<Vec<_>>().join("; ");
        out += &line(&head, &kind, width);
        out += &wrap(&key.doc, width, 6);
        for c in key.choices.iter().filter(|c| !c.doc.is_empty()) {
            let word = if c.is_table {
                format!("{} = {:?}", tag(&key.name), c.name)
            } else {
                format!("{:?}", c.name)
            };
            out += &wrap(&format!("{word}: {}", c.doc), width, 8);
            if !c.keys.is_empty() {
                out += &nested(&c.keys, way, Step { key, kind: Some(c) }, width);
            }
        }
        if !key.keys.is_empty() {
            out += &nested(&key.keys, way, Step { key, kind: None }, width);
        }
    }
    out
}

/// The keys of a table inside of another, further in.
fn nested(keys: &[ParamDoc], way: &[Step<'_>], step: Step<'_>, width: usize) -> String {
    let way = [way, &[step]].concat();
    let text = list(keys, &way, width.saturating_sub(6));
    text.lines().flat_map(|line| ["      ", line, "\n"]).collect()
}

/// The head of a key's entry with its type at the right, or below where there is no room.
fn line(head: &str, kind: &str, width: usize) -> String {
    let bold = out::bold(head);
    let n = head.chars().count();
    if 2 + n + 2 + kind.chars().count() <= width {
        let fill = 30_usize.saturating_sub(n).max(2);
        if 2 + n + fill + kind.chars().count() <= width {
            return format!("  {bold}{}{kind}\n", " ".repeat(fill));
        }
        return format!("  {bold}  {kind}\n");
    }
    format!("  {bold}\n{}", wrap(kind, width, 6))
}

/// Whether a stage trains networks from how they are drawn: its settings stand in `[train]`.
fn trains(stage: &str) -> bool {
    lobe_lab::stages::find(stage).is_some_and(|entry| entry.facts.starts == Starts::Drawn)
}

/// Where a recipe has the keys of a word; their examples may depend on it.
pub(super) fn place_of<'a>(w: &Word, tree: &'a [ParamDoc]) -> Vec<Step<'a>> {
    let inside = |keys: &'a [ParamDoc], table: &str, kind: &str| {
        let key = keys.iter().find(|k| k.name == table)?;
        Some(Step { key, kind: key.choices.iter().find(|c| c.name == kind) })
    };
    let top = |table: &str| inside(tree, table, &w.name);
    let place = match (w.kind, w.name.as_str()) {
        ("optimiser", _) => top("train").map(|s| vec![s]),
        ("stage", name) if trains(name) => top("train").map(|s| vec![s]),
        ("method" | "unlearning", _) => top("arms").map(|s| vec![s]),
        ("removal" | "attack" | "stage", _) => top("stage").map(|s| vec![s]),
        ("data" | "model", _) => top(w.kind).map(|s| vec![s]),
        ("tokenizer", _) => inside(tree, "data", "text")
            .and_then(|data| Some(vec![data, inside(&data.kind?.keys, "tokenizer", &w.name)?])),
        _ => None,
    };
    place.unwrap_or_default()
}

/// For programs.
pub(super) fn json(group: &[Found<'_>]) -> Value {
    let Some(first) = group.first() else { return Value::Null };
    let of: Vec<String> = group.iter().map(Found::path).collect();
    let mut out = param_json(first.key);
    out["kind"] = "key".into();
    out["type"] = first.key.kind.as_str().into();
    out["of"] = of.into();
    out["example"] = example_of(first).into();
    out
}

pub(super) fn params_json(list: &[ParamDoc]) -> Value {
    list.iter().map(param_json).collect()
}

fn param_json(p: &ParamDoc) -> Value {
    let value = |d: &String| serde_json::from_str(d).unwrap_or(Value::Null);
    let choices =
        p.choices.iter().map(|c| json!({ "name": c.name, "doc": c.doc, "keys": params_json(&c.keys) }));
    json!({ "name": p.name, "type": p.kind, "required": p.required, "default": p.default.as_ref().map(value),
        "doc": p.doc, "accepts": choices.collect::<Vec<_>>(), "keys": params_json(&p.keys) })
}
