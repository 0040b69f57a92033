//! Scores weights by the size of their gradient.
//!
//! Equation: s = |∂L/∂θ|, L the mean loss of the data.
//! Paper: Simonyan et al. 2013, arXiv 1312.6034, of inputs; here of weights.
//! Unusual: a weight that is 0 can score.
//! Fails: at a minimum of the loss gradients vanish.

use lobe_core::registry::{About, Entry, params_of, read};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Locator;

const ABOUT: About = About {
    name: "gradient",
    summary: "the weights with the largest gradient on some data",
    reference: "Simonyan et al. 2013, arXiv 1312.6034, of inputs; here of weights",
    unusual: "a weight that is 0 can score",
    fails: "at a minimum of the loss gradients vanish",
};

/// Scores weights by the size of their gradient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gradient {}

impl Locator for Gradient {
    fn needs_gradient(&self) -> bool {
        true
    }

    fn score(&self, _: f32, gradient: f32) -> f32 {
        gradient.abs()
    }
}

/// The registered way.
pub(super) const ENTRY: Entry<dyn Locator> = Entry {
    about: &ABOUT,
    params: params_of::<Gradient>,
    build: |v| read::<Gradient>(v).map(|(p, full)| (Box::new(p) as Box<dyn Locator>, full)),
};
