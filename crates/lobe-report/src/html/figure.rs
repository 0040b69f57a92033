//! One figure: drawings, how to read them, and the same as files.

use maud::{Markup, PreEscaped, html};

use super::download::address;
use super::table;
use crate::figures::{Figure, Panel, Size};

fn class(size: Size) -> &'static str {
    match size {
        Size::Small => "panel small",
        Size::Plain => "panel",
        Size::Wide => "panel wide",
    }
}

/// A figure in full.
pub(super) fn one(f: &Figure) -> Markup {
    html! { figure id=(f.id) { h2 { (f.title) } (inside(f)) } }
}

/// A figure with `drawn` in place of its drawings, which its file has.
pub(super) fn with(f: &Figure, drawn: &Markup) -> Markup {
    html! { figure id=(f.id) { h2 { (f.title) } (drawn) (words(f)) } }
}

/// A figure that unfolds.
pub(super) fn folded(f: &Figure) -> Markup {
    html! { details.fold id=(f.id) { summary { (f.title) } figure { (inside(f)) } } }
}

fn inside(f: &Figure) -> Markup {
    html! { div.panels { @for p in &f.panels { (panel(p)) } } (words(f)) }
}

pub(super) fn panel(p: &Panel) -> Markup {
    html! {
        div class=(class(p.size)) tabindex=[(p.size == Size::Wide).then_some("0")] {
            (PreEscaped(p.drawing.inline()))
        }
    }
}

/// How to read it, as files, and the tables that belong to it.
fn words(f: &Figure) -> Markup {
    html! {
        figcaption { (f.caption) (get(&f.id, Some(&f.svg()), &f.data.csv())) }
        @for b in &f.below {
            details { summary { (b.title) } p.note { (b.note) } (table(&b.table, "grid")) }
        }
    }
}

/// Links to the figure as files; the files are in the links.
pub(super) fn get(name: &str, svg: Option<&str>, csv: &str) -> Markup {
    html! {
        " " span.get {
            @if let Some(svg) = svg {
                a download={ (name) ".svg" } href=(address("image/svg+xml", svg)) { "SVG" }
            }
            a download={ (name) ".csv" } href=(address("text/csv", csv)) { "CSV" }
        }
    }
}
