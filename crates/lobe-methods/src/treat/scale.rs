//! Multiplies weights.
//!
//! Equation: θ_i ← a θ_i for every i in the set.
//! Paper: scaling neurons that carry a capability as a milder cut: Foster et al. 2024 (arXiv 2308.07707).
//! Unusual: a = 1 changes nothing and is refused; a = -1 turns signs.
//! Fails: a norm layer behind the weights takes a common factor back out.

use lobe_core::Key;
use lobe_core::registry::{About, Entry, ParamError, in_range, params_of, read};
use lobe_engine::{Entries, Layout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Treatment;

const ABOUT: About = About {
    name: "scale",
    summary: "multiplies weights by one factor",
    reference: "Foster et al. 2024, arXiv 2308.07707",
    unusual: "",
    fails: "if a norm layer behind them takes the factor out again",
};

/// Multiplies weights by a factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// The factor.
    #[schemars(range(min = -1000000.0, max = 1000000.0))]
    pub by: f32,
}

impl Default for Scale {
    fn default() -> Self {
        Scale { by: 0.5 }
    }
}

impl Treatment for Scale {
    fn treat(&self, layout: &Layout, params: &mut [f32], entries: &Entries, _: Key) {
        entries.for_ranges(layout, |_, range| params[range].iter_mut().for_each(|p| *p *= self.by));
    }
}

/// The registered treatment.
pub(super) const ENTRY: Entry<dyn Treatment> = Entry {
    about: &ABOUT,
    params: params_of::<Scale>,
    build: |v| {
        let (p, full) = read::<Scale>(v)?;
        in_range::<Scale>(&full)?;
        if p.by == 1.0 {
            return Err(ParamError { path: "by".into(), message: "1 changes nothing".into() });
        }
        Ok((Box::new(p), full))
    },
};
