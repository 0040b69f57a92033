//! The members of a stage: which there are, which are done, and one of them at work.

use std::time::Instant;

use lobe_nets::Model;

use super::context::{Context, ModelRef};
use super::keys::key;
use super::models::{read_model, write_model};
use super::parents::{sources, twin};
use crate::error::LabError;
use crate::plan::parent;
use crate::recipe::{self, Makes};
use crate::store::{Failure, MemberDir, State, Status, Timing};

/// What a stage did.
pub struct Done {
    /// Members of the stage.
    pub members: usize,
    /// Members that were already there.
    pub cached: usize,
    /// Whether some member went on from a checkpoint.
    pub resumed: bool,
}

/// Moves the work of another recipe or program out of the way, and that of this one back; and finds what is
/// known to fail.
pub(crate) fn settle(c: &Context<'_>) -> Result<(), LabError> {
    let mut moved = 0;
    for stage in &c.experiment.recipe.stages {
        for (arm, seed) in members(c, stage) {
            let dir = c.run.member(&stage.name, &c.experiment.arms[arm].arm.name, seed)?;
            let key = key(c, stage, arm, seed);
            if c.stage(stage)?.keeps_variants() {
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

/// Whether what a member starts from is missing because it failed.
pub(crate) fn orphan(c: &Context<'_>, stage: &recipe::Stage, arm: usize, seed: u64) -> bool {
    if stage.facts.makes == Makes::Numbers {
        // Whatever models there are can be measured.
        let made = sources(c, stage);
        let of = |name: &String| c.experiment.recipe.stage(name).is_some_and(|s| has_arm(c, s, arm));
        return made.iter().filter(|s| of(s)).all(|s| c.is_absent(s, arm, seed));
    }
    parent(c.experiment, stage, arm).is_some_and(|(from, arm)| c.is_absent(from, arm, seed))
}

pub(crate) fn has_arm(c: &Context<'_>, stage: &recipe::Stage, arm: usize) -> bool {
    stage.arms.contains(&c.experiment.arms[arm].arm.name)
}

/// Arms and seeds of a stage, as (arm index, seed), in order.
pub(crate) fn members(c: &Context<'_>, stage: &recipe::Stage) -> Vec<(usize, u64)> {
    let x = c.experiment;
    let arms = x.arms.iter().enumerate().filter(|(_, a)| stage.arms.contains(&a.arm.name));
    arms.flat_map(|(a, _)| x.recipe.seeds.iter().map(move |s| (a, *s))).collect()
}

/// Takes over the finished work of an arm's twin; `false` if that is not finished.
pub(crate) fn share(
    c: &Context<'_>,
    stage: &recipe::Stage,
    work: &Work,
    twin: usize,
) -> Result<bool, LabError> {
    let name = &c.experiment.arms[twin].arm.name;
    let from = c.run.member(&stage.name, name, work.seed)?;
    if !from.is_done(&key(c, stage, twin, work.seed))? {
        return Ok(false);
    }
    work.dir.reset()?;
    work.dir.take_log(&from)?;
    if stage.makes_model() {
        let model = ModelRef { stage: &stage.name, arm: name, seed: work.seed };
        write_model(&work.dir, &read_model(c, &model)?, &work.key)?;
    }
    let status = from.status()?.map(|s| Status { key: work.key.clone(), same_as: Some(name.clone()), ..s });
    if let Some(status) = status {
        work.dir.set_status(&status)?;
    }
    Ok(true)
}

/// Runs `f` for every member whose work is not there yet.
///
/// # Errors
/// What went wrong, where that is not one member's failure.
pub fn each(
    c: &Context<'_>,
    stage: &recipe::Stage,
    f: impl Fn(&Context<'_>, &recipe::Stage, &Work) -> Result<(), LabError>,
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
            let done = f(&c.at(stage, *arm), stage, &work);
            work.unless_failed(c, stage, done)?;
        }
        c.options.progress.advance(base as f64 + 1.0, &format!("{name}, seed {seed}"));
    }
    Ok(Done { members: all.len(), cached, resumed: cached > 0 })
}

/// One member of a stage to be worked on.
pub struct Work {
    /// The arm, as an index.
    pub arm: usize,
    /// The seed.
    pub seed: u64,
    /// Members before this one.
    pub base: u64,
    /// Its directory.
    pub dir: MemberDir,
    /// Hash of everything its result depends on.
    pub key: String,
}

impl Work {
    /// The model this member's work starts from.
    ///
    /// # Errors
    /// If there is none.
    pub fn model(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Model, LabError> {
        let Some((from, arm)) = parent(c.experiment, stage, self.arm) else {
            return Err(LabError::other(format!("{}: no model to start from", stage.name)));
        };
        let model = ModelRef { stage: from, arm: &c.experiment.arms[arm].arm.name, seed: self.seed };
        read_model(c, &model)
    }

    /// Marks the work as done.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn finish(&self, started: Instant, amount: f64, unit: &str) -> Result<(), LabError> {
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
        stage: &recipe::Stage,
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
pub(crate) fn told(c: &Context<'_>, stage: &recipe::Stage, arm: usize, seed: u64, failure: Failure) {
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
