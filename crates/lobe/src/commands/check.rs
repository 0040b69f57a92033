//! `lobe check`: everything that can be known without training.

use anyhow::{Context as _, Result};
use lobe_lab::exec::{self, Experiment};
use lobe_lab::recipe::Written;
use serde_json::json;

use crate::recipe::{Loaded, RecipeArgs};
use crate::{describe, failure, out};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe check first.toml
  lobe check first.toml --preset tiny --set train.steps=50
  lobe check first.toml --json | jq .regions

Reads the data, builds the network and compiles every arm, but trains nothing. Every preset is
checked, too: as it is written, and with the same --set changes. A preset that was not asked for and
whose data files are not here is named, and is no error.")]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Say only whether the recipe is right
    #[arg(long, short)]
    quiet: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let loaded = args.recipe.load()?;
    let experiment = Experiment::open(&loaded.recipe)?;
    let plain = Written::load(&args.recipe.recipe)?;
    plain.check_presets(&exec::callbacks())?;
    let presets: Vec<String> = plain.presets().into_iter().map(String::from).collect();
    let mut absent = Vec::new();
    // Presets mostly share their data, which take longest to read.
    let mut read = vec![(loaded.recipe.data.clone(), experiment.data.clone())];
    for name in presets.iter().filter(|p| args.recipe.preset.as_ref() != Some(p)) {
        let mut open = || -> Result<()> {
            let (recipe, _) = exec::resolve(&args.recipe.written(Some(name))?)?;
            let known = read.iter().find(|(section, _)| *section == recipe.data);
            if let Some((_, data)) = known {
                Experiment::over(&recipe, data.clone())?;
            } else {
                read.push((recipe.data.clone(), Experiment::open(&recipe)?.data));
            }
            Ok(())
        };
        match open() {
            Err(e) if failure::data_not_here(&e) => absent.push((name.as_str(), format!("{e:#}"))),
            done => done.with_context(|| format!("preset {name}"))?,
        }
    }
    for (name, why) in &absent {
        out::note(&format!("note: preset {name} was not held against its data: {why}"));
    }
    if args.json {
        let mut value = describe::json(&loaded, &experiment)?;
        value["presets"] = json!(presets);
        value["presets_without_data"] = json!(absent.iter().map(|(name, _)| name).collect::<Vec<_>>());
        return Ok(out::json(&value)?);
    }
    if !args.quiet {
        out::print(&describe::text(&loaded, &experiment)?)?;
        out::print("\n")?;
    }
    Ok(out::print(&summary(&loaded, &presets))?)
}

fn summary(loaded: &Loaded, presets: &[String]) -> String {
    let r = &loaded.recipe;
    let presets =
        if presets.is_empty() { String::new() } else { format!("; presets {}", presets.join(", ")) };
    let (arms, seeds, stages) = (r.arms.len(), r.seeds.len(), r.stages.len());
    format!("{}: right; {arms} arms × {seeds} seeds, {stages} stages{presets}\n", loaded.written.file())
}
