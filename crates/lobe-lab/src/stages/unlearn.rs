//! Post-hoc removal: goes on training an arm's model with a method's terms.

use std::sync::Arc;
use std::time::Instant;

use lobe_core::{FORGET, Key, RETAIN};
use lobe_data::Labels;
use lobe_engine::Buf;
use lobe_engine::ops::head::IGNORE;
use lobe_methods::unlearn::{Reads, Recovery, Side, Term};
use lobe_methods::{About, Unlearn};
use lobe_nets::Batch;
use lobe_train::{
    Drawn, Driver, Follows, Goal, Pool, Reading, Scores, Spec, TrainError, Trainee, collect, recover, shape,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::graph::{Context, Done, MemberJournal, Stage, StageEntry, Work, each, timing, write_model};
use crate::plan::{self, Experiment, optimiser};
use crate::recipe::{self, Makes, PathError, StageFacts, Starts};

const ABOUT: About = About {
    name: "unlearn",
    summary: "trains each post-hoc arm, starting from the model of the arm named in `from`; [unlearn] sets how",
    reference: "",
    unusual: "the model before is run once over the examples, so that no second model stays in memory",
    fails: "",
};

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

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    StageEntry::of::<UnlearnStage>(
        &ABOUT,
        StageFacts { makes: Makes::Model, starts: Starts::From, noun: Some("unlearning") },
    )
}

impl Stage for UnlearnStage {
    fn version(&self) -> u32 {
        4
    }

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        let arms = x.arms.iter().enumerate().filter(|(_, a)| stage.arms.contains(&a.arm.name));
        arms.map(|(i, _)| i).try_for_each(|arm| method(x, arm, 0).map(drop))
    }

    fn run(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
        each(c, stage, |c, stage, work| unlearn(self, c, stage, work))
    }
}

fn unlearn(
    settings: &UnlearnStage,
    c: &Context<'_>,
    stage: &recipe::Stage,
    work: &Work,
) -> Result<(), LabError> {
    let start = Instant::now();
    let x = c.experiment;
    let arm = &x.arms[work.arm].arm;
    let train = x.recipe.train_of(arm);
    let (method, terms) = method(x, work.arm, work.seed)?;
    let whole = work.model(c, stage)?;
    let reference = whole.params.clone();
    let key = Experiment::key(work.seed).child("unlearn");
    let labels = x.labels_of(work.arm, work.seed)?;
    let pool = |side, most| -> Result<Pool, LabError> {
        let needed = terms.iter().any(|t| t.side == side);
        let chosen = examples(side, &labels, most, key, needed)?;
        let batch = match method.recovery().filter(|_| side == Side::Forget) {
            Some(r) => recovery(x, &r, &chosen, &examples(Side::Retain, &labels, 0, key, true)?, key),
            None => batch(x, &chosen, &labels),
        };
        Ok(Pool::new((&*x.net, &reference), c.runner, side, batch, &terms)?)
    };
    let pools =
        [pool(Side::Forget, settings.forget_examples)?, pool(Side::Retain, settings.retain_examples)?];
    let first = method.start(x.layout(), &reference, key.child("start"));
    let params = first.map_or_else(|| reference.clone(), |p| Buf::from_slice(&p));
    let source = Box::new(Drawn::new(pools, &terms, (train.batch, train.steps), key));
    let eval = x.along_the_way(|_| true, EVALUATED);
    let goal = match method.stop_within() {
        Some(times) => kept(x, &c.scores(&reference, None, &eval)?).map(|l| l * times),
        None => None,
    };
    let spec = Spec {
        optimiser: optimiser(train)?,
        steps: train.steps,
        lanes: train.lanes,
        log_every: train.log_every,
        eval_every: train.eval_every,
        checkpoint_secs: Some(train.checkpoint_secs),
    };
    let plan = whole.kept(lobe_train::plan(&*x.net, &*method, &terms));
    let journal = Box::new(MemberJournal::new(work.dir.clone(), work.key.clone()));
    let mut trainee = Trainee::new((x.net.clone(), params), plan, Arc::new(terms), source, spec, journal)?;
    trainee.follows = Follows::Driven(Box::new(Driver::new(method.drive())));
    trainee.eval = Some(&eval);
    trainee.goal =
        goal.map(|goal| Box::new(move |s: &Scores| kept(x, s).is_some_and(|loss| loss <= goal)) as Goal<'_>);
    let tell = |done: u64, note: &str| {
        let note = format!("{}, seed {}: step {done}/{}, {note}", arm.name, work.seed, train.steps);
        c.options.progress.advance(work.base as f64 + done as f64 / train.steps as f64, &note);
    };
    c.train(std::slice::from_mut(&mut trainee), &tell)?;
    if let Some(why) = trainee.failed {
        return Err(TrainError::Diverged(why).into());
    }
    let (steps, tokens) = (trainee.done() as f64, trainee.targets as f64);
    trainee.journal.note(Reading::new("all", "removal_steps", steps, "steps"))?;
    trainee.journal.note(Reading::new("all", "removal_tokens", tokens, "tokens"))?;
    write_model(&work.dir, &whole.with(trainee.member.params.clone()), &work.key)?;
    timing(&work.dir, start.elapsed().as_secs_f64(), tokens, "tokens/s")?;
    Ok(trainee.close()?)
}

/// Builds an arm's method and its terms, with random directions of the seed; also run before anything
/// is trained.
fn method(x: &Experiment, arm: usize, seed: u64) -> Result<(Box<dyn Unlearn>, Vec<Term>), LabError> {
    let a = &x.arms[arm].arm;
    let refuse = |e: &lobe_methods::ParamError| {
        LabError::setting(&plan::in_recipe(e).within(&["arms", a.name.as_str()]))
    };
    let refused = |key: &str, what: String| {
        Err(LabError::setting(&PathError::new(key, what).within(&["arms", a.name.as_str()])))
    };
    let Some(built) = plan::unlearn(&a.method, &a.value()) else {
        return refused("method", format!("{:?} is not a post-hoc method", a.method));
    };
    let (method, _) = built.map_err(|e| refuse(&e))?;
    let Some(shape) = shape(&*x.net) else {
        return refused("method", format!("{} needs a language model", a.method));
    };
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
        Side::All => true,
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
fn batch(x: &Experiment, of: &[usize], labels: &Labels) -> Batch {
    let chosen: Vec<_> = of.iter().map(|i| (*i, labels.label[*i])).collect();
    collect(&x.data.train, &chosen, Some(1))
}

/// Forget examples that are broken off, each going on as a retain example.
fn recovery(x: &Experiment, r: &Recovery, forget: &[usize], retain: &[usize], key: Key) -> Batch {
    let mut batch = collect(&x.data.train, &[], Some(1));
    let mut rng = key.child("recovery").rng();
    for i in forget {
        let row = x.data.train.row(*i);
        let known = row.iter().take_while(|t| **t != IGNORE).count();
        let keep = recover::kept(r, known, &mut rng);
        let answer = x.data.train.row(retain[rng.below(retain.len())]);
        let (inputs, targets) = recover::spliced(row, answer, keep);
        batch.push_pair(&inputs, &targets, FORGET, None);
    }
    batch
}

/// Mean loss over everything that is not to be forgotten.
fn kept(x: &Experiment, s: &Scores) -> Option<f64> {
    let of = x.test_labels().into_iter().filter(|l| *l != FORGET).filter_map(|l| s.loss(l));
    let all: Vec<f64> = of.collect();
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}
