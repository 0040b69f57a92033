//! LAT, latent adversarial training: any method, while an adversary inside the network works against
//! it.
//!
//! Equation: min over θ of L_f(θ, δ*) + L_r(θ), δ* a perturbation of the residual stream after one
//! block, ‖δ‖₂ ≤ ε for each token, trained by `steps` steps to bring the forget data back.
//! Paper: Sheshadri et al. 2024 (arXiv 2407.15549) §3.
//! Unusual: goes around any method; the perturbation is at one block, where the paper uses several.
//! Fails: the adversary has one place and one radius; ε has to be small against the norm of the
//! hidden states, which differs between networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::around::{Around, build, with_inner};
use super::terms::positive;
use super::{Drive, Unlearn};
use lobe_core::registry::{About, Entry, params_of, read};

const ABOUT: About = About {
    name: "lat",
    summary: "trains another method against an adversary that perturbs hidden states",
    reference: "Sheshadri et al. 2024, arXiv 2407.15549, §3",
    unusual: "wraps any method; perturbs after one block",
    fails: "robust only to perturbations of that place and size",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lat {
    /// The method it wraps.
    pub around: String,
    /// Parameters of the wrapped method.
    pub inner: Map<String, Value>,
    /// The block after which the perturbation is added, from 0.
    pub layer: usize,
    /// Largest norm of the perturbation of a token.
    pub eps: f64,
    /// The adversary's steps, 1 or more.
    pub steps: usize,
    /// The adversary's step size.
    pub lr: f64,
}

impl Default for Lat {
    fn default() -> Self {
        Lat { around: "grad-diff".into(), inner: Map::new(), layer: 0, eps: 2.0, steps: 16, lr: 0.05 }
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<Lat>,
    build: |v| {
        let (p, full) = read::<Lat>(v)?;
        positive("eps", p.eps)?;
        positive("lr", p.lr)?;
        positive("steps", p.steps as f64)?;
        let (inner, params) = build(&p.around, &p.inner)?;
        let drive = Drive::Lat { layer: p.layer, eps: p.eps as f32, steps: p.steps, lr: p.lr as f32 };
        Ok((Box::new(Around { inner, drive }), with_inner(full, params)))
    },
};
