//! Post-hoc removal: goes on training an arm's model with a method's terms.

use std::time::Instant;

use lobe_core::{FORGET, Key, RETAIN};
use lobe_data::Labels;
use lobe_engine::ops::head::IGNORE;
use lobe_engine::{Buf, Member};
use lobe_methods::Unlearn;
use lobe_methods::unlearn::{Reads, Recovery, Side, Term};
use lobe_nets::TokenBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Work, write_model};
use crate::error::LabError;
use crate::exec::{Context, EvalSet, Experiment, Scores, Step, empty, evaluate, optimiser, unlearn};
use crate::post_hoc::{Driver, Pool, Terms, plan, recover, shape};
use crate::recipe::{PathError, Stage, typed};
use crate::store::Metric;

/// `do = "unlearn"`: every arm with a post-hoc method goes on from the arm it names. Steps, rate and
/// batch stand in `[unlearn]` or in the arm's `train`; a step sees `batch` forget and `batch` retain examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UnlearnStage {
    /// Number of different forget examples to train on; 0 means all that are labelled.
    pub forget_examples: usize,
    /// Number of different retain examples to train on; 0 means all that are labelled.
    pub retain_examples: usize,
}

impl Default for UnlearnStage {
    fn default() -> Self {
        UnlearnStage { forget_examples: 256, retain_examples: 512 }
    }
}

/// At most so many held-out examples per label are evaluated along the way.
const EVALUATED: usize = 100;

pub(super) fn run(c: &Context<'_>, stage: &Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let x = c.experiment;
    let settings: UnlearnStage = typed(&stage.value()).map_err(|e| LabError::setting(&e))?;
    let arm = &x.arms[work.arm].arm;
    let train = x.recipe.train_of(arm);
    let (method, terms) = method(x, work.arm, work.seed)?;
    let Some(net) = x.net.gpt() else { return Err(LabError::other("unlearn: needs a language model")) };
    let reference = work.parent(c, stage)?;
    let key = Experiment::key(work.seed).child("unlearn");
    let labels = x.labels_of(work.arm, work.seed)?;
    let pool = |side, most| {
        let needed = terms.iter().any(|t| t.side == side);
        let chosen = examples(side, &labels, most, key, needed)?;
        let batch = match method.recovery().filter(|_| side == Side::Forget) {
            Some(r) => recovery(x, &r, &chosen, &examples(Side::Retain, &labels, 0, key, true)?, key)?,
            None => batch(x, &chosen, &labels)?,
        };
        Pool::new(net, c.runner, &reference, side, batch, &terms)
    };
    let pools =
        [pool(Side::Forget, settings.forget_examples)?, pool(Side::Retain, settings.retain_examples)?];
    let first = method.start(x.layout(), &reference, key.child("start"));
    let params = first.map_or_else(|| reference.clone(), |p| Buf::from_slice(&p));
    let plan = plan(net, &*method, &terms);
    let mut member = Member::new(params, plan, train.lanes)?;
    let mut driver = Driver::new(net, c.runner, method.drive(), optimiser(train)?);
    let eval = EvalSet::along_the_way(x, |_| true, EVALUATED);
    let goal = match method.stop_within() {
        Some(times) => loss(c, &reference, &eval)?.map(|l| l * times),
        None => None,
    };
    let mut log = work.dir.metrics()?;
    let (mut tokens, mut steps) = (0u64, 0);
    for step in 0..train.steps {
        c.options.check_stop()?;
        if step == 0 {
            append(x, &mut log, 0, &scores(c, &member.params, &eval)?)?;
        }
        let program = Terms::new(net, &pools, &terms, train.batch, step, train.steps, key);
        tokens += program.targets() as u64;
        steps = step + 1;
        let at = |e: LabError| e.diverged(steps).map_or(e, LabError::Diverged);
        let value = driver.step(&mut member, program, step).map_err(at)?;
        if steps.is_multiple_of(train.log_every) || steps == train.steps {
            let objective = Metric::new("all", "objective", value, "nat").at(Some(steps));
            log.append(&objective).map_err(|e| at(e.into()))?;
        }
        if steps.is_multiple_of(train.eval_every) || steps == train.steps {
            let s = scores(c, &member.params, &eval)?;
            append(x, &mut log, steps, &s).map_err(at)?;
            let note = format!("{}, seed {}: step {steps}/{}", arm.name, work.seed, train.steps);
            let share = steps as f64 / train.steps as f64;
            c.options.progress.advance(work.base as f64 + share, &note);
            if let Some((l, goal)) = kept(x, &s).zip(goal)
                && l <= goal
            {
                break;
            }
        }
    }
    log.append(&Metric::new("all", "removal_steps", steps as f64, "steps"))?;
    log.append(&Metric::new("all", "removal_tokens", tokens as f64, "tokens"))?;
    log.sync()?;
    write_model(c, &work.dir, &member.params, &work.key)?;
    work.finish(start, tokens as f64, "tokens/s")
}

/// Builds an arm's method and its terms, with random directions of the seed; also run before anything
/// is trained.
pub(crate) fn method(
    x: &Experiment,
    arm: usize,
    seed: u64,
) -> Result<(Box<dyn Unlearn>, Vec<Term>), LabError> {
    let a = &x.arms[arm].arm;
    let refuse = |e: &lobe_methods::ParamError| {
        LabError::setting(&crate::exec::in_recipe(e).within(&["arms", a.name.as_str()]))
    };
    let refused = |key: &str, what: String| {
        Err(LabError::setting(&PathError::new(key, what).within(&["arms", a.name.as_str()])))
    };
    let Some(built) = unlearn(&a.method, &a.value()) else {
        return refused("method", format!("{:?} is not a post-hoc method", a.method));
    };
    let (method, _) = built.map_err(|e| refuse(&e))?;
    let Some(net) = x.net.gpt() else {
        return refused("method", format!("{} needs a language model", a.method));
    };
    let shape = shape(net);
    let terms = method.terms(shape, Experiment::key(seed).child("unlearn")).map_err(|e| refuse(&e))?;
    for t in &terms {
        if let Reads::Hidden { layer } = t.objective.reads()
            && layer >= shape.layers
        {
            let what = format!("layer {layer}, but the network has {} blocks", shape.layers);
            return refused("", what);
        }
    }
    Ok((method, terms))
}

/// The training examples of a side, at most `most` unless that is 0, in an order drawn from `key`.
pub(super) fn examples(
    side: Side,
    labels: &Labels,
    most: usize,
    key: Key,
    needed: bool,
) -> Result<Vec<usize>, LabError> {
    let known = labels.label.contains(&RETAIN);
    let fits = |i: &usize| match side {
        Side::Forget => labels.label[*i] == FORGET,
        Side::Retain if known => labels.label[*i] == RETAIN,
        Side::Retain => labels.label[*i] != FORGET,
    };
    let mut of: Vec<usize> = (0..labels.label.len()).filter(fits).collect();
    let name = if side == Side::Forget { "forget" } else { "retain" };
    key.child(name).rng().shuffle(&mut of);
    if most > 0 {
        of.truncate(most);
    }
    if of.is_empty() && needed {
        return Err(LabError::other(format!("no training data is labelled {name:?}")));
    }
    Ok(of)
}

/// Examples of the training data as they are.
fn batch(x: &Experiment, of: &[usize], labels: &Labels) -> Result<TokenBatch, LabError> {
    let mut batch = no_tokens(x)?;
    for i in of {
        batch.push(x.data.train.row(*i), labels.label[*i], None);
    }
    Ok(batch)
}

/// Forget examples that are broken off, each going on as a retain example.
fn recovery(
    x: &Experiment,
    r: &Recovery,
    forget: &[usize],
    retain: &[usize],
    key: Key,
) -> Result<TokenBatch, LabError> {
    let mut batch = no_tokens(x)?;
    let mut rng = key.child("recovery").rng();
    for i in forget {
        let row = x.data.train.row(*i);
        let known = row.iter().take_while(|t| **t != IGNORE).count();
        let keep = recover::kept(r, known, &mut rng);
        let answer = x.data.train.row(retain[rng.below(retain.len())]);
        let (inputs, targets) = recover::spliced(row, answer, keep);
        batch.push_pair(&inputs, &targets, FORGET, None);
    }
    Ok(batch)
}

fn no_tokens(x: &Experiment) -> Result<TokenBatch, LabError> {
    match empty(x, 1, 1, None) {
        Step::Tokens(batch) => Ok(batch),
        Step::Images(_) => Err(LabError::other("unlearn: needs a language model")),
    }
}

fn scores(c: &Context<'_>, params: &[f32], eval: &EvalSet) -> Result<Scores, LabError> {
    Ok(evaluate(c.experiment, c.runner, &[(params, eval)])?.remove(0))
}

fn loss(c: &Context<'_>, params: &[f32], eval: &EvalSet) -> Result<Option<f64>, LabError> {
    Ok(kept(c.experiment, &scores(c, params, eval)?))
}

/// Mean loss over everything that is not to be forgotten.
fn kept(x: &Experiment, s: &Scores) -> Option<f64> {
    let of = x.test_labels().into_iter().filter(|l| *l != FORGET).filter_map(|l| s.loss(l));
    let all: Vec<f64> = of.collect();
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

fn append(
    x: &Experiment,
    log: &mut crate::store::MetricsLog,
    step: u64,
    scores: &Scores,
) -> Result<(), LabError> {
    for m in scores.metrics(x, Some(step)) {
        log.append(&m)?;
    }
    Ok(())
}
