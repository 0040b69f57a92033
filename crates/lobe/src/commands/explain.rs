//! `lobe explain`: what one word means, where it comes from, what it accepts, and when it fails.

mod key;
mod method;

use anyhow::Result;
use lobe_lab::words::{self, Word};
use lobe_methods::ParamDoc;
use serde_json::{Value, json};

use crate::out;
use crate::table::wrap;
use crate::unknown::nearest_few;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe explain sgtm                  a method: its table of routes, its parameters, when it fails
  lobe explain relearn               an attack
  lobe explain bpe                   a tokenizer
  lobe explain train                 a section of a recipe, and the stage of the same name
  lobe explain data.tokenizer.kind   one key
  lobe explain recall                every key of this name
  lobe explain steps_to_baseline     a metric of results.csv
  lobe explain sgtm --json")]
pub(crate) struct Args {
    /// A method, attack, measure, stage, optimiser, kind of data, tokenizer, model, section or key of a
    /// recipe, column or metric of results.csv
    name: String,
    /// Print one JSON array: a name may mean several things
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let name = args.name.trim_matches(['[', ']', '"', '`']);
    let words: Vec<Word> = words::words().into_iter().filter(|w| w.name == name).collect();
    let tree = words::recipe_keys();
    let keys = if name.contains('.') { words::find(&tree, name) } else { words::find_anywhere(&tree, name) };
    let metric = words::metric(name).filter(|_| !words.iter().any(|w| w.kind == "metric"));
    if words.is_empty() && keys.is_empty() && metric.is_none() {
        return Err(nearest_few(name));
    }
    if args.json {
        let mut all: Vec<Value> = words.iter().map(json_of).collect();
        all.extend(key::grouped(&keys).iter().map(|group| key::json(group)));
        all.extend(metric.map(|m| {
            json!({ "kind": "metric", "name": m.name, "unit": m.unit, "better": m.better, "summary": m.about })
        }));
        return Ok(out::json(&Value::Array(all))?);
    }
    let width = out::width().min(100);
    let mut parts: Vec<String> = words.iter().map(|w| word(w, &tree, width)).collect();
    // A section before keys that happen to have its name.
    parts.extend(key::grouped(&keys).iter().map(|group| key::text(group, width)));
    parts.extend(metric.map(|m| entry(&m.name, "metric", &with_unit(&m.about, &m.unit), width)));
    Ok(out::print(&parts.join("\n"))?)
}

fn with_unit(meaning: &str, unit: &str) -> String {
    format!("{meaning}. Unit: {unit}")
}

/// The heading of an entry and what it is, as a sentence.
fn entry(name: &str, kind: &str, summary: &str, width: usize) -> String {
    let text = format!("{}{}", sentence(summary), if summary.ends_with(['.', '!', '?']) { "" } else { "." });
    format!("{} ({kind})\n\n{}", out::bold(name), wrap(&text, width, 0))
}

/// With a capital letter, unless the first word is a name or a symbol.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if first.is_ascii_lowercase() && !second.is_ascii_uppercase() => {
            first.to_uppercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

fn word(w: &Word, tree: &[ParamDoc], width: usize) -> String {
    let summary = match (w.kind, words::metric(&w.name)) {
        ("metric", Some(m)) => with_unit(&m.about, &m.unit),
        _ => w.summary.clone(),
    };
    let mut out = entry(&w.name, w.kind, &summary, width);
    if !w.example.is_empty() {
        out += &format!("\nExample\n{}", crate::describe::indent(&w.example));
    }
    out += &method::text(w, width);
    if let Some(a) = w.about {
        for (heading, text) in
            [("Reference", a.reference), ("Unusual here", a.unusual), ("When it fails", a.fails)]
        {
            if !text.is_empty() && text != "—" {
                out += &format!("\n{heading}\n{}", wrap(text, width, 2));
            }
        }
    }
    if !w.params.is_empty() {
        let heading = if w.about.is_some() { "Parameters" } else { "Keys" };
        out += &format!("\n{heading}\n{}", key::list(&w.params, &key::place_of(w, tree), width));
    }
    out
}

fn json_of(w: &Word) -> Value {
    let mut out = json!({ "kind": w.kind, "name": w.name, "summary": w.summary, "example": w.example,
        "reference": w.about.map(|a| a.reference), "unusual": w.about.map(|a| a.unusual),
        "fails": w.about.map(|a| a.fails), "params": key::params_json(&w.params) });
    if let Some(m) = words::metric(&w.name).filter(|_| w.kind == "metric") {
        out["unit"] = m.unit.into();
        out["better"] = json!(m.better);
    }
    if let Some(routes) = method::json(w) {
        out["routes"] = routes;
    }
    out
}
