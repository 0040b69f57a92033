//! From member directories to `results.csv`, `timings.csv` and `activity.json`.

use std::collections::BTreeMap;
use std::fs;

use super::compare::{Numbers, compare};
use super::leaks::leaks;
use crate::error::LabError;
use crate::graph::Context;
use crate::graph::{key, members};
use crate::recipe::Stage;
use crate::store::{
    ActivityFile, AttackRow, ChartFile, MemberChart, MemberCharts, MemberDir, Metric, PrefixFile, ResultRow,
    State, Timing, TimingRow, Variant,
};

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
                timings.push(TimingRow {
                    stage,
                    arm,
                    seed,
                    seconds: t.seconds,
                    rate: Some(t.rate),
                    unit: t.unit,
                });
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
    // What a failed member measured before it failed is no result.
    let status = dir.status()?.filter(|s| s.state != State::Failed);
    let same = status.is_some_and(|s| s.key == key(c, stage, arm, seed));
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

/// Writes `attacks.csv`: the numbers of single variants, with what sets a variant apart in columns.
pub(crate) fn attacks(c: &Context<'_>, rows: Vec<ResultRow>) -> Result<(), LabError> {
    let x = c.experiment;
    // By the members that were attacked: what they did, and their variants in order.
    let mut by_member: BTreeMap<(String, String, u64), (usize, &str, Vec<Variant>)> = BTreeMap::new();
    for stage in &x.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let Some(dir) = current(c, stage, arm, seed)? else { continue };
            let file = fs::read(dir.path().join("variants.json")).ok();
            let Some(named) = file.and_then(|b| serde_json::from_slice::<Vec<Variant>>(&b).ok()) else {
                continue;
            };
            let id = (stage.name.clone(), x.arms[arm].arm.name.clone(), seed);
            let place = by_member.len();
            by_member.insert(id, (place, stage.does.as_str(), named));
        }
    }
    let one = |row: ResultRow| {
        let (metric, variant) = row.metric.split_once('@')?;
        let (member, does, named) = by_member.get(&(row.stage.clone(), row.arm.clone(), row.seed))?;
        let at = named.iter().position(|n| n.name == variant)?;
        let order = (*member, at, row.label.clone(), metric.to_owned(), row.step.is_none(), row.step);
        let (attack, start, settings) = ((*does).to_owned(), named[at].start.clone(), named[at].text());
        let row = ResultRow { metric: metric.to_owned(), ..row };
        Some((order, AttackRow { attack, start, settings, row }))
    };
    let mut found: Vec<_> = rows.into_iter().filter_map(one).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let rows: Vec<AttackRow> = found.into_iter().map(|(_, row)| row).collect();
    // A file that is there may be of an earlier form of the recipe.
    if rows.is_empty() && !c.run.path().join("attacks.csv").exists() {
        return Ok(());
    }
    Ok(c.run.write_attacks(&rows)?)
}

/// Collects the members' `prefixes.json`.
pub(crate) fn prefixes(c: &Context<'_>) -> Result<(), LabError> {
    let mut all = PrefixFile::default();
    for stage in &c.experiment.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let Some(dir) = current(c, stage, arm, seed)? else { continue };
            let file = fs::read(dir.path().join("prefixes.json")).ok();
            let file = file.and_then(|b| serde_json::from_slice::<PrefixFile>(&b).ok());
            all.prefixes.extend(file.unwrap_or_default().prefixes);
        }
    }
    if all.prefixes.is_empty() && !c.run.path().join("prefixes.json").exists() {
        return Ok(());
    }
    let bytes = serde_json::to_vec_pretty(&all).unwrap_or_default();
    Ok(c.run.write("prefixes.json", |w| w.write_all(&bytes))?)
}

/// Collects the members' `activity.json`.
pub(crate) fn activity(c: &Context<'_>) -> Result<(), LabError> {
    let x = c.experiment;
    let mut all = ActivityFile::default();
    for stage in &x.recipe.stages {
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

/// Collects the members' `charts.json`.
pub(crate) fn charts(c: &Context<'_>) -> Result<(), LabError> {
    let mut all = ChartFile::default();
    for stage in &c.experiment.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let Some(dir) = current(c, stage, arm, seed)? else { continue };
            let file = fs::read(dir.path().join("charts.json")).ok();
            let file = file.and_then(|b| serde_json::from_slice::<MemberCharts>(&b).ok());
            let (stage, arm) = (&stage.name, &c.experiment.arms[arm].arm.name);
            let of = |chart| MemberChart { stage: stage.clone(), arm: arm.clone(), seed, chart };
            all.charts.extend(file.unwrap_or_default().charts.into_iter().map(of));
        }
    }
    if all.charts.is_empty() && !c.run.path().join("charts.json").exists() {
        return Ok(());
    }
    let bytes = serde_json::to_vec(&all).unwrap_or_default();
    Ok(c.run.write("charts.json", |w| w.write_all(&bytes))?)
}
