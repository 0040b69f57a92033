//! Adds noise to weights.
//!
//! Equation: θ_i ← θ_i + s σ_T n_i, n_i ~ N(0, 1), σ_T the root mean square of all entries of the tensor.
//! Paper: noise before distillation: Lee et al. 2025 (UNDO, arXiv 2506.06278), without its shrinking.
//! Unusual: the noise of an entry depends on the entry alone, not on what else is treated.
//! Fails: noise that is small beside the weights is averaged out by the next layer.

use lobe_core::Key;
use lobe_core::registry::{About, Entry, in_range, params_of, read};
use lobe_engine::{Entries, Layout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Treatment;

const ABOUT: About = About {
    name: "noise",
    summary: "adds noise in proportion to the size of the tensor's weights",
    reference: "Lee et al. 2025, arXiv 2506.06278",
    unusual: "the noise of a weight does not depend on what else is treated",
    fails: "if it is small beside the weights",
};

/// Adds normal noise to weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// Standard deviation, in root mean squares of the tensor.
    #[schemars(range(min = 0.0, max = 1000000.0))]
    pub size: f32,
}

impl Default for Noise {
    fn default() -> Self {
        Noise { size: 1.0 }
    }
}

impl Treatment for Noise {
    fn treat(&self, layout: &Layout, params: &mut [f32], entries: &Entries, key: Key) {
        for p in entries.tensors() {
            let t = layout.get(p);
            let all = &params[t.span()];
            let squares: f64 = all.iter().map(|w| f64::from(*w).powi(2)).sum();
            let size = f64::from(self.size) * (squares / all.len() as f64).sqrt();
            let key = key.child(&t.name);
            for range in entries.ranges(p, t) {
                for i in range {
                    let n = key.index((i - t.offset) as u64).rng().normal();
                    params[i] += (size * n) as f32;
                }
            }
        }
    }
}

/// The registered treatment.
pub(super) const ENTRY: Entry<dyn Treatment> = Entry {
    about: &ABOUT,
    params: params_of::<Noise>,
    build: |v| {
        let (p, full) = read::<Noise>(v)?;
        in_range::<Noise>(&full)?;
        Ok((Box::new(p), full))
    },
};
