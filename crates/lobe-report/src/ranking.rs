//! Tables about every arm under every attack: who resists, and what it costs.

use lobe_runs::{Makes, Starts};

use crate::RunData;
use crate::format::{MISSING, difference, number, share_interval};
use crate::run::judge::scale::compact;
use crate::run::judge::{Judged, Role, judge};
use crate::run::matrix::{Matrix, Worst};
use crate::run::summary;
use crate::stats::{self, Summary, mean};
use crate::tables::{Cell, Table};

/// What an attack spent, in the order of the table.
const BUDGETS: [(&str, &str); 4] = [
    ("budget_steps", "steps"),
    ("budget_tokens", "tokens"),
    ("budget_examples", "examples"),
    ("budget_parameters", "parameters"),
];

fn missing() -> Cell {
    MISSING.to_owned().into()
}

/// The worst case of every arm, the most robust first.
pub(crate) fn worst_cases(run: &RunData, m: &Matrix) -> Table {
    let judged = &judge(run).arms;
    let control = run.control().unwrap_or_default();
    let fresh = run.fresh().unwrap_or_default();
    let retain = m.retain.as_deref().unwrap_or_default();
    let adjacent = m.adjacent.as_deref().unwrap_or_default();
    let beside = |w: Option<Worst<'_>>| {
        let cell = |w: Worst<'_>| Cell {
            main: share_interval(&w.cell.recovery),
            sub: m.column(w.column).to_owned(),
        };
        w.map_or_else(missing, cell)
    };
    let against = |arm: &str, label: &str| {
        let differs = |other: &str| {
            let after = |arm| run.after(arm, "loss", label);
            (other != arm).then(|| stats::difference(&after(arm), &after(other)))?
        };
        let main = differs(control).map_or_else(|| MISSING.to_owned(), |d| difference(&d));
        let filter = run.filter().filter(|f| *f != control);
        let sub = filter.and_then(|f| Some(format!("Δ {f} {}", difference(&differs(f)?))));
        Cell { main, sub: sub.unwrap_or_default() }
    };
    let row = |(row, worst): (&crate::run::matrix::Row, Worst<'_>)| {
        let arm = row.arm.as_str();
        let n = row.attacks();
        let few = (n < m.attacks.len()).then(|| format!("{n} of {} attacks", m.attacks.len()));
        let pair = m.beside(row, control).filter(|_| arm != control);
        let role =
            if row.group == crate::run::matrix::Group::Reference { "reference" } else { row.group.words() };
        vec![
            Cell { main: arm.to_owned(), sub: role.to_owned() },
            Cell { main: share_interval(&worst.cell.recovery), sub: few.unwrap_or_default() },
            m.column(worst.column).to_owned().into(),
            beside(pair.map(|p| p.1)),
            beside(m.row(fresh).filter(|r| r.arm != arm).and_then(|r| r.worst_beside(row))),
            word(judged, arm),
            against(arm, retain),
            if adjacent.is_empty() { missing() } else { against(arm, adjacent) },
            removal(run, arm),
        ]
    };
    let loss = |label: &str| format!("{label} loss, Δ {control}");
    Table {
        header: vec![
            "arm".into(),
            "worst recovery".into(),
            "by".into(),
            format!("{control}, same attacks"),
            format!("{fresh}, same attacks"),
            "judgement".into(),
            loss(retain),
            loss(adjacent),
            "removal took".into(),
        ],
        heads: 1,
        rows: m.ranked().into_iter().map(row).collect(),
    }
    .known()
}

/// The word of the judgement.
fn word(judged: &[Judged], arm: &str) -> Cell {
    let own = judged.iter().find(|j| j.arm == arm && j.role == Role::Judged);
    own.map_or_else(missing, |j| j.word.text().to_owned().into())
}

/// Means over seeds of what the winning variant spent, arm by arm.
fn spent(run: &RunData, stage: &str, label: &str) -> Vec<Option<Vec<f64>>> {
    let of = |metric: &str| {
        let measured = run.measured(stage, metric, label)?;
        let arms = run.arms().iter();
        let means: Vec<f64> = arms.filter_map(|a| Some(summary(&measured.finals(&a.name))?.mean)).collect();
        (!means.is_empty()).then_some(means)
    };
    BUDGETS.iter().map(|(metric, _)| of(metric)).collect()
}

/// What each attack's winning variant cost, means over arms and seeds.
pub(crate) fn attack_costs(run: &RunData, m: &Matrix) -> Table {
    let cell = |values: Option<Vec<f64>>, unit: &str| {
        let Some((mean, values)) = values.and_then(|v| Some((mean(&v)?, v))) else { return missing() };
        let (low, high) = stats::extent(values.into_iter()).unwrap_or((mean, mean));
        let sub =
            if low < high { format!("{} to {}{unit}", compact(low), compact(high)) } else { String::new() };
        Cell { main: format!("{}{unit}", compact(mean)), sub }
    };
    let row = |a: &crate::run::matrix::Attack| {
        let does = run.does(&a.stage);
        let sub = if does == a.stage { String::new() } else { does.to_owned() };
        let mut cells = vec![Cell { main: a.stage.clone(), sub }];
        cells.extend(spent(run, &a.stage, &a.target).into_iter().map(|v| cell(v, "")));
        let walls = run.arms().iter().filter_map(|arm| Some(wall(run, &a.stage, &arm.name)?.mean));
        let walls: Vec<f64> = walls.collect();
        cells.push(cell((!walls.is_empty()).then_some(walls), " s"));
        cells
    };
    let mut header = vec!["attack".to_owned()];
    header.extend(BUDGETS.iter().map(|(_, name)| (*name).to_owned()));
    header.push("wall time".into());
    Table { header, heads: 1, rows: m.attacks.iter().map(row).collect() }.known()
}

fn wall(run: &RunData, stage: &str, arm: &str) -> Option<Summary> {
    let of = run.timings.iter().filter(|t| t.stage == stage && t.arm == arm);
    summary(&of.map(|t| (t.seed, t.seconds)).collect::<Vec<_>>())
}

/// Wall time of what was done to an arm after its training, and of the training itself.
fn removal(run: &RunData, arm: &str) -> Cell {
    let attacks = run.attack_stages();
    let made = |s: &&str| {
        !attacks.contains(s) && run.makes(s) != Some(Makes::Numbers) && run.starts(s) != Starts::Files
    };
    let seconds = |train: bool| {
        let stages = run.stages().filter(made).filter(|s| (run.starts(s) == Starts::Drawn) == train);
        stages.filter_map(|s| Some(wall(run, s, arm)?.mean)).reduce(|a, b| a + b)
    };
    let train = seconds(true).map(|s| format!("training {} s", number(s)));
    let main = seconds(false).map(|s| format!("{} s", number(s)));
    match (main, train) {
        (None, None) => missing(),
        (None, Some(train)) => Cell { main: "in training".into(), sub: train },
        (Some(main), train) => Cell { main, sub: train.unwrap_or_default() },
    }
}
