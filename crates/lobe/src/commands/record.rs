//! `lobe record`: the tables of a record, from a run directory.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use lobe_report::record::{self, Spread};
use lobe_runs::write_atomic;

use crate::failure::refuse;
use crate::{out, run_dir};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe record runs/quickstart --out records/2026-11-22-quickstart/tables.md
  lobe record runs/quickstart --spread interval

Writes Markdown: the command, the recipe's hash, the build and the seeds; the measurements before and
after the cut; the gap closed; the steps to the baseline's loss; the differences from the control,
paired by seed. A dash stands for what was not measured. The same run always gives the same text: it
holds no times and no absolute paths. The recipe's [[target]]s stand at the end, each with its answer.")]
pub(crate) struct Args {
    /// The run directory
    dir: PathBuf,
    /// File to write [default: standard output]; only files written by this command are replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What the brackets show [default: the range below five seeds, the interval from five on]
    #[arg(long)]
    spread: Option<Brackets>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Brackets {
    /// Smallest and largest seed
    Range,
    /// Student's t interval at 95 %
    Interval,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let run = run_dir::open(&args.dir)?;
    let spread = match args.spread {
        Some(Brackets::Range) => Spread::Range,
        Some(Brackets::Interval) => Spread::Interval,
        None => Spread::of_seeds(run.manifest.seeds.len()),
    };
    let text = record::render(&run, spread);
    let Some(path) = &args.out else { return Ok(out::print(&text)?) };
    // Somebody's own page must not go.
    if path.exists() && !std::fs::read_to_string(path).is_ok_and(|old| old.starts_with(record::MARK)) {
        return Err(refuse(format!(
            "this file exists and was not written by `lobe record`: {}",
            path.display()
        )));
    }
    write_atomic(path, text.as_bytes())?;
    Ok(out::print(&format!("{}\n", path.display()))?)
}
