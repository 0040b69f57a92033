//! The networks every measurement uses, with data made on the spot.

use anyhow::Result;
use clap::ValueEnum;
use lobe_core::{Key, LabelId, Region, Selection};
use lobe_engine::ops::distance::Distance;
use lobe_engine::optim::{Adam, AdamW};
use lobe_engine::{Optimiser, Program, Schedule};
use lobe_nets::{
    Autoencoder, AutoencoderConfig, Gpt, GptConfig, ImageBatch, LanguageModelling, Net, Penalties,
    Reconstruction, TokenBatch,
};

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
    pub net: Net,
    /// Sequences or images per step.
    pub batch: usize,
    /// What routed methods work on.
    pub region: &'static str,
}

impl Model {
    pub(super) fn new(size: Size) -> Result<Model> {
        let gpt = |vocab, layers, width, heads| -> Result<Net> {
            let config = GptConfig { layers, width, heads, ..GptConfig::default() };
            Ok(Net::Gpt(Gpt::new(config.resolve(vocab, SEQ)?)))
        };
        let (net, batch) = match size {
            Size::S => (gpt(2048, 4, 128, 4)?, 16),
            Size::M => (gpt(8192, 6, 384, 6)?, 8),
            Size::Ae => {
                let config = AutoencoderConfig { latent_bias: true, ..AutoencoderConfig::default() };
                (Net::Autoencoder(Autoencoder::new(config.resolve(784)?)), 2048)
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

/// A step's data.
pub(super) enum Batch {
    Tokens(TokenBatch),
    Images(ImageBatch),
}

impl Batch {
    /// The data of `step` and no other, all of it with `label`.
    pub(super) fn fill(&mut self, model: &Model, step: u64, label: LabelId) {
        match self {
            Batch::Tokens(b) => b.clear(),
            Batch::Images(b) => b.clear(),
        }
        self.add(model, step, label);
    }

    /// Adds the data of `step` with `label`. Text is a Markov chain with four equally likely
    /// successors per token, `x → (5 x + 1 + r) mod V`; images are uniform noise.
    pub(super) fn add(&mut self, model: &Model, step: u64, label: LabelId) {
        let mut rng = Key::root(0).child("bench").index(step).rng();
        match (self, &model.net) {
            (Batch::Tokens(b), Net::Gpt(net)) => {
                let vocab = net.config.vocab;
                for _ in 0..model.batch {
                    let mut x = rng.below(vocab);
                    let mut ids = [0u32; SEQ + 1];
                    for id in &mut ids {
                        *id = x as u32;
                        x = (5 * x + 1 + rng.below(4)) % vocab;
                    }
                    b.push(&ids, label, None);
                }
            }
            (Batch::Images(b), Net::Autoencoder(_)) => {
                let mut image = [0.0f32; 784];
                for _ in 0..model.batch {
                    for pixel in &mut image {
                        *pixel = rng.uniform() as f32;
                    }
                    b.push(&image, label);
                }
            }
            _ => {}
        }
    }

    pub(super) fn new(model: &Model, rows_per_shard: usize) -> Batch {
        match model.size {
            Size::Ae => Batch::Images(ImageBatch::new(784, rows_per_shard)),
            _ => Batch::Tokens(TokenBatch::new(SEQ, rows_per_shard)),
        }
    }

    pub(super) fn program<'a>(&'a self, model: &'a Model, plain: &'a Plain) -> Option<Box<dyn Program + 'a>> {
        match (self, &model.net) {
            (Batch::Tokens(batch), Net::Gpt(net)) => Some(Box::new(LanguageModelling::new(net, batch))),
            (Batch::Images(batch), Net::Autoencoder(net)) => Some(Box::new(Reconstruction::new(
                net,
                batch,
                Distance::Squared,
                &plain.weights,
                false,
                &plain.penalties,
            ))),
            _ => None,
        }
    }
}

/// The autoencoder's objective: nothing but the mean squared error.
pub(super) struct Plain {
    weights: [f32; 3],
    penalties: Penalties,
}

impl Default for Plain {
    fn default() -> Plain {
        Plain { weights: [1.0; 3], penalties: Penalties::default() }
    }
}
