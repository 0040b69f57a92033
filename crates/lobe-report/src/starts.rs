//! The starts of an attack, each by itself.
//!
//! A model that something was cut from is attacked twice: as it is, where dead units stay dead, and
//! with the region drawn again. The worst case over both is what the attacker reaches, but the control
//! has one start only, and the better of two tries is better by chance alone. So what decides against
//! the control compares one start with one start, each with the same learning rates.

use std::collections::BTreeMap;

use crate::{Quantity, RunData};

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

/// What is asked of the starts of an attack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Of<'a> {
    pub(crate) stage: &'a str,
    pub(crate) metric: &'a str,
    pub(crate) label: &'a str,
    pub(crate) arm: &'a str,
}

/// A metric of an attack on an arm, start by start, the best variant of each by `better`. One start where
/// the run does not tell variants apart.
pub(crate) fn starts(run: &RunData, of: Of<'_>, better: fn(f64, f64) -> f64) -> Vec<Start> {
    let mut out = [("the model as it is", None), ("the region drawn again", None)];
    let redraws = run.manifest.stage(of.stage).and_then(|s| s.redraws.as_deref());
    let [stage, metric, label] = [of.stage, of.metric, of.label].map(str::to_owned);
    let quantity = Quantity { stage, metric, label };
    for (variant, measured) in run.variants.get(&quantity).into_iter().flatten() {
        let Some(points) = measured.by_arm.get(of.arm) else { continue };
        let redrawn = redraws == Some(variant.start.as_str());
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
    let whole = run.results.get(&quantity).map_or_else(Vec::new, |m| m.finals(of.arm));
    if whole.is_empty() { Vec::new() } else { vec![Start { name: ALL, values: whole }] }
}
