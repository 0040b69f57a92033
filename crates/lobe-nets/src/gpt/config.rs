//! The shape of a transformer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::NetError;

/// How positions enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// A learned vector per position, added to the token embedding.
    Learned,
    /// Rotation of queries and keys.
    Rotary,
}

/// Which norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// Layer norm with gain and shift.
    Layer,
    /// RMS norm with gain.
    Rms,
}

/// Activation of the MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(u, 0).
    Relu,
    /// Exact GELU.
    Gelu,
    /// The tanh approximation.
    GeluTanh,
    /// silu(gate) ∘ up.
    Swiglu,
}

/// A transformer's shape. Defaults are GPT-2's, small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GptConfig {
    /// Vocabulary size; 0 takes it from the data.
    pub vocab: usize,
    /// Longest sequence; 0 takes it from the data.
    pub context: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; 0 is `heads`.
    pub kv_heads: usize,
    /// Width of a head; 0 is width / heads.
    pub head_dim: usize,
    /// MLP neurons per block; 0 is 4 × width.
    pub mlp: usize,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Which norm.
    pub norm: NormKind,
    /// Added to the variance.
    pub norm_eps: f32,
    /// How positions enter.
    pub positions: Positions,
    /// Base of the rotary angles.
    pub rotary_base: f32,
    /// What rotary positions are divided by: the factor of "linear" scaling for longer contexts.
    pub rotary_stretch: f32,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether the attention output has a bias.
    pub out_bias: bool,
    /// Whether the MLP has biases.
    pub mlp_bias: bool,
    /// Whether attention logits are divided by √head_dim (GPT-Neo does not).
    pub scale_attention: bool,
    /// Window of local attention in positions; 0 is none.
    pub window: usize,
    /// Whether only odd blocks are local (GPT-Neo).
    pub window_odd_blocks: bool,
    /// Whether the head is the token embedding.
    pub tied: bool,
    /// Whether the head has a bias.
    pub head_bias: bool,
    /// Scale on the logits.
    pub logit_scale: f32,
    /// Standard deviation of the initial weights.
    pub init_std: f32,
    /// Whether projections into the residual stream start smaller by √(2 layers).
    pub scale_residual_init: bool,
}

impl Default for GptConfig {
    fn default() -> Self {
        GptConfig {
            vocab: 0,
            context: 0,
            layers: 4,
            width: 128,
            heads: 4,
            kv_heads: 0,
            head_dim: 0,
            mlp: 0,
            activation: Activation::Gelu,
            norm: NormKind::Layer,
            norm_eps: 1e-5,
            positions: Positions::Learned,
            rotary_base: 10_000.0,
            rotary_stretch: 1.0,
            qkv_bias: true,
            out_bias: true,
            mlp_bias: true,
            scale_attention: true,
            window: 0,
            window_odd_blocks: false,
            tied: false,
            head_bias: false,
            logit_scale: 1.0,
            init_std: 0.02,
            scale_residual_init: false,
        }
    }
}

impl GptConfig {
    /// Fills in everything left at 0, from the other fields and the data.
    ///
    /// # Errors
    /// If a size is zero, absurd, or does not divide.
    pub fn resolve(mut self, vocab: usize, context: usize) -> Result<GptConfig, NetError> {
        let or = |x: usize, y: usize| if x == 0 { y } else { x };
        self.vocab = or(self.vocab, vocab);
        self.context = or(self.context, context);
        self.kv_heads = or(self.kv_heads, self.heads);
        self.head_dim = or(self.head_dim, self.width / self.heads.max(1));
        self.mlp = or(self.mlp, self.width.saturating_mul(4));
        let limits = [
            ("vocab", self.vocab, 1 << 20),
            ("context", self.context, 1 << 20),
            ("layers", self.layers, 1024),
            ("width", self.width, 1 << 16),
            ("heads", self.heads, 1024),
            ("kv_heads", self.kv_heads, 1024),
            ("head_dim", self.head_dim, 4096),
            ("mlp", self.mlp, 1 << 20),
        ];
        for (key, value, limit) in limits {
            if value == 0 || value > limit {
                return Err(NetError::Config { key, what: format!("is {value}, must be in 1..={limit}") });
            }
        }
        let numbers = [
            ("norm_eps", self.norm_eps, self.norm_eps >= 0.0),
            ("rotary_base", self.rotary_base, self.rotary_base > 0.0),
            ("rotary_stretch", self.rotary_stretch, self.rotary_stretch > 0.0),
            ("logit_scale", self.logit_scale, true),
            ("init_std", self.init_std, self.init_std >= 0.0),
        ];
        for (key, value, fits) in numbers {
            if !(fits && value.is_finite()) {
                return Err(NetError::Config {
                    key,
                    what: format!("is {value}, must be finite and in range"),
                });
            }
        }
        if self.vocab < vocab {
            return Err(NetError::Config {
                key: "vocab",
                what: format!("is {}, the data has {vocab} tokens", self.vocab),
            });
        }
        if self.context < context && self.positions == Positions::Learned {
            return Err(NetError::Config {
                key: "context",
                what: format!("is {}, sequences have {context}", self.context),
            });
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(NetError::Config {
                key: "kv_heads",
                what: format!("{} must divide heads = {}", self.kv_heads, self.heads),
            });
        }
        if self.positions == Positions::Rotary && !self.head_dim.is_multiple_of(2) {
            return Err(NetError::Config {
                key: "head_dim",
                what: "must be even for rotary positions".into(),
            });
        }
        Ok(self)
    }
}
