//! The starts of an attack, each by itself.
//!
//! A model that something was cut from is attacked twice: as it is, where dead units stay dead, and
//! with the region drawn again. The worst case over both is what the attacker reaches, but the control
//! has one start only, and the better of two tries is better by chance alone. So what decides against
//! the control compares one start with one start, each with the same learning rates.

use std::collections::BTreeMap;

use crate::RunData;

/// The part of a variant's name that says that the region was drawn again: `reinit,lr=0.001`.
const REDRAWN: &str = "reinit";

/// What one start of an attack came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Start {
    /// In words.
    pub(crate) name: &'static str,
    /// The best of its variants, seed by seed; a seed without a number is missing.
    pub(crate) values: Vec<(u64, f64)>,
}

/// The name where there is one start, or none is told apart.
pub(crate) const ALL: &str = "all starts";

/// `metric` of an attack on `arm`, start by start, the best variant of each by `better`. One start where
/// the run does not tell variants apart.
pub(crate) fn starts(
    run: &RunData,
    stage: &str,
    metric: &str,
    label: &str,
    arm: &str,
    better: fn(f64, f64) -> f64,
) -> Vec<Start> {
    let mut out = [("the model as it is", None), ("the region drawn again", None)];
    let prefix = format!("{metric}@");
    for (q, measured) in run.beginning_with(stage, &prefix).filter(|(q, _)| q.label == label) {
        let Some(variant) = q.metric.strip_prefix(&prefix) else { continue };
        let Some(points) = measured.by_arm.get(arm) else { continue };
        let redrawn = variant.split(',').any(|part| part == REDRAWN);
        let seeds: &mut BTreeMap<u64, f64> = out[usize::from(redrawn)].1.get_or_insert_default();
        for (seed, value) in points.iter().filter_map(|(s, p)| Some((*s, p.last()?.value))) {
            seeds.entry(seed).and_modify(|v| *v = better(*v, value)).or_insert(value);
        }
    }
    let found = out
        .into_iter()
        .filter_map(|(name, seeds)| Some(Start { name, values: seeds?.into_iter().collect() }));
    let found: Vec<Start> = found.collect();
    if !found.is_empty() {
        return found;
    }
    let whole = run.measured(stage, metric, label).map_or_else(Vec::new, |m| m.finals(arm));
    if whole.is_empty() { Vec::new() } else { vec![Start { name: ALL, values: whole }] }
}
