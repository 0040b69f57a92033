//! The judgement as one table: arm, answer, and the numbers it rests on.

use crate::RunData;
use crate::format::{MISSING, difference, interval, percent_interval};
use crate::run::judge::{Judged, Judgement, Measure, Role, Versus};
use crate::tables::{Cell, Table};

/// One row an arm, references last. Positive numbers under "against" mean that the arm resists the attack
/// better than the other one.
pub(crate) fn answer(run: &RunData, judgement: &Judgement) -> Table {
    let filter = run.filter();
    let control = run.control();
    let beside = run.filter().or(run.baseline());
    let several = judgement.arms.iter().any(|j| j.label != judgement.arms[0].label);
    let mut header = vec!["arm".to_owned(), "verdict".into(), "gap closed".into()];
    header.push(beside.map_or_else(|| "retain cost".into(), |c| format!("retain loss − {c}")));
    header.push("comes back after".into());
    header.extend([filter, control].into_iter().flatten().map(|o| format!("vs {o}")));
    let row = |j: &Judged| {
        let name = if several { format!("{} ({})", j.arm, j.label) } else { j.arm.clone() };
        let mut cells = vec![Cell::from(name), verdict(j)];
        cells.push(
            j.closed
                .filter(|_| j.role != Role::Baseline && j.role != Role::Control)
                .as_ref()
                .map_or_else(missing, |s| percent_interval(s).into()),
        );
        let cost = j.retain.as_ref().filter(|r| beside == Some(r.against.as_str()));
        cells.push(cost.map_or_else(missing, |r| difference(&r.by).into()));
        cells.push(back(j));
        for other in [filter, control].into_iter().flatten() {
            cells.push(j.beside(other).map_or_else(missing, |v| resists(v).into()));
        }
        cells
    };
    let rows = judgement.arms.iter().filter(|j| j.role != Role::Fresh).map(row).collect();
    Table { header, heads: 1, rows }.known()
}

fn missing() -> Cell {
    MISSING.to_owned().into()
}

fn verdict(j: &Judged) -> Cell {
    match j.role {
        Role::Judged => format!("{} {}", j.word.symbol(), j.word.text()).into(),
        Role::Baseline => "learnt it".to_owned().into(),
        Role::Control => "never had it".to_owned().into(),
        Role::Fresh => "never trained".to_owned().into(),
    }
}

/// Under the worst attack: steps where it takes steps, else the share of the gap that came back.
fn back(j: &Judged) -> Cell {
    let Some(worst) = j.worst.and_then(|w| j.attacks.get(w)) else { return missing() };
    let main = match (&worst.steps_short, &worst.returned) {
        (Some(steps), _) => steps.clone(),
        (None, Some(share)) => format!("{} of the gap", percent_interval(share)),
        (None, None) => return missing(),
    };
    Cell { main, sub: if j.attacks.len() > 1 { worst.stage.clone() } else { String::new() } }
}

/// `+4 [−13, 5] steps`; `≥` where a seed never came back.
pub(crate) fn resists(v: &Versus) -> String {
    let least = if v.bounded { "≥ " } else { "" };
    match v.measure {
        Measure::Steps => format!("{least}{} steps", difference(&v.by)),
        Measure::Share if v.by.interval.is_some() => {
            format!("{least}{} points", difference(&v.by.scaled(100.0)))
        }
        Measure::Share => format!("{least}{} points", interval(&v.by.scaled(100.0))),
    }
}
