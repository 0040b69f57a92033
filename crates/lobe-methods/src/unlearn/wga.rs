//! WGA, weighted gradient ascent: tokens count by how well they are known.
//!
//! Equation: L = −γ mean p^β · (−log p) + α R, p^β held constant.
//! Paper: Wang et al. 2025 (arXiv 2502.19301).
//! Unusual: the weight is not differentiated, so the gradient is not that of the value.
//! Fails: stops at tokens with a small probability, which a relearning attack starts from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::satimp::Weighted;
use super::terms::{Retain, not_negative, sides};
use super::{Shape, Term, Unlearn};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "wga",
    summary: "gradient ascent that weights each token by p^beta",
    reference: "Wang et al. 2025, arXiv 2502.19301",
    unusual: "the weight is treated as a constant",
    fails: "stops at tokens that are improbable but not forgotten",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wga {
    /// Power of the token's probability; 0 is gradient ascent.
    pub beta: f64,
    /// Weight of the forget part.
    pub gamma: f64,
    /// Weight of the retain part; 0 leaves it out.
    pub alpha: f64,
    /// "loss" (the ordinary loss on retain data) or "kl" (to the model before).
    pub retain: Retain,
}

impl Default for Wga {
    fn default() -> Self {
        Wga { beta: 1.0, gamma: 1.0, alpha: 1.0, retain: Retain::Loss }
    }
}

impl Unlearn for Wga {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        not_negative("beta", self.beta)?;
        let forget = Weighted { beta1: self.beta, beta2: 0.0 };
        sides((self.gamma, Box::new(forget)), (self.alpha, self.retain))
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<Wga>,
    build: |v| read::<Wga>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
