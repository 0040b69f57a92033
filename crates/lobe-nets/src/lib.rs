//! Networks: what they compute, their sites and units, and which parameters each unit owns.
//!
//! Nothing outside this crate knows an architecture: whoever trains, measures or attacks a network asks
//! the trait [`Network`], and [`NETWORKS`] is the list of them. A [`Batch`] is what they run over.
//!
//! ```
//! use lobe_core::Key;
//! use lobe_engine::Workspace;
//! use lobe_nets::{Gpt, GptConfig, Network, next_logits};
//!
//! // Twelve tokens, sequences of at most eight.
//! let config = GptConfig { layers: 2, width: 16, heads: 2, ..GptConfig::default() };
//! let net = Gpt::new(config.resolve(12, 8)?);
//! assert!(net.layout().sites().iter().any(|s| s.name == "blocks.1.mlp.post"));
//!
//! let params = net.layout().init(Key::root(0));
//! let logits = next_logits(&net, &mut Workspace::default(), &params, &[3, 1, 4])?;
//! assert_eq!(logits.len(), 12);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adapter;
mod autoencoder;
mod batch;
mod gpt;
pub mod hub;
mod model;
mod network;
mod networks;
mod residual_mlp;
mod speak;
mod superposition;
mod weights;

pub use autoencoder::{Autoencoder, AutoencoderConfig, DecoderConfig, LatentActivation, OutputActivation};
pub use batch::{Batch, Column, Fed, INPUT, NEXT, WANTED};
pub use gpt::{Activation, Gpt, GptConfig, NormKind, Positions};
pub use model::{Cut, Model};
pub use network::{Begin, End, Input, NetError, Network, NetworkEntry, Output, Ran, Read, saved, settings};
pub use networks::{NETWORKS, network};
pub use residual_mlp::{Neuron, ResidualMlp, ResidualMlpConfig};
pub use speak::next_logits;
pub use superposition::{Superposition, SuperpositionConfig};
pub use weights::{load, load_adapters, read_header, save, save_adapters};
