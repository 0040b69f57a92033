//! SAM: any method, with the forget gradient taken where it is hardest to keep.
//!
//! Equation: the step is ∇L_f(θ + ρ g/‖g‖) + ∇L_r(θ), g = ∇L_f(θ).
//! Paper: Fan et al. 2025 (arXiv 2502.05374), around NPO; Foret et al. 2021 (arXiv 2010.01412).
//! Unusual: goes around any method; the perturbation is over what that method moves.
//! Fails: protects a ball of radius ρ: an attacker who trains longer leaves it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::around::{Around, build, with_inner};
use super::terms::positive;
use super::{Drive, Unlearn};
use lobe_core::registry::{About, Entry, params_of, read};

const ABOUT: About = About {
    name: "sam",
    summary: "takes another method's forget gradient at the worst point nearby",
    reference: "Fan et al. 2025, arXiv 2502.05374; Foret et al. 2021, arXiv 2010.01412",
    unusual: "wraps any method",
    fails: "protects a small ball around the weights; an attacker who trains longer leaves it",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sam {
    /// The method it wraps.
    pub around: String,
    /// Parameters of the wrapped method.
    pub inner: Map<String, Value>,
    /// Radius of the perturbation of the weights.
    pub rho: f64,
}

impl Default for Sam {
    fn default() -> Self {
        Sam { around: "npo".into(), inner: Map::new(), rho: 0.1 }
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<Sam>,
    build: |v| {
        let (p, full) = read::<Sam>(v)?;
        positive("rho", p.rho)?;
        let (inner, params) = build(&p.around, &p.inner)?;
        let drive = Drive::Sam { rho: p.rho as f32 };
        Ok((Box::new(Around { inner, drive }), with_inner(full, params)))
    },
};
