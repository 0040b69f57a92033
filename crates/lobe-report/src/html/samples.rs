//! What the models say, before and after the cut.

use maud::{Markup, html};

use super::keyed;
use crate::RunData;
use crate::palette::looks;
use crate::samples::{Said, prompts};

/// Most beginnings, and most arms of each.
const PROMPTS: usize = 6;
const ARMS: usize = 8;

/// Nothing for models that do not speak.
pub(super) fn section(run: &RunData) -> Option<Markup> {
    let all = prompts(run);
    if all.is_empty() {
        return None;
    }
    let looks = looks(run);
    let of_crowd = |s: &&Said<'_>| {
        let at = run.arms().iter().position(|a| a.name == s.arm);
        at.and_then(|i| looks.get(i)).is_some_and(|l| !l.rest)
    };
    Some(html! {
        section #samples {
            h2 { "What the models say" }
            p.note {
                "The most likely continuation of the same held-out beginnings, first seed"
                @if let Some(seed) = run.samples.first().map(|s| s.seed) { " (" (seed) ")" }
                ". A few texts show what a loss means; they prove nothing."
            }
            div.samples {
                @for p in all.iter().take(PROMPTS) {
                    div.sample {
                        h3 { (p.label) }
                        blockquote { (p.prompt) " …" }
                        dl { @for s in p.arms.iter().filter(of_crowd).take(ARMS) { (said(run, &looks, s)) } }
                    }
                }
            }
        }
    })
}

fn said(run: &RunData, looks: &[crate::palette::Look], s: &Said<'_>) -> Markup {
    let text = |t: &str| if t.trim().is_empty() { "(nothing)".to_owned() } else { t.to_owned() };
    html! {
        @if let Some(before) = s.before {
            dt { (keyed(run, looks, s.arm)) span.sub { " before" } } dd { (text(before)) }
            dt { (keyed(run, looks, s.arm)) span.sub { " after" } } dd { (text(s.after)) }
        } @else {
            dt { (keyed(run, looks, s.arm)) } dd { (text(s.after)) }
        }
    }
}
