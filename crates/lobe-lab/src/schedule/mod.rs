//! Running an experiment: from a resolved recipe to a finished run directory.

mod compare;
mod estimate;
mod leaks;
mod manifest;
mod memory;
mod open;
mod summary;

use std::path::Path;
use std::time::Instant;

use lobe_engine::Runner;

pub use estimate::{Estimate, estimate};
pub use manifest::manifest;
pub use open::{callbacks, permissive, resolve};

use crate::error::LabError;
use crate::graph::{Context, Known, Options, settle};
use crate::plan::{Experiment, data_facts, model_facts};
use crate::recipe::{Derived, Recipe, Written};
use crate::stages;
use crate::store::{Manifest, Order, RunDir, RunState, now};

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
    experiment.widths.iter().for_each(|note| tracing::warn!("{note}"));
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
    manifest.data = Some(data_facts(&experiment));
    manifest.model = Some(model_facts(&experiment));
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
    let built = stages::of(recipe).map_err(|e| e.located(written))?;
    let context = Context {
        root: &experiment,
        stages: &built,
        experiment: &experiment,
        run: &run,
        runner: &runner,
        options,
        known: &known,
    };
    let result = all(&context, &mut manifest);
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

fn all(context: &Context<'_>, manifest: &mut Manifest) -> Result<(), LabError> {
    let recipe = &context.experiment.recipe;
    // What an earlier form of the recipe left there is not this one's: no reader may take it for that.
    settle(context)?;
    write_results(context)?;
    for (i, stage) in recipe.stages.iter().enumerate() {
        let start = Instant::now();
        context.options.check_stop()?;
        let done = context.stage(stage)?.run(context, stage)?;
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
