//! Runs any attack of the registry on a member's model; the worst case over its variants counts.

use std::time::Instant;

use lobe_core::{LabelId, Selection};
use lobe_methods::measure::steps::worst_case;
use lobe_methods::remove::ablate::How;
use lobe_methods::{ATTACKS, Attack, Bench, BenchError, Losses, Trial};

use super::bench::Desk;
use super::variants::Sweep;
use super::{Work, ablate, control, found, parent, whole};
use crate::error::LabError;
use crate::exec::{Context, Experiment, attack};
use crate::recipe::Stage;
use crate::store::Metric;

pub(super) fn run(c: &Context<'_>, stage: &Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let entry = ATTACKS.iter().find(|e| e.about.name == stage.does);
    let (Some(entry), Some(Ok((attack, _)))) = (entry, attack(&stage.does, &stage.value())) else {
        return Err(LabError::other(format!("no attack {:?}", stage.does)));
    };
    let mut desk = Desk::new(c, stage, work, attack.label())?;
    if attack.needs_original() && desk.original().is_none() {
        // Said when the recipe was read: the original failed, or is of another width.
        return work.finish(start, 0.0, "tokens/s");
    }
    let before = attack.start(&mut desk).map_err(|e| in_lab(e, stage))?;
    let references = references(c, stage, attack.as_ref(), &mut desk)?;
    let prepared = start.elapsed().as_secs_f64();
    let sweep = Sweep::open(c, stage, work, entry.sweeps, attack.cases(&desk))?;
    let todo = desk.begin(sweep);
    if !todo.is_empty() {
        attack.run(&mut desk, &todo).map_err(|e| in_lab(e, stage))?;
    }
    let Some(mut sweep) = desk.sweep.take() else { unreachable!("begun above") };
    sweep.close()?;
    let trials = sweep.trials();
    let numbers = Numbers { x: c.experiment, does: &stage.does, target: desk.label };
    let mut log = work.dir.metrics()?;
    let all = numbers.all(&before, &trials);
    for m in references.iter().chain(&all).filter(|m| m.value.is_finite()) {
        log.append(m)?;
    }
    log.sync()?;
    let named = serde_json::to_vec_pretty(&sweep.index()).unwrap_or_default();
    work.dir.write("variants.json", |w| w.write_all(&named))?;
    found::write(c, stage, work, &trials)?;
    let tokens: u64 = trials.iter().map(|t| t.budget.tokens).sum();
    work.finish_after(prepared + sweep.seconds(), tokens as f64, "tokens/s")
}

/// Losses of baseline and control as they were trained or loaded, on the very tokens that this attack is
/// judged by: what its recovery is a share of.
fn references(
    c: &Context<'_>,
    stage: &Stage,
    attack: &dyn Attack,
    desk: &mut Desk<'_>,
) -> Result<Vec<Metric>, LabError> {
    // The same for every arm of the stage.
    let of = (stage.name.clone(), desk.seed);
    if let Some(known) = c.known.references.borrow().get(&of) {
        return Ok(known.clone());
    }
    let mut out = Vec::new();
    let made =
        [("baseline_start", whole(c, stage, desk.seed)), ("control_start", control(c, stage, desk.seed))];
    for (metric, made) in made {
        let Some((first, arm)) = made else { continue };
        let losses = desk.over(&first.name, arm, |desk| attack.start(desk))?.map_err(|e| in_lab(e, stage))?;
        let loss = losses[desk.label.index()];
        out.extend(loss.map(|v| Metric::new(attack.label(), metric, v, "nat")));
    }
    c.known.references.borrow_mut().insert(of, out.clone());
    Ok(out)
}

fn in_lab(e: BenchError, stage: &Stage) -> LabError {
    match e {
        BenchError::Engine(e) => LabError::Engine(e),
        BenchError::Interrupted => LabError::Interrupted,
        BenchError::Missing(what) | BenchError::Other(what) => {
            LabError::other(format!("{}: {what}", stage.name))
        }
    }
}

/// Everything that was cut out of the model `stage` works on, if anything was.
pub(super) fn cut(c: &Context<'_>, stage: &Stage, arm: usize) -> Result<Option<Selection>, LabError> {
    let mut all: Option<Selection> = None;
    for (_, region) in cuts(c, stage, arm)? {
        all = Some(all.map_or(region.clone(), |a| a.union(&region)));
    }
    Ok(all)
}

/// The cuts on the way to the model `stage` works on, the last one first, and how each was made.
pub(super) fn cuts(c: &Context<'_>, stage: &Stage, arm: usize) -> Result<Vec<(How, Selection)>, LabError> {
    let x = c.experiment;
    let mut out = Vec::new();
    // A post-hoc arm carries the cuts of the arm it started from.
    let mut at = (stage, arm);
    while let Some((source, next)) = parent(c, at.0, at.1) {
        let Some(source) = x.recipe.stage(source) else { break };
        if source.does == "ablate"
            && let Some(region) = ablate::region(x, source, next)?
        {
            out.push((ablate::how(source), region));
        }
        at = (source, next);
    }
    Ok(out)
}

/// Turns trials into rows.
struct Numbers<'a> {
    x: &'a Experiment,
    does: &'a str,
    target: LabelId,
}

impl Numbers<'_> {
    fn all(&self, before: &Losses, trials: &[Trial]) -> Vec<Metric> {
        let target = self.target.index();
        let mut out = Vec::new();
        for (l, v) in before.iter().enumerate() {
            out.extend(v.map(|v| self.metric(l, "attack_start", None, v, "nat")));
        }
        let mut curves = Vec::new();
        let mut best: Option<(f64, usize, &Losses)> = None;
        for (n, t) in trials.iter().enumerate() {
            let mut low: Option<f64> = None;
            for (step, losses) in &t.curve {
                for (l, v) in losses.iter().enumerate() {
                    let name = format!("{}_loss@{}", self.does, t.variant);
                    out.extend(v.map(|v| self.metric(l, &name, Some(*step), v, "nat")));
                }
                let Some(v) = losses[target].filter(|v| v.is_finite()) else { continue };
                low = Some(low.map_or(v, |l| l.min(v)));
                if best.as_ref().is_none_or(|(b, ..)| v < *b) {
                    best = Some((v, n, losses));
                }
            }
            let at = |name: &str| format!("{name}@{}", t.variant);
            out.extend(low.map(|v| self.metric(target, &at("attack_best"), None, v, "nat")));
            for (name, v, unit) in budget(t) {
                out.push(self.metric(target, &at(name), None, v, unit));
            }
            for (name, v, unit) in &t.extra {
                out.push(self.metric(target, &at(name), None, *v, unit));
            }
            let of = t.curve.iter().filter_map(|(s, l)| Some((*s, l[target]?)));
            curves.push(of.collect::<Vec<_>>());
        }
        let name = format!("{}_loss", self.does);
        out.extend(
            worst_case(&curves).into_iter().map(|(s, v)| self.metric(target, &name, Some(s), v, "nat")),
        );
        if let Some((v, n, losses)) = best {
            out.push(self.metric(target, "attack_best", None, v, "nat"));
            for (l, v) in losses.iter().enumerate().filter(|(l, _)| *l != target) {
                out.extend(v.map(|v| self.metric(l, "attack_retain", None, v, "nat")));
            }
            for (name, v, unit) in budget(&trials[n]) {
                out.push(self.metric(target, name, None, v, unit));
            }
            for (name, v, unit) in &trials[n].extra {
                out.push(self.metric(target, name, None, *v, unit));
            }
        }
        // The axis of a curve is optimiser steps only where something was trained.
        let steps = trials.iter().map(|t| t.budget.steps).max().unwrap_or(0);
        if steps > 0 {
            out.push(self.metric(target, "steps_budget", None, steps as f64, "steps"));
        }
        out
    }

    fn metric(&self, label: usize, metric: &str, step: Option<u64>, value: f64, unit: &str) -> Metric {
        Metric::new(&self.x.labels.names()[label], metric, value, unit).at(step)
    }
}

/// A trial's budget as numbers.
fn budget(t: &Trial) -> [(&'static str, f64, &'static str); 4] {
    let b = t.budget;
    [
        ("budget_steps", b.steps as f64, "steps"),
        ("budget_tokens", b.tokens as f64, "tokens"),
        ("budget_examples", b.examples as f64, "examples"),
        ("budget_parameters", b.parameters as f64, "parameters"),
    ]
}
