//! The answer: one line per arm, before anything is drawn.

use maud::{Markup, html};

use super::{keyed, sub};
use crate::RunData;
use crate::palette::looks;
use crate::tables::Cell;

/// How a verdict is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// What the method set out to do held.
    Good,
    /// It held in part, or at a price.
    Mixed,
    /// It did not hold.
    Bad,
    /// Nothing can be said.
    Open,
    /// An arm that others are compared with.
    Reference,
}

impl Level {
    fn class(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Mixed => "mixed",
            Level::Bad => "bad",
            Level::Open | Level::Reference => "open",
        }
    }
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AnswerRow {
    pub(super) arm: String,
    pub(super) gap: Cell,
    pub(super) retain: Cell,
    pub(super) against_filter: Cell,
    pub(super) against_oracle: Cell,
    /// The verdict in a few words, with its symbol.
    pub(super) word: String,
    pub(super) level: Level,
    /// Why, one sentence each.
    pub(super) sentences: Vec<String>,
}

/// Most arms that are shown at once; those of a sweep unfold.
const SPOKEN: usize = 12;

/// The table, and what limits it.
pub(super) fn section(run: &RunData) -> Markup {
    let answer = answer(run);
    let (shown, more) = answer.rows.split_at(answer.rows.len().min(SPOKEN));
    let limits = answer.caveats.len() + run.warnings.len();
    html! {
        section.answer #answer aria-label="Answer" {
            @for s in &answer.overview { p.about { (s) } }
            @if !shown.is_empty() { (table(run, shown)) }
            @if !more.is_empty() {
                details { summary { (more.len()) " more arms" } (table(run, more)) }
            }
            @if let Some(scale) = &answer.scale { p.caveat { (scale) } }
            @if limits > 0 {
                details open[limits == 1 || answer.rows.is_empty()] {
                    summary.caveat { "What limits this (" (limits) ")" }
                    @for c in &answer.caveats { p.caveat { (c) } }
                    @for w in run.warnings.iter().take(20) { p.caveat { "While reading: " (w) "." } }
                }
            }
        }
    }
}

fn table(run: &RunData, rows: &[AnswerRow]) -> Markup {
    let looks = looks(run);
    let (filter, control) = (run.filter(), run.control());
    let has = |pick: fn(&AnswerRow) -> &Cell| rows.iter().any(|r| !pick(r).main.is_empty());
    let shown = |column: &(bool, &str, String, fn(&AnswerRow) -> &Cell)| column.0 && has(column.3);
    let columns: [(bool, &str, String, fn(&AnswerRow) -> &Cell); 4] = [
        (true, "gap closed", "by the cut".to_owned(), |r| &r.gap),
        (true, "retain cost", String::new(), |r| &r.retain),
        (filter.is_some(), "against filter", format!("resists longer than {}", filter.unwrap_or_default()), |r| {
            &r.against_filter
        }),
        (control.is_some(), "against oracle", format!("resists longer than {}", control.unwrap_or_default()), |r| {
            &r.against_oracle
        }),
    ];
    let columns: Vec<_> = columns.into_iter().filter(shown).collect();
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr {
                    th.stick scope="col" { "arm" }
                    @for (_, head, small, _) in &columns {
                        th scope="col" { (head) @if !small.is_empty() { small { (small) } } }
                    }
                    th scope="col" { "verdict" }
                } }
                tbody { @for r in rows {
                    tr class=[(r.level == Level::Reference).then_some("reference")] {
                        th.stick scope="row" { (keyed(run, &looks, &r.arm)) }
                        @for (_, _, _, pick) in &columns { @let cell = pick(r); td {
                            @if cell.main.is_empty() { span.none { (crate::format::MISSING) } } @else { (sub(cell)) }
                        } }
                        td.word { (verdict(r)) }
                    }
                } }
            }
        }
    }
}

fn verdict(r: &AnswerRow) -> Markup {
    let word = html! { b class=(r.level.class()) { (r.word) } };
    html! {
        @if r.sentences.is_empty() { (word) } @else {
            details { summary { (word) } @for s in &r.sentences { p { (s) } } }
        }
    }
}

/// All that is said before anything is drawn.
struct Answer {
    rows: Vec<AnswerRow>,
    overview: Vec<String>,
    scale: Option<String>,
    caveats: Vec<String>,
}

fn answer(run: &RunData) -> Answer {
    let v = crate::verdict::verdict(run);
    let row = |a: &crate::verdict::ArmVerdict| AnswerRow {
        arm: a.arm.clone(),
        gap: Cell::default(),
        retain: Cell::default(),
        against_filter: Cell::default(),
        against_oracle: Cell::default(),
        word: a.conclusion.clone(),
        level: Level::Open,
        sentences: a.sentences.clone(),
    };
    Answer { rows: v.arms.iter().map(row).collect(), overview: v.summary, scale: None, caveats: v.caveats }
}
