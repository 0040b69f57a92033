//! Hugging Face: `config.json` and `model.safetensors` under the names that `transformers` uses.
//!
//! [`export`] writes a [`Gpt`] as GPT-2, GPT-Neo or Llama, whichever its shape allows, and
//! [`import`] reads any of the three. [`narrow`] removes cut units physically before an export.

mod config;
mod names;
mod narrow;
mod read;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use narrow::{Narrowed, narrow};
pub use read::import;

use crate::gpt::Gpt;
use crate::gpt_config::GptConfig;
use crate::net::NetError;
use crate::weights::{Entry, serialize};

/// A family of names and of `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `model_type = "gpt2"`: fused `c_attn`, matrices `[in, out]`.
    Gpt2,
    /// `model_type = "gpt_neo"`: local attention, no scale on the attention logits.
    GptNeo,
    /// `model_type = "llama"`: rotary positions, RMS norm, gated MLP, grouped queries.
    Llama,
}

impl Format {
    /// All of them, in the order they are tried.
    pub const ALL: [Format; 3] = [Format::Gpt2, Format::GptNeo, Format::Llama];

    /// Its `model_type`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Gpt2 => "gpt2",
            Format::GptNeo => "gpt_neo",
            Format::Llama => "llama",
        }
    }

    /// The first format that can hold this shape.
    ///
    /// # Errors
    /// If none can, with the setting that is in the way of the closest.
    pub fn of(config: &GptConfig) -> Result<Format, NetError> {
        let tried = Format::ALL.map(|f| (f, config::misfits(f, config)));
        let (best, misfits) =
            tried.iter().min_by_key(|(_, m)| m.len()).map_or((Format::Gpt2, &[][..]), |(f, m)| (*f, m));
        config::refuse_misfits(best, misfits).map(|()| best)
    }
}

/// Whether `format` can hold this shape.
///
/// # Errors
/// If it cannot; says which setting is in the way.
pub fn fits(format: Format, config: &GptConfig) -> Result<(), NetError> {
    config::refuse_misfits(format, &config::misfits(format, config))
}

/// The two files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// `config.json`.
    pub config: String,
    /// `model.safetensors`.
    pub weights: Vec<u8>,
}

/// Writes a network under the names of `format`.
///
/// # Errors
/// If the format cannot hold the network; says which setting is in the way.
pub fn export(net: &Gpt, params: &[f32], format: Format) -> Result<Exported, NetError> {
    fits(format, &net.config)?;
    let mut entries = Vec::new();
    for piece in names::pieces(format, net) {
        let values = Cow::Owned(piece.gather(net, params));
        entries.push(Entry { name: piece.name, shape: piece.shape, values });
    }
    let info = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(Exported { config: config::write(format, &net.config), weights: serialize(&info, &entries) })
}
