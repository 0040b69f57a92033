//! `lobe run`: a recipe from start to report.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use lobe_lab::graph::{Options, Progress, Silent};
use lobe_lab::plan::Experiment;
use lobe_lab::schedule;

use super::report;
use crate::failure::partly;
use crate::recipe::{Loaded, RecipeArgs};
use crate::{describe, out, progress, signals};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe run first.toml
  lobe run first.toml --preset tiny --seeds 0,7
  lobe run first.toml --set stage.relearn.steps=200    repeats only the attack
  lobe run first.toml --dry-run                        validates, and shows the resolved recipe

Finished work is kept. Run the same command again to resume a run that was interrupted or killed; the
result is identical to the byte, on any number of threads. The first ctrl-C saves and exits with
code 75, the second stops at once. A member whose loss is not finite fails alone: the others finish,
and the exit code is 3.")]
pub(crate) struct Args {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Run directory [default: runs/NAME, with a preset runs/NAME-PRESET]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Worker threads; 0 means one per core. Results do not depend on the number
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Print the resolved recipe, regions and routes without running anything
    #[arg(long)]
    dry_run: bool,
    /// Print no progress and no summary
    #[arg(long, short)]
    quiet: bool,
    /// Print the whole report as text instead of the answer
    #[arg(long, short, conflicts_with_all = ["quiet", "json"])]
    verbose: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// The directory of a run that was given none.
fn default_dir(loaded: &Loaded, preset: Option<&str>) -> PathBuf {
    let name = &loaded.recipe.name;
    PathBuf::from("runs").join(preset.map_or_else(|| name.clone(), |p| format!("{name}-{p}")))
}

/// The command as one would type it again.
fn command() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%[]*".contains(c);
    let quote = |a: String| {
        if !a.is_empty() && a.chars().all(plain) { a } else { format!("'{}'", a.replace('\'', r"'\''")) }
    };
    let args = std::env::args_os().skip(1).map(|a| quote(a.to_string_lossy().into_owned()));
    std::iter::once("lobe".to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let loaded = args.recipe.load()?;
    if args.dry_run {
        let experiment = Experiment::open(&loaded.recipe).map_err(|e| e.located(&loaded.written))?;
        if args.json {
            return Ok(out::json(&describe::json(&loaded, &experiment)?)?);
        }
        return Ok(out::print(&describe::text(&loaded, &experiment)?)?);
    }
    let dir = args.out.clone().unwrap_or_else(|| default_dir(&loaded, args.recipe.preset.as_deref()));
    let done = execute(&loaded, &dir, args.threads, args.quiet);
    if done.as_ref().err().is_none_or(partly) {
        report::finished(&dir, args.json, args.quiet, args.verbose)?;
    }
    done
}

/// Tells the listener for interrupts when the first stage begins.
struct Begins(Box<dyn Progress>);

impl Progress for Begins {
    fn stage(&self, name: &str, total: u64) {
        signals::begun();
        self.0.stage(name, total);
    }
    fn advance(&self, done: f64, note: &str) {
        self.0.advance(done, note);
    }
    fn finish(&self, name: &str, cached: usize, seconds: f64) {
        self.0.finish(name, cached, seconds);
    }
}

/// Runs a recipe into `dir`, or goes on with it.
pub(super) fn execute(loaded: &Loaded, dir: &Path, threads: u16, quiet: bool) -> Result<()> {
    let shown = Begins(if quiet { Box::new(Silent) } else { Box::new(progress::stderr()) });
    // Elsewhere an error is the one line that is said.
    if !quiet && std::io::stderr().is_terminal() {
        out::note("preparing the data");
    }
    let options = Options {
        threads: usize::from(threads),
        stop: signals::watch()?,
        progress: &shown,
        command: command(),
        build: crate::build().to_owned(),
    };
    Ok(schedule::run(&loaded.written, &loaded.recipe, &loaded.derived, dir, &options)?)
}
