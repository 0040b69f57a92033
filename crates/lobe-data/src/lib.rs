//! Data for Lobe: generators, text, images, tokenizers, labelling and batching.
//!
//! A source yields a [`Dataset`]: examples with their *true* class. Which *label* an example
//! carries while training is a separate rule, a [`Labelling`], laid over the same data per arm;
//! and the order in which all arms see the examples is a [`Stream`], a pure function of a key
//! and the step. Nothing here knows a network.
//!
//! ```
//! use lobe_core::{FORGET, Key, LabelSet};
//! use lobe_data::{BilingualConfig, Labelling, RuleConfig, Stream, StreamConfig};
//!
//! let key = Key::root(0);
//! let data = BilingualConfig { stories: 200, ..BilingualConfig::default() }.load(key.child("data"))?;
//!
//! // Spanish is to be forgotten; the labeller misses one story in ten.
//! let rule = RuleConfig { classes: vec!["es".into()], recall: 0.9, ..RuleConfig::default() };
//! let labelling = Labelling::new(&[("forget".into(), rule)], &data, &mut LabelSet::default())?;
//! let labels = labelling.apply(&data, key.child("labels"))?;
//! assert!(labels.label.contains(&FORGET));
//!
//! let mut stream = Stream::new(key.child("stream"), &data.train.class, &StreamConfig::default())?;
//! let batch = stream.batch(1000);
//! let (mut inputs, mut targets) = (Vec::new(), Vec::new());
//! data.train.tokens_into(&batch.indices, 0, &mut inputs, &mut targets);
//! assert_eq!((inputs.len(), targets.len()), (32 * 96, 32 * 96));
//! # Ok::<(), lobe_data::DataError>(())
//! ```

mod arithmetic;
mod bilingual;
mod census;
mod dataset;
mod drawn;
mod error;
mod features;
mod file;
mod images;
mod labelling;
pub mod memory;
mod pack;
mod source;
mod sources;
mod stream;
mod text;
mod tokenizer;

pub use arithmetic::ArithmeticConfig;
pub use bilingual::BilingualConfig;
pub use census::{Census, ClassCensus, Counts};
pub use dataset::{Dataset, Examples, PAD, Payload, Probe, Wanted};
pub use drawn::{DrawnRows, Target};
pub use error::{DataError, Result};
pub use features::{FeaturesConfig, MixingConfig, MixingKind};
pub use images::{CifarConfig, CifarLayout, GlyphsConfig, IdxConfig, Pixels, fuzz_images};
pub use labelling::{
    FrequencyRatio, Labelling, Labels, RuleConfig, TokenStrength, WordList, frequency_ratio,
};
pub use pack::Packing;
pub use source::{DataSource, SourceEntry};
pub use sources::SOURCES;
pub use stream::{Batch, Last, Mix, Stream, StreamConfig};
pub use text::{Format, TextConfig, TextSource, TokenizerConfig, WordClass, fuzz_text};
#[cfg(feature = "bpe")]
pub use tokenizer::Bpe;
pub use tokenizer::{Mark, Marks, Tokenizer, Words};
