//! Any network, and why one is refused.

use lobe_engine::Layout;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::autoencoder::{Autoencoder, AutoencoderConfig};
use crate::gpt::Gpt;
use crate::gpt_config::GptConfig;

/// Why a network or its weights are refused.
#[derive(Debug, Error)]
pub enum NetError {
    /// A configuration value makes no sense.
    #[error("model.{key}: {what}")]
    Config {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A weight file is foreign, damaged or does not fit.
    #[error("{file}: {what}")]
    Weights {
        /// The file as given.
        file: String,
        /// What is wrong with it.
        what: String,
    },
}

/// A network of any kind.
#[derive(Debug, Clone)]
pub enum Net {
    /// A language model.
    Gpt(Gpt),
    /// An autoencoder.
    Autoencoder(Autoencoder),
}

/// A resolved configuration, as stored beside the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum AnyConfig {
    Gpt(GptConfig),
    Autoencoder(AutoencoderConfig),
}

impl Net {
    /// Tensors and sites.
    pub fn layout(&self) -> &Layout {
        match self {
            Net::Gpt(n) => &n.layout,
            Net::Autoencoder(n) => &n.layout,
        }
    }

    /// The language model, if it is one.
    pub fn gpt(&self) -> Option<&Gpt> {
        match self {
            Net::Gpt(n) => Some(n),
            Net::Autoencoder(_) => None,
        }
    }

    /// The autoencoder, if it is one.
    pub fn autoencoder(&self) -> Option<&Autoencoder> {
        match self {
            Net::Autoencoder(n) => Some(n),
            Net::Gpt(_) => None,
        }
    }

    pub(crate) fn config(&self) -> AnyConfig {
        match self {
            Net::Gpt(n) => AnyConfig::Gpt(n.config.clone()),
            Net::Autoencoder(n) => AnyConfig::Autoencoder(n.config.clone()),
        }
    }

    pub(crate) fn build(config: AnyConfig) -> Result<Net, NetError> {
        Ok(match config {
            AnyConfig::Gpt(c) => Net::Gpt(Gpt::new(c.resolve(0, 0)?)),
            AnyConfig::Autoencoder(c) => {
                let input = c.input;
                Net::Autoencoder(Autoencoder::new(c.resolve(input)?))
            }
        })
    }
}
