//! Every arm under every attack: the numbers behind the matrix, the ranking and the verdict.
//!
//! Recovery is a share: 0 is as ignorant as the control that never saw the data, 1 as able as the
//! baseline. What was not measured has no number and is no zero.

use crate::RunData;
use crate::run::judge::rule::Kept;
use crate::run::judge::shares;
use crate::run::judge::{retain, retain_label};
use crate::run::summary;
use crate::stats::{self, Summary};

/// Which arms are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Reference,
    TrainingTime,
    PostHoc,
}

impl Group {
    fn of(run: &RunData, arm: &crate::Arm) -> Group {
        match arm.kind.as_deref() {
            _ if arm.control || run.is_reference(&arm.name) => Group::Reference,
            Some("control" | "reference") => Group::Reference,
            Some("post-hoc") => Group::PostHoc,
            Some("training-time" | "profile") => Group::TrainingTime,
            _ if arm.from.is_some() => Group::PostHoc,
            _ => Group::TrainingTime,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Group::Reference => "references and controls",
            Group::TrainingTime => "while training",
            Group::PostHoc => "after training",
        }
    }
}

/// One attack stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attack {
    pub(crate) stage: String,
    /// The label it tries to bring back.
    pub(crate) target: String,
}

/// What one attack, or none, left of one arm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) recovery: Summary,
    /// The first seed that has it.
    pub(crate) seed: u64,
    /// Stage that holds that member's directory.
    pub(crate) stage: String,
}

/// One arm.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) arm: String,
    pub(crate) group: Group,
    /// Column 0 is without any attack, column `i + 1` is attack `i`.
    pub(crate) cells: Vec<Option<Cell>>,
    /// Retain loss after removal, less the control's.
    pub(crate) retain: Option<Summary>,
    /// Whether the judgement calls the model damaged.
    pub(crate) damaged: bool,
}

/// The attack that brought most back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worst<'a> {
    pub(crate) column: usize,
    pub(crate) cell: &'a Cell,
}

impl Row {
    fn worst_of(&self, allowed: impl Fn(usize) -> bool) -> Option<Worst<'_>> {
        let cells = self.cells.iter().enumerate().filter(|(i, _)| allowed(*i));
        let worst = cells.filter_map(|(column, c)| Some(Worst { column, cell: c.as_ref()? }));
        // Of equal ones the first, so `max_by` runs backwards.
        worst.rev().max_by(|a, b| a.cell.recovery.mean.total_cmp(&b.cell.recovery.mean))
    }

    /// The column with the highest mean recovery. Leaving the model alone counts: nobody has to attack.
    pub(crate) fn worst(&self) -> Option<Worst<'_>> {
        self.attacked().then(|| self.worst_of(|_| true))?
    }

    /// The worst case among the columns that `other` has as well.
    pub(crate) fn worst_beside(&self, other: &Row) -> Option<Worst<'_>> {
        (self.attacked() && other.attacked())
            .then(|| self.worst_of(|i| other.cells.get(i).is_some_and(Option::is_some)))?
    }

    /// How many attacks have a number.
    pub(crate) fn attacks(&self) -> usize {
        self.cells.iter().skip(1).flatten().count()
    }

    fn attacked(&self) -> bool {
        self.attacks() > 0
    }
}

/// Every arm under every attack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) attacks: Vec<Attack>,
    /// Groups together, the manifest's order within.
    pub(crate) rows: Vec<Row>,
    /// The label that must not suffer.
    pub(crate) retain: Option<String>,
    /// A label close to the target.
    pub(crate) adjacent: Option<String>,
}

impl Matrix {
    /// `None` if no attack has measured a recovery.
    pub(crate) fn of(run: &RunData) -> Option<Matrix> {
        let attack = |stage: &str| {
            let target = run.target(stage, "recovery")?;
            Some(Attack { stage: stage.to_owned(), target: target.to_owned() })
        };
        let attacks: Vec<Attack> = run.attack_stages().into_iter().filter_map(attack).collect();
        let target = attacks.first()?.target.clone();
        let retain = retain_label(run, &target).map(str::to_owned);
        let adjacent = run.manifest.labels.iter().find(|l| l.starts_with("adjacent")).cloned();
        let mut rows: Vec<Row> =
            run.arms().iter().filter_map(|a| row(run, a, &attacks, retain.as_deref())).collect();
        rows.sort_by_key(|r| r.group);
        Some(Matrix { attacks, rows, retain, adjacent })
    }

    /// What a column is called.
    pub(crate) fn column(&self, i: usize) -> &str {
        i.checked_sub(1).and_then(|i| self.attacks.get(i)).map_or("no attack", |a| &a.stage)
    }

    pub(crate) fn row(&self, arm: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.arm == arm)
    }

    /// Arms that were attacked, the most robust first; those that pay with their retain loss come
    /// after all others, because a broken model resists everything.
    pub(crate) fn ranked(&self) -> Vec<(&Row, Worst<'_>)> {
        let mut all: Vec<_> = self.rows.iter().filter_map(|r| Some((r, r.worst()?))).collect();
        all.sort_by(|(a, x), (b, y)| {
            a.damaged.cmp(&b.damaged).then(x.cell.recovery.mean.total_cmp(&y.cell.recovery.mean))
        });
        all
    }

    /// The worst case of an arm and of the control under the attacks both have.
    pub(crate) fn beside<'a>(&'a self, row: &'a Row, control: &str) -> Option<(Worst<'a>, Worst<'a>)> {
        let control = self.row(control)?;
        Some((row.worst_beside(control)?, control.worst_beside(row)?))
    }
}

fn row(run: &RunData, arm: &crate::Arm, attacks: &[Attack], retained: Option<&str>) -> Option<Row> {
    let name = arm.name.as_str();
    let cell = |stage: &str, values: &[(u64, f64)]| {
        let (seed, recovery) = (values.first()?.0, summary(values)?);
        Some(Cell { recovery, seed, stage: stage.to_owned() })
    };
    let target = &attacks.first()?.target;
    let made = run.before_after(name, "loss").map(|(_, last)| last);
    let none =
        made.and_then(|stage| cell(stage, &shares::of_losses(run, target, &run.after(name, "loss", target))));
    let under = |a: &Attack| {
        let values = run.measured(&a.stage, "recovery", &a.target)?.finals(name);
        cell(&a.stage, &values)
    };
    let cells: Vec<Option<Cell>> = std::iter::once(none).chain(attacks.iter().map(under)).collect();
    let control = run.control().filter(|c| *c != name).zip(retained);
    let beside = control.and_then(|(c, label)| {
        stats::difference(&run.after(name, "loss", label), &run.after(c, "loss", label))
    });
    let group = Group::of(run, arm);
    let pays = || retain(run, name, target).is_some_and(|r| r.kept == Kept::No);
    cells.iter().any(Option::is_some).then(|| Row {
        arm: name.to_owned(),
        group,
        cells,
        damaged: group != Group::Reference && pays(),
        retain: beside,
    })
}
