//! Networks: what they compute, their sites and units, and which parameters each unit owns.
//!
//! Nothing outside this crate knows an architecture: whoever trains, measures or attacks a network asks
//! the trait [`Network`], and [`NETWORKS`] is the list of them. A [`Batch`] is what they run over.

pub mod adapter;
mod autoencoder;
mod batch;
mod gpt;
pub mod hub;
mod model;
mod network;
mod residual_mlp;
mod speak;
mod superposition;
mod weights;

pub use autoencoder::{Autoencoder, AutoencoderConfig, DecoderConfig};
pub use batch::{Batch, Column, Fed, INPUT, NEXT, WANTED};
pub use gpt::{Activation, Gpt, GptConfig, NormKind, Positions};
pub use model::Model;
pub use network::{
    Begin, End, Input, NETWORKS, NetError, Network, NetworkEntry, Output, Ran, Read, network, saved, settings,
};
pub use residual_mlp::{Neuron, ResidualMlp, ResidualMlpConfig};
pub use speak::next_logits;
pub use superposition::{Superposition, SuperpositionConfig};
pub use weights::{load, read_header, save};
