//! The report page: one file, no script, no address outside of it.

mod answer;
mod details;
mod download;
mod figure;
mod head;
mod matrix;
mod measures;
mod samples;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::RunData;
use crate::figures::{self, NotShown, Place};
use crate::format::MISSING;
use crate::palette::Look;
use crate::svg::Svg;
use crate::tables::{Cell, Table};
use crate::theme;

/// Every report says this of itself.
pub const MARK: &str = "Lobe report";

/// The whole page.
pub fn render(run: &RunData) -> String {
    let (figures, mut missing) = figures::all(run);
    let looks = crate::palette::looks(run);
    let measures = figures::measures::build(&figures::Ink { run, looks: &looks });
    // What has no attack, no region or one step is not worth a word where there is something to see.
    if measures.is_some() {
        missing.retain(|m| m.what != "training curves");
    }
    let of = |place: Place| figures.iter().filter(move |f| f.place == place);
    let mut sections: Vec<(&str, &str)> = vec![("answer", "Answer")];
    sections.extend(of(Place::Body).map(|f| (f.id.as_str(), short(&f.id))));
    let samples = samples::section(run);
    let targets = crate::targets::table(run);
    sections.extend((!targets.rows.is_empty()).then_some(("targets", "Targets")));
    sections.extend(samples.is_some().then_some(("samples", "Samples")));
    sections.extend(measures.is_some().then_some(("measures", "Measures")));
    sections.push(("details", "Details"));
    sections.dedup_by_key(|s| s.1);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (run.manifest.name) " · Lobe" }
                style { (PreEscaped(theme::page())) }
            }
            body {
                main {
                    (head::section(run, &sections))
                    (answer::section(run))
                    @if of(Place::Answer).next().is_some() {
                        div.pair { @for f in of(Place::Answer) { (figure::one(f)) } }
                    } @else if let Some(m) = &measures { (measures::section(run, m)) }
                    @for f in of(Place::Body) {
                        @if f.id == "matrix" { (matrix::section(run, f)) } @else { (figure::one(f)) }
                    }
                    @if !targets.rows.is_empty() {
                        section #targets {
                            h2 { "Targets" }
                            @if let Some(o) = crate::targets::overview(run) { p.note { (o) " A comparison and no test: means over seeds beside published numbers." } }
                            (table(&targets, "words"))
                        }
                    }
                    @if let Some(s) = &samples { (s) }
                    @if let (Some(m), true) = (&measures, of(Place::Answer).next().is_some()) { (measures::section(run, m)) }
                    (details::section(run, of(Place::Folded)))
                    (not_shown(&missing))
                }
                (head::footer(run))
            }
        }
    };
    page.into_string()
}

/// What a figure is called in the contents.
fn short(id: &str) -> &'static str {
    match id.split('-').next().unwrap_or_default() {
        "trade" => "Trade-off",
        "worst" | "return" => "Attacks",
        "matrix" => "Matrix",
        "sparse" => "Grafts",
        "units" => "Units",
        _ => "Figure",
    }
}

fn not_shown(missing: &[NotShown]) -> Markup {
    html! {
        @if !missing.is_empty() {
            p.caveat {
                "Not shown: "
                @for (i, m) in missing.iter().enumerate() {
                    @if i > 0 { "; " }
                    (m.what) " (" (m.why) ")"
                }
                "."
            }
        }
    }
}

/// A name with the mark that stands for it in every figure.
fn keyed(run: &RunData, looks: &[Look], arm: &str) -> Markup {
    let look = run.arms().iter().position(|a| a.name == arm).and_then(|i| looks.get(i));
    html! { @if let Some(look) = look { span.key aria-hidden="true" { (PreEscaped(mark(*look))) } } (arm) }
}

fn mark(look: Look) -> String {
    let mut svg = Svg::new(14.0, 14.0);
    svg.open(if look.rest { "rest" } else { look.class }, "");
    svg.marker((7.0, 7.0), 5.0, look.marker, "mean");
    svg.close();
    svg.finish("").bare()
}

/// A cell with its second line.
fn sub(cell: &Cell) -> Markup {
    html! { (cell.main) @if !cell.sub.is_empty() { span.sub { (cell.sub) } } }
}

fn table(t: &Table, class: &str) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table class=(class) {
                thead { tr { @for (i, h) in t.header.iter().enumerate() {
                    th.stick[i == 0] scope="col" { (h) }
                } } }
                tbody { @for row in &t.rows { tr { @for (i, cell) in row.iter().enumerate() {
                    @if i < t.heads { th.stick[i == 0] scope="row" { (sub(cell)) } }
                    @else if cell.main == MISSING { td.none { (sub(cell)) } }
                    @else { td { (sub(cell)) } }
                } } } }
            }
        }
    }
}

/// `1 arm`, `3 arms`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
