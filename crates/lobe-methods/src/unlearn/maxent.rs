//! MaxEnt: on forget data the model is trained to know nothing.
//!
//! Equation: L = γ mean KL(uniform ‖ p) + α R, KL(uniform ‖ p) = −log V − mean_v log p_v; the
//! derivative with respect to the logits is p − 1/V.
//! Paper: Lee et al. 2025 (arXiv 2506.06278), which distils from such a model (UNDO).
//! Unusual: has a minimum, 0, unlike ascent.
//! Fails: changes what the model says, not what it could say: it is relearned within few steps.

use lobe_engine::rows;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{Retain, sides};
use super::{Objective, Reads, Shape, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "maxent",
    summary: "trains the predictions on forget data towards the uniform distribution",
    reference: "Lee et al. 2025, arXiv 2506.06278, §3",
    unusual: "has a minimum, unlike ascent",
    fails: "changes the model's output but not its knowledge: it is relearnt within a few steps",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaxEnt {
    /// Weight of the forget part.
    pub gamma: f64,
    /// Weight of the retain part; 0 leaves it out.
    pub alpha: f64,
    /// "loss" (the ordinary loss on retain data) or "kl" (to the model before).
    pub retain: Retain,
}

impl Default for MaxEnt {
    fn default() -> Self {
        MaxEnt { gamma: 1.0, alpha: 1.0, retain: Retain::Loss }
    }
}

struct FromUniform;

impl Objective for FromUniform {
    fn reads(&self) -> Reads {
        Reads::Logits
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = view.rows as f64;
        let mut sum = 0.0;
        for r in view.counted() {
            sum += rows::from_uniform(view.row(r), 1.0 / n, &mut grad[r * view.cols..][..view.cols]);
        }
        sum / n
    }
}

impl Unlearn for MaxEnt {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        sides((self.gamma, Box::new(FromUniform)), (self.alpha, self.retain))
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<MaxEnt>,
    build: |v| read::<MaxEnt>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
