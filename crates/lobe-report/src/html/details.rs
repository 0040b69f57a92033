//! What one looks up: numbers, costs, arms, failures, the recipe.

use maud::{Markup, html};

use super::{count, figure, table};
use crate::RunData;
use crate::figures::Figure;
use crate::format::{MISSING, number};
use crate::tables::{self, Cell, Table};

/// Everything folded, failures first and open.
pub(super) fn section<'a>(run: &RunData, figures: impl Iterator<Item = &'a Figure>) -> Markup {
    let costs = tables::costs(run);
    let derived = tables::derived(run);
    html! {
        section #details {
            h2 { "Details" }
            (failed(run))
            div.folds {
                @for f in figures { (figure::folded(f)) }
                (numbers(run))
                @if !costs.rows.is_empty() { (fold("Cost", &html! {
                    p.note { "Wall time of one member, mean over seeds; members may have trained side by side, so times do not add up to the run's own." }
                    (table(&costs, "grid"))
                })) }
                @if !run.prefixes.is_empty() { (fold("Prefixes that attacks found", &prefixes(run))) }
                (fold("Arms", &table(&arms(run), "words")))
                @if !derived.rows.is_empty() { (fold("Derived settings", &html! {
                    p.note { "What the recipe left open, and the rule that filled it." }
                    (table(&derived, "words"))
                })) }
                @if !run.recipe.is_empty() { (fold("Recipe", &html! { pre { code { (run.recipe) } } })) }
                @if !run.manifest.notes.is_empty() {
                    (fold("Notes", &html! { ul { @for n in run.manifest.notes.iter().take(100) { li { (n) } } } }))
                }
            }
        }
    }
}

fn fold(title: &str, inside: &Markup) -> Markup {
    html! { details.fold { summary { (title) } (inside) } }
}

/// Members that ended with an error, while others went on.
fn failed(run: &RunData) -> Markup {
    let list = &run.manifest.failed;
    let rows = list.iter().take(100).map(|f| {
        let at = if f.step > 0 { format!(", step {}", f.step) } else { String::new() };
        [f.arm.clone(), f.seed.to_string(), format!("{}{at}", f.stage), f.reason.clone()]
            .map(Cell::from)
            .to_vec()
    });
    let header = ["arm", "seed", "stage", "error"].map(String::from).to_vec();
    let t = Table { header, heads: 1, rows: rows.collect() };
    html! {
        @if !list.is_empty() {
            h3.bad #failed { (count(list.len(), "member")) " failed" }
            p.note { "What they would have measured is missing everywhere; nothing stands in for it." }
            (table(&t, "words"))
        }
    }
}

/// Texts that, put before others, brought the capability back.
fn prefixes(run: &RunData) -> Markup {
    let row = |p: &crate::Prefix| {
        let typed = if p.survives { "yes" } else { "no: its text gives other tokens" };
        let cells = [&p.arm, &p.seed.to_string(), &p.stage, &p.variant, &p.text, typed];
        cells.map(|c| Cell::from(c.to_owned())).to_vec()
    };
    let header = ["arm", "seed", "attack", "variant", "prefix", "can be typed"].map(String::from).to_vec();
    table(&Table { header, heads: 1, rows: run.prefixes.iter().take(200).map(row).collect() }, "words")
}

/// The arms, and which of them are the same networks.
fn arms(run: &RunData) -> Table {
    let mut t = tables::arms(run);
    for (arm, row) in run.arms().iter().zip(&mut t.rows) {
        if let (Some(same), Some(first)) = (&arm.same_as, row.first_mut()) {
            first.sub = format!("the same networks as {same}");
        }
    }
    t
}

fn numbers(run: &RunData) -> Markup {
    let (n, baseline) = (run.manifest.seeds.len(), run.baseline());
    let stages: Vec<_> = run.stages().map(|s| (s, tables::finals(run, s))).collect();
    html! {
        @for (stage, (main, rest)) in stages {
            @let (same, main) = constants(&main);
            @if !main.rows.is_empty() || !same.is_empty() {
                (fold(&format!("Numbers of {stage}"), &html! {
                    p.note {
                        "Last value of each metric: mean over seeds with its 95 % interval, n = " (n) " unless stated; "
                        (MISSING) " was not measured or not reached."
                        @if let Some(b) = baseline { " Δ: paired difference from " (b) " on the same seeds." }
                    }
                    @if !same.is_empty() { p.note { "The same in every arm: " (same.join(", ")) "." } }
                    @if !main.rows.is_empty() { (table(&merged(main), "grid")) }
                    @if !rest.rows.is_empty() {
                        details {
                            summary { "Running losses and single variants of a sweep (" (number(rest.rows.len() as f64)) ")" }
                            (table(&merged(rest), "grid"))
                        }
                    }
                }))
            }
        }
    }
}

/// Rows that say the same of every arm become words; the others stay a table.
fn constants(t: &Table) -> (Vec<String>, Table) {
    let same = |row: &Vec<Cell>| {
        let values: Vec<&Cell> = row.iter().skip(t.heads).filter(|c| c.main != MISSING).collect();
        values.len() > 1 && values.windows(2).all(|w| w[0] == w[1]) && values[0].sub.is_empty()
    };
    let words = |row: &Vec<Cell>| {
        let value = row.iter().skip(t.heads).find(|c| c.main != MISSING).map_or("", |c| c.main.as_str());
        let label = row.get(1).map_or("", |c| c.main.as_str());
        let of = if matches!(label, "" | "all") { String::new() } else { format!(" of {label}") };
        format!("{}{of} {value}", row[0].main)
    };
    let said = t.rows.iter().filter(|r| same(r)).map(words).collect();
    let rest = t.rows.iter().filter(|r| !same(r)).cloned().collect();
    (said, Table { rows: rest, ..t.clone() }.known())
}

/// A metric is written once and left blank below itself.
fn merged(mut t: Table) -> Table {
    for i in (1..t.rows.len()).rev() {
        for column in 0..t.heads.saturating_sub(1) {
            if t.rows[i][..=column] == t.rows[i - 1][..=column] {
                t.rows[i][column] = Cell::default();
            }
        }
    }
    t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_everywhere_is_said_once() {
        let row = |cells: [&str; 4]| cells.map(|c| Cell::from(c.to_owned())).to_vec();
        let t = Table {
            header: ["metric", "label", "a", "b"].map(String::from).to_vec(),
            heads: 2,
            rows: vec![
                row(["budget steps", "forget", "40", "40"]),
                row(["loss", "forget", "1.5", "2.5"]),
                row(["seen once", "forget", "7", MISSING]),
            ],
        };
        let (said, rest) = constants(&t);
        assert_eq!(said, ["budget steps of forget 40"]);
        assert_eq!(rest.rows.len(), 2);
    }
}
