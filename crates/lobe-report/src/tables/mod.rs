//! The tables of a report, free of any markup: page and terminal draw the same ones.

pub(crate) mod answer;

use crate::RunData;
use crate::format::{MISSING, difference, interval, number};
use crate::run::judge::steps::Steps;
use crate::run::{Measured, Quantity, summary};
use crate::stats;

/// Most rows of one table; nobody reads further, and `results.csv` has them all.
const MOST_ROWS: usize = 1000;

/// One cell: what stands in it, and a second line in smaller type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) main: String,
    pub(crate) sub: String,
}

impl From<String> for Cell {
    fn from(main: String) -> Cell {
        Cell { main, sub: String::new() }
    }
}

/// A table; the first `heads` columns are row headings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) header: Vec<String>,
    pub(crate) heads: usize,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The columns `keep`, in that order.
    pub(crate) fn pick(&self, keep: &[usize]) -> Table {
        Table {
            header: keep.iter().map(|i| self.header[*i].clone()).collect(),
            heads: self.heads,
            rows: self
                .rows
                .iter()
                .map(|r| keep.iter().filter_map(|i| r.get(*i).cloned()).collect())
                .collect(),
        }
    }

    /// Without the columns in which nothing is known.
    pub(crate) fn known(&self) -> Table {
        let has = |i: &usize| *i < self.heads || self.rows.iter().any(|r| r[*i].main != MISSING);
        self.pick(&(0..self.header.len()).filter(has).collect::<Vec<_>>())
    }
}

/// Steps until the baseline's loss is back, of one attack stage.
pub(crate) fn steps(run: &RunData, stage: &str) -> Table {
    let row = |arm: &crate::Arm| {
        let back = Steps::of(run, stage, &arm.name)?;
        let of = format!("{} of {}", back.reached.len(), back.attacked.len());
        let budget = back.budget.filter(|_| back.reached.len() < back.attacked.len());
        let sub = budget.map_or_else(String::new, |b| format!("budget {}", number(b)));
        Some(vec![arm.name.clone().into(), back.short("").into(), Cell { main: of, sub }])
    };
    Table {
        header: ["arm", "steps to baseline", "seeds back"].map(String::from).to_vec(),
        heads: 1,
        rows: run.arms().iter().filter_map(row).collect(),
    }
}

/// Final numbers of a stage: `(main, rest)`, the rest being the variants of attack sweeps and
/// running losses, which few readers want. Arms without any number there have no column.
pub(crate) fn finals(run: &RunData, stage: &str) -> (Table, Table) {
    let fixed = ["metric", "label"].map(String::from).into_iter();
    let header: Vec<String> = fixed.chain(run.arms().iter().map(|a| a.name.clone())).collect();
    let empty = Table { header, heads: 2, rows: Vec::new() };
    let (mut main, mut rest) = (empty.clone(), empty);
    for (quantity, measured) in run.ordered().into_iter().filter(|(q, _)| q.stage == stage) {
        // Beside an attack, `@` names a decoder or a class and not a variant of its sweep.
        let variant = run.is_variant(quantity);
        let minor = variant || (run.is_curve(&quantity.metric) && !run.is_attack(stage));
        let table = if minor { &mut rest } else { &mut main };
        if table.rows.len() < MOST_ROWS {
            table.rows.push(row(run, quantity, measured));
        }
    }
    (main.known(), rest.known())
}

fn row(run: &RunData, quantity: &Quantity, measured: &Measured) -> Vec<Cell> {
    let metric = quantity.metric.replace('_', " ");
    let sub = if measured.unit == quantity.metric { String::new() } else { measured.unit.clone() };
    let mut out = vec![Cell { main: metric, sub }, quantity.label.clone().into()];
    for arm in run.arms() {
        if let Some(bounded) = bounded(measured, &arm.name) {
            out.push(bounded.into());
            continue;
        }
        let Some(s) = measured.summary(&arm.name) else {
            out.push(MISSING.to_owned().into());
            continue;
        };
        let mut main = interval(&s);
        if s.n != run.manifest.seeds.len() {
            main.push_str(&format!(" (n = {})", s.n));
        }
        let baseline = run.baseline().filter(|b| *b != arm.name);
        // A setting that is the same everywhere, such as a budget, has no difference worth a line.
        let from = |b| {
            let same_stage = measured.difference(&arm.name, b);
            same_stage.or_else(|| {
                let as_trained = run.before(b, &quantity.metric, &quantity.label);
                stats::difference(&measured.finals(&arm.name), &as_trained)
            })
        };
        let sub = baseline.and_then(from).filter(|d| d.mean != 0.0);
        out.push(Cell { main, sub: sub.map_or_else(String::new, |d| format!("Δ {}", difference(&d))) });
    }
    out
}

/// The seeds one by one where some have a lower bound instead of a number: a mean would leave those out.
pub(crate) fn bounded(measured: &Measured, arm: &str) -> Option<String> {
    let bounds = measured.bounds(arm);
    let reached = measured.finals(arm).into_iter().map(|(seed, v)| (seed, number(v)));
    let mut each: Vec<(u64, String)> =
        reached.chain(bounds.iter().map(|(seed, v)| (*seed, format!("> {}", number(*v))))).collect();
    each.sort_by_key(|(seed, _)| *seed);
    let text = each.into_iter().map(|(_, v)| v).collect::<Vec<_>>().join(", ");
    (!bounds.is_empty()).then_some(text)
}

/// Wall time and throughput per stage and arm, means over seeds.
pub(crate) fn costs(run: &RunData) -> Table {
    let mut header: Vec<String> = vec!["stage".into()];
    header.extend(run.arms().iter().map(|a| a.name.clone()));
    header.push("all members".into());
    let mut rows = Vec::new();
    let mut stages: Vec<&str> = Vec::new();
    for t in &run.timings {
        if !stages.contains(&t.stage.as_str()) && stages.len() < 256 {
            stages.push(&t.stage);
        }
    }
    for stage in &stages {
        let mut row: Vec<Cell> = vec![(*stage).to_owned().into()];
        for arm in run.arms() {
            let of = || run.timings.iter().filter(|t| t.stage == *stage && t.arm == arm.name);
            let seconds = summary(&of().map(|t| (t.seed, t.seconds)).collect::<Vec<_>>());
            let rate = summary(&of().filter_map(|t| Some((t.seed, t.rate?))).collect::<Vec<_>>());
            let unit = of().find(|t| t.rate.is_some()).map_or("", |t| t.unit.as_str());
            row.push(Cell {
                main: seconds.map_or_else(|| MISSING.to_owned(), |s| format!("{} s", number(s.mean))),
                sub: rate.map_or_else(String::new, |r| format!("{} {unit}", number(r.mean))),
            });
        }
        let total: f64 = run.timings.iter().filter(|t| t.stage == *stage).map(|t| t.seconds).sum();
        row.push(format!("{} s", number(total)).into());
        rows.push(row);
    }
    Table { header, heads: 1, rows }
}

/// Settings that the recipe did not state.
pub(crate) fn derived(run: &RunData) -> Table {
    let rows = run.manifest.derived.iter().take(1000);
    Table {
        header: ["setting", "value", "rule"].map(String::from).to_vec(),
        heads: 1,
        rows: rows.map(|d| [&d.key, &d.value, &d.rule].map(|s| Cell::from(s.clone())).to_vec()).collect(),
    }
}

/// The arms and what they are.
pub(crate) fn arms(run: &RunData) -> Table {
    let row = |a: &crate::Arm| {
        let name = a.name.as_str();
        let role = match () {
            () if Some(name) == run.baseline() => "baseline",
            () if Some(name) == run.control() || a.control => "control",
            () if Some(name) == run.filter() => "filter",
            () if Some(name) == run.fresh() => "untrained",
            () => "",
        };
        let region = a.region.clone().unwrap_or_else(|| MISSING.to_owned());
        let from = a.from.clone().unwrap_or_else(|| MISSING.to_owned());
        let kind = a.kind.clone().unwrap_or_else(|| MISSING.to_owned());
        [a.name.clone(), a.method.clone(), from, kind, region, role.to_owned(), a.note.clone()]
            .map(Cell::from)
            .to_vec()
    };
    let all = Table {
        header: ["arm", "method", "starts from", "kind", "region", "role", "note"].map(String::from).to_vec(),
        heads: 1,
        rows: run.arms().iter().map(row).collect(),
    };
    // Older runs know neither of the two.
    let has = |i: usize| all.rows.iter().any(|r| r[i].main != MISSING);
    all.pick(&(0..7).filter(|i| !matches!(i, 2 | 3) || has(*i)).collect::<Vec<_>>())
}
