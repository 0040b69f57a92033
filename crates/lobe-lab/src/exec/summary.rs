//! From member directories to `results.csv`, `timings.csv` and `activity.json`.

use std::collections::BTreeMap;
use std::fs;

use super::Context;
use super::compare::{Numbers, compare};
use super::leaks::leaks;
use crate::error::LabError;
use crate::recipe::Stage;
use crate::stage::{ActivityFile, Timing, key, members};
use crate::store::{MemberDir, Metric, ResultRow, TimingRow};

/// Every number of the run: what members measured, and what follows from comparing them. What an earlier
/// form of the recipe left behind does not count.
pub(crate) fn collect(c: &Context<'_>) -> Result<(Vec<ResultRow>, Vec<TimingRow>), LabError> {
    let x = c.experiment;
    let (mut rows, mut timings) = (Vec::new(), Vec::new());
    for stage in &x.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let Some(dir) = current(c, stage, arm, seed)? else { continue };
            let arm = &x.arms[arm].arm.name;
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
    let mut rows = latest(rows);
    let measured = Numbers::new(&rows);
    let mut derived = compare(c, &measured);
    derived.extend(leaks(c, &measured));
    rows.extend(derived);
    Ok((rows, timings))
}

/// A member's directory, if what is in it belongs to the recipe as it is now.
fn current(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64) -> Result<Option<MemberDir>, LabError> {
    let name = &c.experiment.arms[arm].arm.name;
    if !c.run.member_path(&stage.name, name, seed)?.is_dir() {
        return Ok(None);
    }
    let dir = c.run.member(&stage.name, name, seed)?;
    let same = dir.status()?.is_some_and(|s| s.key == key(c, stage, arm, seed));
    Ok(same.then_some(dir))
}

/// Where two measuring stages looked at the same, the later one counts.
fn latest(rows: Vec<ResultRow>) -> Vec<ResultRow> {
    let name =
        |r: &ResultRow| (r.stage.clone(), r.arm.clone(), r.seed, r.label.clone(), r.metric.clone(), r.step);
    let last: BTreeMap<_, usize> = rows.iter().enumerate().map(|(i, r)| (name(r), i)).collect();
    let kept = |(i, r): (usize, ResultRow)| (last.get(&name(&r)) == Some(&i)).then_some(r);
    rows.into_iter().enumerate().filter_map(kept).collect()
}

/// A number of a measuring stage belongs to the stage that made the model (`train:loss`).
pub(super) fn row(stage: &str, arm: &str, seed: u64, m: Metric) -> ResultRow {
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

/// Collects the members' `activity.json`.
pub(crate) fn activity(c: &Context<'_>) -> Result<(), LabError> {
    let x = c.experiment;
    let mut all = ActivityFile::default();
    for stage in x.recipe.stages.iter().filter(|s| s.does == "measure") {
        for (arm, seed) in members(c, stage) {
            let Some(dir) = current(c, stage, arm, seed)? else { continue };
            let file = fs::read(dir.path().join("activity.json")).ok();
            let file = file.and_then(|b| serde_json::from_slice::<ActivityFile>(&b).ok());
            all.regions.extend(file.unwrap_or_default().regions);
        }
    }
    // A file that is there may be of an earlier form of the recipe.
    if all.regions.is_empty() && !c.run.path().join("activity.json").exists() {
        return Ok(());
    }
    let bytes = serde_json::to_vec(&all).unwrap_or_default();
    Ok(c.run.write("activity.json", |w| w.write_all(&bytes))?)
}
