//! Hugging Face: `config.json` and `model.safetensors` under the names that `transformers` uses.
//!
//! [`export`] writes a [`Gpt`] as GPT-2, GPT-Neo or Llama, whichever its shape allows, and
//! [`import`] reads any of the three. [`narrow`] removes cut units physically before an export;
//! [`opens`] holds what was written against what `transformers` asks of such files, without the
//! tables that wrote them. [`foreign`] says what a file is that Lobe does not read.

mod config;
mod foreign;
mod names;
mod narrow;
mod opens;
mod read;
mod shape;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use foreign::foreign;
pub use narrow::{Narrowed, narrow};
pub use opens::opens;
pub use read::{Imported, import};

use crate::gpt::Gpt;
use crate::gpt::GptConfig;
use crate::network::{NetError, Network};
use crate::weights::{Entry, serialize};

/// The transformer that these files can hold, if the network is one.
pub fn transformer(net: &dyn Network) -> Option<&Gpt> {
    net.as_any().downcast_ref()
}

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
        let tried = Format::ALL.map(|f| (f, config::obstacles(f, config)));
        let (best, misfits) =
            tried.iter().min_by_key(|(_, m)| m.len()).map_or((Format::Gpt2, &[][..]), |(f, m)| (*f, m));
        config::refuse_misfits(best, misfits).map(|()| best)
    }
}

/// Whether a network of this shape can be written as `format` and opened with `transformers`; known
/// from the resolved shape alone, before anything is trained.
///
/// # Errors
/// If it cannot; says which setting is in the way.
pub fn exportable(format: Format, config: &GptConfig) -> Result<(), NetError> {
    config::refuse_misfits(format, &config::obstacles(format, config))
}

/// The ids that begin and end a text, where there are such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// `bos_token_id`.
    pub begin: Option<u32>,
    /// `eos_token_id`.
    pub end: Option<u32>,
}

/// The files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// `config.json`.
    pub config: String,
    /// `model.safetensors`.
    pub weights: Vec<u8>,
    /// `generation_config.json`; nothing without marks.
    pub generation: Option<String>,
}

/// Writes a network under the names of `format`. `marks` are those of its tokenizer.
///
/// # Errors
/// If the format cannot hold the network; says which setting is in the way.
pub fn export(net: &Gpt, params: &[f32], format: Format, marks: Marks) -> Result<Exported, NetError> {
    exportable(format, &net.config)?;
    let mut entries = Vec::new();
    for piece in names::pieces(format, net) {
        let values = Cow::Owned(piece.gather(net, params));
        entries.push(Entry { name: piece.name, shape: piece.shape, values });
    }
    let info = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(Exported {
        config: config::write(format, &net.config, marks),
        weights: serialize(&info, &entries),
        generation: config::generation(marks),
    })
}
