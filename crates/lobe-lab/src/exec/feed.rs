//! What a member sees at each step: the shared stream, under the arm's labels and filters.

use lobe_core::{FORGET, LabelId, LabelSet, Selection};
use lobe_data::{Labels, Payload, Stream};
use lobe_engine::Program;
use lobe_engine::ops::head::IGNORE;
use lobe_methods::localize::assign;
use lobe_methods::{Localize, ParamError, TrainsOn};
use lobe_nets::{ImageBatch, LanguageModelling, Net, Penalised, Reconstruction, TokenBatch};

use super::experiment::{Experiment, distance};
use crate::error::LabError;

/// What an arm's method asks of training beside its routes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asks {
    /// Kinds of steps: (label, label of the kind, share).
    pub kinds: Vec<(LabelId, LabelId, f64)>,
    /// Units whose out-going weights start at zero.
    pub silent: Option<Selection>,
    /// L1 penalties of a language model: units and λ.
    pub l1: Vec<(Selection, f32)>,
}

impl Asks {
    /// What `method` asks of an arm whose regions come to `region`; `labels` includes its kinds.
    ///
    /// # Errors
    /// If a parameter of the method is out of range.
    pub fn new(
        method: &dyn Localize,
        labels: &LabelSet,
        region: Option<&Selection>,
    ) -> Result<Asks, ParamError> {
        let of = |k: &lobe_methods::Kind| k.id(labels).map(|id| (k.of, id, k.share));
        let l1 = region.filter(|_| method.l1() != 0.0).map(|r| (r.clone(), method.l1()));
        Ok(Asks {
            kinds: method.kinds(labels)?.iter().filter_map(of).collect(),
            silent: region.filter(|_| method.zero_start()).cloned(),
            l1: l1.into_iter().collect(),
        })
    }
}

/// A batch of either kind.
#[derive(Debug)]
pub enum Step {
    /// Token sequences.
    Tokens(TokenBatch),
    /// Images.
    Images(ImageBatch),
}

/// Counted targets (tokens or images, every visit of an example) that a member trained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposure {
    /// All of them.
    pub targets: u64,
    /// Those of examples that truly belong to what is to be forgotten.
    pub forget: u64,
    /// Those of them that no label gave away.
    pub undiscovered: u64,
}

/// The data of one member.
pub struct Feed {
    arm: usize,
    seed: u64,
    labels: Labels,
    stream: Stream,
    indices: Vec<u32>,
    strength: Vec<f32>,
    targets: Vec<u32>,
    /// The label each step is routed under, where the method has kinds of steps.
    kinds: Vec<LabelId>,
    /// The batch of the step last asked for.
    pub step: Step,
}

impl Feed {
    /// The feed of (arm, seed).
    ///
    /// # Errors
    /// If the data has too few examples for a batch.
    pub fn new(x: &Experiment, arm: usize, seed: u64) -> Result<Feed, LabError> {
        let train = x.recipe.train_of(&x.arms[arm].arm);
        let labels = x.labels_of(arm, seed)?;
        let stream = x.stream(seed, train.batch)?;
        let step = empty(x, train.batch, train.lanes, train.rows_per_shard);
        let mut out = Feed {
            arm,
            seed,
            labels,
            stream,
            indices: Vec::new(),
            strength: Vec::new(),
            targets: Vec::new(),
            kinds: Vec::new(),
            step,
        };
        out.kinds = out.plan(x, train.steps)?;
        Ok(out)
    }

    /// The label of every step with the method's kinds in it; empty if it has none.
    fn plan(&mut self, x: &Experiment, steps: u64) -> Result<Vec<LabelId>, LabError> {
        let kinds = &x.arms[self.arm].asks.kinds;
        let mut out = Vec::new();
        if kinds.is_empty() {
            return Ok(out);
        }
        for step in 0..steps {
            let (class, _) = self.stream.batch_into(step, &mut self.indices);
            out.extend(self.label_of_step(x, step, class)?);
        }
        assign(&mut out, kinds, Experiment::key(self.seed).child("kinds"));
        Ok(out)
    }

    /// With one class per step the whole step carries one label, as in SGTM.
    fn label_of_step(
        &self,
        x: &Experiment,
        step: u64,
        class: Option<u16>,
    ) -> Result<Option<LabelId>, LabError> {
        let Some(c) = class else { return Ok(None) };
        let key = Experiment::key(self.seed).child("labels");
        Ok(Some(x.arms[self.arm].labelling.label_of_group(step, LabelId(c as u8), key)?))
    }

    /// Fills [`Feed::step`] with the batch of `step`; it may be empty when the arm skips it.
    ///
    /// # Errors
    /// If a labelling rule cannot label whole steps.
    pub fn load(&mut self, x: &Experiment, step: u64) -> Result<(), LabError> {
        let (class, _) = self.stream.batch_into(step, &mut self.indices);
        let of_step = self.label_of_step(x, step, class)?;
        let kind = self.kinds.get(step as usize).copied();
        let trains_on = &x.arms[self.arm].trains_on;
        match &mut self.step {
            Step::Tokens(b) => b.clear(),
            Step::Images(b) => b.clear(),
        }
        for n in 0..self.indices.len() {
            let i = self.indices[n] as usize;
            let label = of_step.unwrap_or(self.labels.label[i]);
            if !x.keeps(self.arm, x.train_truth[i], label) {
                continue;
            }
            let routed = kind.unwrap_or(label);
            let weighted = matches!(self.step, Step::Tokens(_)) && self.weigh(x, i, label);
            match &mut self.step {
                Step::Tokens(b) => {
                    let tokens = x.data.train.row(i);
                    if let TrainsOn::Context(..) = trains_on {
                        let strengths = self.strength.iter().copied().chain(std::iter::repeat(1.0));
                        self.targets.clear();
                        self.targets.extend(
                            tokens[1..]
                                .iter()
                                .zip(strengths)
                                .map(|(t, s)| if trains_on.counts(label, s) { *t } else { IGNORE }),
                        );
                        if self.targets.iter().any(|t| *t != IGNORE) {
                            b.push_pair(&tokens[..tokens.len() - 1], &self.targets, routed, None);
                        }
                    } else {
                        b.push(tokens, routed, weighted.then_some(&self.strength[..]));
                    }
                }
                Step::Images(b) if trains_on.counts(label, 1.0) => b.push(x.data.train.image(i), routed),
                Step::Images(_) => {}
            }
        }
        Ok(())
    }

    /// What the first `steps` steps show: which examples, under which labels, without making a batch of
    /// them.
    ///
    /// # Errors
    /// If a labelling rule cannot label whole steps.
    pub fn exposure(&mut self, x: &Experiment, steps: u64) -> Result<Exposure, LabError> {
        let mut sum = Exposure::default();
        for step in 0..steps {
            let (class, _) = self.stream.batch_into(step, &mut self.indices);
            let of_step = self.label_of_step(x, step, class)?;
            for n in 0..self.indices.len() {
                let i = self.indices[n] as usize;
                let label = of_step.unwrap_or(self.labels.label[i]);
                if !x.keeps(self.arm, x.train_truth[i], label) {
                    continue;
                }
                let targets = self.counted(x, i, label);
                sum.targets += targets;
                if x.train_truth[i] == FORGET {
                    sum.forget += targets;
                    sum.undiscovered += if label == FORGET { 0 } else { targets };
                }
            }
        }
        Ok(sum)
    }

    /// Writes down what decides over training on the batch of `step`: which examples, under which labels,
    /// with which weights of their tokens. Arms that write the same for every step and are alike
    /// otherwise train the same network.
    ///
    /// # Errors
    /// If a labelling rule cannot label whole steps.
    pub(crate) fn note(&mut self, x: &Experiment, step: u64, out: &mut Vec<u32>) -> Result<(), LabError> {
        out.clear();
        let (class, _) = self.stream.batch_into(step, &mut self.indices);
        let of_step = self.label_of_step(x, step, class)?;
        let kind = self.kinds.get(step as usize).copied();
        for n in 0..self.indices.len() {
            let i = self.indices[n] as usize;
            let label = of_step.unwrap_or(self.labels.label[i]);
            if !x.keeps(self.arm, x.train_truth[i], label) || self.counted(x, i, label) == 0 {
                continue;
            }
            out.extend([self.indices[n], u32::from(kind.unwrap_or(label).0)]);
            out.extend(self.strength.iter().map(|s| s.to_bits()));
        }
        Ok(())
    }

    /// Targets of example `i` that count under `label`.
    fn counted(&mut self, x: &Experiment, i: usize, label: LabelId) -> u64 {
        let trains_on = &x.arms[self.arm].trains_on;
        if matches!(x.data.train.payload, Payload::Images { .. }) {
            return u64::from(trains_on.counts(label, 1.0));
        }
        self.weigh(x, i, label);
        let strengths = self.strength.iter().copied().chain(std::iter::repeat(1.0));
        let counts = |(t, s): (&u32, f32)| {
            *t != IGNORE && (!matches!(trains_on, TrainsOn::Context(..)) || trains_on.counts(label, s))
        };
        x.data.train.row(i)[1..].iter().zip(strengths).filter(|p| counts(*p)).count() as u64
    }

    /// Fills `strength` with the token weights of example `i`, if it has any; returns whether it has.
    fn weigh(&mut self, x: &Experiment, i: usize, label: LabelId) -> bool {
        self.strength.clear();
        let Some(s) = self.labels.strength.as_ref().filter(|s| s.label == label) else { return false };
        s.row_into(&x.data.train, i, label, &mut self.strength);
        true
    }

    /// Number of examples and of counted targets (tokens or images) of the step.
    pub fn size(&self) -> (usize, usize) {
        match &self.step {
            Step::Tokens(b) => (b.len(), b.targets()),
            Step::Images(b) => (b.len(), b.len()),
        }
    }

    /// The program of the step.
    pub fn program<'a>(&'a self, x: &'a Experiment) -> Box<dyn Program + 'a> {
        let arm = &x.arms[self.arm];
        match (&self.step, &x.net) {
            (Step::Tokens(batch), Net::Gpt(net)) => {
                let base = LanguageModelling { net, batch, label_weight: &arm.label_weight };
                Box::new(Penalised { base, l1: &arm.asks.l1 })
            }
            (Step::Images(batch), Net::Autoencoder(net)) => Box::new(Reconstruction::new(
                net,
                batch,
                distance(&arm.objective),
                &arm.label_weight,
                arm.objective.sum_of_means,
                &arm.penalties,
            )),
            _ => unreachable!("an experiment's network fits its data"),
        }
    }
}

/// An empty batch for the experiment's data.
pub(crate) fn empty(x: &Experiment, batch: usize, lanes: usize, rows: Option<usize>) -> Step {
    match &x.data.train.payload {
        Payload::Tokens { seq, .. } => Step::Tokens(TokenBatch::new(*seq, rows.unwrap_or(1))),
        Payload::Images { dim, .. } => {
            Step::Images(ImageBatch::new(*dim, rows.unwrap_or(batch.div_ceil(lanes))))
        }
    }
}

/// Adds example `i` of the training data.
pub(crate) fn push_train(x: &Experiment, step: &mut Step, i: usize, label: LabelId) {
    match step {
        Step::Tokens(b) => b.push(x.data.train.row(i), label, None),
        Step::Images(b) => b.push(x.data.train.image(i), label),
    }
}
