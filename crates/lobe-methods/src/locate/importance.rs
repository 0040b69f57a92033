//! Scores weights by what deleting them would cost, to first order.
//!
//! Equation: s = |θ · ∂L/∂θ|, L the mean loss of the data.
//! Paper: Molchanov et al. 2019, arXiv 1906.10771.
//! Unusual: it is the first term of the change of the loss when the weight becomes 0.
//! Fails: a super weight whose deletion costs much more than its gradient says.

use lobe_core::registry::{About, Entry, params_of, read};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Locator;

const ABOUT: About = About {
    name: "importance",
    summary: "the weights whose deletion would change the loss most, to first order",
    reference: "Molchanov et al. 2019, arXiv 1906.10771",
    unusual: "it is the first term of the change of the loss when the weight becomes 0",
    fails: "a super weight whose deletion costs much more than its gradient says",
};

/// Scores weights by what deleting them would cost, to first order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Importance {}

impl Locator for Importance {
    fn needs_gradient(&self) -> bool {
        true
    }

    fn score(&self, weight: f32, gradient: f32) -> f32 {
        (weight * gradient).abs()
    }
}

/// The registered way.
pub(super) const ENTRY: Entry<dyn Locator> = Entry {
    about: &ABOUT,
    params: params_of::<Importance>,
    build: |v| read::<Importance>(v).map(|(p, full)| (Box::new(p) as Box<dyn Locator>, full)),
};
