//! Scores weights by their size.
//!
//! Equation: s = |θ|.
//! Paper: Han et al. 2015, arXiv 1506.02626.
//! Unusual: it looks at no data.
//! Fails: tensors of different spread are compared by one ruler.

use lobe_core::registry::{About, Entry, params_of, read};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Locator;

const ABOUT: About = About {
    name: "magnitude",
    summary: "the largest weights",
    reference: "Han et al. 2015, arXiv 1506.02626",
    unusual: "it looks at no data",
    fails: "tensors of different spread are compared by one ruler",
};

/// Scores weights by their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Magnitude {}

impl Locator for Magnitude {
    fn needs_gradient(&self) -> bool {
        false
    }

    fn score(&self, weight: f32, _: f32) -> f32 {
        weight.abs()
    }
}

/// The registered way.
pub(super) const ENTRY: Entry<dyn Locator> = Entry {
    about: &ABOUT,
    params: params_of::<Magnitude>,
    build: |v| read::<Magnitude>(v).map(|(p, full)| (Box::new(p) as Box<dyn Locator>, full)),
};
