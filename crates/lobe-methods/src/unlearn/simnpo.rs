//! SimNPO: NPO on the mean token loss, without a reference model.
//!
//! Equation: L = −γ (2/β) E log σ(β l/|y| − m) + α R, l/|y| the mean token loss of a sequence, m the
//! margin.
//! Paper: Fan et al. 2024 (arXiv 2410.07163).
//! Unusual: the margin is called `margin` here, since `gamma` is the forget weight everywhere.
//! Fails: data the model never knew is pushed as hard as data it knows by heart, once their losses
//! are equal; the published forget quality has not been reproduced by others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{Retain, positive, sides, sigmoid, softplus};
use super::{Objective, Reads, Shape, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "simnpo",
    summary: "NPO on the mean token loss, without a reference model",
    reference: "Fan et al. 2024, arXiv 2410.07163",
    unusual: "the paper's gamma is `margin` here; `gamma` is the weight of the forget term",
    fails: "has no reference, so it pushes what the model never knew as hard as what it knows",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimNpo {
    /// Inverse temperature, greater than 0; the literature uses 2.5 to 4.5.
    pub beta: f64,
    /// Subtracted inside the sigmoid.
    pub margin: f64,
    /// Weight of the forget part.
    pub gamma: f64,
    /// Weight of the retain part; 0 leaves it out.
    pub alpha: f64,
    /// "loss" (the ordinary loss on retain data) or "kl" (to the model before).
    pub retain: Retain,
}

impl Default for SimNpo {
    fn default() -> Self {
        SimNpo { beta: 4.5, margin: 0.0, gamma: 0.125, alpha: 1.0, retain: Retain::Loss }
    }
}

struct Simple {
    beta: f64,
    margin: f64,
}

impl Objective for Simple {
    fn reads(&self) -> Reads {
        Reads::TokenNll
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = view.sequences as f64;
        let mut sum = 0.0;
        for rows in view.each_sequence().filter(|rows| !rows.is_empty()) {
            let len = rows.len() as f64;
            let mean = rows.iter().map(|r| f64::from(view.values[*r])).sum::<f64>() / len;
            let x = self.margin - self.beta * mean;
            sum += 2.0 / self.beta * softplus(x);
            let g = -2.0 * sigmoid(x) / (len * n);
            for r in rows {
                grad[r] = g as f32;
            }
        }
        sum / n
    }
}

impl Unlearn for SimNpo {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        positive("beta", self.beta)?;
        let forget = Simple { beta: self.beta, margin: self.margin };
        sides((self.gamma, Box::new(forget)), (self.alpha, self.retain))
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<SimNpo>,
    build: |v| read::<SimNpo>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
