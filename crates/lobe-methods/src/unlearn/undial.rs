//! UNDIAL: the model is distilled from its former self with the true token's logit lowered.
//!
//! Equation: L = γ mean KL(softmax(z_ref − β · onehot(true)) ‖ p) + α R. The papers write the cross
//! entropy; the two differ by a constant.
//! Paper: Dong et al. 2024 (arXiv 2402.10052).
//! Unusual: as a divergence, the value is 0 exactly when the goal is reached.
//! Fails: the distribution over the other tokens is kept, so that paraphrases of the answer live on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{Retain, ToReference, not_negative, sides};
use super::{Shape, Term, Unlearn};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "undial",
    summary: "distils from the original model with the logit of the true token lowered",
    reference: "Dong et al. 2024, arXiv 2402.10052",
    unusual: "minimises a divergence in place of the cross entropy, which is 0 at the goal",
    fails: "keeps the distribution over the other tokens, and with it paraphrases",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Undial {
    /// How far the true token's logit is lowered.
    pub beta: f64,
    /// Weight of the forget part.
    pub gamma: f64,
    /// Weight of the retain part; 0, as in the paper, leaves it out.
    pub alpha: f64,
    /// "loss" (the ordinary loss on retain data) or "kl" (to the model before).
    pub retain: Retain,
}

impl Default for Undial {
    fn default() -> Self {
        Undial { beta: 10.0, gamma: 1.0, alpha: 0.0, retain: Retain::Loss }
    }
}

impl Unlearn for Undial {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        not_negative("beta", self.beta)?;
        sides((self.gamma, Box::new(ToReference { lower: self.beta })), (self.alpha, self.retain))
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<Undial>,
    build: |v| read::<Undial>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
