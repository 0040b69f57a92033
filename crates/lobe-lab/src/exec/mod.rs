//! Running an experiment: from a resolved recipe to a finished run directory.

mod compare;
mod estimate;
mod evaluate;
mod experiment;
mod feed;
mod leaks;
mod memory;
mod settings;
mod summary;
mod training;

use std::cell::RefCell;
use std::collections::BTreeMap;
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
pub use settings::{DataKeys, DataSection, ModelSection, Objective, callbacks};
pub use training::{Source, Spec, Trainee};

pub(crate) use evaluate::{evaluate, evaluate_under};
pub(crate) use experiment::optimiser;
pub(crate) use feed::{empty, push_train};
pub(crate) use settings::{attack, in_recipe, unlearn};
pub(crate) use training::train;

use crate::error::LabError;
use crate::recipe::{Derived, Recipe, Written};
use crate::stage;
use crate::store::{Manifest, Metric, Order, RunDir, RunState};

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

/// What stages share.
pub(crate) struct Context<'a> {
    pub experiment: &'a Experiment,
    pub run: &'a RunDir,
    pub runner: &'a Runner,
    pub options: &'a Options<'a>,
    /// Keys of members, by stage, arm and seed, once they are known.
    pub keys: RefCell<BTreeMap<(String, usize, u64), String>>,
    /// Losses of models before any attack, by the same: every attack starts from them.
    pub before: RefCell<BTreeMap<(String, usize, u64), Losses>>,
    /// Losses of baseline and control on an attack's own tokens, by stage and seed.
    pub references: RefCell<BTreeMap<(String, u64), Vec<Metric>>>,
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
/// [`LabError::Interrupted`] when asked to stop; otherwise what went wrong.
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
    run.write_recipe(written, recipe)?;
    let runner = Runner::new(options.threads)?;
    let mut manifest = Manifest::new(recipe, derived, &|a| experiment.note(a));
    manifest.command.clone_from(&options.command);
    manifest.build.clone_from(&options.build);
    manifest.labels = experiment.labels.names().to_vec();
    manifest.notes = experiment.notes();
    for (arm, plan) in manifest.arms.iter_mut().zip(&experiment.arms) {
        arm.removes = plan.removes.iter().map(|l| experiment.labels.name(*l).to_owned()).collect();
        arm.same_as = plan.same_as.map(|i| experiment.arms[i].arm.name.clone());
    }
    if let Some(old) = run.manifest()? {
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
    let context = Context {
        experiment: &experiment,
        run: &run,
        runner: &runner,
        options,
        keys: RefCell::default(),
        before: RefCell::default(),
        references: RefCell::default(),
    };
    let result = stages(&context, &mut manifest);
    manifest.state = match &result {
        Ok(()) => RunState::Done,
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
    context.run.write_timings(&timings, order)?;
    summary::activity(context)
}
