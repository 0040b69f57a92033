//! What a resolved recipe comes to, in words and tables.

use anyhow::Result;
use lobe_core::{JointKind, LabelId, LabelSet, Route, RouteTable, Target};
use lobe_lab::plan::Experiment;
use serde_json::{Value, json};

use crate::recipe::Loaded;
use crate::table::columns;

/// `1 -0.75 1`; the numbers that an absent unit cannot feel are dashes.
pub(crate) fn route(r: Route, joint: bool) -> String {
    let number = |x: f32| format!("{x}");
    match (joint, r.forward) {
        (true, _) => format!("– – {}", number(r.update)),
        (_, 0.0) => "0 - -".to_owned(),
        _ => format!("{} {} {}", number(r.forward), number(r.backward), number(r.update)),
    }
}

/// A method's table, one row per label. Joint parts are shown where something happens to them.
pub(crate) fn routes(table: &RouteTable, labels: &LabelSet, regions: &[String]) -> String {
    let mut targets: Vec<(String, Target)> =
        regions.iter().enumerate().map(|(i, r)| (r.clone(), Target::Region(i as u8))).collect();
    targets.push(("everything else".into(), Target::Elsewhere));
    for (kind, name) in
        JointKind::ALL.into_iter().zip(["embeddings", "norms", "output biases", "head", "the rest"])
    {
        let target = Target::Joint(kind);
        if table.rows.iter().any(|r| r.target == target && !r.route.is_plain()) {
            targets.push((name.to_owned(), target));
        }
    }
    let heading: Vec<&str> = std::iter::once("label").chain(targets.iter().map(|t| t.0.as_str())).collect();
    let rows: Vec<Vec<String>> = (labels.names().iter().enumerate())
        .map(|(i, name)| {
            let cell = |t: &Target| route(table.get(LabelId(i as u8), *t), matches!(t, Target::Joint(_)));
            std::iter::once(name.clone()).chain(targets.iter().map(|(_, t)| cell(t))).collect()
        })
        .collect();
    columns(&heading, &rows, usize::MAX)
}

/// The same text, two spaces further in.
pub(crate) fn indent(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        out += &format!("  {line}\n");
    }
    out
}

/// The resolved recipe, derived values with their rules, regions with their sizes, and the route
/// table of every arm.
pub(crate) fn text(loaded: &Loaded, x: &Experiment) -> Result<String> {
    let mut out = format!("# Resolved recipe, hash {}\n\n{}", loaded.recipe.hash(), loaded.recipe.to_toml());
    if !loaded.derived.is_empty() {
        let row = |d: &lobe_lab::recipe::Derived| vec![d.key.clone(), d.value.clone(), d.rule.clone()];
        let rows: Vec<Vec<String>> = loaded.derived.iter().map(row).collect();
        out += &format!("\n# Derived values\n\n{}", columns(&["key", "value", "rule"], &rows, usize::MAX));
    }
    out += &format!("\n# Network and data\n\n{}\n", x.notes().join("\n"));
    if !loaded.recipe.regions.is_empty() {
        out += "\n# Regions\n\n";
        for r in &loaded.recipe.regions {
            let selection = x.region(&r.name)?;
            let (units, params) = (selection.count(), x.layout().count_owned(&selection));
            out += &format!("{}: {units} units, {params} parameters\n", r.name);
            out += &indent(&format!("{}\n{}", r.text, selection.describe(x.layout().sites())));
        }
    }
    out += "\n# Arms: forward, backward and update per label\n";
    for a in &x.arms {
        let on = if a.arm.regions.is_empty() {
            String::new()
        } else {
            format!(" on {}", a.arm.regions.join(", "))
        };
        out += &format!("\n{}: {}{on}; {}\n", a.arm.name, a.arm.method, x.note(&a.arm));
        out += &indent(&routes(&a.table, &x.labels, &a.arm.regions));
    }
    Ok(out)
}

/// The same for programs.
pub(crate) fn json(loaded: &Loaded, x: &Experiment) -> Result<Value> {
    let mut regions = Vec::new();
    for r in &loaded.recipe.regions {
        let s = x.region(&r.name)?;
        regions.push(json!({ "name": r.name, "text": r.text, "resolved": s.describe(x.layout().sites()),
            "units": s.count(), "parameters": x.layout().count_owned(&s) }));
    }
    let arms = x.arms.iter().map(|a| {
        let rows = a.table.rows.iter().map(|r| {
            let target = match r.target {
                Target::Region(i) => json!({ "region": a.arm.regions.get(usize::from(i)) }),
                Target::Elsewhere => json!("elsewhere"),
                Target::Joint(kind) => json!(kind),
            };
            json!({ "label": x.labels.name(r.label), "target": target, "forward": r.route.forward,
                "backward": r.route.backward, "update": r.route.update })
        });
        json!({ "name": a.arm.name, "method": a.arm.method, "regions": a.arm.regions, "routes": rows.collect::<Vec<_>>() })
    });
    Ok(json!({ "hash": loaded.recipe.hash(), "recipe": loaded.recipe, "derived": loaded.derived,
        "parameters": x.layout().len(), "regions": regions, "arms": arms.collect::<Vec<_>>(), "notes": x.notes() }))
}
