//! `lobe list`: the words that recipes and results use.

use anyhow::Result;
use lobe_lab::words::{self, KINDS};
use serde_json::{Value, json};

use crate::failure::unknown;
use crate::out;
use crate::table::wrap;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe list
  lobe list method
  lobe list --json | jq '.[] | select(.kind == \"attack\") | .name'")]
pub(crate) struct Args {
    /// Only one kind: method, unlearning, removal, attack, locator, treatment, adapter, stage, measure, data, tokenizer, model, optimiser, column or
    /// metric
    kind: Option<String>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut items = words::words();
    if let Some(kind) = &args.kind {
        // "methods" is as good as "method".
        let kind = kind.strip_suffix('s').unwrap_or(kind);
        items.retain(|i| i.kind == kind);
        if items.is_empty() {
            return Err(unknown("kind", args.kind.as_deref().unwrap_or(kind), KINDS.iter().map(|k| k.0)));
        }
    }
    if args.json {
        let value = items.iter().map(|i| {
            json!({ "kind": i.kind, "name": i.name, "summary": i.summary, "reference": i.about.map(|a| a.reference) })
        });
        return Ok(out::json(&Value::Array(value.collect()))?);
    }
    let width = items.iter().map(|i| i.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (kind, heading) in KINDS {
        let of_kind: Vec<_> = items.iter().filter(|i| i.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        text += &format!("{}\n", out::bold(heading));
        for i in of_kind {
            // In a pipe a line is a word; on a terminal it has to fit.
            let room = if out::is_terminal() { out::width() } else { usize::MAX };
            let summary = wrap(&i.summary, room, width + 4);
            text += &format!("  {:width$}  {}", i.name, summary.trim_start());
        }
        text.push('\n');
    }
    text += "`lobe explain NAME` says more about each of them, and about every key of a recipe.\n";
    Ok(out::print(&text)?)
}
