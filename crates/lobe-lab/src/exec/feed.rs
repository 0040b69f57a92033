//! What a member sees at each step: the shared stream, under the arm's labels and filters.

use lobe_core::LabelId;
use lobe_data::{Labels, Payload, Stream};
use lobe_engine::Program;
use lobe_nets::{ImageBatch, LanguageModelling, Net, Reconstruction, TokenBatch};

use super::experiment::{Experiment, distance};
use crate::error::LabError;

/// A batch of either kind.
#[derive(Debug)]
pub enum Step {
    /// Token sequences.
    Tokens(TokenBatch),
    /// Images.
    Images(ImageBatch),
}

/// The data of one member.
pub struct Feed {
    arm: usize,
    seed: u64,
    labels: Labels,
    stream: Stream,
    indices: Vec<u32>,
    strength: Vec<f32>,
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
        Ok(Feed { arm, seed, labels, stream, indices: Vec::new(), strength: Vec::new(), step })
    }

    /// Fills [`Feed::step`] with the batch of `step`; it may be empty when the arm skips it.
    ///
    /// # Errors
    /// If a labelling rule cannot label whole steps.
    pub fn load(&mut self, x: &Experiment, step: u64) -> Result<(), LabError> {
        let (class, _) = self.stream.batch_into(step, &mut self.indices);
        // With one class per step the whole step carries one label, as in SGTM.
        let of_step = match class {
            Some(c) => {
                let key = Experiment::key(self.seed).child("labels");
                Some(x.arms[self.arm].labelling.label_of_group(step, LabelId(c as u8), key)?)
            }
            None => None,
        };
        match &mut self.step {
            Step::Tokens(b) => b.clear(),
            Step::Images(b) => b.clear(),
        }
        for i in &self.indices {
            let i = *i as usize;
            let label = of_step.unwrap_or(self.labels.label[i]);
            if !x.keeps(self.arm, x.train_truth[i], label) {
                continue;
            }
            match &mut self.step {
                Step::Tokens(b) => {
                    let tokens = x.data.train.row(i);
                    self.strength.clear();
                    let weighted = self.labels.strength.as_ref().filter(|s| s.label == label);
                    if let Some(s) = weighted {
                        s.row_into(&x.data.train, i, label, &mut self.strength);
                    }
                    b.push(tokens, label, weighted.map(|_| &self.strength[..]));
                }
                Step::Images(b) => b.push(x.data.train.image(i), label),
            }
        }
        Ok(())
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
            (Step::Tokens(batch), Net::Gpt(net)) => Box::new(LanguageModelling { net, batch }),
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
