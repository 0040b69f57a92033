//! Everything that is wrong with a recipe and can be seen without the rest of it.
//!
//! Resolving stops at the first error, because what follows may only be its echo. What is wrong in one
//! table does not depend on another: unknown keys, words and values out of range are found in all of
//! them at once.

use lobe_core::{Region, did_you_mean};
use serde_json::Value;

use super::arms;
use super::callbacks::Callbacks;
use super::error::PathError;
use super::resolve::KEYS;
use super::stages;
use super::train::Train;
use super::tree::{Node, Tree};

/// Most errors of one table: after so many it is another kind of table.
const MOST: usize = 10;

/// One error or more for each table that is wrong on its own.
pub(super) fn every(root: &Node, callbacks: &Callbacks<'_>) -> Vec<PathError> {
    let mut out = Vec::new();
    let Tree::Table(entries) = &root.tree else { return out };
    for (key, node) in entries {
        match key.as_str() {
            "data" => out.extend(within(&["data"], kind(node, callbacks.data))),
            "model" => out.extend(within(&["model"], kind(node, callbacks.model))),
            "train" | "unlearn" => out.extend(within(&[key], all(&node.to_json(), &Train::read))),
            "regions" => out.extend(within(&["regions"], regions(node))),
            "arms" => each(node, |name, node| out.extend(within(&["arms", name], arm(node, callbacks)))),
            "stage" => each(node, |at, node| out.extend(within(&["stage", at], stage(node, callbacks)))),
            known if KEYS.contains(&known) => {}
            _ => {
                let message =
                    format!("unknown key{}", did_you_mean(key, KEYS.into_iter().chain(["presets"])));
                out.push(PathError::new("", message).within(&[key]));
            }
        }
    }
    out
}

fn within(path: &[&str], errors: Vec<PathError>) -> Vec<PathError> {
    errors.into_iter().map(|e| e.within(path)).collect()
}

/// The entries of a table by name, the items of a list by number.
fn each(node: &Node, mut f: impl FnMut(&str, &Node)) {
    match &node.tree {
        Tree::Table(entries) => entries.iter().for_each(|(name, node)| f(name, node)),
        Tree::List(items) => items.iter().enumerate().for_each(|(i, node)| f(&i.to_string(), node)),
        Tree::Scalar(_) => {}
    }
}

/// What `read` refuses in a table: every unknown key, and the first error of another sort.
fn all<T>(table: &Value, read: &dyn Fn(&Value) -> Result<T, PathError>) -> Vec<PathError> {
    let mut table = table.clone();
    let mut out = Vec::new();
    while let Err(e) = read(&table) {
        let again = e.message.starts_with("unknown key") && remove(&mut table, &e.path);
        out.push(e);
        if !again || out.len() == MOST {
            break;
        }
    }
    out
}

fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((last, way)) = path.split_last() else { return false };
    let place = way.iter().try_fold(value, |v, key| match v {
        Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
        other => other.get_mut(key),
    });
    place.and_then(Value::as_object_mut).is_some_and(|table| table.remove(last).is_some())
}

/// `[data]` and `[model]`.
fn kind(node: &Node, read: &dyn Fn(&str, &Value) -> Result<Value, PathError>) -> Vec<PathError> {
    let Some(kind) = node.get("kind").and_then(Node::text) else { return Vec::new() };
    all(&Value::Object(node.to_map(&["kind"])), &|rest| read(kind, rest))
}

fn arm(node: &Node, callbacks: &Callbacks<'_>) -> Vec<PathError> {
    let Some(method) = node.get("method").and_then(Node::text) else { return Vec::new() };
    let rest = Value::Object(node.to_map(&arms::KEYS));
    let mut out = all(&rest, &|rest| (callbacks.method)(method, rest));
    if let Some(train) = node.get("train") {
        out.extend(within(&["train"], all(&train.to_json(), &Train::read_changes)));
    }
    out
}

fn stage(node: &Node, callbacks: &Callbacks<'_>) -> Vec<PathError> {
    let Some(does) = node.get("do").and_then(Node::text) else { return Vec::new() };
    let rest = Value::Object(node.to_map(&stages::STAGE_KEYS));
    all(&rest, &|rest| (callbacks.stage)(does, rest))
}

fn regions(node: &Node) -> Vec<PathError> {
    let mut out = Vec::new();
    each(node, |name, node| {
        if let Some(Err(e)) = node.text().map(str::parse::<Region>) {
            let message = e.to_string();
            let message = message.strip_prefix("region: ").unwrap_or(&message);
            out.push(PathError::new("", message).within(&[name]));
        }
    });
    out
}
