//! Stages that turn a model into another one. They work in memory, so that a list of them can be repeated;
//! reading, writing and the log are done here.

use std::time::Instant;

use lobe_core::Key;
use lobe_nets::Model;

use super::context::Context;
use super::members::{Done, Work, each};
use super::models::write_model;
use crate::error::LabError;
use crate::plan::Experiment;
use crate::recipe;
use crate::store::Metric;

/// A member whose model is to be changed.
pub struct At<'a> {
    /// The stage.
    pub stage: &'a recipe::Stage,
    /// The arm, as an index.
    pub arm: usize,
    /// The seed.
    pub seed: u64,
    /// Root of everything random.
    pub key: Key,
    /// Where unfinished work can be kept.
    pub kept: Option<Kept<'a>>,
    /// Work of the stage that is done, and what this is of all: (members before, part of one).
    pub share: (f64, f64),
}

/// Where a member's unfinished work is kept between two processes.
#[derive(Clone, Copy)]
pub struct Kept<'a>(&'a Work);

/// Keys in the header of an unfinished model.
const KEY: &str = "lobe.key";
const DONE: &str = "lobe.done";
const READINGS: &str = "lobe.readings";

impl Kept<'_> {
    /// Keeps a model of which so much is done, and its numbers so far.
    pub(crate) fn save(
        self,
        name: &str,
        model: &Model,
        done: u64,
        readings: &[Metric],
    ) -> Result<(), LabError> {
        let readings = serde_json::to_string(readings).unwrap_or_default();
        let info = [(KEY, self.0.key.clone()), (DONE, done.to_string()), (READINGS, readings)];
        let bytes = model.save(&info)?;
        Ok(self.0.dir.write(name, |w| w.write_all(&bytes))?)
    }

    /// What was kept of this very work; nothing where the file is damaged or another work's.
    pub(crate) fn open(self, name: &str) -> Option<(Model, u64, Vec<Metric>)> {
        let (model, info) = Model::load(&self.0.dir.path().join(name)).ok()?;
        let same = info.get(KEY) == Some(&self.0.key);
        let readings = serde_json::from_str(info.get(READINGS)?).ok()?;
        Some((model, info.get(DONE)?.parse().ok()?, readings)).filter(|_| same)
    }

    /// Forgets it.
    pub(crate) fn remove(self, name: &str) {
        // A file that stays has another key by the time that anybody looks for one.
        drop(std::fs::remove_file(self.0.dir.path().join(name)));
    }
}

impl At<'_> {
    /// Tells how far the work is: `part` of 1 is done.
    pub fn say(&self, c: &Context<'_>, part: f64, what: &str) {
        let (before, of) = self.share;
        let name = &c.experiment.arms[self.arm].arm.name;
        let note = format!("{name}, seed {}: {what}", self.seed);
        c.options.progress.advance(before + of * part.clamp(0.0, 1.0), &note);
    }
}

/// What became of a model.
pub struct Changed {
    /// The model now.
    pub model: Model,
    /// Numbers of the way there.
    pub readings: Vec<Metric>,
    /// Files for people to read: name and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// How much was done, and its unit per second.
    pub speed: (f64, &'static str),
}

impl Changed {
    /// A model that was made in one go.
    pub fn to(model: Model) -> Changed {
        Changed { model, readings: Vec::new(), files: Vec::new(), speed: (1.0, "models/s") }
    }
}

/// A stage that turns a model into another one.
pub trait Change {
    /// The model after it. `c` holds the experiment over the model's own network.
    ///
    /// # Errors
    /// What went wrong.
    fn change(&self, c: &Context<'_>, at: &At<'_>, model: Model) -> Result<Changed, LabError>;
}

/// Does it for all members whose work is not there yet.
///
/// # Errors
/// What went wrong, where that is not one member's failure.
pub fn change(does: &dyn Change, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
    each(c, stage, |c, stage, work| one(does, c, stage, work))
}

fn one(does: &dyn Change, c: &Context<'_>, stage: &recipe::Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let at = At {
        stage,
        arm: work.arm,
        seed: work.seed,
        key: Experiment::key(work.seed),
        kept: Some(Kept(work)),
        share: (work.base as f64, 1.0),
    };
    let done = does.change(c, &at, work.model(c, stage)?)?;
    if !done.readings.is_empty() {
        let mut log = work.dir.metrics()?;
        done.readings.iter().try_for_each(|r| log.append(r))?;
        log.sync()?;
    }
    for (name, bytes) in &done.files {
        work.dir.write(name, |w| w.write_all(bytes))?;
    }
    write_model(&work.dir, &done.model, &work.key)?;
    work.finish(start, done.speed.0, done.speed.1)
}
