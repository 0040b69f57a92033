//! Coherence training: a few steps on retain data after a cut, so that what is left fits together again
//! (the last step of expand–route–ablate, Cloud et al. 2024, §4.2).

use std::sync::Arc;
use std::time::Instant;

use lobe_core::Selection;
use lobe_methods::objective::{Distance, ordinary};
use lobe_methods::remove::ablate::{How, zero};
use lobe_methods::unlearn::Side;
use lobe_methods::{About, Bench, Loot, Start, Variant};
use lobe_train::{InMemory, TrainError, Trainee};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attack::{Desk, Draw, LANES, tune};
use super::unlearn;
use crate::error::LabError;
use crate::graph::{Context, Done, Stage, StageEntry, Work, cuts, each, metric, write_model};
use crate::plan::Experiment;
use crate::recipe::{self, PathError, StageFacts, above_zero, at_least, completed, range};
use crate::store::Metric;

const ABOUT: About = About {
    name: "cohere",
    summary: "trains for a few steps on retain data after a cut, so that the remaining parts work together",
    reference: "Cloud et al. 2024, arXiv 2410.04332, §4.2",
    unusual: "what was cut is zeroed again at the end",
    fails: "",
};

/// `do = "cohere"`: ordinary training on retain data; what was cut stays cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cohere {
    /// Optimiser steps.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Learning rate.
    pub lr: f64,
    /// Examples per step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Number of different retain examples; 0 means all.
    pub examples: usize,
    /// Steps between evaluations.
    #[schemars(range(min = 1))]
    pub eval_every: u64,
}

impl Default for Cohere {
    fn default() -> Self {
        Cohere { steps: 40, lr: 5e-4, batch: 16, examples: 0, eval_every: 10 }
    }
}

impl Cohere {
    /// Holds every number against its range.
    ///
    /// # Errors
    /// With the key that is out of it.
    fn ranges(&self) -> Result<(), PathError> {
        range("steps", self.steps, 1..=1_000_000_000)?;
        range("batch", self.batch, 1..=1 << 20)?;
        above_zero("lr", self.lr, 1e3)?;
        at_least("eval_every", self.eval_every, 1)
    }
}

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    let built = StageEntry::of::<Cohere>(&ABOUT, StageFacts::default());
    let build = |v: &Value| {
        let (cohere, full) = completed::<Cohere>(v)?;
        cohere.ranges()?;
        Ok((Box::new(cohere) as Box<dyn Stage>, full))
    };
    StageEntry { build: Box::new(build), ..built }
}

impl Stage for Cohere {
    fn version(&self) -> u32 {
        6
    }

    fn run(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
        each(c, stage, |c, stage, work| train(self, c, stage, work))
    }
}

fn train(s: &Cohere, c: &Context<'_>, stage: &recipe::Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let x = c.experiment;
    let desk = Desk::new(c, stage, work, "forget")?;
    let variant = Variant {
        name: "cohere".into(),
        start: Start::AsIs,
        lr: s.lr,
        steps: s.steps,
        warmup: 0,
        batch: s.batch,
        weight_decay: 0.0,
        loot: Loot::Retain,
        retain_share: 0.0,
        examples: (s.examples > 0).then_some(s.examples),
        rank: None,
        watch: None,
        eval_every: s.eval_every,
    };
    // What the arm's labels call retain data, as everywhere where a model is made.
    let labels = x.labels_of(work.arm, work.seed)?;
    let key = Experiment::key(work.seed).child("cohere");
    let retain = unlearn::examples(Side::Retain, &labels, s.examples, key, true)?;
    let source = Box::new(Draw::over(x, (retain, Vec::new()), &variant, work.seed, LANES)?);
    let plan = lobe_engine::Plan::plain(x.layout());
    let model = lobe_engine::Buf::from_slice(desk.victim());
    let terms = Arc::new(ordinary(&*x.net, Distance::Squared));
    let journal = Box::new(InMemory::default());
    let mut done = Trainee::new((x.net.clone(), model), plan, terms, source, tune::spec(&variant), journal)?;
    done.eval = Some(&desk.eval);
    c.train(std::slice::from_mut(&mut done), &|n, note| desk.say(n as f64 / s.steps as f64, note))?;
    if let Some(why) = done.failed {
        return Err(TrainError::Diverged(why).into());
    }
    // Zeroed units have no gradient, but what is zero by decision is kept so by force; what was drawn again
    // after that is not.
    let mut drawn = Selection::default();
    for (how, region) in cuts(c, stage, work.arm)? {
        if how == How::Reinit {
            drawn = drawn.union(&region);
        } else {
            zero(x.layout(), &mut done.member.params, &region.difference(&drawn));
        }
    }
    let mut log = work.dir.metrics()?;
    for r in done.journal.readings() {
        log.append(&metric(r))?;
    }
    log.append(&Metric::new("all", "removal_steps", s.steps as f64, "steps"))?;
    log.append(&Metric::new("all", "removal_tokens", done.targets as f64, "tokens"))?;
    log.sync()?;
    write_model(c, &work.dir, &done.member.params, &work.key)?;
    work.finish(start, done.targets as f64, "tokens/s")
}
