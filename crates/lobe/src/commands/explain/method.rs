//! What `lobe explain` says of a localisation method beside its words: its routes and what an arm needs.

use lobe_core::{LabelSet, RouteTable};
use lobe_lab::words::Word;
use lobe_methods::localize::with_kinds;
use lobe_methods::{Context, LOCALIZE, Localize, TrainsOn};
use serde_json::{Value, json};

use crate::describe;
use crate::table::wrap;

/// The method with default parameters.
fn of(w: &Word) -> Option<Box<dyn Localize>> {
    let entry = LOCALIZE.iter().find(|e| w.kind == "method" && e.about.name == w.name)?;
    (entry.build)(&json!({})).ok().map(|(method, _)| method)
}

/// What an arm of a method needs and leaves out.
fn needs(method: &dyn Localize, labels: &LabelSet) -> String {
    let mut out = match method.regions() {
        (0, 0) => "Takes no region.".to_owned(),
        (1, 1) => "Takes one region.".to_owned(),
        (few, most) if few == most => format!("Takes {few} regions."),
        (few, most) => format!("Takes {few} to {most} regions."),
    };
    match method.trains_on(labels) {
        Ok(TrainsOn::Without(topics)) => {
            let names: Vec<&str> = topics.iter().map(|l| labels.name(*l)).collect();
            out += &format!(" Does not train on data labelled {}.", names.join(", "));
        }
        Ok(TrainsOn::Context(label, _)) => {
            out += &format!(" Tokens of data labelled {} are context, never targets.", labels.name(label));
        }
        Ok(TrainsOn::All) | Err(_) => {}
    }
    if method.needs_uniform_steps() {
        out += " Needs one label per optimiser step: batches = \"one-class\" in [data].";
    }
    out
}

/// Its table of routes, the regions' names in it, and the labels.
fn table(method: &dyn Localize) -> Option<(RouteTable, Vec<String>, LabelSet)> {
    let labels = LabelSet::default();
    let labels = with_kinds(&labels, &method.kinds(&labels).ok()?);
    let many = method.regions().0 > 1;
    let name = |n| if many { format!("region {}", n + 1) } else { "target region".to_owned() };
    let regions: Vec<String> = (0..method.regions().0).map(name).collect();
    let table = method.table(&Context { labels: &labels, regions: &regions }).ok()?;
    Some((table, regions, labels))
}

/// Its routes and needs; nothing for other words.
pub(super) fn text(w: &Word, width: usize) -> String {
    let Some(method) = of(w) else { return String::new() };
    let mut out = String::new();
    if let Some((table, regions, labels)) = table(&*method) {
        out += "\nRoutes: forward, backward, update\n";
        out += &describe::indent(&describe::routes(&table, &labels, &regions));
    }
    out + &format!("\n{}", wrap(&needs(&*method, &LabelSet::default()), width, 0))
}

/// Its routes for programs.
pub(super) fn json(w: &Word) -> Option<Value> {
    let (table, _, labels) = of(w).as_deref().and_then(table)?;
    let rows = table.rows.iter().map(|r| {
        json!({ "label": labels.name(r.label), "target": r.target, "forward": r.route.forward,
            "backward": r.route.backward, "update": r.route.update })
    });
    Some(rows.collect())
}
