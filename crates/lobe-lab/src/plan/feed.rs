//! What a member sees at each step: the shared stream, under the arm's labels and filters.

use lobe_core::{FORGET, Key, LabelId, LabelSet, Selection};
use lobe_data::{DrawnRows, Labels, Stream};
use lobe_engine::ops::head::IGNORE;
use lobe_methods::localize::assign;
use lobe_methods::objective::{Examples, Whole};
use lobe_methods::{Localize, ParamError, TrainsOn};
use lobe_nets::Batch;
use lobe_train::{At, Source, TrainError, collect, push, push_drawn};

use super::Experiment;
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

/// Rows that count (tokens to predict, or rows of numbers; every visit of an example) that a member trained on.
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
pub struct Feed<'a> {
    x: &'a Experiment,
    arm: usize,
    seed: u64,
    labels: Labels,
    stream: Stream,
    /// The seed's own rows, where rows are drawn.
    drawn: Option<DrawnRows>,
    indices: Vec<u32>,
    strength: Vec<f32>,
    targets: Vec<u32>,
    noise: Vec<f32>,
    /// The label each step is routed under, where the method has kinds of steps.
    kinds: Vec<LabelId>,
    /// The batch of the step last asked for.
    pub batch: Batch,
}

impl<'a> Feed<'a> {
    /// The feed of (arm, seed).
    ///
    /// # Errors
    /// If the data has too few examples for a batch.
    pub fn new(x: &'a Experiment, arm: usize, seed: u64) -> Result<Feed<'a>, LabError> {
        let train = x.recipe.train_of(&x.arms[arm].arm);
        let labels = x.labels_of(arm, seed)?;
        let stream = x.stream(seed, train.batch)?;
        let batch = empty(x, train.batch, train.lanes, train.rows_per_shard);
        let mut out = Feed {
            x,
            arm,
            seed,
            labels,
            stream,
            drawn: x.data.train.drawn().map(|d| d.under(Experiment::key(seed).child("rows"))),
            indices: Vec::new(),
            strength: Vec::new(),
            targets: Vec::new(),
            noise: Vec::new(),
            kinds: Vec::new(),
            batch,
        };
        out.kinds = out.plan(train.steps)?;
        Ok(out)
    }

    /// The label of every step with the method's kinds in it; empty if it has none.
    fn plan(&mut self, steps: u64) -> Result<Vec<LabelId>, LabError> {
        let kinds = &self.x.arms[self.arm].asks.kinds;
        let mut out = Vec::new();
        if kinds.is_empty() {
            return Ok(out);
        }
        for step in 0..steps {
            let (class, _) = self.stream.batch_into(step, &mut self.indices);
            out.extend(self.label_of_step(step, class)?);
        }
        assign(&mut out, kinds, Experiment::key(self.seed).child("kinds"));
        Ok(out)
    }

    /// With one class per step the whole step carries one label, as in SGTM.
    fn label_of_step(&self, step: u64, class: Option<u16>) -> Result<Option<LabelId>, LabError> {
        let Some(c) = class else { return Ok(None) };
        let key = Experiment::key(self.seed).child("labels");
        Ok(Some(self.x.arms[self.arm].labelling.label_of_group(step, LabelId(c as u8), key)?))
    }

    /// Fills [`Feed::batch`] with that of `step`; it may be empty when the arm skips it.
    ///
    /// # Errors
    /// If a labelling rule cannot label whole steps.
    pub fn fill(&mut self, step: u64) -> Result<(), LabError> {
        let x = self.x;
        let (class, epoch) = self.stream.batch_into(step, &mut self.indices);
        let of_step = self.label_of_step(step, class)?;
        let kind = self.kinds.get(step as usize).copied();
        let (trains_on, text) = (&x.arms[self.arm].trains_on, x.data.is_text());
        // Noise depends on the seed, the step and the place in it: the same for every arm.
        let noise = Experiment::key(self.seed).child("noise").index(step);
        self.batch.clear();
        for n in 0..self.indices.len() {
            let i = self.indices[n] as usize;
            let label = of_step.unwrap_or(self.labels.label[i]);
            if !x.keeps(self.arm, x.train_truth[i], label) {
                continue;
            }
            let routed = kind.unwrap_or(label);
            if !text {
                if !trains_on.counts(label, 1.0) {
                    continue;
                }
                match &self.drawn {
                    // No epoch repeats a row.
                    Some(drawn) => {
                        let number = epoch * x.data.train.len() as u64 + i as u64;
                        push_drawn(&mut self.batch, drawn, (number, x.data.train.class[i]), routed);
                    }
                    None => push(&mut self.batch, &x.data.train, i, routed),
                }
                self.add_noise(noise.index(n as u64));
                continue;
            }
            let weighted = self.weigh(i, label);
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
                    self.batch.push_pair(&tokens[..tokens.len() - 1], &self.targets, routed, None);
                }
            } else {
                self.batch.push(tokens, routed, weighted.then_some(&self.strength[..]));
            }
        }
        Ok(())
    }

    /// Draws the noise of the row just added.
    fn add_noise(&mut self, key: Key) {
        let width = self.x.net.noise();
        if width > 0 {
            let mut rng = key.rng();
            self.noise.clear();
            self.noise.extend((0..width).map(|_| rng.normal() as f32));
            self.batch.push_noise(&self.noise);
        }
    }

    /// What the first `steps` steps show: which examples, under which labels, without making a batch of
    /// them.
    ///
    /// # Errors
    /// If a labelling rule cannot label whole steps.
    pub fn exposure(&mut self, steps: u64) -> Result<Exposure, LabError> {
        let x = self.x;
        let mut sum = Exposure::default();
        for step in 0..steps {
            let (class, _) = self.stream.batch_into(step, &mut self.indices);
            let of_step = self.label_of_step(step, class)?;
            for n in 0..self.indices.len() {
                let i = self.indices[n] as usize;
                let label = of_step.unwrap_or(self.labels.label[i]);
                if !x.keeps(self.arm, x.train_truth[i], label) {
                    continue;
                }
                let targets = self.counted(i, label);
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
    pub(crate) fn note(&mut self, step: u64, out: &mut Vec<u32>) -> Result<(), LabError> {
        let x = self.x;
        out.clear();
        let (class, _) = self.stream.batch_into(step, &mut self.indices);
        let of_step = self.label_of_step(step, class)?;
        let kind = self.kinds.get(step as usize).copied();
        for n in 0..self.indices.len() {
            let i = self.indices[n] as usize;
            let label = of_step.unwrap_or(self.labels.label[i]);
            if !x.keeps(self.arm, x.train_truth[i], label) || self.counted(i, label) == 0 {
                continue;
            }
            out.extend([self.indices[n], u32::from(kind.unwrap_or(label).0)]);
            out.extend(self.strength.iter().map(|s| s.to_bits()));
        }
        Ok(())
    }

    /// Targets of example `i` that count under `label`.
    fn counted(&mut self, i: usize, label: LabelId) -> u64 {
        let x = self.x;
        let trains_on = &x.arms[self.arm].trains_on;
        if !x.data.is_text() {
            return u64::from(trains_on.counts(label, 1.0));
        }
        self.weigh(i, label);
        let strengths = self.strength.iter().copied().chain(std::iter::repeat(1.0));
        let counts = |(t, s): (&u32, f32)| {
            *t != IGNORE && (!matches!(trains_on, TrainsOn::Context(..)) || trains_on.counts(label, s))
        };
        x.data.train.row(i)[1..].iter().zip(strengths).filter(|p| counts(*p)).count() as u64
    }

    /// Fills `strength` with the token weights of example `i`, if it has any; returns whether it has.
    fn weigh(&mut self, i: usize, label: LabelId) -> bool {
        self.strength.clear();
        let Some(s) = self.labels.strength.as_ref().filter(|s| s.label == label) else { return false };
        s.row_into(&self.x.data.train, i, label, &mut self.strength);
        true
    }

    /// Number of examples and of rows that count in the step.
    pub fn size(&self) -> (usize, usize) {
        (self.batch.len(), self.batch.targets())
    }
}

impl Source for Feed<'_> {
    fn load(&mut self, at: At<'_>) -> Result<usize, TrainError> {
        self.fill(at.step).map_err(LabError::while_training)?;
        Ok(self.batch.targets())
    }

    fn examples(&self) -> Box<dyn Examples + '_> {
        Box::new(Whole::new(&self.batch, self.x.labels.len()))
    }
}

/// An empty batch for the experiment's data: `rows` examples to a shard, else whole sequences or a lane's share.
pub(crate) fn empty(x: &Experiment, batch: usize, lanes: usize, rows: Option<usize>) -> Batch {
    let share = if x.data.is_text() { 1 } else { batch.div_ceil(lanes) };
    collect(&x.data.train, &[], Some(rows.unwrap_or(share)))
}
