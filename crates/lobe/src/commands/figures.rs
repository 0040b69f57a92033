//! `lobe figures`: the figures of a report as files for a paper.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lobe_report::{RunData, figure_files};
use lobe_runs::write_atomic;

use crate::failure::refuse;
use crate::out;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe figures runs/quickstart --out figures
  rsvg-convert -f pdf figures/trade-off.svg > trade-off.pdf

Each figure of the report becomes NAME.svg, with its own style and on white, and NAME.csv, the numbers
that are drawn. The page has the same files behind its links. Nothing else in the folder is touched; a
file of one of these names is replaced.")]
pub(crate) struct Args {
    /// The run directory
    dir: PathBuf,
    /// The folder to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let run = RunData::load(&args.dir)?;
    let figures = figure_files::all(&run);
    if figures.is_empty() {
        return Err(refuse(format!("nothing was measured yet that could be drawn: {}", args.dir.display())));
    }
    let fail = |e: std::io::Error| refuse(format!("cannot be made: {e}: {}", args.out.display()));
    std::fs::create_dir_all(&args.out).map_err(fail)?;
    for f in &figures {
        let files = [f.svg.as_ref().map(|s| ("svg", s)), Some(("csv", &f.csv))];
        for (extension, text) in files.into_iter().flatten() {
            write(&args.out.join(format!("{}.{extension}", f.name)), text)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_atomic(path, text.as_bytes())?;
    Ok(out::print(&format!("{}\n", path.display()))?)
}
