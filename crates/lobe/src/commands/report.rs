//! `lobe report`: the report of a run, and its numbers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lobe_report::judge::{Judged, Measure, judge};
use lobe_report::stats::Summary;
use lobe_report::terminal::{self, Style};
use lobe_report::{RunData, html, targets};
use lobe_runs::write_atomic;
use serde_json::{Value, json};

use crate::failure::refuse;
use crate::{out, run_dir};

/// The report's name in a run directory.
const FILE: &str = "report.html";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe report runs/first-tiny
  lobe report runs/first-tiny --text
  lobe report runs/first-tiny --json | jq '.judgement[] | {arm, word}'
  lobe report runs/first-tiny --out /srv/www/first.html

Also works while the run is in progress.")]
pub(crate) struct Args {
    /// The run directory
    dir: PathBuf,
    /// File to write [default: report.html in the run directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the whole report as text; write no file
    #[arg(long, conflicts_with_all = ["json", "out"])]
    text: bool,
    /// Print verdicts and final numbers as JSON; write no file
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let run = run_dir::open(&args.dir)?;
    if args.json {
        return Ok(out::json(&numbers(&args.dir, &run))?);
    }
    if args.text {
        return Ok(out::print(&out::verdicts(&text(&run)))?);
    }
    let path = args.out.clone().unwrap_or_else(|| args.dir.join(FILE));
    if let Ok(there) = std::fs::read(&path)
        && args.out.is_some()
        && !there.is_empty()
        && !there.windows(html::MARK.len()).any(|w| w == html::MARK.as_bytes())
    {
        return Err(refuse(format!("this file exists and is not a report: {}", path.display())));
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
pub(super) fn finished(dir: &Path, json: bool, quiet: bool, verbose: bool) -> Result<()> {
    let (run, path) = write(dir)?;
    if json {
        return Ok(out::json(&numbers(dir, &run))?);
    }
    if quiet {
        return Ok(());
    }
    let said = out::verdicts(&if verbose { text(&run) } else { answer(&run) });
    let more = if verbose { "" } else { " (--verbose prints all of it)" };
    Ok(out::print(&format!("{said}\nReport: {}{more}\n", path.display()))?)
}

/// The answer, in a screen.
pub(super) fn answer(run: &RunData) -> String {
    let style = if out::is_terminal() { Style::Unicode } else { Style::Ascii };
    terminal::answer(run, out::width(), style)
}

/// The report's text twin.
pub(super) fn text(run: &RunData) -> String {
    let style = if out::is_terminal() { Style::Unicode } else { Style::Ascii };
    terminal::render(run, out::width(), style)
}

fn summary(s: Option<Summary>) -> Value {
    s.map_or(Value::Null, |s| json!({ "n": s.n, "mean": s.mean, "sd": s.sd, "interval": s.interval }))
}

/// One arm's judgement.
pub(super) fn judged(j: &Judged) -> Value {
    let attacks = j.attacks.iter().map(|a| {
        json!({ "attack": a.stage, "reached": summary(a.reached), "returned": summary(a.returned), "steps": a.steps })
    });
    let versus = j.versus.iter().map(|v| {
        let measure = if v.measure == Measure::Steps { "steps" } else { "share of the gap" };
        json!({ "attack": v.stage, "other": v.other, "measure": measure, "resists_better_by": summary(Some(v.by)),
            "at_least": v.bounded })
    });
    let retain = j.retain.as_ref().map(|r| {
        json!({ "against": r.against, "difference": summary(Some(r.by)), "kept": format!("{:?}", r.kept).to_lowercase() })
    });
    json!({ "arm": j.arm, "label": j.label, "role": format!("{:?}", j.role).to_lowercase(), "word": j.word.text(),
        "still_there": j.present.map(|p| format!("{p:?}").to_lowercase()),
        "more_comes_back": j.returns.map(|r| format!("{r:?}").to_lowercase()),
        "gap_closed": summary(j.closed), "retain": retain, "attacks": attacks.collect::<Vec<_>>(),
        "worst": j.worst.and_then(|w| j.attacks.get(w)).map(|a| &a.stage), "versus": versus.collect::<Vec<_>>(),
        "beyond_control": summary(j.beyond), "undone": summary(j.undone), "sentences": j.sentences })
}

/// A target and what the run says to it.
fn target(a: &targets::Answer<'_>) -> Value {
    json!({ "target": a.target, "measured": summary(a.measured), "missed_by": a.missed_by(), "answer": a.words() })
}

/// Verdicts and the final numbers of every arm; what is missing is null or absent, never zero.
fn numbers(dir: &Path, run: &RunData) -> Value {
    let m = &run.manifest;
    let judgement = judge(run);
    let arms = run.arms().iter().map(|a| {
        let finals = run.ordered().into_iter().filter(|(_, measured)| measured.by_arm.contains_key(&a.name));
        let finals = finals.map(|(q, measured)| {
            let mut value =
                json!({ "stage": q.stage, "metric": q.metric, "label": q.label, "unit": measured.unit });
            // A mean over the seeds that came back would leave out the others.
            let bounds = measured.bounds(&a.name);
            if bounds.is_empty() {
                value["over_seeds"] = summary(measured.summary(&a.name));
            } else {
                let each = |(seed, v): &(u64, f64)| json!({ "seed": seed, "value": v });
                value["by_seed"] = measured.finals(&a.name).iter().map(each).collect();
                value["at_least"] = bounds.iter().map(each).collect();
            }
            if let Some(b) = run.baseline().filter(|b| *b != a.name) {
                value["minus_baseline"] = summary(measured.difference(&a.name, b));
            }
            value
        });
        json!({ "arm": a.name, "method": a.method, "control": a.control,
            "finals": finals.collect::<Vec<_>>() })
    });
    json!({ "run": dir.display().to_string(), "name": m.name, "state": m.state.word(), "recipe_hash": m.recipe_hash,
        "build": m.build, "seeds": m.seeds, "baseline": run.baseline(), "control": run.control(),
        "filter": run.filter(), "arms": arms.collect::<Vec<_>>(), "judgement": judgement.arms.iter().map(judged).collect::<Vec<_>>(),
        "targets": targets::answers(run).iter().map(target).collect::<Vec<_>>(), "overview": judgement.overview, "scale": judgement.scale, "caveats": judgement.caveats, "warnings": run.warnings })
}
