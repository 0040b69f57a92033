//! The recipe as a tree of values that remember where they were written, so that presets and
//! `--set` can be merged in and every later error still names its line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::error::{PathError, RecipeError};

/// Largest accepted recipe.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Deepest accepted nesting of tables and lists.
const MAX_DEPTH: usize = 24;
/// Longest accepted key.
const MAX_KEY_BYTES: usize = 200;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// On a line of the file, from 1.
    Line(usize),
    /// In a `--set` argument.
    Set(String),
    /// Not written: a default or a derived value.
    Nowhere,
}

/// A value and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where the key stands (for a list item, where the item stands).
    pub(super) origin: Origin,
    /// The value.
    pub(super) tree: Tree,
}

/// A value of the recipe.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// Text, number or boolean.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A table in the order of the file.
    Table(Vec<(String, Node)>),
}

/// Turns byte offsets into lines.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Lines {
        Lines(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect())
    }
    fn of(&self, offset: usize) -> usize {
        self.0.partition_point(|&newline| newline < offset) + 1
    }
}

/// Parses a whole file.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, RecipeError> {
    if text.len() > MAX_BYTES {
        let message = format!("{} bytes; a recipe has at most {MAX_BYTES}", text.len());
        return Err(RecipeError::file(file, message));
    }
    let lines = Lines::new(text);
    let fail = |e: &toml::de::Error| RecipeError {
        file: file.to_owned(),
        line: e.span().map(|s| lines.of(s.start)),
        path: String::new(),
        message: e.message().to_owned(),
        others: Vec::new(),
    };
    let table = DeTable::parse(text).map_err(|e| fail(&e))?;
    let place = |offset: usize| Origin::Line(lines.of(offset));
    let root = Node { origin: Origin::Nowhere, tree: Tree::Table(Vec::new()) };
    match from_table(table.get_ref(), &place, 0) {
        Ok(tree) => Ok(Node { tree, ..root }),
        Err((offset, message)) => Err(RecipeError {
            file: file.to_owned(),
            line: Some(lines.of(offset)),
            path: String::new(),
            message,
            others: Vec::new(),
        }),
    }
}

/// Parses one value that stands in a `--set` argument, `depth` tables down. A bare word is text.
pub(super) fn parse_set_value(set: &str, text: &str, depth: usize) -> Result<Node, String> {
    if set.len() > MAX_BYTES || depth > MAX_DEPTH {
        return Err("too long".to_owned());
    }
    let origin = Origin::Set(set.to_owned());
    match DeValue::parse(text) {
        Ok(value) => {
            let place = |_: usize| Origin::Set(set.to_owned());
            let tree = from_value(value.get_ref(), 0, &place, depth).map_err(|(_, message)| message)?;
            Ok(Node { origin, tree })
        }
        Err(e) if text.starts_with(['[', '{', '"', '\'']) => Err(e.message().to_owned()),
        Err(_) => Ok(Node { origin, tree: Tree::Scalar(Value::String(text.to_owned())) }),
    }
}

type Refused = (usize, String);

fn from_table(table: &DeTable, place: &dyn Fn(usize) -> Origin, depth: usize) -> Result<Tree, Refused> {
    let mut out = Vec::with_capacity(table.len());
    for (key, value) in table {
        let at = key.span().start;
        let name = key.get_ref();
        if name.is_empty() || name.len() > MAX_KEY_BYTES || name.chars().any(char::is_control) {
            return Err((at, format!("a key is 1 to {MAX_KEY_BYTES} bytes without control characters")));
        }
        let tree = from_value(value.get_ref(), value.span().start, place, depth + 1)?;
        out.push((name.to_string(), Node { origin: place(at), tree }));
    }
    Ok(Tree::Table(out))
}

fn from_value(
    value: &DeValue,
    at: usize,
    place: &dyn Fn(usize) -> Origin,
    depth: usize,
) -> Result<Tree, Refused> {
    if depth > MAX_DEPTH {
        return Err((at, format!("nested deeper than {MAX_DEPTH} levels")));
    }
    let scalar = match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(b) => Value::from(*b),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(i) => Value::from(i),
            Err(_) => return Err((at, format!("{i} does not fit into 64 bits"))),
        },
        DeValue::Float(x) => match x.as_str().parse::<f64>() {
            Ok(x) if x.is_finite() => Value::from(x),
            _ => return Err((at, format!("{x} is not a finite number"))),
        },
        DeValue::Datetime(_) => return Err((at, "a date means nothing in a recipe; quote it".to_owned())),
        DeValue::Array(items) => {
            let node = |item: &toml::Spanned<DeValue>| {
                let at = item.span().start;
                Ok(Node { origin: place(at), tree: from_value(item.get_ref(), at, place, depth + 1)? })
            };
            return Ok(Tree::List(items.iter().map(node).collect::<Result<_, Refused>>()?));
        }
        DeValue::Table(table) => return from_table(table, place, depth),
    };
    Ok(Tree::Scalar(scalar))
}

impl Tree {
    /// `text`, `a whole number`, … for error messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Tree::Scalar(Value::String(_)) => "text",
            Tree::Scalar(Value::Bool(_)) => "true or false",
            Tree::Scalar(Value::Number(n)) if n.is_f64() => "a number",
            Tree::Scalar(_) => "a whole number",
            Tree::List(_) => "a list",
            Tree::Table(_) => "a table",
        }
    }
}

impl Node {
    /// The entry `key` of a table.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.tree {
            Tree::Table(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, n)| n),
            _ => None,
        }
    }

    /// The entries of a table, or an error at `path`.
    pub(super) fn entries(&self, path: &[&str]) -> Result<&[(String, Node)], PathError> {
        match &self.tree {
            Tree::Table(entries) => Ok(entries),
            other => {
                Err(PathError::new("", format!("expected a table, found {}", other.kind())).within(path))
            }
        }
    }

    /// Text at this node, if it is text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Scalar(value) => value.as_str(),
            _ => None,
        }
    }

    /// The plain value.
    pub(super) fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Scalar(value) => value.clone(),
            Tree::List(items) => items.iter().map(Node::to_json).collect(),
            Tree::Table(entries) => {
                Value::Object(entries.iter().map(|(k, n)| (k.clone(), n.to_json())).collect())
            }
        }
    }

    /// The plain table without `skip`.
    pub(super) fn to_map(&self, skip: &[&str]) -> Map<String, Value> {
        let Tree::Table(entries) = &self.tree else { return Map::new() };
        let kept = entries.iter().filter(|(k, _)| !skip.contains(&k.as_str()));
        kept.map(|(k, n)| (k.clone(), n.to_json())).collect()
    }

    fn step(&self, key: &str) -> Option<&Node> {
        match &self.tree {
            Tree::List(items) => items.get(item_at(items, key)?),
            _ => self.get(key),
        }
    }

    /// Where the value at `path` was written, or the innermost table around it.
    pub(super) fn origin(&self, path: &[String]) -> Origin {
        let mut here = self;
        let mut origin = self.origin.clone();
        for key in path {
            let Some(next) = here.step(key) else { break };
            here = next;
            if here.origin != Origin::Nowhere {
                origin = here.origin.clone();
            }
        }
        origin
    }

    /// The path as a person writes it: list items that are tables go by their name.
    pub(super) fn describe(&self, path: &[String]) -> String {
        let mut here = Some(self);
        let mut out = String::new();
        for key in path {
            let names = match here.map(|n| &n.tree) {
                Some(Tree::List(items)) => Some(item_names(items)),
                _ => None,
            };
            here = here.and_then(|n| n.step(key));
            let name = match &names {
                None => key.as_str(),
                Some(names) if names.contains(key) => key.as_str(),
                Some(names) => key.parse().ok().and_then(|i: usize| names.get(i)).map_or("", |n| n),
            };
            if name.is_empty() {
                out.push_str(&format!("[{key}]"));
                continue;
            }
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(name);
        }
        out
    }
}

/// Where an item of a list stands that goes by its number or, being a table, by its name.
fn item_at(items: &[Node], key: &str) -> Option<usize> {
    key.parse().ok().or_else(|| item_names(items).iter().position(|name| name == key))
}

/// The names of the tables of a list: `name`, or else `do` made unique with `-2`, `-3`, …;
/// empty for an item that has neither. Presets, `--set` and directories use these names.
pub(super) fn item_names(items: &[Node]) -> Vec<String> {
    let text = |item: &Node, key: &str| item.get(key).and_then(Node::text).map(str::to_owned);
    let given: Vec<Option<String>> = items.iter().map(|item| text(item, "name")).collect();
    let mut taken: BTreeSet<String> = given.iter().flatten().cloned().collect();
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = Vec::with_capacity(items.len());
    for (item, given) in items.iter().zip(given) {
        let Some(stem) = given.is_none().then(|| text(item, "do")).flatten() else {
            out.push(given.unwrap_or_default());
            continue;
        };
        // The counter per stem keeps a file with thousands of equal items linear.
        let count = next.entry(stem.clone()).or_insert(0);
        let name = loop {
            *count += 1;
            let name = if *count == 1 { stem.clone() } else { format!("{stem}-{count}") };
            if taken.insert(name.clone()) {
                break name;
            }
        };
        out.push(name);
    }
    out
}
