//! Networks: what they compute, their sites and units, and which parameters each unit owns.
//!
//! Nothing outside this crate knows an architecture. A network writes itself onto a
//! [`lobe_engine::Tape`]; a [`lobe_engine::Program`] here joins it with a batch and an objective.

pub mod adapter;
mod autoencoder;
mod gpt;
mod gpt_config;
pub mod hub;
mod language;
mod net;
mod reconstruction;
mod speak;
mod weights;

pub use autoencoder::{Autoencoder, AutoencoderConfig, DecoderConfig};
pub use gpt::Gpt;
pub use gpt_config::{Activation, GptConfig, NormKind, Positions};
pub use language::{LanguageModelling, Penalised, TokenBatch};
pub use net::{Net, NetError};
pub use reconstruction::{ImageBatch, Penalties, Reconstruction};
pub use speak::next_logits;
pub use weights::{load, read_header, save};
