//! The report page: one file, no script, no address.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::RunData;
use crate::figures::{self, Figure, NotShown, Size};
use crate::format::MISSING;
use crate::judge::{Judged, Role, judge};
use crate::tables::{self, Table};

const STYLE: &str = include_str!("style.css");

/// Every report says this of itself.
pub const MARK: &str = "Lobe report";

/// Arms whose verdict is open at once; those of a sweep unfold.
const SPOKEN: usize = 6;

/// The whole page.
pub fn render(run: &RunData) -> String {
    let (figures, missing) = figures::all(run);
    let m = &run.manifest;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (m.name) " · Lobe" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (heading(run))
                    @for (i, f) in figures.iter().enumerate() { (figure(run, i + 1, f)) }
                    (not_shown(&missing))
                    (numbers(run))
                    (about(run))
                }
                (footer(run))
            }
        }
    };
    page.into_string()
}

fn heading(run: &RunData) -> Markup {
    let m = &run.manifest;
    let judgement = judge(run);
    let arms: Vec<&Judged> = judgement.arms.iter().filter(|j| j.role == Role::Judged).collect();
    let n = m.seeds.len();
    // The matrix says it all at once, and should not be far down.
    let spoken_at_once = if judgement.overview.is_empty() { SPOKEN } else { SPOKEN / 2 };
    html! {
        header {
            p.kicker { (MARK) }
            h1 { (m.name) }
            p.facts {
                (m.arms.len()) (if m.arms.len() == 1 { " arm" } else { " arms" })
                " · " (n) (if n == 1 { " seed" } else { " seeds" })
                " · stages " (run.stages().collect::<Vec<_>>().join(" → "))
                @if !m.state.is_empty() { " · " (m.state) }
            }
        }
        section.verdict aria-label="Verdict" {
            @for s in &judgement.overview { p { (s) } }
            @for arm in arms.iter().take(spoken_at_once) { (spoken(arm)) }
            @if arms.len() > spoken_at_once {
                details {
                    summary { (arms.len() - spoken_at_once) " more arms" }
                    @for arm in arms.iter().skip(spoken_at_once) { (spoken(arm)) }
                }
            }
            @if let Some(scale) = &judgement.scale { p { (scale) } }
            @for c in &judgement.caveats { p.caveat { (c) } }
            @for w in run.warnings.iter().take(20) { p.caveat { "While reading: " (w) "." } }
        }
    }
}

fn spoken(judged: &Judged) -> Markup {
    html! {
        p {
            strong { (judged.word.symbol()) " " (judged.arm) } ". "
            @for s in &judged.sentences { (s) " " }
        }
    }
}

fn class(size: Size) -> &'static str {
    match size {
        Size::Narrow => "panel narrow",
        Size::Plain => "panel",
        Size::Wide => "panel wide",
    }
}

fn figure(run: &RunData, number: usize, f: &Figure) -> Markup {
    let steps = f.steps_of.as_deref().map(|stage| tables::steps(run, stage)).filter(|t| !t.rows.is_empty());
    let panels = html! {
        @for p in &f.panels {
            div class=(class(p.size)) tabindex=[(p.size == Size::Wide).then_some("0")] { (PreEscaped(&p.svg)) }
        }
    };
    html! {
        figure id=(f.id) {
            h2 { (f.title) }
            div.drawing {
                div.panels { (panels) }
                @if let Some(t) = &steps { (table(t, "beside")) }
            }
            figcaption { b { "Figure " (number) ". " } (f.caption) }
            @for (heading, note, t) in &f.below {
                h3 { (heading) }
                p.note { (note) }
                (table(t, "grid"))
            }
        }
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

fn table(t: &Table, class: &str) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table class=(class) {
                thead { tr { @for (i, h) in t.header.iter().enumerate() {
                    th scope="col" class=[(i < t.heads).then_some("head")] { (h) }
                } } }
                tbody { @for row in &t.rows { tr { @for (i, cell) in row.iter().enumerate() {
                    @let inner = html! { (cell.main) @if !cell.sub.is_empty() { span.sub { (cell.sub) } } };
                    @if i < t.heads { th scope="row" { (inner) } }
                    @else if cell.main == MISSING { td.none { (inner) } }
                    @else { td { (inner) } }
                } } } }
            }
        }
    }
}

fn numbers(run: &RunData) -> Markup {
    let stages: Vec<_> = run.stages().map(|s| (s, tables::finals(run, s))).collect();
    // With a matrix the numbers of attacks are for looking up.
    let attacks = run.attack_stages();
    let folded = |s: &str| attacks.len() > 1 && attacks.contains(&s);
    let costs = tables::costs(run);
    let (n, baseline) = (run.manifest.seeds.len(), run.baseline());
    html! {
        @if stages.iter().any(|(_, t)| !t.0.rows.is_empty()) {
            section {
                h2 { "Numbers" }
                p.note {
                    "Last value of each metric: mean over seeds with its 95 % interval, n = " (n)
                    " unless stated; " (MISSING) " was not measured or not reached."
                    @if let Some(b) = baseline { " Δ: paired difference from " (b) " (as trained, where it has no number of that stage) on the same seeds." }
                }
                @for (stage, (main, rest)) in stages {
                    @if main.rows.is_empty() {}
                    @else if folded(stage) {
                        details { summary { "Attack " (stage) } (table(&merged(main), "grid")) }
                    } @else { h3 { "Stage " (stage) } (table(&merged(main), "grid")) }
                    @if !rest.rows.is_empty() {
                        details {
                            summary { "Stage " (stage) ": running losses and single variants of a sweep (" (rest.rows.len()) ")" }
                            (table(&merged(rest), "grid"))
                        }
                    }
                }
            }
        }
        @if !costs.rows.is_empty() {
            section {
                h2 { "Cost" }
                p.note { "Wall time of one member, mean over seeds; members may have trained side by side, so times do not add up to the run's own." }
                (table(&costs, "grid"))
            }
        }
    }
}

/// A metric is written once and left blank below itself.
fn merged(mut t: Table) -> Table {
    for i in (1..t.rows.len()).rev() {
        for column in 0..t.heads.saturating_sub(1) {
            if t.rows[i][..=column] == t.rows[i - 1][..=column] {
                t.rows[i][column] = tables::Cell::default();
            }
        }
    }
    t
}

fn about(run: &RunData) -> Markup {
    let derived = tables::derived(run);
    html! {
        section { h2 { "Arms" } (table(&tables::arms(run), "words")) }
        @if !derived.rows.is_empty() {
            section {
                h2 { "Derived settings" }
                p.note { "What the recipe left open, and the rule that filled it." }
                (table(&derived, "words"))
            }
        }
        @if !run.manifest.notes.is_empty() {
            section { h2 { "Notes" } ul { @for n in run.manifest.notes.iter().take(100) { li { (n) } } } }
        }
    }
}

fn footer(run: &RunData) -> Markup {
    let m = &run.manifest;
    let or = |s: &str| if s.is_empty() { MISSING.to_owned() } else { s.to_owned() };
    html! {
        footer {
            dl {
                dt { "Command" } dd { code { (or(&m.command)) } }
                dt { "Recipe hash" } dd { code { (or(&m.recipe_hash)) } }
                dt { "Build" } dd { (or(&m.build)) }
                dt { "Report" } dd { "Lobe " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
}
