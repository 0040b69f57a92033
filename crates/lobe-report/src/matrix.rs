//! Every arm under every attack: the numbers behind the matrix, the ranking and the verdict.
//!
//! Recovery is a share: 0 is as ignorant as the control that never saw the data, 1 as able as the
//! baseline. What was not measured has no number and is no zero.

use crate::RunData;
use crate::data::summary;
use crate::starts::{ALL, Start, starts};
use crate::stats::{self, Summary, mean};

/// An arm pays with its retain loss when that is worse than the control's by more than this share
/// of the control's own.
pub(crate) const RETAIN_TOLERANCE: f64 = 0.05;

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
            Some("control") => Group::Reference,
            Some("post-hoc") => Group::PostHoc,
            Some("training-time") => Group::TrainingTime,
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
    /// The recovery from each start by itself: what is held against an arm that has a single start.
    starts: Vec<Start>,
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
    /// Whether that is more than [`RETAIN_TOLERANCE`] allows.
    pub(crate) damaged: bool,
}

/// The attack that brought most back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worst<'a> {
    pub(crate) column: usize,
    pub(crate) cell: &'a Cell,
}

impl Cell {
    /// The start that brings back most on average.
    fn best(&self) -> Option<(f64, &Start)> {
        let average = |s: &Start| mean(&s.values.iter().map(|(_, v)| *v).collect::<Vec<_>>());
        let by_mean = self.starts.iter().filter_map(|s| Some((average(s)?, s)));
        by_mean.max_by(|x, y| x.0.total_cmp(&y.0))
    }

    /// Mean recovery from that start.
    fn level(&self) -> f64 {
        self.best().map_or(f64::NEG_INFINITY, |(level, _)| level)
    }
}

impl Row {
    fn worst_of(&self, allowed: impl Fn(usize) -> bool, by: impl Fn(&Cell) -> f64) -> Option<Worst<'_>> {
        let cells = self.cells.iter().enumerate().filter(|(i, _)| allowed(*i));
        let worst = cells.filter_map(|(column, c)| Some(Worst { column, cell: c.as_ref()? }));
        // Of equal ones the first, so `max_by` runs backwards.
        worst.rev().max_by(|a, b| by(a.cell).total_cmp(&by(b.cell)))
    }

    /// The column with the highest mean recovery. Leaving the model alone counts: nobody has to attack.
    pub(crate) fn worst(&self) -> Option<Worst<'_>> {
        self.attacked().then(|| self.worst_of(|_| true, |c| c.recovery.mean))?
    }

    /// The worst case among the columns that `other` has, too, each taken from its best single start.
    pub(crate) fn worst_beside(&self, other: &Row) -> Option<Worst<'_>> {
        (self.attacked() && other.attacked())
            .then(|| self.worst_of(|i| other.cells.get(i).is_some_and(Option::is_some), Cell::level))?
    }

    /// How many attacks have a number.
    pub(crate) fn attacks(&self) -> usize {
        self.cells.iter().skip(1).flatten().count()
    }

    fn attacked(&self) -> bool {
        self.attacks() > 0
    }
}

/// How an arm's worst case compares with the control's under the same attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Less comes back, whatever the start: the intervals of the paired differences lie below 0.
    Beats,
    /// Neither.
    Alike,
    /// More comes back from some start: an interval lies above 0.
    Worse,
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
        let labels = &run.manifest.labels;
        let near = |l: &str| l.starts_with("adjacent");
        let other =
            |l: &&String| **l != target && !near(l) && !matches!(l.as_str(), "" | "all" | "unlabelled");
        let retain = labels.iter().find(|l| *l == "retain").or_else(|| labels.iter().find(other)).cloned();
        let adjacent = labels.iter().find(|l| near(l)).cloned();
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

/// What `own` recovers more than `control` in pairs, from each of its starts: seeds share initial weights and
/// data, and the better of two starts is better by chance alone.
pub(crate) fn differences(own: &Worst<'_>, control: &Worst<'_>) -> Vec<(&'static str, Summary)> {
    let Some((_, other)) = control.cell.best() else { return Vec::new() };
    let by = |s: &Start| Some((s.name, stats::difference(&s.values, &other.values)?));
    own.cell.starts.iter().filter_map(by).collect()
}

/// How `own` stands against `control`: worse if it is from some start, better if it is from all; `None`
/// where no two seeds have both.
pub(crate) fn standing(own: &Worst<'_>, control: &Worst<'_>) -> Option<Standing> {
    let each: Vec<_> = differences(own, control).into_iter().map(|(_, d)| d.interval).collect();
    if each.iter().all(Option::is_none) {
        return None;
    }
    Some(match () {
        () if each.iter().flatten().any(|i| i.0 > 0.0) => Standing::Worse,
        () if each.iter().all(|i| i.is_some_and(|i| i.1 < 0.0)) => Standing::Beats,
        () => Standing::Alike,
    })
}

/// Why there is no [`standing`].
pub(crate) fn unjudged(own: &Worst<'_>, control: &Worst<'_>) -> &'static str {
    match differences(own, control).iter().map(|(_, d)| d.n).max() {
        None | Some(0) => "No seed has both",
        Some(_) => "One seed",
    }
}

/// Recovery that `losses` amount to, seed by seed.
fn recovery(run: &RunData, label: &str, losses: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let (Some(baseline), Some(control)) = (run.baseline(), run.control()) else { return Vec::new() };
    let [low, high] = [baseline, control].map(|a| run.before(a, "loss", label));
    let at = |list: &[(u64, f64)], seed| list.iter().find(|(s, _)| *s == seed).map(|(_, v)| *v);
    let share = |&(seed, v): &(u64, f64)| {
        let (low, high) = (at(&low, seed)?, at(&high, seed)?);
        (high > low).then(|| (seed, (high - v) / (high - low)))
    };
    losses.iter().filter_map(share).collect()
}

fn row(run: &RunData, arm: &crate::Arm, attacks: &[Attack], retain: Option<&str>) -> Option<Row> {
    let name = arm.name.as_str();
    let cell = |stage: &str, values: &[(u64, f64)], starts: Vec<Start>| {
        let (seed, recovery) = (values.first()?.0, summary(values)?);
        Some(Cell { recovery, starts, seed, stage: stage.to_owned() })
    };
    let target = &attacks.first()?.target;
    let made = run.before_after(name, "loss").map(|(_, last)| last);
    let none = made.and_then(|stage| {
        let values = recovery(run, target, &run.after(name, "loss", target));
        cell(stage, &values, vec![Start { name: ALL, values: values.clone() }])
    });
    let under = |a: &Attack| {
        let values = run.measured(&a.stage, "recovery", &a.target)?.finals(name);
        cell(&a.stage, &values, starts(run, &a.stage, "recovery", &a.target, name, f64::max))
    };
    let cells: Vec<Option<Cell>> = std::iter::once(none).chain(attacks.iter().map(under)).collect();
    let control = run.control().filter(|c| *c != name).zip(retain);
    let retain = control.and_then(|(c, label)| {
        let (own, other) = (run.after(name, "loss", label), run.after(c, "loss", label));
        Some((stats::difference(&own, &other)?, summary(&other)?.mean.abs()))
    });
    let group = Group::of(run, arm);
    let pays = |(d, level): &(Summary, f64)| d.mean > RETAIN_TOLERANCE * level;
    cells.iter().any(Option::is_some).then(|| Row {
        arm: name.to_owned(),
        group,
        cells,
        damaged: group != Group::Reference && retain.as_ref().is_some_and(pays),
        retain: retain.map(|r| r.0),
    })
}
