//! The networks every measurement uses, with data made on the spot.

use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use lobe_core::{Key, LabelId, Region, Selection};
use lobe_engine::optim::{Adam, AdamW};
use lobe_engine::{Optimiser, Schedule};
use lobe_methods::objective::{Distance, Term, ordinary};
use lobe_nets::{Autoencoder, AutoencoderConfig, Batch, Gpt, GptConfig, Input, Network};

/// Size of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum Size {
    /// GPT, width 128, 4 layers, 2048 tokens, 16 sequences of 256 (1.35 M parameters)
    S,
    /// GPT, width 384, 6 layers, 8192 tokens, 8 sequences of 256 (17 M parameters)
    M,
    /// Autoencoder 784-2048-512-32, 2048 images (5.35 M parameters)
    Ae,
}

/// Sequence length of S and M.
pub(super) const SEQ: usize = 256;

/// A network to measure.
pub(super) struct Model {
    pub size: Size,
    pub net: Arc<dyn Network>,
    /// Sequences or images per step.
    pub batch: usize,
    /// What routed methods work on.
    pub region: &'static str,
}

impl Model {
    pub(super) fn new(size: Size) -> Result<Model> {
        let gpt = |vocab, layers, width, heads| -> Result<Arc<dyn Network>> {
            let config = GptConfig { layers, width, heads, ..GptConfig::default() };
            Ok(Arc::new(Gpt::new(config.resolve(vocab, SEQ)?)))
        };
        let (net, batch): (Arc<dyn Network>, usize) = match size {
            Size::S => (gpt(2048, 4, 128, 4)?, 16),
            Size::M => (gpt(8192, 6, 384, 6)?, 8),
            Size::Ae => {
                let config = AutoencoderConfig { latent_bias: true, ..AutoencoderConfig::default() };
                (Arc::new(Autoencoder::new(config.resolve(784)?)), 2048)
            }
        };
        let region =
            if size == Size::Ae { "latent[-16..]" } else { "blocks.*.mlp.post[-64..] + blocks.*.attn.z[-1]" };
        Ok(Model { size, net, batch, region })
    }

    pub(super) fn selection(&self) -> Result<Selection> {
        Ok(self.region.parse::<Region>()?.resolve(self.net.layout().sites())?)
    }

    /// Tokens or images of a step.
    pub(super) fn rows(&self) -> usize {
        if self.size == Size::Ae { self.batch } else { self.batch * SEQ }
    }

    pub(super) fn unit(&self) -> &'static str {
        if self.size == Size::Ae { "image/s" } else { "token/s" }
    }

    pub(super) fn optimiser(&self) -> Optimiser {
        let schedule = Schedule::constant(3e-4);
        match self.size {
            Size::Ae => Optimiser::new(Adam::default(), schedule),
            _ => Optimiser { weight_decay: 0.01, ..Optimiser::new(AdamW::default(), schedule) },
        }
    }
}

impl Model {
    /// What an ordinary step minimises.
    pub(super) fn terms(&self) -> Vec<Term> {
        ordinary(&*self.net, Distance::Squared)
    }

    /// An empty batch.
    pub(super) fn batch(&self, rows_per_shard: usize) -> Batch {
        match self.net.input() {
            Input::Tokens { .. } => Batch::tokens(SEQ, rows_per_shard),
            Input::Rows { width } => Batch::rows_of(width, 0, rows_per_shard),
        }
    }

    /// The data of `step` and no other, all of it with `label`.
    pub(super) fn fill(&self, batch: &mut Batch, step: u64, label: LabelId) {
        batch.clear();
        self.add(batch, step, label);
    }

    /// Adds the data of `step` with `label`. Text is a Markov chain with four equally likely
    /// successors per token, `x → (5 x + 1 + r) mod V`; rows are uniform noise.
    pub(super) fn add(&self, batch: &mut Batch, step: u64, label: LabelId) {
        let mut rng = Key::root(0).child("bench").index(step).rng();
        match self.net.input() {
            Input::Tokens { vocab, .. } => {
                for _ in 0..self.batch {
                    let mut x = rng.below(vocab);
                    let mut ids = [0u32; SEQ + 1];
                    for id in &mut ids {
                        *id = x as u32;
                        x = (5 * x + 1 + rng.below(4)) % vocab;
                    }
                    batch.push(&ids, label, None);
                }
            }
            Input::Rows { width } => {
                let mut row = vec![0.0f32; width];
                for _ in 0..self.batch {
                    for x in &mut row {
                        *x = rng.uniform() as f32;
                    }
                    batch.push_row(&row, &[], label);
                }
            }
        }
    }
}
