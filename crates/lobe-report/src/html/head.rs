//! What the run is: name, question, date, data, model, command; and the same at length at the end.

use maud::{Markup, html};

use super::{MARK, count};
use crate::RunData;
use crate::format::MISSING;
use crate::markdown::portable;
use lobe_runs::{DataFacts, ModelFacts};

/// Most classes that are named in the head.
const CLASSES: usize = 5;

/// The head, with links to what follows.
pub(super) fn section(run: &RunData, sections: &[(&str, &str)]) -> Markup {
    let m = &run.manifest;
    let facts = facts(run);
    html! {
        header {
            div.kicker {
                b { (MARK) }
                nav aria-label="Contents" { @for (id, name) in sections { a href={ "#" (id) } { (name) } } }
            }
            h1 { (m.name) }
            @if let Some(about) = m.about.as_deref().filter(|a| !a.is_empty()) { p.about { (about) } }
            p.facts {
                @for (i, (what, fact)) in facts.iter().enumerate() {
                    @if i > 0 { " · " }
                    @if !what.is_empty() { (what) " " }
                    b { (fact) }
                }
            }
            @if !m.command.is_empty() { p.facts { code { (portable(&m.command)) } } }
        }
    }
}

/// `20 000`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(d);
    }
    out
}

/// `1.2 M`.
fn rounded(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.0} k", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.1} G", n as f64 / 1e9),
    }
}

fn facts(run: &RunData) -> Vec<(&'static str, String)> {
    let m = &run.manifest;
    let mut out = Vec::new();
    // A day is enough here; the footer has the time.
    let date = m.finished.as_deref().or(m.started.as_deref()).map(|d| d.chars().take(10).collect::<String>());
    out.extend(date.map(|d| ("", d)));
    out.extend(m.state.unfinished().map(|word| ("state", word.to_owned())));
    out.extend(m.data.as_ref().map(data).filter(|d| !d.is_empty()).map(|d| ("data", d)));
    out.extend(m.model.as_ref().map(model).filter(|d| !d.is_empty()).map(|d| ("model", d)));
    out.push(("", count(m.arms.len(), "arm")));
    let seeds: Vec<String> = m.seeds.iter().take(12).map(ToString::to_string).collect();
    let more = if m.seeds.len() > seeds.len() { ", …" } else { "" };
    match seeds.len() {
        0 => {}
        1 => out.push(("seed", seeds[0].clone())),
        _ => out.push(("seeds", format!("{}{more}", seeds.join(", ")))),
    }
    out.push(("", run.stages().collect::<Vec<_>>().join(" → ")));
    out.retain(|f| !f.1.is_empty());
    out
}

fn data(d: &DataFacts) -> String {
    let unit = if d.unit.is_empty() { "unit" } else { &d.unit };
    let class = |c: &lobe_runs::ClassFacts| {
        let documents = c.documents.map(|n| format!(" {}", grouped(n)));
        let units = c.units.map(|n| format!(" ({} {unit}s)", rounded(n)));
        format!("{}{}{}", c.name, documents.unwrap_or_default(), units.unwrap_or_default())
    };
    let mut out: Vec<String> = d.classes.iter().take(CLASSES).map(class).collect();
    if d.classes.len() > CLASSES {
        out.push(format!("{} more classes", d.classes.len() - CLASSES));
    }
    out.extend(d.vocabulary.map(|v| format!("vocabulary {}", grouped(v))));
    out.join(", ")
}

fn model(m: &ModelFacts) -> String {
    let parameters = m.parameters.map(|n| format!("{} parameters", rounded(n)));
    let parts = [Some(m.kind.clone()), Some(m.shape.clone()), parameters];
    parts.into_iter().flatten().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(", ")
}

/// What identifies the run.
pub(super) fn footer(run: &RunData) -> Markup {
    let m = &run.manifest;
    let or = |s: &str| if s.is_empty() { MISSING.to_owned() } else { s.to_owned() };
    let time = match (&m.started, &m.finished) {
        (Some(a), Some(b)) => format!(" · {a} to {b}"),
        (Some(a), None) | (None, Some(a)) => format!(" · {a}"),
        _ => String::new(),
    };
    html! {
        footer {
            "Recipe hash " code { (or(&m.recipe_hash)) } " · build " (or(&m.build)) (time) " · report by Lobe "
            (env!("CARGO_PKG_VERSION"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        assert_eq!(
            [7, 9999, 20_000, 1_234_567].map(grouped),
            ["7", "9999", "20\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!([7, 43_210, 1_250_000, 2_000_000_000].map(rounded), ["7", "43 k", "1.2 M", "2.0 G"]);
    }
}
