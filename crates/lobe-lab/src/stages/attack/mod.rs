//! Runs any attack of the registry on a member's model; the worst case over its variants counts.

mod bench;
mod found;
mod loot;
pub(super) mod tune;
mod variants;

use std::time::Instant;

use lobe_core::{FORGET, LabelId};
use lobe_methods::measure::steps::worst_case;
use lobe_methods::{ATTACKS, Attack, AttackEntry, Bench, BenchError, Losses, Trial};
use serde_json::Value;

pub(super) use self::bench::Desk;
pub(super) use self::loot::{Draw, Half};
use self::variants::Sweep;
use crate::error::LabError;
use crate::graph::{
    Context, Done, KeyParts, Place, Shares, Stage, StageEntry, Work, compared, control, each, whole,
};
use crate::plan::{Experiment, difference, in_recipe, in_section};
use crate::recipe::{self, Makes, PathError, StageFacts, Starts};
use crate::store::Metric;

/// An attack as a stage.
struct Attacks {
    entry: &'static AttackEntry,
    attack: Box<dyn Attack>,
}

/// The registered stage of an attack.
pub(super) fn entry(entry: &'static AttackEntry) -> StageEntry {
    let build = move |v: &Value| {
        let (attack, full) = (entry.build)(v).map_err(|e| in_recipe(&e))?;
        Ok((Box::new(Attacks { entry, attack }) as Box<dyn Stage>, full))
    };
    let facts = StageFacts { makes: Makes::Attack, starts: Starts::Models, noun: None };
    StageEntry { about: entry.about, facts, params: entry.params, build: Box::new(build) }
}

impl Stage for Attacks {
    fn version(&self) -> u32 {
        7
    }

    fn keeps_variants(&self) -> bool {
        true
    }

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        let path = ["stage", stage.name.as_str()];
        let refuse = |key: &str, what: String| in_section(Err(PathError::new(key, what)), &path);
        let known = x.labels.names().iter().map(String::as_str);
        in_section(recipe::one_of("label", "label", self.attack.label(), known), &path)?;
        if x.net.language().is_none() {
            return refuse("do", format!("{} needs a language model", stage.does));
        }
        if let Some(l) = self.attack.layers().iter().find(|l| **l >= x.net.blocks()) {
            return refuse("layers", format!("{l}: the network's blocks are 0 to {}", x.net.blocks() - 1));
        }
        if self.attack.needs_original() && x.recipe.reference().baseline.is_none() {
            let what = format!(
                "{} needs an arm that trains plainly on everything, or one called \"baseline\" that is loaded",
                stage.does
            );
            return refuse("do", what);
        }
        let label = x.labels.find(self.attack.label()).unwrap_or(FORGET);
        if !x.train_truth.contains(&label) || !x.test_truth.contains(&label) {
            return refuse("label", format!("no example is truly {:?}", self.attack.label()));
        }
        Ok(())
    }

    fn depends(&self, c: &Context<'_>, at: &Place<'_>, key: &mut KeyParts) {
        compared(c, at, key);
    }

    fn shares(&self) -> Shares {
        Shares::Model
    }

    fn run(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
        each(c, stage, |c, stage, work| run(self, c, stage, work))
    }
}

/// What is said of attacks that cannot bridge the difference between an arm's network and the baseline's.
pub(crate) fn width_notes(x: &Experiment) -> Vec<String> {
    let mut out = x.shape_notes();
    let original = x.recipe.reference().baseline;
    let original = original.and_then(|name| x.arms.iter().position(|a| a.arm.name == name));
    for stage in &x.recipe.stages {
        let entry = ATTACKS.iter().find(|e| e.about.name == stage.does);
        let attack = entry.and_then(|e| (e.build)(&stage.value()).ok());
        let (Some((attack, _)), Some(original)) = (attack, original) else { continue };
        let shape = |arm: usize| &*x.of_arm(arm).net;
        let other = |arm: &usize| difference(shape(*arm), shape(original)).is_some();
        let arms = (0..x.arms.len()).filter(|i| stage.arms.contains(&x.arms[*i].arm.name)).filter(other);
        let names: Vec<&str> = arms.map(|i| x.arms[i].arm.name.as_str()).collect();
        if names.is_empty() || !attack.uses_original() {
            continue;
        }
        let what = if attack.needs_original() { "is left out" } else { "does without the original" };
        let (stage, names) = (&stage.name, names.join(", "));
        out.push(format!("{stage} {what} for {names}: the original's tensors have another width"));
    }
    out
}

fn run(does: &Attacks, c: &Context<'_>, stage: &recipe::Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let Attacks { entry, attack } = does;
    let mut desk = Desk::new(c, stage, work, attack.label())?;
    if attack.needs_original() && desk.original().is_none() {
        // Said when the recipe was read: the original failed, or is of another width.
        return work.finish(start, 0.0, "tokens/s");
    }
    let before = attack.start(&mut desk).map_err(|e| in_lab(e, stage))?;
    let references = references(c, stage, &**attack, &mut desk)?;
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
    stage: &recipe::Stage,
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

fn in_lab(e: BenchError, stage: &recipe::Stage) -> LabError {
    match e {
        BenchError::Engine(e) => LabError::Engine(e),
        BenchError::Interrupted => LabError::Interrupted,
        BenchError::Missing(what) | BenchError::Other(what) => {
            LabError::other(format!("{}: {what}", stage.name))
        }
    }
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
