//! Coherence training: a few steps on retain data after a cut, so that what is left fits together again
//! (the last step of expand–route–ablate, Cloud et al. 2024, §4.2).

use std::sync::Arc;

use lobe_core::Selection;
use lobe_methods::objective::{Distance, ordinary};
use lobe_methods::remove::ablate::{How, zero};
use lobe_methods::unlearn::Side;
use lobe_methods::{About, Loot, Start, Variant};
use lobe_nets::Model;
use lobe_train::attacker::{EVALUATED, LANES, spec};
use lobe_train::{InMemory, TrainError, Trainee};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attack::Draw;
use super::unlearn;
use crate::error::LabError;
use crate::graph::{At, Change, Changed, Context, Stage, StageEntry, metric};
use crate::plan::{Experiment, in_section};
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

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        if x.net.language().is_some() {
            return Ok(());
        }
        let what = "cohere needs a language model";
        in_section(Err(PathError::new("do", what)), &["stage", stage.name.as_str()])
    }

    fn changes(&self) -> Option<&dyn Change> {
        Some(self)
    }
}

impl Change for Cohere {
    fn change(&self, c: &Context<'_>, at: &At<'_>, model: Model) -> Result<Changed, LabError> {
        let x = c.experiment;
        let variant = Variant {
            name: "cohere".into(),
            start: Start::AsIs,
            lr: self.lr,
            steps: self.steps,
            warmup: 0,
            batch: self.batch,
            weight_decay: 0.0,
            loot: Loot::Retain,
            retain_share: 0.0,
            examples: (self.examples > 0).then_some(self.examples),
            rank: None,
            watch: None,
            eval_every: self.eval_every,
        };
        let eval = x.along_the_way(|_| true, EVALUATED);
        // What the arm's labels call retain data, as everywhere where a model is made.
        let labels = x.labels_of(at.arm, at.seed)?;
        let retain = unlearn::examples(Side::Retain, &labels, self.examples, at.key.child("cohere"), true)?;
        let pools = (retain, Vec::new());
        let source = Box::new(Draw::over(x, pools, &variant, at.key.child("attack"), LANES)?);
        let plan = model.kept(x.net.plain());
        let terms = Arc::new(ordinary(&*x.net, Distance::Squared));
        let journal = Box::new(InMemory::default());
        let start = (x.net.clone(), model.params.clone());
        let mut done = Trainee::new(start, plan, terms, source, spec(&variant), journal)?;
        done.eval = Some(&eval);
        let tell = |n: u64, note: &str| at.say(c, n as f64 / self.steps as f64, note);
        c.train(std::slice::from_mut(&mut done), &tell)?;
        if let Some(why) = done.failed {
            return Err(TrainError::Diverged(why).into());
        }
        // Zeroed units have no gradient, but what is zero by decision is kept so by force; what was drawn again
        // after that is not.
        let mut params = done.member.params.clone();
        let mut drawn = Selection::default();
        for cut in model.cuts.iter().rev() {
            if cut.how == How::Reinit.word() {
                drawn = drawn.union(&cut.region);
            } else {
                zero(x.layout(), &mut params, &cut.region.clone().difference(&drawn));
            }
        }
        let targets = done.targets as f64;
        let mut readings: Vec<Metric> = done.journal.readings().iter().map(metric).collect();
        readings.push(Metric::new("all", "removal_steps", self.steps as f64, "steps"));
        readings.push(Metric::new("all", "removal_tokens", targets, "tokens"));
        Ok(Changed { readings, speed: (targets, "tokens/s"), ..Changed::to(model.with(params)) })
    }
}
