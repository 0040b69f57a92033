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
mod found;
mod load;
mod loot;
mod lora;
mod measure;
mod probes;
mod samples;
mod train;
mod tune;
mod unlearn;
mod variants;

use std::time::Instant;

use lobe_engine::Buf;
use lobe_methods::{ATTACKS, Case};
use lobe_nets::{load, save};
use serde_json::{Value, json};

pub use cohere::Cohere;
pub use load::{Load, Loaded, read_weights};
pub(crate) use load::{difference, loaded, units};
pub use measure::Measure;
pub use train::TrainStage;
pub use unlearn::UnlearnStage;

use crate::error::LabError;
use crate::exec::{Context, Experiment, ModelRef};
use crate::recipe::{Stage, canonical, makes_model, starts_anew};
use crate::store::{Failure, MemberDir, State, Status, Timing};

/// Part of every cache key; raise a number when the meaning of such a stage's results changes. Networks that
/// were trained stay valid when only what is done with them changes.
fn format(does: &str) -> u32 {
    match does {
        _ if starts_anew(does) => 2,
        "ablate" | "unlearn" => 3,
        "measure" => 6,
        // Attacks: 5 since a matrix is one of those that a tensor holds side by side.
        _ => 5,
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

/// Moves the work of another recipe or program out of the way, and that of this one back; and finds what is
/// known to fail.
pub(crate) fn settle(c: &Context<'_>) -> Result<(), LabError> {
    let mut moved = 0;
    for stage in &c.experiment.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let dir = c.run.member(&stage.name, &c.experiment.arms[arm].arm.name, seed)?;
            let key = key(c, stage, arm, seed);
            if is_attack(stage) {
                dir.renew(&key)?;
            } else {
                moved += usize::from(dir.settle(&key)?);
            }
            if orphan(c, stage, arm, seed) {
                c.lost(stage, arm, seed);
            } else if let Some(failure) = dir.failure(&key)? {
                c.fail(stage, arm, seed, failure);
            }
        }
    }
    if moved > 0 {
        tracing::warn!(
            "{moved} results of an earlier form of this recipe do not fit it now; they stay in kept/, and are used again \
             when the recipe fits them"
        );
    }
    Ok(())
}

/// Whether a stage is an attack.
fn is_attack(stage: &Stage) -> bool {
    ATTACKS.iter().any(|e| e.about.name == stage.does)
}

/// Whether what a member starts from is missing because it failed.
fn orphan(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64) -> bool {
    if stage.does == "measure" {
        // Whatever models there are can be measured.
        let made = sources(c, stage);
        let of = |name: &String| c.experiment.recipe.stage(name).is_some_and(|s| has_arm(c, s, arm));
        return made.iter().filter(|s| of(s)).all(|s| c.is_absent(s, arm, seed));
    }
    parent(c, stage, arm).is_some_and(|(from, arm)| c.is_absent(from, arm, seed))
}

fn has_arm(c: &Context<'_>, stage: &Stage, arm: usize) -> bool {
    stage.arms.contains(&c.experiment.arms[arm].arm.name)
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
    if let Some(known) = c.known.keys.borrow().get(&member) {
        return known.clone();
    }
    let made = hash(&depends(c, stage, arm, seed, &stage.value()));
    c.known.keys.borrow_mut().insert(member, made.clone());
    made
}

/// The same for one variant of an attack: without the parameters that only list variants, with what the
/// variant is.
fn variant_key(c: &Context<'_>, stage: &Stage, work: &Work, swept: &[&str], case: &Case) -> String {
    let mut fixed = stage.params.clone();
    fixed.retain(|name, _| !swept.contains(&name.as_str()));
    let mut value = depends(c, stage, work.arm, work.seed, &Value::Object(fixed));
    value["variant"] = json!({ "start": case.start, "settings": case.settings });
    hash(&value)
}

fn hash(value: &Value) -> String {
    blake3::hash(canonical(value).as_bytes()).to_hex().to_string()
}

/// Everything the result of (stage, arm, seed) depends on, if the stage has these parameters.
fn depends(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64, params: &Value) -> Value {
    let x = c.experiment;
    let r = &x.recipe;
    let a = &x.arms[arm].arm;
    let regions = x.region_texts(a);
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
        "loss_weight": a.loss_weight, "train": train, "seed": seed, "does": stage.does, "stage": params,
        "original": original(c, stage, seed),
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
    if let Some(loaded) = x.loaded.get(&stage.name) {
        // What the files hold counts, not where they lie.
        value["stage"] = json!({ "fingerprint": loaded.fingerprint });
    }
    value
}

/// An attack may use the baseline's model: its key is part of the attack's.
fn original(c: &Context<'_>, stage: &Stage, seed: u64) -> Option<String> {
    if makes_model(&stage.does) || stage.does == "measure" {
        return None;
    }
    let (first, arm) = whole(c, stage, seed)?;
    Some(key(c, first, arm, seed))
}

/// Keys of the models of an arm that a measuring stage looks at.
fn measured(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64) -> Vec<(String, String)> {
    let recipe = &c.experiment.recipe;
    let of = |name: String| {
        let source =
            recipe.stage(&name).filter(|s| has_arm(c, s, arm) && !c.is_absent(&s.name, arm, seed))?;
        Some((key(c, source, arm, seed), name))
    };
    sources(c, stage).into_iter().filter_map(of).collect()
}

/// What measures or attacks compares with the control's model.
fn control_key(c: &Context<'_>, stage: &Stage, seed: u64) -> Option<String> {
    let (first, arm) = control(c, stage, seed).filter(|_| !makes_model(&stage.does))?;
    Some(key(c, first, arm, seed))
}

/// The stage that made the baseline's model, and the arm, where that comes before `stage` and did not fail.
pub(crate) fn whole<'a>(c: &Context<'a>, stage: &Stage, seed: u64) -> Option<(&'a Stage, usize)> {
    let x = c.experiment;
    let made = made_before(x, stage, &x.recipe.reference().baseline?);
    made.filter(|(first, arm)| !c.is_absent(&first.name, *arm, seed))
}

/// The same of the arm that never saw data of the label that `stage` is about.
fn control<'a>(c: &Context<'a>, stage: &Stage, seed: u64) -> Option<(&'a Stage, usize)> {
    let x = c.experiment;
    let made = made_before(x, stage, &x.recipe.control_of(stage.label())?.name);
    made.filter(|(first, arm)| !c.is_absent(&first.name, *arm, seed))
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
    let own = &x.arms[arm].arm;
    let from = own.from.as_ref().filter(|_| stage.does == "unlearn");
    // A post-hoc arm that goes on from another one finds it in the same stage.
    if let Some(from) = from.filter(|f| stage.arms.contains(f)) {
        return Some((&stage.name, x.arms.iter().position(|a| a.arm.name == *from)?));
    }
    let (source, made_by) = x.recipe.source_of(stage, from.unwrap_or(&own.name))?;
    Some((&source.name, x.arms.iter().position(|a| a.arm.name == made_by)?))
}

/// The earlier arm whose work in `stage` is this arm's as well: both were trained alike, cut alike, and the
/// stage looks at nothing but the model.
pub(crate) fn twin(c: &Context<'_>, stage: &Stage, arm: usize) -> Option<usize> {
    let x = c.experiment;
    let other = x.arms[arm].same_as.filter(|o| stage.arms.contains(&x.arms[*o].arm.name))?;
    match stage.does.as_str() {
        "train" => Some(other),
        // These look at the arm's labels, too, or compare it with others.
        "load" | "measure" | "cohere" | "unlearn" => None,
        _ => {
            let ((from, a), (same, b)) = (parent(c, stage, arm)?, parent(c, stage, other)?);
            let alike = from == same && a == arm && b == other && x.arms[arm].region == x.arms[other].region;
            twin(c, x.recipe.stage(from).filter(|_| alike)?, arm)
        }
    }
}

/// Takes over the finished work of an arm's twin; `false` if that is not finished.
pub(crate) fn share(c: &Context<'_>, stage: &Stage, work: &Work, twin: usize) -> Result<bool, LabError> {
    let name = &c.experiment.arms[twin].arm.name;
    let from = c.run.member(&stage.name, name, work.seed)?;
    if !from.is_done(&key(c, stage, twin, work.seed))? {
        return Ok(false);
    }
    work.dir.reset()?;
    work.dir.take_log(&from)?;
    if makes_model(&stage.does) {
        let model = ModelRef { stage: &stage.name, arm: name, seed: work.seed };
        write_model(c, &work.dir, &read_model(c, &model)?, &work.key)?;
    }
    let status = from.status()?.map(|s| Status { key: work.key.clone(), same_as: Some(name.clone()), ..s });
    if let Some(status) = status {
        work.dir.set_status(&status)?;
    }
    Ok(true)
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
        let shared = || twin(c, stage, *arm).map_or(Ok(false), |twin| share(c, stage, &work, twin));
        if c.has_failed(&stage.name, *arm, *seed) || work.dir.is_done(&work.key)? {
            cached += 1;
        } else if orphan(c, stage, *arm, *seed) {
            c.lost(stage, *arm, *seed);
        } else if !shared()? {
            work.dir.reset()?;
            let done = f(&c.of_arm(*arm), stage, &work);
            work.unless_failed(c, stage, done)?;
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
        self.finish_after(started.elapsed().as_secs_f64(), amount, unit)
    }

    /// The same for work that took so many seconds.
    pub(crate) fn finish_after(&self, seconds: f64, amount: f64, unit: &str) -> Result<(), LabError> {
        timing(&self.dir, seconds, amount, unit)?;
        self.status(State::Done, 1, None)
    }

    fn status(&self, state: State, step: u64, failed: Option<Failure>) -> Result<(), LabError> {
        let (key, log) = (self.key.clone(), Some(self.dir.log_bytes()));
        Ok(self.dir.set_status(&Status { key, state, step, steps: 1, log, same_as: None, failed })?)
    }

    /// Where the work ended with a number that is not finite, that is written down, and no error.
    fn unless_failed(
        &self,
        c: &Context<'_>,
        stage: &Stage,
        done: Result<(), LabError>,
    ) -> Result<(), LabError> {
        let Err(error) = done else { return Ok(()) };
        let Some(failure) = error.diverged(0) else { return Err(error) };
        self.status(State::Failed, failure.step, Some(failure.clone()))?;
        told(c, stage, self.arm, self.seed, failure);
        Ok(())
    }
}

/// Notes that a member failed, and says so.
pub(crate) fn told(c: &Context<'_>, stage: &Stage, arm: usize, seed: u64, failure: Failure) {
    let name = &c.experiment.arms[arm].arm.name;
    let Failure { reason, step } = &failure;
    tracing::warn!("{}: {name}, seed {seed} failed at step {step}: {reason}; the others go on", stage.name);
    c.fail(stage, arm, seed, failure);
}

/// Writes how long a member took.
pub(crate) fn timing(dir: &MemberDir, seconds: f64, amount: f64, unit: &str) -> Result<(), LabError> {
    let t = Timing { seconds, rate: amount / seconds.max(1e-9), unit: unit.to_owned() };
    let bytes = serde_json::to_vec(&t).unwrap_or_default();
    Ok(dir.write("timing.json", |w| w.write_all(&bytes))?)
}

/// Loads the model a stage made, in the shape of its arm.
pub(crate) fn read_model(c: &Context<'_>, m: &ModelRef<'_>) -> Result<Buf, LabError> {
    let dir = c.run.member(m.stage, m.arm, m.seed)?;
    let (net, params, _) = load(&dir.model_path())?;
    let arm = c.experiment.arms.iter().position(|a| a.arm.name == m.arm);
    let fits = arm.is_some_and(|arm| net.layout().len() == c.of_arm(arm).experiment.layout().len());
    if !fits {
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
