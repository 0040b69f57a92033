//! Running an experiment: from a resolved recipe to a finished run directory.

mod compare;
mod estimate;
mod evaluate;
mod experiment;
mod facts;
mod feed;
mod leaks;
mod manifest;
mod memory;
mod settings;
mod summary;
mod training;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lobe_engine::Runner;
use lobe_methods::Losses;

pub use estimate::{Estimate, estimate};
pub(crate) use evaluate::by_shard;
pub use evaluate::{EvalSet, Scores, hidden_states};
pub use experiment::{ArmPlan, Experiment};
pub use feed::{Exposure, Feed, Step};
pub use manifest::manifest;
pub use settings::{DataKeys, DataSection, ModelSection, Objective, callbacks};
pub use training::{Source, Spec, Trainee};

pub(crate) use evaluate::{evaluate, evaluate_under};
pub(crate) use experiment::optimiser;
pub(crate) use feed::{empty, push_train};
pub(crate) use settings::{attack, in_recipe, unlearn};
pub(crate) use training::train;

use crate::error::LabError;
use crate::recipe::{Derived, Recipe, Stage, Written, makes_model};
use crate::stage;
use crate::store::{FailedMember, Failure, Manifest, Metric, Order, RunDir, RunState, now};

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
pub(crate) struct ModelRef<'a> {
    pub stage: &'a str,
    pub arm: &'a str,
    pub seed: u64,
}

/// A member of a stage: its name, the number of the arm, the seed.
pub(crate) type MemberId = (String, usize, u64);

/// What stages share.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The whole run's experiment.
    root: &'a Experiment,
    /// The same with the network of the arm at hand, which may have another number of units.
    pub experiment: &'a Experiment,
    pub run: &'a RunDir,
    pub runner: &'a Runner,
    pub options: &'a Options<'a>,
    pub known: &'a Known,
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
    /// The same for the network of an arm.
    pub(crate) fn of_arm(&self, arm: usize) -> Context<'a> {
        Context { experiment: self.root.of_arm(arm), ..*self }
    }

    /// Whether an arm's parameters have the shape of the network at hand.
    pub(crate) fn same_shape(&self, arm: usize) -> bool {
        stage::difference(&self.root.of_arm(arm).net, &self.experiment.net).is_none()
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
    pub(crate) fn lost(&self, stage: &Stage, arm: usize, seed: u64) {
        if makes_model(&stage.does) && self.known.absent.borrow_mut().insert((stage.name.clone(), arm, seed))
        {
            self.known.keys.borrow_mut().clear();
        }
    }

    /// Notes that a member failed.
    pub(crate) fn fail(&self, stage: &Stage, arm: usize, seed: u64, failure: Failure) {
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

/// Reads and resolves a recipe with everything Lobe knows, and checks all that can be checked
/// without training.
///
/// # Errors
/// With the line of the recipe that has to change.
pub fn resolve(written: &Written) -> Result<(Recipe, Vec<Derived>), LabError> {
    let mut out = None;
    settings::with_callbacks(|callbacks| out = Some(written.resolve(callbacks)));
    let (recipe, derived) = out.unwrap_or_else(|| unreachable!("the callback always runs"))?;
    Ok((recipe, derived))
}

/// Runs a recipe into `out`, resuming where an earlier process stopped.
///
/// # Errors
/// [`LabError::Interrupted`] when asked to stop; [`LabError::Partly`] where everything is finished but members
/// whose numbers were not finite; otherwise what went wrong.
pub fn run(
    written: &Written,
    recipe: &Recipe,
    derived: &[Derived],
    out: &Path,
    options: &Options<'_>,
) -> Result<(), LabError> {
    let experiment = Experiment::open(recipe).map_err(|e| e.located(written))?;
    memory::check(&experiment)?;
    let run = RunDir::create_or_open(out)?;
    if let Some(old) = run.manifest()?.filter(|old| old.name != recipe.name) {
        let what = format!("holds the run {:?}, not {:?}; give --out another folder", old.name, recipe.name);
        return Err(LabError::Setting(format!("{what}: {}", out.display())));
    }
    run.write_recipe(written.text(), &recipe.to_toml())?;
    experiment.width_notes().iter().for_each(|note| tracing::warn!("{note}"));
    let runner = Runner::new(options.threads)?;
    let mut manifest = manifest(recipe, derived, &|a| experiment.note(a));
    manifest.command.clone_from(&options.command);
    manifest.build.clone_from(&options.build);
    manifest.labels = experiment.labels.names().to_vec();
    manifest.notes = experiment.notes();
    for (arm, plan) in manifest.arms.iter_mut().zip(&experiment.arms) {
        arm.removes = plan.removes.iter().map(|l| experiment.labels.name(*l).to_owned()).collect();
        arm.same_as = plan.same_as.map(|i| experiment.arms[i].arm.name.clone());
    }
    manifest.data = Some(facts::data(&experiment));
    manifest.model = Some(facts::model(&experiment));
    manifest.started = now();
    if let Some(old) = run.manifest()? {
        manifest.started = old.started.or(manifest.started);
        manifest.finished = old.finished;
        // Times of stages that are not run again.
        for stage in &mut manifest.stages {
            stage.seconds = old
                .stages
                .iter()
                .find(|s| s.name == stage.name && s.does == stage.does)
                .and_then(|s| s.seconds);
        }
    }
    run.write_manifest(&manifest)?;
    if let Some(t) = &experiment.data.tokenizer {
        run.write("tokenizer.json", |w| w.write_all(&t.to_json()))?;
        run.write("tokenizer_config.json", |w| w.write_all(&t.config_json()))?;
    }
    let known = Known::default();
    let context = Context {
        root: &experiment,
        experiment: &experiment,
        run: &run,
        runner: &runner,
        options,
        known: &known,
    };
    let result = stages(&context, &mut manifest);
    manifest.failed.clone_from(&known.failed.borrow());
    let result = result.and_then(|()| match &manifest.failed[..] {
        [] => Ok(()),
        some => Err(LabError::Partly(some.to_vec())),
    });
    manifest.state = match &result {
        // What failed would fail again: there is nothing left to do.
        Ok(()) | Err(LabError::Partly(_)) => RunState::Done,
        Err(LabError::Interrupted) => RunState::Stopped,
        Err(_) => RunState::Failed,
    };
    run.write_manifest(&manifest)?;
    result
}

fn stages(context: &Context<'_>, manifest: &mut Manifest) -> Result<(), LabError> {
    let recipe = &context.experiment.recipe;
    // What an earlier form of the recipe left there is not this one's: no reader may take it for that.
    stage::settle(context)?;
    write_results(context)?;
    for (i, stage) in recipe.stages.iter().enumerate() {
        let start = Instant::now();
        let done = stage::run(context, i)?;
        let seconds = start.elapsed().as_secs_f64();
        context.options.progress.finish(&stage.name, done.cached, seconds);
        if done.cached < done.members {
            manifest.stages[i].seconds =
                Some(manifest.stages[i].seconds.filter(|_| done.resumed).unwrap_or(0.0) + seconds);
            manifest.failed.clone_from(&context.known.failed.borrow());
            manifest.finished = now();
            context.run.write_manifest(manifest)?;
        }
        // A reader may look at a run while it works.
        write_results(context)?;
    }
    Ok(())
}

fn write_results(context: &Context<'_>) -> Result<(), LabError> {
    let recipe = &context.experiment.recipe;
    let stages: Vec<String> = recipe.stages.iter().map(|s| s.name.clone()).collect();
    let arms: Vec<String> = recipe.arms.iter().map(|a| a.name.clone()).collect();
    let order = Order { stages: &stages, arms: &arms };
    let (rows, timings) = summary::collect(context)?;
    context.run.write_results(&rows, order)?;
    context.run.write_catalogue(&crate::words::catalogue_of(&rows))?;
    context.run.write_timings(&timings, order)?;
    summary::attacks(context, rows)?;
    summary::prefixes(context)?;
    summary::charts(context)?;
    summary::activity(context)
}
