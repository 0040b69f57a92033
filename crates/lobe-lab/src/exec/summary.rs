//! From member directories to `results.csv`, `timings.csv` and `activity.json`.

use std::fs;

use lobe_methods::ATTACKS;
use lobe_methods::measure::{gap::gap_closed, recovery::recovery, steps::steps_to};

use super::Context;
use super::leaks::leaks;
use crate::error::LabError;
use crate::recipe::Stage;
use crate::stage::{ActivityFile, Timing, members};
use crate::store::{Metric, Reference, ResultRow, TimingRow};

/// Every number of the run: what members measured, and what follows from comparing them.
pub(crate) fn collect(c: &Context<'_>) -> Result<(Vec<ResultRow>, Vec<TimingRow>), LabError> {
    let x = c.experiment;
    let (mut rows, mut timings) = (Vec::new(), Vec::new());
    for stage in &x.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let arm = &x.arms[arm].arm.name;
            if !c.run.member_path(&stage.name, arm, seed)?.is_dir() {
                continue;
            }
            let dir = c.run.member(&stage.name, arm, seed)?;
            for m in dir.read_metrics()? {
                rows.push(row(&stage.name, arm, seed, m));
            }
            let timing = fs::read(dir.path().join("timing.json")).ok();
            if let Some(t) = timing.and_then(|b| serde_json::from_slice::<Timing>(&b).ok()) {
                let (stage, arm) = (stage.name.clone(), arm.clone());
                timings.push(TimingRow { stage, arm, seed, seconds: t.seconds, rate: t.rate, unit: t.unit });
            }
        }
    }
    let mut derived = compare(c, &rows);
    for (stage, arm, seed, value) in leaks(c, &rows) {
        let (label, metric, unit) = ("forget".into(), "leakage".into(), "fraction".into());
        derived.push(row(&stage, &arm, seed, Metric { step: None, label, metric, value, unit }));
    }
    rows.extend(derived);
    Ok((rows, timings))
}

/// A number of a measuring stage belongs to the stage that made the model (`train:loss`).
fn row(stage: &str, arm: &str, seed: u64, m: Metric) -> ResultRow {
    let (stage, metric) = m.metric.split_once(':').unwrap_or((stage, &m.metric));
    ResultRow {
        stage: stage.to_owned(),
        arm: arm.to_owned(),
        seed,
        label: m.label,
        metric: metric.to_owned(),
        step: m.step,
        value: m.value,
        unit: m.unit,
    }
}

/// Numbers that compare arms of the same seed.
fn compare(c: &Context<'_>, rows: &[ResultRow]) -> Vec<ResultRow> {
    let x = c.experiment;
    let reference = Reference::of(&x.recipe);
    let loss = |stage: &str, arm: &str, seed: u64| {
        let hit = |r: &&ResultRow| r.stage == stage && r.arm == arm && r.seed == seed && r.label == "forget";
        rows.iter().filter(hit).find(|r| r.metric == "loss" && r.step.is_none()).map(|r| r.value)
    };
    // References count as they were trained or loaded.
    let made = |arm: &Option<String>, seed: u64| {
        let arm = arm.as_ref()?;
        loss(&x.recipe.origin_of(arm)?.name, arm, seed)
    };
    let mut out = Vec::new();
    let mut add = |stage: &str, arm: &str, seed: u64, metric: &str, value: Option<f64>, unit: &str| {
        if let Some(value) = value {
            let m = Metric {
                step: None,
                label: "forget".into(),
                metric: metric.into(),
                value,
                unit: unit.into(),
            };
            out.push(row(stage, arm, seed, m));
        }
    };
    for stage in &x.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let arm = &x.arms[arm].arm.name;
            let baseline = made(&reference.baseline, seed);
            let control = made(&reference.control, seed);
            if stage.does == "ablate" {
                let closed = loss(&stage.name, arm, seed)
                    .zip(baseline)
                    .zip(control)
                    .and_then(|((cut, b), o)| gap_closed(cut, b, o));
                add(&stage.name, arm, seed, "gap_closed", closed, "fraction");
            } else if ATTACKS.iter().any(|e| e.about.name == stage.does) {
                let here = |arm: &str, metric: &str| found(rows, &stage.name, arm, seed, metric);
                // The axis of a curve is steps only where something was trained.
                if here(arm, "steps_budget").is_some() {
                    let curve = curve(rows, stage, arm, seed);
                    let steps = baseline.and_then(|b| steps_to(&curve, b));
                    add(&stage.name, arm, seed, "steps_to_baseline", steps, "steps");
                }
                // Before the attack, on the very examples it is judged by, where the arm takes part.
                let start = |name: &Option<String>, measured: Option<f64>| {
                    name.as_ref().and_then(|a| here(a, "attack_start")).or(measured)
                };
                let low = start(&reference.baseline, baseline);
                let high = start(&reference.control, control);
                let back = here(arm, "attack_best").zip(low).zip(high);
                let back = back.and_then(|((best, low), high)| recovery(best, low, high));
                add(&stage.name, arm, seed, "recovery", back, "fraction");
                for (variant, best) in variants(rows, &stage.name, arm, seed) {
                    let back = low.zip(high).and_then(|(low, high)| recovery(best, low, high));
                    add(&stage.name, arm, seed, &format!("recovery@{variant}"), back, "fraction");
                }
            }
        }
    }
    out
}

/// A number of a member about its attack's target.
fn found(rows: &[ResultRow], stage: &str, arm: &str, seed: u64, metric: &str) -> Option<f64> {
    let hit = |r: &&ResultRow| {
        r.stage == stage && r.arm == arm && r.seed == seed && r.metric == metric && r.label == "forget"
    };
    rows.iter().find(hit).map(|r| r.value)
}

/// An attack's worst case by step.
fn curve(rows: &[ResultRow], stage: &Stage, arm: &str, seed: u64) -> Vec<(u64, f64)> {
    let metric = format!("{}_loss", stage.does);
    let of = |r: &&ResultRow| r.stage == stage.name && r.arm == arm && r.seed == seed && r.metric == metric;
    let mut curve: Vec<(u64, f64)> =
        rows.iter().filter(of).filter_map(|r| Some((r.step?, r.value))).collect();
    curve.sort_by_key(|p| p.0);
    curve
}

/// What each variant of an attack reached.
fn variants<'a>(rows: &'a [ResultRow], stage: &str, arm: &str, seed: u64) -> Vec<(&'a str, f64)> {
    let of = rows.iter().filter(|r| r.stage == stage && r.arm == arm && r.seed == seed);
    of.filter_map(|r| Some((r.metric.strip_prefix("attack_best@")?, r.value))).collect()
}

/// Collects the members' `activity.json`.
pub(crate) fn activity(c: &Context<'_>) -> Result<(), LabError> {
    let x = c.experiment;
    let mut all = ActivityFile::default();
    for stage in x.recipe.stages.iter().filter(|s| s.does == "measure") {
        for (arm, seed) in members(c, stage) {
            let path = c.run.member_path(&stage.name, &x.arms[arm].arm.name, seed)?.join("activity.json");
            let file = fs::read(path).ok().and_then(|b| serde_json::from_slice::<ActivityFile>(&b).ok());
            all.regions.extend(file.unwrap_or_default().regions);
        }
    }
    if all.regions.is_empty() {
        return Ok(());
    }
    let bytes = serde_json::to_vec(&all).unwrap_or_default();
    Ok(c.run.write("activity.json", |w| w.write_all(&bytes))?)
}
