//! `lobe report`: the report of a run, and its numbers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lobe_lab::store::write_atomic;
use lobe_report::stats::Summary;
use lobe_report::terminal::{self, Style};
use lobe_report::{RunData, html, verdict};
use serde_json::{Value, json};

use crate::failure::refuse;
use crate::out;

/// The report's name in a run directory.
const FILE: &str = "report.html";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe report runs/first-tiny
  lobe report runs/first-tiny --text
  lobe report runs/first-tiny --json | jq '.arms[] | {arm, conclusion}'
  lobe report runs/first-tiny --out /srv/www/first.html

Works while the run is going on.")]
pub(crate) struct Args {
    /// The run directory
    dir: PathBuf,
    /// Where to write the page [default: report.html in the run directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the text twin and write nothing
    #[arg(long, conflicts_with_all = ["json", "out"])]
    text: bool,
    /// Print verdicts and final numbers as JSON and write nothing
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let run = RunData::load(&args.dir)?;
    if args.json {
        return Ok(out::json(&numbers(&args.dir, &run))?);
    }
    if args.text {
        return Ok(out::print(&text(&run))?);
    }
    let path = args.out.clone().unwrap_or_else(|| args.dir.join(FILE));
    if let Ok(there) = std::fs::read(&path)
        && args.out.is_some()
        && !there.is_empty()
        && !there.windows(html::MARK.len()).any(|w| w == html::MARK.as_bytes())
    {
        return Err(refuse(format!("there is a file that is no report: {}", path.display())));
    }
    write_atomic(&path, html::render(&run).as_bytes())?;
    Ok(out::print(&format!("{}\n", path.display()))?)
}

/// Writes the report of a run; returns what it was drawn from, and where it is.
pub(super) fn write(dir: &Path) -> Result<(RunData, PathBuf)> {
    let run = RunData::load(dir)?;
    let path = dir.join(FILE);
    write_atomic(&path, html::render(&run).as_bytes())?;
    Ok((run, path))
}

/// Writes the report of a run that has just finished, and shows what it says.
pub(super) fn finished(dir: &Path, json: bool, quiet: bool) -> Result<()> {
    let (run, path) = write(dir)?;
    if json {
        return Ok(out::json(&numbers(dir, &run))?);
    }
    if quiet {
        return Ok(());
    }
    Ok(out::print(&format!("{}\nReport: {}\n", text(&run), path.display()))?)
}

/// The report's text twin.
pub(super) fn text(run: &RunData) -> String {
    let style = if out::is_terminal() { Style::Unicode } else { Style::Ascii };
    terminal::render(run, out::width(), style)
}

fn summary(s: Option<Summary>) -> Value {
    s.map_or(Value::Null, |s| json!({ "n": s.n, "mean": s.mean, "sd": s.sd, "interval": s.interval }))
}

/// Verdicts and the final numbers of every arm; what is missing is null or absent, never zero.
fn numbers(dir: &Path, run: &RunData) -> Value {
    let m = &run.manifest;
    let words = verdict::verdict(run);
    let arms = run.arms().iter().map(|a| {
        let finals = run.ordered().into_iter().filter(|(_, measured)| measured.by_arm.contains_key(&a.name));
        let finals = finals.map(|(q, measured)| {
            let mut value =
                json!({ "stage": q.stage, "metric": q.metric, "label": q.label, "unit": measured.unit });
            value["over_seeds"] = summary(measured.summary(&a.name));
            if let Some(b) = run.baseline().filter(|b| *b != a.name) {
                value["minus_baseline"] = summary(measured.difference(&a.name, b));
            }
            value
        });
        let words = words.arms.iter().find(|v| v.arm == a.name);
        json!({ "arm": a.name, "method": a.method, "control": a.control,
            "conclusion": words.map(|w| &w.conclusion), "sentences": words.map(|w| &w.sentences),
            "finals": finals.collect::<Vec<_>>() })
    });
    json!({ "run": dir.display().to_string(), "name": m.name, "state": m.state, "recipe_hash": m.recipe_hash,
        "build": m.build, "seeds": m.seeds, "baseline": run.baseline(), "control": run.control(),
        "filter": run.filter(), "arms": arms.collect::<Vec<_>>(), "caveats": words.caveats, "warnings": run.warnings })
}
