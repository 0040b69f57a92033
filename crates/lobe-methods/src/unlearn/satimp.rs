//! SatImp: ascent on tokens that are known, but not by heart.
//!
//! Equation: L = −γ mean w · (−log p) + α R with w = p^b₁ (1 − p)^b₂ held constant.
//! Paper: Yang et al. 2025 (arXiv 2505.11953).
//! Unusual: the value is the weighted loss as others print it; the weight is not differentiated, so
//! the gradient is not that of the value.
//! Fails: tokens the model is already unsure of are left as they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{Retain, not_negative, sides};
use super::{Objective, Reads, Shape, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "satimp",
    summary: "gradient ascent that weights each token by p^beta1 (1 - p)^beta2",
    reference: "Yang et al. 2025, arXiv 2505.11953",
    unusual: "the weight is treated as a constant",
    fails: "leaves tokens alone of which the model is already unsure",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SatImp {
    /// Power of the token's probability.
    pub beta1: f64,
    /// Power of one minus the token's probability.
    pub beta2: f64,
    /// Weight of the forget part.
    pub gamma: f64,
    /// Weight of the retain part; 0 leaves it out.
    pub alpha: f64,
    /// "loss" (the ordinary loss on retain data) or "kl" (to the model before).
    pub retain: Retain,
}

impl Default for SatImp {
    fn default() -> Self {
        SatImp { beta1: 5.0, beta2: 1.0, gamma: 1.0, alpha: 0.1, retain: Retain::Loss }
    }
}

/// −mean p^b₁ (1 − p)^b₂ · (−log p), the weight held constant.
pub(super) struct Weighted {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
}

impl Objective for Weighted {
    fn reads(&self) -> Reads {
        Reads::TokenNll
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = view.rows as f64;
        let mut sum = 0.0;
        for r in view.counted() {
            let nll = f64::from(view.values[r]);
            // 1 − e⁻ˡ without cancellation; rounding may leave a loss slightly below 0.
            let wrong = -(-nll.max(0.0)).exp_m1();
            let w = (-self.beta1 * nll).exp() * wrong.powf(self.beta2);
            sum -= w * nll;
            grad[r] = (-w / n) as f32;
        }
        sum / n
    }
}

impl Unlearn for SatImp {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        not_negative("beta1", self.beta1)?;
        not_negative("beta2", self.beta2)?;
        let forget = Weighted { beta1: self.beta1, beta2: self.beta2 };
        sides((self.gamma, Box::new(forget)), (self.alpha, self.retain))
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<SatImp>,
    build: |v| read::<SatImp>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
