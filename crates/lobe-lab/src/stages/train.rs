//! Training: every arm and seed from the same initial weights, side by side.

use std::time::Instant;

use lobe_engine::Buf;
use lobe_methods::About;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use lobe_nets::Model;
use lobe_train::{Spec, Trainee};

use crate::graph::{
    Context, Done, MemberJournal, ModelRef, Shares, Stage, StageEntry, Work, key, members, orphan,
    read_model, share, timing, told, twin, write_model,
};
use crate::plan::{Experiment, Feed, optimiser, parent};
use crate::recipe::{self, Makes, StageFacts, Starts, Train};
use crate::store::Failure;

const ABOUT: About = About {
    name: "train",
    summary: "trains every arm and seed, starting from the same initial weights; [train] sets how",
    reference: "",
    unusual: "arms of one seed share initial weights and the order of data; arms that are one network train once",
    fails: "",
};

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    // What it takes stands in [train].
    let params = lobe_methods::params_of::<Train>;
    let facts = StageFacts { makes: Makes::Model, starts: Starts::Drawn, noun: None };
    StageEntry { params, ..StageEntry::of::<TrainStage>(&ABOUT, facts) }
}

/// `do = "train"`: everything is in `[train]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainStage {}

/// Held-out examples per label that are evaluated along the way; `measure` takes all.
const ALONG_THE_WAY: usize = 100;
/// Bytes of parameters, moments and lanes that train at the same time.
const MEMORY: usize = 6 << 30;

impl Stage for TrainStage {
    fn version(&self) -> u32 {
        3
    }

    fn shares(&self) -> Shares {
        Shares::Training
    }

    fn run(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
        run(c, stage)
    }
}

fn run(c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
    let x = c.experiment;
    let all = members(c, stage);
    // What another arm's training comes to is not trained again.
    let own = all.iter().filter(|(a, _)| twin(c, stage, *a).is_none());
    let total: u64 = own.map(|(a, _)| x.recipe.train_of(&x.arms[*a].arm).steps).sum();
    c.options.progress.stage(&stage.name, total);
    let eval = x.held_out(|_| true, if x.data.is_text() { ALONG_THE_WAY } else { 500 });
    let (mut cached, mut base, mut resumed) = (0, 0, false);
    let (mut todo, mut copies) = (Vec::new(), Vec::new());
    for (arm, seed) in &all {
        let dir = c.run.member(&stage.name, &x.arms[*arm].arm.name, *seed)?;
        let key = key(c, stage, *arm, *seed);
        let (twin, done) = (twin(c, stage, *arm), dir.is_done(&key)?);
        let done = done || c.has_failed(&stage.name, *arm, *seed);
        cached += usize::from(done);
        match twin {
            _ if done => base += twin.map_or(x.recipe.train_of(&x.arms[*arm].arm).steps, |_| 0),
            // What it goes on from failed.
            _ if orphan(c, stage, *arm, *seed) => c.lost(stage, *arm, *seed),
            Some(twin) => copies.push((Work { arm: *arm, seed: *seed, base: 0, dir, key }, twin)),
            None => todo.push((*arm, *seed, dir, key)),
        }
    }
    let lanes = all.iter().map(|(a, _)| x.recipe.train_of(&x.arms[*a].arm).lanes).max().unwrap_or(1);
    let largest = all.iter().map(|(a, _)| x.at(stage, *a).layout().len()).max().unwrap_or(0);
    let each = 4 * largest * (3 + lanes);
    let group = (MEMORY / each.max(1)).max(1);
    while !todo.is_empty() {
        let start = Instant::now();
        let batch: Vec<_> = todo.drain(..group.min(todo.len())).collect();
        let steps: u64 = batch.iter().map(|(a, ..)| x.recipe.train_of(&x.arms[*a].arm).steps).sum();
        let mut trainees = Vec::with_capacity(batch.len());
        let mut ids = Vec::with_capacity(batch.len());
        for (arm, seed, dir, key) in batch {
            let a = &x.arms[arm];
            let t = x.recipe.train_of(&a.arm);
            let spec = Spec {
                optimiser: optimiser(t)?,
                steps: t.steps,
                lanes: t.lanes,
                log_every: t.log_every,
                eval_every: t.eval_every,
                checkpoint_secs: Some(t.checkpoint_secs),
            };
            let own = x.at(stage, arm);
            let begun = begun(c, stage, (arm, seed))?;
            let feed = Box::new(Feed::new(own, arm, seed)?);
            let journal = Box::new(MemberJournal::new(dir.clone(), key.clone()));
            let model = (own.net.clone(), begun.params.clone());
            let a = &own.arms[arm];
            let plan = begun.kept(a.plan.clone());
            let mut trainee = Trainee::new(model, plan, a.terms.clone(), feed, spec, journal)?;
            trainee.eval = Some(&eval);
            trainees.push(trainee);
            ids.push((arm, seed, dir, key, begun.with(Buf::zeros(0))));
        }
        resumed |= trainees.iter().any(|t| t.done() > 0);
        let before: Vec<u64> = trainees.iter().map(|t| t.targets).collect();
        let tell = |done: u64, note: &str| c.options.progress.advance((base + done) as f64, note);
        let result = c.train(&mut trainees, &tell);
        let seconds = start.elapsed().as_secs_f64();
        result?;
        let unit = match x.data.unit() {
            "token" => "tokens/s",
            "pixel" => "images/s",
            _ => "rows/s",
        };
        let own = trainees.iter().zip(&before).map(|(t, before)| (t.targets - before) as f64);
        let own: Vec<f64> = own.collect();
        let all: f64 = own.iter().sum();
        for (((arm, seed, dir, key, begun), t), own) in ids.into_iter().zip(&mut trainees).zip(own) {
            if let Some(failure) = t.failed.take() {
                told(c, stage, arm, seed, Failure { reason: failure.reason, step: failure.step });
                continue;
            }
            write_model(&dir, &begun.with(t.member.params.clone()), &key)?;
            // Side by side, a member takes wall time in proportion to what it is trained on. One that is not
            // trained has no speed.
            if own > 0.0 {
                timing(&dir, seconds * own / all, own, unit)?;
            }
            t.close()?;
        }
        base += steps;
    }
    for (work, twin) in &copies {
        if !share(c, stage, work, *twin)? {
            // The network that both are did not come to an end.
            c.lost(stage, work.arm, work.seed);
        }
    }
    Ok(Done { members: all.len(), cached, resumed })
}

/// What a member starts from: the model of the arm that it goes on from, weights set by hand, or weights as they
/// are drawn.
fn begun(c: &Context<'_>, stage: &recipe::Stage, (arm, seed): (usize, u64)) -> Result<Model, LabError> {
    let x = c.experiment.at(stage, arm);
    let (plan, key) = (&x.arms[arm], Experiment::key(seed).child("weights"));
    if let Some((source, of)) = parent(c.experiment, stage, arm) {
        let model = ModelRef { stage: source, arm: &x.arms[of].arm.name, seed };
        return read_model(c, &model);
    }
    if let Some(name) = &plan.arm.weights {
        let none = || LabError::other(format!("{}: no weights called {name:?}", plan.arm.name));
        return Ok(Model::new(x.net.clone(), x.net.written(name, key).ok_or_else(none)?));
    }
    let mut params = x.layout().init(key);
    if let Some(region) = &plan.asks.silent {
        lobe_methods::localize::silence(x.layout(), &mut params, region);
    }
    Ok(Model::new(x.net.clone(), params))
}
