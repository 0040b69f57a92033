//! `lobe explain`: what one thing does, where it comes from, and when it fails.

use anyhow::Result;
use lobe_core::LabelSet;
use lobe_data::{RuleConfig, TextSource};
use lobe_lab::exec::DataKeys;
use lobe_lab::recipe::json_schema;
use lobe_methods::localize::with_kinds;
use lobe_methods::{Context, LOCALIZE, Localize, ParamDoc, TrainsOn, params_in, params_of};
use serde_json::{Value, json};

use crate::failure::unknown;
use crate::items::{self, Item};
use crate::table::{columns, wrap};
use crate::{describe, out};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe explain sgtm          a method: its table of routes, its parameters, when it fails
  lobe explain relearn       an attack
  lobe explain gpt           a model
  lobe explain arms          a section of a recipe
  lobe explain recall        every key of this name
  lobe explain sgtm --json")]
pub(crate) struct Args {
    /// A method, attack, measure, stage, kind of data, model, section or key of a recipe
    name: String,
    /// One JSON array on standard output: a name may mean several things
    #[arg(long)]
    json: bool,
}

/// A section or key of a recipe, from the schema.
struct Section {
    name: String,
    doc: String,
    keys: Vec<ParamDoc>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let items = items::all();
    let sections = sections();
    let name = args.name.trim_matches(['[', ']']);
    let found: Vec<&Item> = items.iter().filter(|i| i.name == name).collect();
    let section = sections.iter().find(|s| s.name == name);
    if found.is_empty() && section.is_none() {
        let keys = keys(&items, &sections, name);
        if !keys.is_empty() {
            return show_keys(name, &keys, args.json);
        }
        let names = items.iter().map(|i| i.name).chain(sections.iter().map(|s| s.name.as_str()));
        return Err(unknown("method, stage, measure, data, model or section is called", name, names));
    }
    if args.json {
        let mut all: Vec<Value> = found.iter().map(|i| json_of(i)).collect();
        all.extend(section.map(|s| json!({ "kind": "section", "name": s.name, "summary": s.doc, "params": params_json(&s.keys) })));
        return Ok(out::json(&Value::Array(all))?);
    }
    let width = out::width().min(100);
    let mut parts: Vec<String> = found.iter().map(|i| explain(i, width)).collect();
    parts.extend(section.map(|s| {
        let mut text = format!("{} (section or key of a recipe)\n\n{}", s.name, wrap(&s.doc, width, 0));
        if !s.keys.is_empty() {
            text += &format!("\nKeys\n{}", params(&s.keys, width));
        }
        text
    }));
    Ok(out::print(&parts.join("\n"))?)
}

/// Where a recipe has a key of this name, and what it means there.
fn keys<'a>(items: &'a [Item], sections: &'a [Section], name: &str) -> Vec<(String, &'a ParamDoc)> {
    let of_items = items.iter().map(|i| (format!("{} {}", i.kind, i.name), &i.params));
    let of_sections = sections.iter().map(|s| (format!("[{}]", s.name), &s.keys));
    let all =
        of_sections.chain(of_items).flat_map(|(owner, keys)| keys.iter().map(move |k| (owner.clone(), k)));
    all.filter(|(_, k)| k.name == name).collect()
}

fn show_keys(name: &str, keys: &[(String, &ParamDoc)], as_json: bool) -> Result<()> {
    if as_json {
        let one = |(owner, key): &(String, &ParamDoc)| json!({ "kind": "key", "name": name, "of": owner, "params": params_json(std::slice::from_ref(*key)) });
        return Ok(out::json(&keys.iter().map(one).collect())?);
    }
    let width = out::width().min(100);
    let one = |(owner, key): &(String, &ParamDoc)| {
        format!("{name}, a key of {owner}\n{}", params(std::slice::from_ref(*key), width))
    };
    Ok(out::print(&keys.iter().map(one).collect::<Vec<_>>().join("\n"))?)
}

/// A method with default parameters.
fn method(i: &Item) -> Option<Box<dyn Localize>> {
    let entry = LOCALIZE.iter().find(|e| i.kind == "method" && e.about.name == i.name)?;
    (entry.build)(&json!({})).ok().map(|(method, _)| method)
}

/// What an arm of a method needs and leaves out.
fn needs(method: &dyn Localize, labels: &LabelSet) -> String {
    let mut out = match method.regions() {
        (0, 0) => "Takes no region.".to_owned(),
        (1, 1) => "Takes one region.".to_owned(),
        (few, most) => format!("Takes {few} to {most} regions."),
    };
    match method.trains_on(labels) {
        Ok(TrainsOn::Without(topics)) => {
            let names: Vec<&str> = topics.iter().map(|l| labels.name(*l)).collect();
            out += &format!(" Leaves out data labelled {}.", names.join(", "));
        }
        Ok(TrainsOn::Context(label, _)) => {
            out += &format!(" Tokens of data labelled {} are context, but no targets.", labels.name(label));
        }
        Ok(TrainsOn::All) | Err(_) => {}
    }
    if method.needs_uniform_steps() {
        out += " Needs steps of one label: batches = \"one-class\" in [data].";
    }
    out
}

/// Its table of routes, the regions' names in it, and the labels.
fn table(method: &dyn Localize) -> Option<(lobe_core::RouteTable, Vec<String>, LabelSet)> {
    let labels = LabelSet::default();
    let labels = with_kinds(&labels, &method.kinds(&labels).ok()?);
    let many = method.regions().0 > 1;
    let name = |n| if many { format!("region {}", n + 1) } else { "target region".to_owned() };
    let regions: Vec<String> = (0..method.regions().0).map(name).collect();
    let table = method.table(&Context { labels: &labels, regions: &regions }).ok()?;
    Some((table, regions, labels))
}

fn explain(i: &Item, width: usize) -> String {
    let mut out = format!("{} ({})\n\n{}", i.name, i.kind, wrap(i.summary, width, 0));
    let method = method(i);
    if let Some((table, regions, labels)) = method.as_deref().and_then(table) {
        out += "\nRoutes: forward, backward, update\n";
        out += &describe::indent(&describe::routes(&table, &labels, &regions));
    }
    if let Some(m) = &method {
        out += &format!("\n{}", wrap(&needs(&**m, &LabelSet::default()), width, 0));
    }
    if let Some(a) = i.about {
        for (heading, text) in
            [("Reference", a.reference), ("Unusual here", a.unusual), ("When it fails", a.fails)]
        {
            if !text.is_empty() && text != "—" {
                out += &format!("\n{heading}\n{}", wrap(text, width, 2));
            }
        }
    }
    if !i.params.is_empty() {
        out += &format!("\nParameters\n{}", params(&i.params, width));
    }
    out
}

fn params(list: &[ParamDoc], width: usize) -> String {
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|p| {
            let default = p.default.as_deref().filter(|d| *d != "null").unwrap_or("–");
            vec![p.name.clone(), default.to_owned(), p.kind.clone()]
        })
        .collect();
    let lines = columns(&["name", "default", "type"], &rows, usize::MAX);
    let mut out = String::new();
    for (n, line) in lines.lines().enumerate() {
        out += &format!("  {line}\n");
        if n > 0 && !list[n - 1].doc.is_empty() {
            out += &wrap(&list[n - 1].doc, width, 6);
        }
    }
    out
}

fn params_json(list: &[ParamDoc]) -> Value {
    let value = |d: &String| serde_json::from_str(d).unwrap_or(Value::Null);
    let one = |p: &ParamDoc| json!({ "name": p.name, "type": p.kind, "default": p.default.as_ref().map(value), "doc": p.doc });
    list.iter().map(one).collect()
}

fn json_of(i: &Item) -> Value {
    let mut out = json!({ "kind": i.kind, "name": i.name, "summary": i.summary,
        "reference": i.about.map(|a| a.reference), "unusual": i.about.map(|a| a.unusual),
        "fails": i.about.map(|a| a.fails), "params": params_json(&i.params) });
    if let Some((table, _, labels)) = method(i).as_deref().and_then(table) {
        let rows = table.rows.iter().map(|r| {
            json!({ "label": labels.name(r.label), "target": r.target, "forward": r.route.forward,
                "backward": r.route.backward, "update": r.route.update })
        });
        out["routes"] = rows.collect();
    }
    out
}

/// The sections of a recipe with their keys.
fn sections() -> Vec<Section> {
    let schema = json_schema().to_value();
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let doc = |v: &Value| v.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    let section = |(name, value): (&String, &Value)| {
        // The table behind a list, a map or an optional value.
        let mut refs = Vec::new();
        references(value, &mut refs);
        let tables = refs.iter().filter_map(|r| schema.pointer(&format!("/$defs/{r}")));
        Section {
            name: name.clone(),
            doc: doc(value),
            keys: tables.flat_map(|t| params_in(t, &schema)).collect(),
        }
    };
    let mut out: Vec<Section> = properties.iter().map(section).collect();
    // What every kind of data has, whatever its own keys are.
    if let Some(data) = out.iter_mut().find(|s| s.name == "data") {
        data.keys.extend(params_of::<DataKeys>());
    }
    let beside = [
        (
            "rule",
            "data.forget, data.retain, data.labels.NAME: which examples carry a label",
            params_of::<RuleConfig>(),
        ),
        (
            "source",
            "data.sources of kind = \"text\": where text lies and what it is",
            params_of::<TextSource>(),
        ),
    ];
    out.extend(beside.map(|(name, doc, keys)| Section { name: name.into(), doc: doc.into(), keys }));
    out
}

/// Names of the definitions that a schema refers to.
fn references(v: &Value, out: &mut Vec<String>) {
    match v {
        Value::Object(map) => {
            for (k, v) in map {
                match v.as_str().and_then(|s| s.strip_prefix("#/$defs/")) {
                    Some(name) if k == "$ref" => out.push(name.to_owned()),
                    _ => references(v, out),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|v| references(v, out)),
        _ => {}
    }
}
