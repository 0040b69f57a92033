//! A run in memory, and the questions the report asks of it.

pub mod judge;
pub(crate) mod matrix;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use lobe_runs::{
    Activity, Arm, Catalogue, Makes, Manifest, MemberChart, Prefix, Role, Starts, TimingRow, part,
};

use self::judge::Judgement;
use self::matrix::Matrix;
use crate::samples::Sample;
use crate::stats::{self, Summary};

/// What was measured: a column of `results.csv` once arm, seed and step are set aside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// Stage that produced the number.
    pub stage: String,
    /// Metric name.
    pub metric: String,
    /// True class of the held-out data.
    pub label: String,
}

/// One number of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Step it belongs to; `None` for a number about the whole stage.
    pub step: Option<u64>,
    /// The number, always finite.
    pub value: f64,
}

/// Everything known about one [`Quantity`].
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Unit, as written.
    pub unit: String,
    /// Series by arm and seed, steps ascending, numbers without a step last.
    pub by_arm: BTreeMap<String, BTreeMap<u64, Vec<Point>>>,
    /// Numbers of which only a lower bound is known, by arm and seed. They are part of no mean.
    pub bounds: BTreeMap<String, BTreeMap<u64, f64>>,
}

impl Measured {
    /// Adds a number, or a bound where the unit says so (`> steps`: it took more than this); returns how many
    /// seeds of the arm have one.
    pub(crate) fn add(&mut self, arm: String, seed: u64, point: Point, unit: &str) -> usize {
        let bound = unit.strip_prefix("> ");
        if self.unit.is_empty() {
            bound.unwrap_or(unit).clone_into(&mut self.unit);
        }
        if bound.is_some() {
            let bounds = self.bounds.entry(arm).or_default();
            bounds.insert(seed, point.value);
            return bounds.len();
        }
        let seeds = self.by_arm.entry(arm).or_default();
        seeds.entry(seed).or_default().push(point);
        seeds.len()
    }

    /// The last number of each seed.
    pub fn finals(&self, arm: &str) -> Vec<(u64, f64)> {
        let seeds = self.by_arm.get(arm).into_iter().flatten();
        seeds.filter_map(|(&seed, points)| Some((seed, points.last()?.value))).collect()
    }

    /// The lower bound of each seed that has no number.
    pub fn bounds(&self, arm: &str) -> Vec<(u64, f64)> {
        self.bounds.get(arm).into_iter().flatten().map(|(seed, bound)| (*seed, *bound)).collect()
    }

    /// Mean and interval of [`Measured::finals`].
    pub fn summary(&self, arm: &str) -> Option<Summary> {
        summary(&self.finals(arm))
    }

    /// Paired difference between two arms on the seeds both have.
    pub fn difference(&self, arm: &str, from: &str) -> Option<Summary> {
        stats::difference(&self.finals(arm), &self.finals(from))
    }

    /// The stepped series of each seed of `arm`.
    pub fn curves(&self, arm: &str) -> Vec<(u64, Vec<(f64, f64)>)> {
        let stepped = |points: &Vec<Point>| -> Vec<(f64, f64)> {
            points.iter().filter_map(|p| Some((p.step? as f64, p.value))).collect()
        };
        let seeds = self.by_arm.get(arm).into_iter().flatten();
        seeds.map(|(&seed, points)| (seed, stepped(points))).filter(|(_, c)| !c.is_empty()).collect()
    }
}

/// What sets a variant of an attack apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    /// What it starts from; may be empty.
    pub start: String,
    /// What else, as `key=value;key=value`.
    pub settings: String,
}

impl Variant {
    /// The settings one by one.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.split(';').filter_map(|s| s.split_once('='))
    }
}

/// Mean and interval over seeds.
pub(crate) fn summary(finals: &[(u64, f64)]) -> Option<Summary> {
    let values: Vec<f64> = finals.iter().map(|(_, v)| *v).collect();
    stats::summarize(&values)
}

/// A run directory, read and checked.
#[derive(Debug, Clone, Default)]
pub struct RunData {
    /// What the run is. Arms, stages and labels that only `results.csv` names are appended.
    pub manifest: Manifest,
    /// What the metrics mean; empty in older runs.
    pub catalogue: Catalogue,
    /// Everything measured.
    pub results: BTreeMap<Quantity, Measured>,
    /// The numbers of single variants of attacks.
    pub variants: BTreeMap<Quantity, BTreeMap<Variant, Measured>>,
    /// Wall times.
    pub timings: Vec<TimingRow>,
    /// Unit activity.
    pub activity: Vec<Activity>,
    /// What stages left to be seen.
    pub charts: Vec<MemberChart>,
    /// Prefixes that attacks found.
    pub prefixes: Vec<Prefix>,
    /// What models say, of the first seed of each arm.
    pub samples: Vec<Sample>,
    /// The recipe as written; empty if it is not there.
    pub recipe: String,
    /// What was left out while reading, for the reader of the report.
    pub warnings: Vec<String>,
    index: OnceLock<Index>,
    matrix: OnceLock<Option<Matrix>>,
    judgement: OnceLock<Judgement>,
}

/// What is asked again and again, worked out at the first question.
#[derive(Debug, Clone, Default)]
struct Index {
    attacks: BTreeSet<String>,
    /// Per metric and arm: the first and the last stage with the metric, attacks aside.
    models: BTreeMap<String, BTreeMap<String, (String, String)>>,
}

impl Index {
    fn of(run: &RunData) -> Index {
        let attack = |s: &&lobe_runs::Stage| s.makes == Some(Makes::Attack);
        let attacks: BTreeSet<String> =
            run.manifest.stages.iter().filter(attack).map(|s| s.name.clone()).collect();
        let mut models: BTreeMap<String, BTreeMap<String, (String, String)>> = BTreeMap::new();
        for stage in run.stages().filter(|s| !attacks.contains(*s)) {
            for (q, measured) in run.results.iter().filter(|(q, _)| q.stage == stage) {
                let arms = models.entry(q.metric.clone()).or_default();
                for arm in measured.by_arm.keys() {
                    let span = arms.entry(arm.clone()).or_insert_with(|| (stage.to_owned(), String::new()));
                    stage.clone_into(&mut span.1);
                }
            }
        }
        Index { attacks, models }
    }
}

impl RunData {
    /// What is known about a quantity.
    pub fn measured(&self, stage: &str, metric: &str, label: &str) -> Option<&Measured> {
        let key = Quantity { stage: stage.into(), metric: metric.into(), label: label.into() };
        self.results.get(&key)
    }

    /// The arms, in the manifest's order.
    pub fn arms(&self) -> &[Arm] {
        &self.manifest.arms
    }

    /// The arm that trains on everything.
    pub fn baseline(&self) -> Option<&str> {
        self.known(self.manifest.reference.baseline.as_deref())
    }

    /// The arm that never had the capability.
    pub fn control(&self) -> Option<&str> {
        let marked = || self.arms().iter().find(|a| a.control).map(|a| a.name.as_str());
        self.known(self.manifest.reference.control.as_deref()).or_else(marked)
    }

    /// The arm trained on filtered data.
    pub fn filter(&self) -> Option<&str> {
        self.known(self.manifest.reference.filter.as_deref())
    }

    /// The network that was never trained.
    pub fn fresh(&self) -> Option<&str> {
        self.known(self.manifest.reference.fresh.as_deref())
    }

    fn known<'a>(&'a self, name: Option<&'a str>) -> Option<&'a str> {
        name.filter(|n| self.arms().iter().any(|a| a.name == *n))
    }

    /// Baseline, control, filter and the untrained network are shown as they were made; every other
    /// arm as the last stage left it.
    pub fn is_reference(&self, arm: &str) -> bool {
        [self.baseline(), self.control(), self.filter(), self.fresh()].contains(&Some(arm))
    }

    /// An arm by its name.
    pub fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms().iter().find(|a| a.name == name)
    }

    /// Stages that tried to bring a capability back, in order.
    pub fn attack_stages(&self) -> Vec<&str> {
        self.stages().filter(|s| self.is_attack(s)).collect()
    }

    pub(crate) fn is_attack(&self, stage: &str) -> bool {
        self.index().attacks.contains(stage)
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(self))
    }

    /// Every arm under every attack, if an attack was measured.
    pub(crate) fn matrix(&self) -> Option<&Matrix> {
        self.matrix.get_or_init(|| Matrix::of(self)).as_ref()
    }

    /// What the run comes to.
    pub(crate) fn judgement(&self) -> &Judgement {
        self.judgement.get_or_init(|| judge::work_out(self))
    }

    /// What a stage does; empty if the manifest does not say.
    pub fn does(&self, stage: &str) -> &str {
        self.manifest.stage(stage).map_or("", |s| s.does.as_str())
    }

    /// What a stage leaves behind; `None` if the manifest does not say.
    pub(crate) fn makes(&self, stage: &str) -> Option<Makes> {
        self.manifest.stage(stage)?.makes
    }

    /// What a stage starts from.
    pub fn starts(&self, stage: &str) -> Starts {
        self.manifest.stage(stage).map_or_else(Starts::default, |s| s.starts)
    }

    /// Metric of an attack's loss over its steps.
    pub(crate) fn attack_metric(&self, stage: &str) -> &str {
        self.manifest.stage(stage).and_then(|s| s.curve.as_deref()).unwrap_or_default()
    }

    /// Whether a metric is a curve whose last number is no outcome.
    pub(crate) fn is_curve(&self, metric: &str) -> bool {
        self.catalogue.get(metric).is_some_and(|m| m.role == Role::Curve)
    }

    /// Whether a quantity of an attack is that of one of its variants.
    pub(crate) fn is_variant(&self, q: &Quantity) -> bool {
        part(&q.metric).1.is_some() && self.is_attack(&q.stage)
    }

    /// A metric of a stage, label by label.
    pub(crate) fn of<'a, 'b>(
        &'a self,
        stage: &'b str,
        metric: &'b str,
    ) -> impl Iterator<Item = (&'a Quantity, &'a Measured)> + use<'a, 'b> {
        let from = Quantity { stage: stage.to_owned(), metric: metric.to_owned(), label: String::new() };
        self.results.range(from..).take_while(move |(q, _)| q.stage == stage && q.metric == metric)
    }

    /// The label whose capability an attack tries to bring back: what the manifest says, else `forget` or the
    /// first it measured `metric` for.
    pub(crate) fn target(&self, stage: &str, metric: &str) -> Option<&str> {
        let own = self.manifest.stage(stage).and_then(|s| s.label.as_deref()).unwrap_or("forget");
        let place = |l: &str| (l != own, self.manifest.labels.iter().position(|k| k == l));
        self.of(stage, metric).map(|(q, _)| q.label.as_str()).min_by_key(|l| place(l))
    }

    /// Stage names, in order.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.manifest.stages.iter().map(|s| s.name.as_str())
    }

    /// Quantities ordered as a reader expects: by stage, then metric, then label.
    pub fn ordered(&self) -> Vec<(&Quantity, &Measured)> {
        let stage = |q: &Quantity| self.stages().position(|s| s == q.stage);
        let label = |q: &Quantity| self.manifest.labels.iter().position(|l| *l == q.label);
        let mut all: Vec<_> = self.results.iter().collect();
        // `sort_by_cached_key` because a run may hold thousands of quantities.
        all.sort_by_cached_key(|(q, _)| {
            (stage(q), self.catalogue.place(&q.metric), q.metric.clone(), label(q))
        });
        all
    }

    /// The first and the last stage that measured `metric` on `arm`'s model for any label, attacks
    /// aside: before and after everything that was done to it.
    pub fn before_after(&self, arm: &str, metric: &str) -> Option<(&str, &str)> {
        let (first, last) = self.index().models.get(metric)?.get(arm)?;
        let (first, last) = (first.as_str(), last.as_str());
        Some((first, if self.is_reference(arm) { first } else { last }))
    }

    /// The arm and the stage whose model `arm` was before anything was removed from it. A post-hoc
    /// arm starts from the newest model that its `from` has up to the stage of its own first one.
    pub(crate) fn origin<'a>(&'a self, arm: &'a str, metric: &str) -> Option<(&'a str, &'a str)> {
        let (first, _) = self.before_after(arm, metric)?;
        let from = self.known(self.arm(arm)?.from.as_deref()).filter(|f| *f != arm);
        let own = matches!(self.starts(first), Starts::Drawn | Starts::Files);
        let Some(from) = from.filter(|_| !self.is_reference(arm) && !own) else {
            return Some((arm, first));
        };
        let until = self.stages().position(|s| s == first).unwrap_or(0);
        let older = self.stages().take(until + 1).filter(|s| !self.is_attack(s));
        let made = |s: &&str| self.of(s, metric).any(|(_, m)| m.by_arm.contains_key(from));
        Some(older.filter(made).last().map_or((arm, first), |stage| (from, stage)))
    }

    /// Whether something was done to the arm's model between two measurements of `metric`. A stage that
    /// measures says nothing of it: an arm without a region that is only measured again was not cut.
    pub fn changed(&self, arm: &str, metric: &str) -> bool {
        let last = self.before_after(arm, metric).map(|(_, last)| (arm, last));
        let treated = self.arm(arm).is_some_and(|a| a.region.is_some() || a.from.is_some());
        let differs = |l: &String| {
            let by = stats::paired(&self.before(arm, metric, l), &self.after(arm, metric, l));
            by.iter().any(|d| *d != 0.0)
        };
        last.is_some()
            && last != self.origin(arm, metric)
            && (treated || self.manifest.labels.iter().any(differs))
    }

    /// Final numbers of an arm before anything was cut, by seed.
    pub fn before(&self, arm: &str, metric: &str, label: &str) -> Vec<(u64, f64)> {
        let Some((origin, stage)) = self.origin(arm, metric) else { return Vec::new() };
        self.measured(stage, metric, label).map_or_else(Vec::new, |m| m.finals(origin))
    }

    /// Final numbers of an arm after everything that was cut, by seed.
    pub fn after(&self, arm: &str, metric: &str, label: &str) -> Vec<(u64, f64)> {
        let stage = self.before_after(arm, metric).map(|(_, last)| last);
        stage.and_then(|s| self.measured(s, metric, label)).map_or_else(Vec::new, |m| m.finals(arm))
    }

    /// Unit of a metric, from the first quantity that has it.
    pub fn unit(&self, metric: &str) -> &str {
        self.results.iter().find(|(q, _)| q.metric == metric).map_or("", |(_, m)| m.unit.as_str())
    }

    /// Share of the gap between baseline and control that each seed of `arm` closed: as measured,
    /// or from the losses.
    pub fn gap_closed(&self, arm: &str) -> Vec<(u64, f64)> {
        // A cut may not be the last thing that was done to the model.
        let last = self.before_after(arm, "loss").map(|(_, last)| last);
        let measured = last.and_then(|stage| self.measured(stage, "gap_closed", "forget"));
        let measured = measured.map_or_else(Vec::new, |m| m.finals(arm));
        let (Some(baseline), Some(control), true) = (self.baseline(), self.control(), measured.is_empty())
        else {
            return measured;
        };
        let [low, high] = [baseline, control].map(|a| self.before(a, "loss", "forget"));
        let at = |list: &[(u64, f64)], seed| list.iter().find(|(s, _)| *s == seed).map(|(_, v)| *v);
        let after = self.after(arm, "loss", "forget").into_iter();
        let share = |(seed, v)| {
            let (low, high) = (at(&low, seed)?, at(&high, seed)?);
            (high > low).then(|| (seed, (v - low) / (high - low)))
        };
        after.filter_map(share).collect()
    }
}
