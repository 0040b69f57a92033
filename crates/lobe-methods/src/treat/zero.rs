//! Deletes weights.
//!
//! Equation: θ_i = 0 for every i in the set.
//! Paper: LeCun, Denker and Solla 1989 ("Optimal brain damage"); one deleted weight that ruins a model: Yu et al. 2024
//! (arXiv 2411.07191).
//! Unusual: with `still = true` the stage keeps them at 0 in all training that follows.
//! Fails: where others carry the same function, deleting a few weights does nothing.

use lobe_core::Key;
use lobe_core::registry::{About, Entry, params_of, read};
use lobe_engine::{Entries, Layout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Treatment;

const ABOUT: About = About {
    name: "zero",
    summary: "deletes weights: they become 0",
    reference: "Yu et al. 2024, arXiv 2411.07191",
    unusual: "with still = true they stay 0 in all training that follows",
    fails: "if other weights carry the same function",
};

/// Sets weights to 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Zero {}

impl Treatment for Zero {
    fn treat(&self, layout: &Layout, params: &mut [f32], entries: &Entries, _: Key) {
        entries.zero(layout, params);
    }
}

/// The registered treatment.
pub(super) const ENTRY: Entry<dyn Treatment> = Entry {
    about: &ABOUT,
    params: params_of::<Zero>,
    build: |v| read::<Zero>(v).map(|(p, full)| (Box::new(p) as Box<dyn Treatment>, full)),
};
