//! The stages of an experiment. A stage turns the models of an earlier stage into models or
//! numbers, one directory per member, and skips members whose work is already there.

mod ablate;
mod activity;
mod attack;
mod calibrate;
mod measure;
mod probes;
mod train;

use std::time::Instant;

use lobe_engine::Buf;
use lobe_nets::{load, save};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use activity::ActivityFile;
pub use measure::Measure;
pub use train::TrainStage;

use crate::error::LabError;
use crate::exec::{Context, ModelRef};
use crate::recipe::{Stage, canonical};
use crate::store::MemberDir;

/// Part of every cache key; raise it when the meaning of results changes.
const FORMAT: u32 = 1;

/// What a stage did.
pub(crate) struct Done {
    /// Members of the stage.
    pub members: usize,
    /// Members that were already there.
    pub cached: usize,
    /// Whether some member went on from a checkpoint.
    pub resumed: bool,
}

/// How long a member took, beside its results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Timing {
    pub seconds: f64,
    pub rate: f64,
    pub unit: String,
}

/// Runs stage number `i`.
pub(crate) fn run(c: &Context<'_>, i: usize) -> Result<Done, LabError> {
    let stage = &c.experiment.recipe.stages[i];
    c.options.check_stop()?;
    match stage.does.as_str() {
        "train" => train::run(c, stage),
        "ablate" => each(c, stage, |_| Ok(1), ablate::run),
        "measure" => each(c, stage, |_| Ok(1), measure::run),
        _ => each(c, stage, |arm| attack::size(c, stage, arm), attack::run),
    }
}

/// Arms and seeds of a stage, as (arm index, seed), in order.
pub(crate) fn members(c: &Context<'_>, stage: &Stage) -> Vec<(usize, u64)> {
    let x = c.experiment;
    let arms = x.arms.iter().enumerate().filter(|(_, a)| stage.arms.contains(&a.arm.name));
    arms.flat_map(|(a, _)| x.recipe.seeds.iter().map(move |s| (a, *s))).collect()
}

/// Hash of everything the result of (stage, arm, seed) depends on.
pub(crate) fn key(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64) -> String {
    let x = c.experiment;
    let r = &x.recipe;
    let a = &x.arms[arm].arm;
    let regions: Vec<&str> = a
        .regions
        .iter()
        .filter_map(|n| r.regions.iter().find(|g| g.name == *n))
        .map(|g| g.text.as_str())
        .collect();
    let parent = stage.from.as_ref().and_then(|f| r.stage(f)).map(|p| key(c, p, arm, seed));
    // How often a checkpoint is written changes no result.
    let train = crate::recipe::Train { checkpoint_secs: 0, ..r.train_of(a).clone() };
    let named: Vec<&str> = r.regions.iter().map(|g| g.text.as_str()).collect();
    let value = json!({
        "format": FORMAT, "data": r.data, "fingerprint": x.data.fingerprint.to_string(), "model": r.model,
        "method": a.method, "params": a.params, "regions": regions, "arm_data": a.data, "labels": a.labels,
        "loss_weight": a.loss_weight, "train": train, "seed": seed, "does": stage.does, "stage": stage.params,
        "named": if stage.does == "ablate" { named } else { Vec::new() }, "parent": parent,
        "models": if stage.does == "measure" { sources(c, stage) } else { Vec::new() },
    });
    blake3::hash(canonical(&value).as_bytes()).to_hex().to_string()
}

/// Names of the model-making stages before `stage`, in order.
pub(crate) fn sources(c: &Context<'_>, stage: &Stage) -> Vec<String> {
    let before = c.experiment.recipe.stages.iter().take_while(|s| s.name != stage.name);
    before.filter(|s| matches!(s.does.as_str(), "train" | "ablate")).map(|s| s.name.clone()).collect()
}

/// Runs `f` for every member whose work is not there yet; `size` is an arm's number of steps.
fn each(
    c: &Context<'_>,
    stage: &Stage,
    size: impl Fn(usize) -> Result<u64, LabError>,
    f: impl Fn(&Context<'_>, &Stage, &Work) -> Result<(), LabError>,
) -> Result<Done, LabError> {
    let all = members(c, stage);
    let sizes: Vec<u64> = all.iter().map(|(arm, _)| size(*arm)).collect::<Result<_, _>>()?;
    c.options.progress.stage(&stage.name, sizes.iter().sum());
    let (mut cached, mut base) = (0, 0);
    for ((arm, seed), size) in all.iter().zip(sizes) {
        c.options.check_stop()?;
        let name = &c.experiment.arms[*arm].arm.name;
        let work = Work {
            arm: *arm,
            seed: *seed,
            base,
            dir: c.run.member(&stage.name, name, *seed)?,
            key: key(c, stage, *arm, *seed),
        };
        if work.dir.is_done(&work.key)? {
            cached += 1;
        } else {
            work.dir.reset()?;
            f(c, stage, &work)?;
        }
        base += size;
        c.options.progress.advance(base, &format!("{name}, seed {seed}"));
    }
    Ok(Done { members: all.len(), cached, resumed: cached > 0 })
}

/// One member of a stage to be worked on.
pub(crate) struct Work {
    pub arm: usize,
    pub seed: u64,
    /// Steps of the members before this one.
    pub base: u64,
    pub dir: MemberDir,
    pub key: String,
}

impl Work {
    /// The parameters that stage `from` left for this member.
    pub(crate) fn parent(&self, c: &Context<'_>, from: &str) -> Result<Buf, LabError> {
        let model = ModelRef { stage: from, arm: &c.experiment.arms[self.arm].arm.name, seed: self.seed };
        read_model(c, &model)
    }

    /// Marks the work as done.
    pub(crate) fn finish(&self, started: Instant, amount: f64, unit: &str) -> Result<(), LabError> {
        timing(&self.dir, started.elapsed().as_secs_f64(), amount, unit)?;
        let status = crate::store::Status {
            key: self.key.clone(),
            state: crate::store::State::Done,
            step: 1,
            steps: 1,
        };
        Ok(self.dir.set_status(&status)?)
    }
}

/// Writes how long a member took.
pub(crate) fn timing(dir: &MemberDir, seconds: f64, amount: f64, unit: &str) -> Result<(), LabError> {
    let t = Timing { seconds, rate: amount / seconds.max(1e-9), unit: unit.to_owned() };
    let bytes = serde_json::to_vec(&t).unwrap_or_default();
    Ok(dir.write("timing.json", |w| w.write_all(&bytes))?)
}

/// Loads the model a stage made.
pub(crate) fn read_model(c: &Context<'_>, m: &ModelRef<'_>) -> Result<Buf, LabError> {
    let dir = c.run.member(m.stage, m.arm, m.seed)?;
    let (net, params, _) = load(&dir.model_path())?;
    if net.layout().len() != c.experiment.layout().len() {
        return Err(LabError::other(format!(
            "{}: the saved model has another shape",
            dir.model_path().display()
        )));
    }
    Ok(params)
}

/// Writes a member's model.
pub(crate) fn write_model(
    c: &Context<'_>,
    dir: &MemberDir,
    params: &[f32],
    key: &str,
) -> Result<(), LabError> {
    let bytes = save(&c.experiment.net, params, &[("lobe.key", key.to_owned())])?;
    Ok(dir.write("model.safetensors", |w| w.write_all(&bytes))?)
}
