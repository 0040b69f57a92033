//! The keys of a recipe as one tree, and how to find one by its dotted name or by its last part.

use lobe_data::{RuleConfig, SOURCES};
use lobe_methods::{About, Choice, ParamDoc, catalogue, params_in, params_of};
use lobe_nets::{NETWORKS, NetworkEntry};
use serde_json::Value;

use super::own_stage as own;
use crate::plan::{DataKeys, Objective};
use crate::recipe::{Starts, Train, json_schema};

/// Deepest search.
const MAX_DEPTH: usize = 12;

/// A key on the way to another, and which kind of its tables the way leads through.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The key.
    pub key: &'a ParamDoc,
    /// The kind of table, where there are several.
    pub kind: Option<&'a Choice>,
}

/// A key, and where a recipe has it.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// The tables around it, from the outside.
    pub way: Vec<Step<'a>>,
    /// The key.
    pub key: &'a ParamDoc,
}

impl<'a> Found<'a> {
    fn new(way: &[Step<'a>], key: &'a ParamDoc) -> Found<'a> {
        Found { way: way.to_vec(), key }
    }

    /// Its dotted path; a table of a certain kind is written `data (kind = "text")`.
    pub fn path(&self) -> String {
        let mut out = String::new();
        for step in &self.way {
            out += &step.key.name;
            if let Some(kind) = step.kind {
                out += &format!(" ({} = {:?})", tag(&step.key.name), kind.name);
            }
            out.push('.');
        }
        out + &self.key.name
    }
}

/// The keys of [train] that every optimiser has, with the optimisers as choices of `optimiser`.
pub(super) fn of_train() -> Vec<ParamDoc> {
    let mut out = params_of::<Train>();
    for key in out.iter_mut().filter(|k| k.name == "optimiser") {
        let all = optimisers();
        key.kind = all.iter().map(|c| format!("{:?}", c.name)).collect::<Vec<_>>().join(" | ");
        let word = |c: Choice| Choice { doc: format!("{}.", c.doc), keys: Vec::new(), is_table: false, ..c };
        key.choices = all.into_iter().map(word).collect();
    }
    out
}

/// The optimisers, each with its own keys of [train].
fn optimisers() -> Vec<Choice> {
    of_catalogue(&["optimiser"])
}

/// The kinds of networks: what they are, and their keys.
pub(super) fn models() -> Vec<(&'static About, Vec<ParamDoc>)> {
    let of = |e: &NetworkEntry| {
        let mut keys = (e.params)();
        if !e.reads_text {
            let schema = schemars::schema_for!(Objective).to_value();
            keys.push(table("objective", "What it minimises.", params_of::<Objective>(), schema));
        }
        (e.about, keys)
    };
    NETWORKS.iter().map(of).collect()
}

fn table(name: &str, doc: &str, keys: Vec<ParamDoc>, schema: Value) -> ParamDoc {
    ParamDoc {
        name: name.into(),
        kind: "table".into(),
        default: None,
        required: false,
        doc: doc.into(),
        choices: Vec::new(),
        keys,
        schema,
    }
}

fn choice(name: &str, doc: &str, keys: Vec<ParamDoc>) -> Choice {
    Choice { name: name.into(), doc: doc.into(), keys, is_table: true }
}

/// All keys of a recipe, from the top.
pub fn recipe_keys() -> Vec<ParamDoc> {
    let schema = json_schema().to_value();
    let mut out = params_in(&schema, &schema);
    for key in &mut out {
        match key.name.as_str() {
            "data" => {
                key.keys.extend(params_of::<DataKeys>());
                key.choices = SOURCES.iter().map(|s| choice(s.kind, s.summary, (s.params)())).collect();
            }
            "model" => {
                key.choices = models()
                    .into_iter()
                    .map(|(about, keys)| choice(about.name, about.summary, keys))
                    .collect();
            }
            "train" | "unlearn" => (key.keys, key.choices) = (of_train(), optimisers()),
            "arms" => {
                for own in &mut key.keys {
                    match own.name.as_str() {
                        "labels" => own.keys = params_of::<RuleConfig>(),
                        "train" => (own.keys, own.choices) = (of_train(), optimisers()),
                        _ => {}
                    }
                }
                key.choices = of_catalogue(&["method", "unlearning"]);
                // A parameter called like a key of every arm cannot be written.
                for c in &mut key.choices {
                    c.keys.retain(|k| key.keys.iter().all(|own| own.name != k.name));
                }
            }
            "stage" => {
                key.choices = of_catalogue(&["removal", "attack"]);
                // The keys that `train` and `unlearn` follow are those of [train] and [unlearn].
                for entry in crate::stages::every().iter().filter(|e| own(e.about)) {
                    let keys =
                        if entry.facts.starts == Starts::Drawn { Vec::new() } else { (entry.params)() };
                    key.choices.push(choice(entry.about.name, entry.about.summary, keys));
                }
            }
            _ => {}
        }
    }
    out
}

fn of_catalogue(kinds: &[&str]) -> Vec<Choice> {
    let all = catalogue().into_iter().filter(|(kind, ..)| kinds.contains(kind));
    all.map(|(_, about, keys)| choice(about.name, about.summary, keys)).collect()
}

/// The key that says which kind a table is: `do` for stages, `method` for arms, `optimiser` for training, else
/// `kind`.
pub fn tag(name: &str) -> &'static str {
    match name {
        "stage" => "do",
        "arms" => "method",
        "train" | "unlearn" => "optimiser",
        _ => "kind",
    }
}

/// The keys that a dotted path leads to; names that a recipe gives (of an arm, a label, a preset) are
/// stepped over: `arms.sgtm.region`, `stage.relearn.steps`, `data.tokenizer.vocab`.
pub fn find<'a>(keys: &'a [ParamDoc], dotted: &str) -> Vec<Found<'a>> {
    let parts: Vec<&str> = dotted.split('.').collect();
    // What a preset may hold is what the recipe may hold.
    let parts = match parts.as_slice() {
        ["presets", _, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    let mut out = Vec::new();
    walk(keys, parts, &mut Vec::new(), &mut out);
    out
}

fn walk<'a>(keys: &'a [ParamDoc], parts: &[&str], way: &mut Vec<Step<'a>>, out: &mut Vec<Found<'a>>) {
    let Some((first, rest)) = parts.split_first() else { return };
    for key in keys.iter().filter(|k| k.name == *first) {
        if rest.is_empty() {
            out.push(Found::new(way, key));
        } else if way.len() < MAX_DEPTH {
            inside(key, rest, way, out);
        }
    }
}

fn inside<'a>(key: &'a ParamDoc, parts: &[&str], way: &mut Vec<Step<'a>>, out: &mut Vec<Found<'a>>) {
    let before = out.len();
    let mut step = |kind, keys, parts: &[&str], out: &mut Vec<Found<'a>>| {
        way.push(Step { key, kind });
        walk(keys, parts, way, out);
        way.pop();
    };
    step(None, &key.keys, parts, out);
    let tables = || key.choices.iter().filter(|c| c.is_table);
    for c in tables() {
        step(Some(c), &c.keys, parts, out);
    }
    let [name, rest @ ..] = parts else { return };
    for c in tables().filter(|c| c.name == *name) {
        step(Some(c), &c.keys, rest, out);
    }
    if out.len() > before {
        return;
    }
    if rest.is_empty() && tables().count() > 0 && *name == tag(&key.name) {
        // `kind` alone is the key itself, which lists its kinds.
        out.push(Found::new(way, key));
    } else if !rest.is_empty() {
        inside(key, rest, way, out);
    }
}

/// Every key of this name, wherever it stands.
pub fn find_anywhere<'a>(keys: &'a [ParamDoc], name: &str) -> Vec<Found<'a>> {
    every_key(keys).into_iter().filter(|f| f.key.name == name).collect()
}

/// Every key of a recipe.
pub fn every_key(keys: &[ParamDoc]) -> Vec<Found<'_>> {
    let mut out = Vec::new();
    visit(keys, &mut Vec::new(), &mut out);
    out
}

fn visit<'a>(keys: &'a [ParamDoc], way: &mut Vec<Step<'a>>, out: &mut Vec<Found<'a>>) {
    if way.len() > MAX_DEPTH {
        return;
    }
    for key in keys {
        out.push(Found::new(way, key));
        way.push(Step { key, kind: None });
        visit(&key.keys, way, out);
        way.pop();
        for c in key.choices.iter().filter(|c| c.is_table) {
            way.push(Step { key, kind: Some(c) });
            visit(&c.keys, way, out);
            way.pop();
        }
    }
}
