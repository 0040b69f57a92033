//! Every arm under every attack as a table: it scrolls under its own heads, and its numbers can be copied.

use maud::{Markup, html};

use super::{figure, keyed};
use crate::RunData;
use crate::figures::Figure;
use crate::format::{difference, share, share_interval};
use crate::palette::{Look, looks};
use crate::run::matrix::{Cell, Matrix, Row};
use crate::svg::member_href;
use crate::theme::{heat, step};

/// From so many columns on their names stand upright.
const MANY: usize = 9;

/// The figure with a table in place of its drawing.
pub(super) fn section(run: &RunData, f: &Figure) -> Markup {
    let Some(m) = run.matrix() else { return figure::one(f) };
    let looks = looks(run);
    let columns = m.attacks.len() + 1;
    let drawn = html! {
        // The scale; the grid itself is in the file.
        @if let Some(p) = f.panels.first() { (figure::panel(p)) }
        div.scroll tabindex="0" {
            table class=(if columns > MANY { "heat many" } else { "heat" }) {
                thead { tr {
                    th.stick {}
                    @for i in 0..columns { th scope="col" { span { (m.column(i)) } } }
                } }
                tbody { @for (i, row) in m.rows.iter().enumerate() {
                    @if i == 0 || m.rows[i - 1].group != row.group {
                        tr.group { th.stick scope="rowgroup" { (row.group.words()) } }
                    }
                    (line(run, &looks, m, row))
                } }
            }
        }
    };
    figure::with(f, &drawn)
}

fn line(run: &RunData, looks: &[Look], m: &Matrix, row: &Row) -> Markup {
    let retain = m.retain.as_deref().unwrap_or("retain");
    let title = row.retain.map(|d| format!("{retain} loss {} against the control", difference(&d)));
    html! {
        tr {
            th.stick scope="row" title=[title] {
                (keyed(run, looks, &row.arm))
                @if row.damaged { span.bad title={ (retain) " loss worse than the control's" } { " ▲" } }
            }
            @for (i, cell) in row.cells.iter().enumerate() {
                @let name = format!("{}, {}", row.arm, m.column(i));
                @match cell {
                    Some(cell) => (filled(row, cell, &name)),
                    None => td.hatched title={ (name) ": not measured" } {},
                }
            }
        }
    }
}

fn filled(row: &Row, cell: &Cell, name: &str) -> Markup {
    let s = &cell.recovery;
    let n = if s.n == 1 { "1 seed".to_owned() } else { format!("{} seeds", s.n) };
    let title = format!("{name}: recovery {}, {n}", share_interval(s));
    let inner = html! { (share(s.mean)) };
    html! {
        td class={ "b" (heat(step(s.mean))) } title=(title) {
            // The address is percent-encoded, and nothing but a file of the run.
            @if let Some(href) = member_href(&cell.stage, &row.arm, cell.seed) {
                a href=(href) { (inner) }
            } @else { (inner) }
        }
    }
}
