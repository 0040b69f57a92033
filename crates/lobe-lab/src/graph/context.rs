//! What stages share: the experiment, the run directory, the workers, and what was found out on the way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use lobe_engine::{Plan, Runner};
use lobe_methods::Losses;
use lobe_nets::Batch;
use lobe_train::{Forward, Job, Scores, Trainee, evaluate};

use super::stage::Stage;
use crate::error::LabError;
use crate::plan::{Experiment, difference, parent};
use crate::recipe;
use crate::store::{FailedMember, Failure, Metric, RunDir};

/// Who is told how far the work is.
pub trait Progress: Send + Sync {
    /// A stage starts; `total` is its number of (member, step) units.
    fn stage(&self, name: &str, total: u64);
    /// `done` units are finished, the last one perhaps in part; `note` says what is going on.
    fn advance(&self, done: f64, note: &str);
    /// The stage is over; `cached` members were already there.
    fn finish(&self, name: &str, cached: usize, seconds: f64);
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: u64) {}
    fn advance(&self, _: f64, _: &str) {}
    fn finish(&self, _: &str, _: usize, _: f64) {}
}

/// How to run.
pub struct Options<'a> {
    /// Worker threads; 0 is one per core. Results do not depend on it.
    pub threads: usize,
    /// Set to stop after the current step, saving everything.
    pub stop: &'a AtomicBool,
    /// Who is told how far the work is.
    pub progress: &'a dyn Progress,
    /// The exact command, for the report.
    pub command: String,
    /// Version and commit, for the report.
    pub build: String,
}

impl Options<'_> {
    /// An error if somebody asked to stop.
    pub(crate) fn check_stop(&self) -> Result<(), LabError> {
        if self.stop.load(Ordering::Relaxed) { Err(LabError::Interrupted) } else { Ok(()) }
    }
}

/// A model in the run directory.
pub struct ModelRef<'a> {
    /// The stage that made it.
    pub stage: &'a str,
    /// The arm.
    pub arm: &'a str,
    /// The seed.
    pub seed: u64,
}

/// A member of a stage: its name, the number of the arm, the seed.
pub(crate) type MemberId = (String, usize, u64);

/// What stages share.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The whole run's experiment.
    pub(crate) root: &'a Experiment,
    /// The stages of its recipe, in order.
    pub(crate) stages: &'a [Box<dyn Stage>],
    /// The same with the network of the arm at hand, which may have another number of units.
    pub experiment: &'a Experiment,
    /// The run directory.
    pub run: &'a RunDir,
    /// The workers.
    pub runner: &'a Runner,
    /// How to run.
    pub options: &'a Options<'a>,
    pub(crate) known: &'a Known,
}

/// What stages have found out.
#[derive(Default)]
pub(crate) struct Known {
    /// Keys of members.
    pub keys: RefCell<BTreeMap<MemberId, String>>,
    /// Losses of models before any attack: every attack starts from them.
    pub before: RefCell<BTreeMap<MemberId, Losses>>,
    /// Losses of baseline and control on an attack's own tokens, by stage and seed.
    pub references: RefCell<BTreeMap<(String, u64), Vec<Metric>>>,
    /// Members that should have made a model and did not.
    pub absent: RefCell<BTreeSet<MemberId>>,
    /// Members that failed.
    pub failed: RefCell<Vec<FailedMember>>,
}

impl<'a> Context<'a> {
    /// What a stage of the recipe does.
    pub(crate) fn stage(&self, stage: &recipe::Stage) -> Result<&'a dyn Stage, LabError> {
        let at = self.root.recipe.stages.iter().position(|s| s.name == stage.name);
        let found = at.and_then(|at| self.stages.get(at));
        found.map(|s| &**s).ok_or_else(|| LabError::other(format!("no stage {:?}", stage.name)))
    }

    /// The same for the network of an arm.
    pub fn of_arm(&self, arm: usize) -> Context<'a> {
        Context { experiment: self.root.of_arm(arm), ..*self }
    }

    /// The same for the network of the model that a stage starts from.
    pub fn at(&self, stage: &recipe::Stage, arm: usize) -> Context<'a> {
        let experiment = match parent(self.root, stage, arm) {
            Some((from, of)) => self.root.made_by(from, of),
            None => self.root.of_arm(arm),
        };
        Context { experiment, ..*self }
    }

    /// The same for the network of the model that a stage makes.
    pub fn made_by(&self, stage: &str, arm: usize) -> Context<'a> {
        Context { experiment: self.root.made_by(stage, arm), ..*self }
    }

    /// Passes of the network at hand with these parameters.
    pub fn forward<'p>(&self, params: &'p [f32]) -> Forward<'p>
    where
        'a: 'p,
    {
        Forward::new(&*self.experiment.net, self.runner, params)
    }

    /// Held-out numbers of these parameters under the interventions of `plan`.
    ///
    /// # Errors
    /// If the network refuses them.
    pub fn scores(&self, params: &[f32], plan: Option<&Plan>, batch: &Batch) -> Result<Scores, LabError> {
        let job = Job { net: &*self.experiment.net, params, batch };
        Ok(evaluate(self.runner, &self.experiment.labels, plan, &[job])?.remove(0))
    }

    /// Trains side by side until they are done or somebody asks to stop.
    ///
    /// # Errors
    /// [`LabError::Interrupted`], or what went wrong.
    pub fn train(&self, trainees: &mut [Trainee<'_>], tell: &dyn Fn(u64, &str)) -> Result<(), LabError> {
        let stop = || self.options.stop.load(Ordering::Relaxed);
        Ok(lobe_train::train(self.runner, &self.experiment.labels, trainees, &stop, tell)?)
    }

    /// Whether an arm's parameters have the shape of the network at hand.
    pub(crate) fn same_shape(&self, arm: usize) -> bool {
        difference(&*self.root.of_arm(arm).net, &*self.experiment.net).is_none()
    }

    /// Whether there is no model of this member, because what should have made it failed.
    pub(crate) fn is_absent(&self, stage: &str, arm: usize, seed: u64) -> bool {
        self.known.absent.borrow().contains(&(stage.to_owned(), arm, seed))
    }

    /// Whether this member is known to have failed.
    pub(crate) fn has_failed(&self, stage: &str, arm: usize, seed: u64) -> bool {
        let name = &self.root.arms[arm].arm.name;
        self.known.failed.borrow().iter().any(|f| f.stage == stage && f.arm == *name && f.seed == seed)
    }

    /// Notes that a member has no model for later stages. What depended on it has another key now.
    pub(crate) fn lost(&self, stage: &recipe::Stage, arm: usize, seed: u64) {
        if stage.makes_model() && self.known.absent.borrow_mut().insert((stage.name.clone(), arm, seed)) {
            self.known.keys.borrow_mut().clear();
        }
    }

    /// Notes that a member failed.
    pub(crate) fn fail(&self, stage: &recipe::Stage, arm: usize, seed: u64, failure: Failure) {
        let (stage_name, arm_name) = (stage.name.clone(), self.root.arms[arm].arm.name.clone());
        let Failure { reason, step } = failure;
        self.known.failed.borrow_mut().push(FailedMember {
            stage: stage_name,
            arm: arm_name,
            seed,
            reason,
            step,
        });
        self.lost(stage, arm, seed);
    }
}
