//! `lobe check`: everything that can be known without training.

mod screen;

use anyhow::{Context as _, Result};
use lobe_lab::plan::Experiment;
use lobe_lab::recipe::Written;
use lobe_lab::schedule;
use serde_json::{Value, json};

use crate::recipe::{Loaded, RecipeArgs};
use crate::table::counted;
use crate::{describe, failure, out};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe check first.toml
  lobe check first.toml --preset tiny --set train.steps=50
  lobe check first.toml --full             also every resolved key and all route tables
  lobe check first.toml --json | jq .census

Reads the data, builds the network, compiles every arm and times a few training steps, but trains
nothing. Every preset is validated as well, as written and with the same --set changes. If the data
files of a preset that you did not ask for are missing, the preset is named and that is no error.")]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Print the whole resolved recipe, derived values, regions and route tables
    #[arg(long, conflicts_with_all = ["quiet", "json"])]
    full: bool,
    /// Print only whether the recipe is valid
    #[arg(long, short)]
    quiet: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let loaded = args.recipe.load()?;
    let experiment = Experiment::open(&loaded.recipe).map_err(|e| e.located(&loaded.written))?;
    let plain = Written::load(&args.recipe.recipe)?;
    plain.check_presets(&schedule::callbacks())?;
    let presets: Vec<String> = plain.presets().into_iter().map(String::from).collect();
    let mut absent = Vec::new();
    // Presets mostly share their data, which take longest to read.
    let mut read = vec![(loaded.recipe.data.clone(), experiment.data.clone())];
    for name in presets.iter().filter(|p| args.recipe.preset.as_ref() != Some(p)) {
        let mut open = || -> Result<()> {
            let written = args.recipe.written(Some(name))?;
            let (recipe, _) = schedule::resolve(&written)?;
            let known = read.iter().find(|(section, _)| *section == recipe.data);
            if let Some((_, data)) = known {
                Experiment::over(&recipe, data.clone()).map_err(|e| e.located(&written))?;
            } else {
                let opened = Experiment::open(&recipe).map_err(|e| e.located(&written))?;
                read.push((recipe.data.clone(), opened.data));
            }
            Ok(())
        };
        match open() {
            Err(e) if failure::data_not_here(&e) => absent.push((name.as_str(), format!("{e:#}"))),
            done => done.with_context(|| format!("preset {name}"))?,
        }
    }
    for (name, why) in &absent {
        out::note(&format!("note: preset {name} was not checked against its data: {why}"));
    }
    if args.json {
        let mut value = describe::json(&loaded, &experiment)?;
        if let (Value::Object(all), Value::Object(more)) = (&mut value, screen::json(&experiment)) {
            all.extend(more);
        }
        value["presets"] = json!(presets);
        value["presets_without_data"] = json!(absent.iter().map(|(name, _)| name).collect::<Vec<_>>());
        return Ok(out::json(&value)?);
    }
    let summary = summary(&loaded, &presets);
    if args.full {
        out::print(&format!("{}\n", describe::text(&loaded, &experiment)?))?;
        return Ok(out::print(&summary)?);
    }
    out::print(&summary)?;
    if !args.quiet {
        out::print(&screen::text(&experiment)?)?;
    }
    Ok(())
}

fn summary(loaded: &Loaded, presets: &[String]) -> String {
    let r = &loaded.recipe;
    let presets = match presets {
        [] => String::new(),
        [one] => format!("; preset {one}"),
        several => format!("; presets {}", several.join(", ")),
    };
    format!(
        "{} is valid: {} × {}, {}{presets}\n",
        loaded.written.file(),
        counted(r.arms.len(), "arm"),
        counted(r.seeds.len(), "seed"),
        counted(r.stages.len(), "stage")
    )
}
