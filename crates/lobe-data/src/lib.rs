//! Data for Lobe: generators, text, images, tokenizers, labelling and batching.
//!
//! A source yields a [`Dataset`]: examples with their *true* class. Which *label* an example
//! carries while training is a separate rule, a [`Labelling`], laid over the same data per arm;
//! and the order in which all arms see the examples is a [`Stream`], a pure function of a key
//! and the step. Nothing here knows a network.

mod bilingual;
mod config;
mod dataset;
mod error;
mod file;
mod images;
mod labelling;
mod pack;
mod stream;
mod text;
mod tokenizer;

pub use bilingual::BilingualConfig;
pub use config::{DataConfig, SOURCES, SourceInfo};
pub use dataset::{Dataset, Examples, PAD, Payload, Probe};
pub use error::{DataError, Result};
pub use images::{CifarConfig, CifarLayout, GlyphsConfig, IdxConfig, Pixels};
pub use labelling::{
    FrequencyRatio, Labelling, Labels, RuleConfig, TokenStrength, WordList, frequency_ratio,
};
pub use pack::Packing;
pub use stream::{Batch, Last, Mix, Stream, StreamConfig};
pub use text::{Format, TextConfig, TextSource, TokenizerConfig, WordClass};
#[cfg(feature = "bpe")]
pub use tokenizer::Bpe;
pub use tokenizer::{Tokenizer, Words};
