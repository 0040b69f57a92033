//! Every measure of the finished models in one table, each number with its place on the metric's scale.

use maud::{Markup, PreEscaped, html};

use super::figure::get;
use super::keyed;
use crate::RunData;
use lobe_runs::Better;

use crate::figures::measures::{Measures, strip};
use crate::figures::seeds;
use crate::format::{MISSING, number};
use crate::palette::looks;

/// The table.
pub(super) fn section(run: &RunData, m: &Measures<'_>) -> Markup {
    let looks = looks(run);
    let mut groups: Vec<(&str, &str, usize)> = Vec::new();
    for c in &m.columns {
        match groups.last_mut() {
            Some((metric, _, n)) if *metric == c.metric => *n += 1,
            _ => groups.push((&c.metric, &c.unit, 1)),
        }
    }
    let n = seeds(m.rows.iter().flat_map(|r| r.2.iter().flatten().map(|v| v.after.n)));
    let cut = m.rows.iter().any(|r| r.2.iter().flatten().any(|v| v.before.is_some()));
    html! {
        section #measures {
            h2 { "Every measure" }
            div.scroll tabindex="0" {
                table.grid {
                    thead {
                        tr {
                            th.stick scope="col" rowspan="2" { "arm" }
                            @for (metric, unit, n) in &groups {
                                th.group scope="colgroup" colspan=(n) title=[about(run, metric)] {
                                    (run.catalogue.title(metric)) (in_brackets(run, metric, unit))
                                }
                            }
                        }
                        tr { @for c in &m.columns { th scope="col" { (c.label) } } }
                    }
                    tbody { @for (arm, look, values) in &m.rows { tr {
                        th.stick scope="row" { (keyed(run, &looks, arm)) }
                        @for (c, v) in m.columns.iter().zip(values) {
                            @if let Some(v) = v {
                                td { div.strip { (PreEscaped(strip(c, arm, *look, v).inline())) } (number(v.after.mean)) }
                            } @else { td.none { (MISSING) } }
                        }
                    } } }
                }
            }
            p.note {
                "Held-out numbers of the finished models: means with 95 % intervals (" (n) "), all labels of a metric on one scale."
                @if cut { " Hollow: the same arm before the cut." }
                " Dotted: chance, where it is known."
                (get("measures", None, &m.data.csv()))
            }
        }
    }
}

/// What a metric says, for who asks.
fn about<'a>(run: &'a RunData, metric: &str) -> Option<&'a str> {
    run.catalogue.get(metric).map(|m| m.about.as_str()).filter(|a| !a.is_empty())
}

/// Unit and the better direction behind a heading.
fn in_brackets(run: &RunData, metric: &str, unit: &str) -> String {
    let better = match run.catalogue.get(metric).map(|m| m.better) {
        Some(Better::Lower) => "lower is better",
        Some(Better::Higher) => "higher is better",
        _ => "",
    };
    let parts: Vec<&str> = [unit, better].into_iter().filter(|p| !p.is_empty()).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}
