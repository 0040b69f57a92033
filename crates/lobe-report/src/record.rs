//! The tables of a record: Markdown from a run directory, so that nothing in a record is typed.
//!
//! The text depends on the run and nothing else: no times, no machine, no absolute path. A number
//! that was not measured is a dash.

use lobe_runs::Role;

use crate::RunData;
use crate::format::{MISSING, difference, interval, number};
use crate::markdown::{inline, portable, section};
use crate::run::judge::steps::{Steps, forgotten};
use crate::run::summary;
use crate::stats::{self, Summary};
use crate::targets;

/// First line of every record that [`render`] wrote.
pub const MARK: &str = "<!-- Written by `lobe record`; do not edit. -->";

/// What stands in brackets behind a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// The smallest and the largest seed.
    Range,
    /// Student's t interval at 95 %.
    Interval,
}

impl Spread {
    /// The range below five seeds, where intervals are wide; from there on the interval.
    pub fn of_seeds(seeds: usize) -> Spread {
        if seeds < 5 { Spread::Range } else { Spread::Interval }
    }

    fn words(self) -> &'static str {
        match self {
            Spread::Range => "mean [smallest, largest seed]",
            Spread::Interval => "mean [95 % interval over seeds, Student's t]",
        }
    }

    fn of(self, values: &[(u64, f64)]) -> Option<Summary> {
        let mut s = summary(values)?;
        if self == Spread::Range && values.len() > 1 {
            let each = || values.iter().map(|(_, v)| *v);
            s.interval =
                Some((each().fold(f64::INFINITY, f64::min), each().fold(f64::NEG_INFINITY, f64::max)));
        }
        Some(s)
    }

    fn difference(self, a: &[(u64, f64)], b: &[(u64, f64)]) -> Option<Summary> {
        if self == Spread::Interval {
            return stats::difference(a, b);
        }
        self.of(&(0..).zip(stats::paired(a, b)).collect::<Vec<_>>())
    }
}

/// The record of a run.
pub fn render(run: &RunData, spread: Spread) -> String {
    let r = Record { run, spread };
    let mut out = String::new();
    r.head(&mut out);
    r.arms(&mut out);
    r.gap(&mut out);
    for stage in run.attack_stages() {
        r.attack(&mut out, stage);
    }
    r.metrics(&mut out);
    r.targets(&mut out);
    out
}

struct Record<'a> {
    run: &'a RunData,
    spread: Spread,
}

impl Record<'_> {
    fn head(&self, out: &mut String) {
        let m = &self.run.manifest;
        let known = |s: &str| if s.is_empty() { MISSING.to_owned() } else { inline(s) };
        let seeds: Vec<String> = m.seeds.iter().map(ToString::to_string).collect();
        *out += &format!(
            "{MARK}\n\n# {}\n\n    {}\n\nRecipe hash {}. Build {}. Seeds: {}.\n\nNumbers are {}; {MISSING} was not measured.\n",
            known(&m.name),
            if m.command.is_empty() { MISSING.to_owned() } else { portable(&m.command) },
            known(&m.recipe_hash),
            known(&m.build),
            if seeds.is_empty() { MISSING.to_owned() } else { seeds.join(", ") },
            self.spread.words(),
        );
        if let Some(state) = m.state.unfinished() {
            *out += &format!("\n**The run is not finished (state: {state}).**\n");
        }
        for (i, note) in m.notes.iter().chain(&self.run.warnings).enumerate() {
            *out += &format!("{}* {}\n", if i == 0 { "\n" } else { "" }, inline(note));
        }
    }

    fn arms(&self, out: &mut String) {
        let table = crate::tables::arms(self.run);
        let row = |r: &Vec<crate::tables::Cell>| r.iter().map(|c| c.main.clone()).collect();
        let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
        section(out, "Arms", &table.header, &rows);
    }

    fn gap(&self, out: &mut String) {
        let (Some(baseline), Some(control)) = (self.run.baseline(), self.run.control()) else { return };
        let row = |arm: &crate::Arm| {
            let values = self.run.gap_closed(&arm.name);
            let s = self.spread.of(&values)?;
            let percent = crate::format::percent_interval(&s);
            Some(vec![arm.name.clone(), percent, each(&values, &self.run.manifest.seeds)])
        };
        let rows: Vec<Vec<String>> = self.run.arms().iter().filter_map(row).collect();
        if rows.is_empty() {
            return;
        }
        let title =
            format!("Share of the gap in forget loss from {baseline} to {control} that the cut closed");
        section(out, &title, &["arm", "gap closed", "per seed, as a share of 1"].map(String::from), &rows);
    }

    fn attack(&self, out: &mut String, stage: &str) {
        let run = self.run;
        let steps = forgotten(run, stage, "steps_to_baseline");
        let of = |arm: &str| steps.map_or_else(Vec::new, |m| m.finals(arm));
        let more = self.of_attack(stage);
        let control = run.control();
        let row = |arm: &crate::Arm| {
            let back = Steps::of(run, stage, &arm.name);
            let values: Vec<String> = more
                .iter()
                .map(|m| {
                    let measured = forgotten(run, stage, m);
                    self.cell(&measured.map_or_else(Vec::new, |m| m.finals(&arm.name)))
                })
                .collect();
            if back.is_none() && values.iter().all(|v| v == MISSING) {
                return None;
            }
            let mut row = vec![arm.name.clone()];
            match back {
                Some(b) => {
                    let from = control.filter(|c| *c != arm.name);
                    // A mean or a difference over the seeds that came back would leave out the others.
                    let whole = |arm: &str| Steps::of(run, stage, arm).filter(|s| s.missed() == 0);
                    let paired = from
                        .filter(|c| whole(&arm.name).is_some() && whole(c).is_some())
                        .and_then(|c| self.spread.difference(&of(&arm.name), &of(c)));
                    let mean = self.spread.of(&b.reached).filter(|_| b.missed() == 0);
                    row.push(mean.map_or_else(|| b.short(""), |s| interval(&s)));
                    row.push(each(&b.reached, &b.attacked));
                    row.push(format!("{} of {}", b.reached.len(), b.attacked.len()));
                    row.push(b.budget.map_or(MISSING.to_owned(), number));
                    let text = |s: Summary| counted(difference(&s), s.n, b.attacked.len());
                    row.push(paired.map_or(MISSING.to_owned(), text));
                }
                None => row.extend(vec![MISSING.to_owned(); 5]),
            }
            row.extend(values);
            Some(row)
        };
        let rows: Vec<Vec<String>> = run.arms().iter().filter_map(row).collect();
        if rows.is_empty() {
            return;
        }
        let last = format!("minus {}, paired, where all seeds came back", control.unwrap_or("control"));
        let header = ["arm", "steps", "per seed", "seeds back", "budget", &last].map(String::from);
        let header: Vec<String> =
            header.into_iter().chain(more.iter().map(|m| m.replace('_', " "))).collect();
        section(out, &format!("Attack {stage}: steps until the baseline's loss is back"), &header, &rows);
    }

    /// What else an attack measured; curves, variants of its sweep and steps aside.
    fn of_attack(&self, stage: &str) -> Vec<&str> {
        let (mut out, run_curve): (Vec<&str>, _) = (Vec::new(), self.run.attack_metric(stage));
        for (q, _) in self.run.ordered().into_iter().filter(|(q, _)| q.stage == stage) {
            let curve = q.metric == run_curve || self.run.is_variant(q);
            if !curve && !q.metric.starts_with("steps_") && !out.contains(&&*q.metric) {
                out.push(&q.metric);
            }
        }
        out
    }

    fn metrics(&self, out: &mut String) {
        let attacks = self.run.attack_stages();
        let mut metrics: Vec<&str> = Vec::new();
        for (q, _) in self.run.ordered() {
            if !attacks.contains(&q.stage.as_str())
                && !self.apart(&q.metric)
                && !metrics.contains(&&*q.metric)
            {
                metrics.push(&q.metric);
            }
        }
        for metric in metrics {
            self.metric(out, metric);
        }
    }

    /// Whether a metric is no outcome, or has a table of its own.
    fn apart(&self, metric: &str) -> bool {
        let role = self.run.catalogue.get(metric).map(|m| m.role);
        metric == "gap_closed" || matches!(role, Some(Role::Curve | Role::Setting))
    }

    fn metric(&self, out: &mut String, metric: &str) {
        let run = self.run;
        let is_cut = |arm: &str| run.changed(arm, metric);
        let any_cut = run.arms().iter().any(|a| is_cut(&a.name));
        let other = run.control().or(run.baseline());
        let mut header = vec!["label".to_owned(), "arm".to_owned()];
        header.extend(
            if any_cut { vec!["before the cut", "after the cut"] } else { vec!["value"] }
                .into_iter()
                .map(String::from),
        );
        header.extend(other.map(|o| format!("minus {o}, paired")));
        let (arms, labels) = (run.arms(), &run.manifest.labels);
        let mut rows = Vec::new();
        for label in labels {
            for arm in arms.iter().map(|a| a.name.as_str()) {
                let (before, after) = (run.before(arm, metric, label), run.after(arm, metric, label));
                if before.is_empty() && after.is_empty() {
                    continue;
                }
                let mut row = vec![label.clone(), arm.to_owned(), self.cell(&before)];
                if any_cut {
                    row.push(if is_cut(arm) { self.cell(&after) } else { "not cut".to_owned() });
                }
                if let Some(other) = other {
                    let from = run.after(other, metric, label);
                    let d = if arm == other { None } else { self.spread.difference(&after, &from) };
                    row.push(d.map_or(MISSING.to_owned(), |d| {
                        counted(difference(&d), d.n, run.manifest.seeds.len())
                    }));
                }
                rows.push(row);
            }
        }
        let unit = run.unit(metric);
        let title = metric.replace('_', " ");
        let title = if unit.is_empty() || unit == metric { title } else { format!("{title} ({unit})") };
        if !rows.is_empty() {
            section(out, &title, &header, &rows);
        }
    }

    fn cell(&self, values: &[(u64, f64)]) -> String {
        let s = self.spread.of(values);
        s.map_or(MISSING.to_owned(), |s| counted(interval(&s), s.n, self.run.manifest.seeds.len()))
    }

    fn targets(&self, out: &mut String) {
        let table = targets::table(self.run);
        if table.rows.is_empty() {
            return;
        }
        let row = |r: &Vec<crate::tables::Cell>| r.iter().map(|c| c.main.clone()).collect();
        let rows: Vec<Vec<String>> = table.rows.iter().map(row).collect();
        section(out, "Targets", &table.header, &rows);
    }
}

/// The numbers of `seeds`, in their order.
fn each(values: &[(u64, f64)], seeds: &[u64]) -> String {
    let at = |s: &u64| values.iter().find(|v| v.0 == *s).map_or(MISSING.to_owned(), |v| number(v.1));
    seeds.iter().map(at).collect::<Vec<_>>().join(" / ")
}

/// The number of seeds, where some lack it.
fn counted(text: String, n: usize, seeds: usize) -> String {
    if n == seeds { text } else { format!("{text} (n = {n})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_seeds_have_a_range() {
        let values = [(0, 1.0), (1, 2.0), (2, 6.0)];
        assert_eq!(Spread::of_seeds(3).of(&values).unwrap().interval, Some((1.0, 6.0)));
        // Mean 3.2, sd 1.924, half width 2.776 · 1.924 / sqrt 5 = 2.388.
        let five: Vec<(u64, f64)> = values.into_iter().chain([(3, 3.0), (4, 4.0)]).collect();
        let (low, high) = Spread::of_seeds(5).of(&five).unwrap().interval.unwrap();
        assert!((low - 0.812).abs() < 2e-3 && (high - 5.588).abs() < 2e-3, "{low} {high}");
        assert_eq!(Spread::Range.of(&values[..1]).unwrap().interval, None);
        assert_eq!(Spread::Range.of(&[]), None);
    }
}
