//! The stages of an experiment. A stage turns the models of an earlier stage into models or
//! numbers, one directory per member, and skips members whose work is already there.

mod ablate;
mod absorption;
mod activity;
mod agreement;
mod attack;
mod bench;
mod calibrate;
mod cohere;
mod load;
mod loot;
mod lora;
mod measure;
mod probes;
mod samples;
mod train;
mod tune;
mod unlearn;

use std::time::Instant;

use lobe_engine::Buf;
use lobe_nets::{load, save};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(crate) use activity::ActivityFile;
pub use cohere::Cohere;
pub(crate) use load::fingerprints;
pub use load::{Load, read_weights};
pub use measure::Measure;
pub use train::TrainStage;
pub use unlearn::UnlearnStage;

use crate::error::LabError;
use crate::exec::{Context, Experiment, ModelRef};
use crate::recipe::{Stage, canonical, makes_model, starts_anew};
use crate::store::{MemberDir, Reference};

/// Part of every cache key; raise a number when the meaning of such a stage's results changes. Networks that
/// were trained stay valid when only what is done with them changes.
fn format(does: &str) -> u32 {
    match does {
        _ if starts_anew(does) => 2,
        "ablate" | "unlearn" => 3,
        "measure" => 6,
        _ => 4,
    }
}

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
        "load" => each(c, stage, load::run),
        "ablate" => each(c, stage, ablate::run),
        "unlearn" => each(c, stage, unlearn::run),
        "cohere" => each(c, stage, cohere::run),
        "measure" => each(c, stage, measure::run),
        _ => each(c, stage, attack::run),
    }
}

/// Checks a post-hoc arm against the network, before anything is trained.
pub(crate) fn check_post_hoc(x: &Experiment, arm: usize) -> Result<(), LabError> {
    unlearn::method(x, arm, 0).map(drop)
}

/// Moves the work of another recipe or program out of the way, and that of this one back.
pub(crate) fn settle(c: &Context<'_>) -> Result<(), LabError> {
    let mut moved = 0;
    for stage in &c.experiment.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let dir = c.run.member(&stage.name, &c.experiment.arms[arm].arm.name, seed)?;
            moved += usize::from(dir.settle(&key(c, stage, arm, seed))?);
        }
    }
    if moved > 0 {
        tracing::warn!(
            "{moved} pieces of work belong to another recipe or program; they are in kept/ and come back with it"
        );
    }
    Ok(())
}

/// Arms and seeds of a stage, as (arm index, seed), in order.
pub(crate) fn members(c: &Context<'_>, stage: &Stage) -> Vec<(usize, u64)> {
    let x = c.experiment;
    let arms = x.arms.iter().enumerate().filter(|(_, a)| stage.arms.contains(&a.arm.name));
    arms.flat_map(|(a, _)| x.recipe.seeds.iter().map(move |s| (a, *s))).collect()
}

/// Hash of everything the result of (stage, arm, seed) depends on.
pub(crate) fn key(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64) -> String {
    let member = (stage.name.clone(), arm, seed);
    if let Some(known) = c.keys.borrow().get(&member) {
        return known.clone();
    }
    let made = make_key(c, stage, arm, seed);
    c.keys.borrow_mut().insert(member, made.clone());
    made
}

fn make_key(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64) -> String {
    let x = c.experiment;
    let r = &x.recipe;
    let a = &x.arms[arm].arm;
    let regions: Vec<&str> = a
        .regions
        .iter()
        .filter_map(|n| r.regions.iter().find(|g| g.name == *n))
        .map(|g| g.text.as_str())
        .collect();
    let parent = parent(c, stage, arm).map(|(p, arm)| key(c, r.stage(p).unwrap_or(stage), arm, seed));
    // How often a checkpoint is written changes no result.
    let train = crate::recipe::Train { checkpoint_secs: 0, ..r.train_of(a).clone() };
    // A stage may name its region; otherwise the arm's own regions are in the key.
    let own = stage.params.get("region").filter(|_| stage.does == "ablate").and_then(|n| n.as_str());
    let named = r.regions.iter().filter(|g| Some(g.name.as_str()) == own);
    let named: Vec<&str> = named.map(|g| g.text.as_str()).collect();
    let mut value = json!({
        "format": format(&stage.does), "data": r.data, "fingerprint": x.data.fingerprint.to_string(), "model": r.model,
        "method": a.method, "params": a.params, "regions": regions, "arm_data": a.data, "labels": a.labels,
        "loss_weight": a.loss_weight, "train": train, "seed": seed, "does": stage.does, "stage": stage.params, "original": original(c, stage, seed),
        "named": named, "parent": parent,
        "models": if stage.does == "measure" { measured(c, stage, arm, seed) } else { Vec::new() },
    });
    // Only where there is one: a new field must not change the key of what does not depend on it.
    if stage.does == "measure" && !a.regions.is_empty() {
        // The activity of units is recorded under the names.
        value["region_names"] = json!(a.regions);
    }
    if let Some(control) = control_key(c, stage, seed) {
        value["control"] = json!(control);
    }
    // Rows of text were not always weighed, and padding was penalised.
    let weighs = !a.loss_weight.is_empty() || !x.arms[arm].asks.l1.is_empty();
    if starts_anew(&stage.does) && x.net.gpt().is_some() && weighs {
        value["rows"] = json!(2);
    }
    if let Some(files) = x.loaded.get(&stage.name) {
        // What the files hold counts, not where they lie.
        value["stage"] = json!({ "fingerprint": files });
    }
    blake3::hash(canonical(&value).as_bytes()).to_hex().to_string()
}

/// An attack may use the baseline's model: its key is part of the attack's.
fn original(c: &Context<'_>, stage: &Stage, seed: u64) -> Option<String> {
    if makes_model(&stage.does) || stage.does == "measure" {
        return None;
    }
    let (first, arm) = whole(c.experiment, stage)?;
    Some(key(c, first, arm, seed))
}

/// Keys of the models of an arm that a measuring stage looks at.
fn measured(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64) -> Vec<(String, String)> {
    let recipe = &c.experiment.recipe;
    let of = |name: String| {
        let source = recipe.stage(&name).filter(|s| s.arms.contains(&c.experiment.arms[arm].arm.name))?;
        Some((key(c, source, arm, seed), name))
    };
    sources(c, stage).into_iter().filter_map(of).collect()
}

/// What measures or attacks compares with the control's model.
fn control_key(c: &Context<'_>, stage: &Stage, seed: u64) -> Option<String> {
    let (first, arm) = control(c.experiment, stage).filter(|_| !makes_model(&stage.does))?;
    Some(key(c, first, arm, seed))
}

/// The stage that made the baseline's model, and the arm, where that comes before `stage`.
pub(crate) fn whole<'a>(x: &'a Experiment, stage: &Stage) -> Option<(&'a Stage, usize)> {
    made_before(x, stage, &Reference::of(&x.recipe).baseline?)
}

/// The same of the arm that never saw what the others are to forget.
fn control<'a>(x: &'a Experiment, stage: &Stage) -> Option<(&'a Stage, usize)> {
    made_before(x, stage, &Reference::of(&x.recipe).control?)
}

fn made_before<'a>(x: &'a Experiment, stage: &Stage, arm: &str) -> Option<(&'a Stage, usize)> {
    let first = x.recipe.origin_of(arm)?;
    let before = x.recipe.stages.iter().take_while(|s| s.name != stage.name);
    before.filter(|s| s.name == first.name).last()?;
    Some((first, x.arms.iter().position(|a| a.arm.name == arm)?))
}

/// Names of the model-making stages before `stage`, in order.
pub(crate) fn sources(c: &Context<'_>, stage: &Stage) -> Vec<String> {
    let before = c.experiment.recipe.stages.iter().take_while(|s| s.name != stage.name);
    before.filter(|s| makes_model(&s.does)).map(|s| s.name.clone()).collect()
}

/// The model that (stage, arm) starts from, as (stage, arm); `None` where it starts from nothing.
pub(crate) fn parent<'a>(c: &'a Context<'_>, stage: &'a Stage, arm: usize) -> Option<(&'a str, usize)> {
    let x = c.experiment;
    if starts_anew(&stage.does) {
        return None;
    }
    let from = x.arms[arm].arm.from.as_ref().filter(|_| stage.does == "unlearn");
    let Some(from) = from else {
        return Some((&x.recipe.source_of(stage, &x.arms[arm].arm.name)?.name, arm));
    };
    let other = x.arms.iter().position(|a| a.arm.name == *from)?;
    // A post-hoc arm that goes on from another one finds it in the same stage.
    let same = stage.arms.contains(from).then_some(stage);
    Some((&same.or_else(|| x.recipe.source_of(stage, from))?.name, other))
}

/// Runs `f` for every member whose work is not there yet.
fn each(
    c: &Context<'_>,
    stage: &Stage,
    f: impl Fn(&Context<'_>, &Stage, &Work) -> Result<(), LabError>,
) -> Result<Done, LabError> {
    let all = members(c, stage);
    c.options.progress.stage(&stage.name, all.len() as u64);
    let mut cached = 0;
    for (base, (arm, seed)) in all.iter().enumerate() {
        c.options.check_stop()?;
        let name = &c.experiment.arms[*arm].arm.name;
        let work = Work {
            arm: *arm,
            seed: *seed,
            base: base as u64,
            dir: c.run.member(&stage.name, name, *seed)?,
            key: key(c, stage, *arm, *seed),
        };
        if work.dir.is_done(&work.key)? {
            cached += 1;
        } else {
            work.dir.reset()?;
            f(c, stage, &work)?;
        }
        c.options.progress.advance(base as f64 + 1.0, &format!("{name}, seed {seed}"));
    }
    Ok(Done { members: all.len(), cached, resumed: cached > 0 })
}

/// One member of a stage to be worked on.
pub(crate) struct Work {
    pub arm: usize,
    pub seed: u64,
    /// Members before this one.
    pub base: u64,
    pub dir: MemberDir,
    pub key: String,
}

impl Work {
    /// The parameters this member's work starts from.
    pub(crate) fn parent(&self, c: &Context<'_>, stage: &Stage) -> Result<Buf, LabError> {
        let Some((from, arm)) = parent(c, stage, self.arm) else {
            return Err(LabError::other(format!("{}: no model to start from", stage.name)));
        };
        let model = ModelRef { stage: from, arm: &c.experiment.arms[arm].arm.name, seed: self.seed };
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
            log: Some(self.dir.log_bytes()),
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
