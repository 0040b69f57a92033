//! `lobe penalty`: what a removal cost in compute, from runs of several sizes.

use std::path::PathBuf;

use anyhow::Result;
use lobe_methods::measure::compute_penalty::PowerLaw;
use lobe_report::RunData;
use lobe_report::stats::{Summary, summarize};
use lobe_runs::Starts;
use serde_json::json;

use crate::failure::refuse;
use crate::run_dir;
use crate::{out, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe penalty runs/small runs/medium runs/large
  lobe penalty runs/size-* --json

The plain arm (`baseline`) of every run gives one point: its held-out loss against its compute,
which is 6 × parameters × training targets. For a post-hoc arm the targets of the model it started
from count as well. A power law through at least three different computes gives the compute that a
plain model needs for a given loss. An arm's penalty is the fraction of its own compute that was
wasted: 0 % is as good as plain training, 100 % as bad as no training, below 0 % better than plain.
Every run needs a `measure` stage.")]
pub(crate) struct Args {
    /// Run directories: the same recipe at three or more sizes
    #[arg(required = true, num_args = 1..)]
    runs: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A plain model of the family, or a model that is held against it.
struct Model {
    run: usize,
    arm: String,
    seed: u64,
    loss: f64,
    compute: f64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let runs: Vec<RunData> = args.runs.iter().map(|d| run_dir::open(d)).collect::<Result<_, _>>()?;
    let mut labels: Vec<&str> = Vec::new();
    for l in runs.iter().flat_map(|r| &r.manifest.labels) {
        if !labels.contains(&l.as_str()) {
            labels.push(l);
        }
    }
    let (mut laws, mut lawless, mut rows, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for label in labels {
        let (plain, others) = models(&runs, label);
        let points: Vec<(f64, f64)> = plain.iter().map(|m| (m.compute, m.loss)).collect();
        if points.is_empty() {
            continue;
        }
        let Some(law) = PowerLaw::fit(&points) else {
            lawless.push(label);
            continue;
        };
        let range = points.iter().fold((f64::MAX, f64::MIN), |r, p| (r.0.min(p.1), r.1.max(p.1)));
        laws.push(format!(
            "{label}: L = {:.4e} · C^−{:.4}, {} models, losses {:.3} to {:.3}, residual {:.4} in log L",
            law.alpha,
            law.beta,
            points.len(),
            range.0,
            range.1,
            law.residual
        ));
        for (run, arm, of) in grouped(&others) {
            let of_each = |f: &dyn Fn(&Model) -> f64| of.iter().map(|m| f(m)).collect::<Vec<_>>();
            let loss = summarize(&of_each(&|m| m.loss));
            let penalty = summarize(&of_each(&|m| law.penalty(m.loss, m.compute)));
            let outside = of.iter().filter(|m| m.loss < range.0 || m.loss > range.1).count();
            let (Some(loss), Some(penalty)) = (loss, penalty) else { continue };
            let name = args.runs[run].display().to_string();
            all.push(
                json!({ "run": name, "arm": arm, "label": label, "loss": loss.mean, "penalty": penalty.mean,
                "interval": penalty.interval, "seeds": penalty.n, "extrapolated": outside,
                "alpha": law.alpha, "beta": law.beta, "residual": law.residual }),
            );
            let far = if outside > 0 { format!("{outside} of {} outside", of.len()) } else { String::new() };
            rows.push(vec![
                label.to_owned(),
                name,
                arm.to_owned(),
                format!("{:.4}", loss.mean),
                percent(&penalty),
                far,
            ]);
        }
    }
    if laws.is_empty() {
        return Err(refuse(
            "no label has plain models of three different computes; give runs of at least three sizes \
             whose recipes have an arm that trains plainly on everything and a `measure` stage",
        ));
    }
    for label in lawless {
        out::note(&format!("{label}: no law: needs plain models of three computes whose loss falls"));
    }
    if args.json {
        return Ok(out::json(&json!(all))?);
    }
    let heading = ["label", "run", "arm", "loss", "penalty", ""];
    Ok(out::print(&format!("{}\n\n{}", laws.join("\n"), table::columns(&heading, &rows, 3)))?)
}

/// The plain models of all runs for a label, and all other ones after everything that was done to them.
fn models(runs: &[RunData], label: &str) -> (Vec<Model>, Vec<Model>) {
    let (mut plain, mut others) = (Vec::new(), Vec::new());
    for (n, run) in runs.iter().enumerate() {
        let Some(baseline) = run.baseline() else { continue };
        let seeds = |arm: &str, metric: &str, label: &str| run.before(arm, metric, label);
        let at = |list: &[(u64, f64)], seed| list.iter().find(|(s, _)| *s == seed).map(|(_, v)| *v);
        let (params, targets) = (seeds(baseline, "params", "all"), seeds(baseline, "targets", "all"));
        for arm in run.arms() {
            let own = seeds(&arm.name, "targets", "all");
            let is_plain = arm.name == baseline;
            let losses =
                if is_plain { seeds(&arm.name, "loss", label) } else { run.after(&arm.name, "loss", label) };
            for (seed, loss) in losses {
                // What was done to a trained model comes on top of what training it cost.
                let trained = at(&own, seed).or_else(|| at(&targets, seed));
                let tokens = trained.map(|t| t + removed(run, &arm.name, seed));
                let Some((params, tokens)) = at(&params, seed).zip(tokens.filter(|t| *t > 0.0)) else {
                    continue;
                };
                let compute = 6.0 * params * tokens;
                let model = Model { run: n, arm: arm.name.clone(), seed, loss, compute };
                if is_plain { plain.push(model) } else { others.push(model) }
            }
        }
    }
    (plain, others)
}

/// Tokens that removal trained on, of an arm and of all that it went on from: each from its last unlearning on,
/// and of an ancestor only what came before the next one went on.
fn removed(run: &RunData, arm: &str, seed: u64) -> f64 {
    let stages: Vec<&str> = run.stages().collect();
    let (mut at, mut until, mut total) = (arm, stages.len(), 0.0);
    // What is read from a file may go round in circles.
    for _ in run.arms() {
        let of = |stage: &&str| {
            let all = run.measured(stage, "removal_tokens", "all")?.finals(at);
            all.into_iter().find(|(s, _)| *s == seed).map(|(_, tokens)| tokens)
        };
        let last = stages[..until].iter().rposition(|s| run.starts(s) == Starts::From && of(s).is_some());
        total += stages[last.unwrap_or(0)..until].iter().filter_map(of).sum::<f64>();
        let from = run.arm(at).and_then(|a| a.from.as_deref());
        let Some((from, last)) = from.zip(last) else { break };
        // It may have gone on from an arm of the same stage.
        (at, until) = (from, last + 1);
    }
    total
}

/// Models by run and arm, seeds together, in order.
fn grouped(models: &[Model]) -> Vec<(usize, &str, Vec<&Model>)> {
    let mut out: Vec<(usize, &str, Vec<&Model>)> = Vec::new();
    for m in models {
        match out.iter_mut().find(|(run, arm, _)| *run == m.run && *arm == m.arm) {
            Some((_, _, of)) if of.iter().all(|o| o.seed != m.seed) => of.push(m),
            Some(_) => {}
            None => out.push((m.run, &m.arm, vec![m])),
        }
    }
    out
}

fn percent(s: &Summary) -> String {
    match s.interval {
        Some((low, high)) => format!("{:.1} % [{:.1}, {:.1}]", 100.0 * s.mean, 100.0 * low, 100.0 * high),
        None => format!("{:.1} %", 100.0 * s.mean),
    }
}
