//! Adam.
//!
//! Equation: g ← g + λθ; m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²;
//! θ ← θ − η · m̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).
//! Source: Kingma and Ba 2015, arXiv 1412.6980.
//! Unusual: weight decay is added to the gradient (coupled L2), as in PyTorch's `Adam`; most papers that
//! name a decay mean `adamw`.
//! Fails: coupled decay hardly shrinks weights whose gradient is large.

use lobe_core::registry::{About, Entry, ParamError, params_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Piece, Rule, Step};
use super::{above_zero, below_one, built};
use crate::kernels::{AdamStep, Device, Kernels};

const ABOUT: About = About {
    name: "adam",
    summary: "Adam; weight decay is added to the gradient",
    reference: "Kingma and Ba 2015, arXiv 1412.6980",
    unusual: "weight decay is coupled: it is part of the gradient and of its moments",
    fails: "coupled decay hardly shrinks weights whose gradient is large",
};

/// Adam with coupled weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Adam {
    /// Decay rates of the first and second moment, each at least 0 and below 1.
    pub betas: [f32; 2],
    /// Term in the denominator, above 0, at most 1.
    pub eps: f32,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { betas: [0.9, 0.999], eps: 1e-8 }
    }
}

impl Adam {
    fn check(&self) -> Result<(), ParamError> {
        check(self.betas, self.eps)
    }
}

/// Holds Adam's numbers against their ranges.
pub(super) fn check(betas: [f32; 2], eps: f32) -> Result<(), ParamError> {
    for (i, beta) in betas.into_iter().enumerate() {
        below_one(&format!("betas.{i}"), beta)?;
    }
    above_zero("eps", eps, 1.0)
}

impl Rule for Adam {
    fn slots(&self) -> usize {
        2
    }

    fn update(&self, step: Step, piece: Piece<'_>) {
        Moments { betas: self.betas, eps: self.eps, l2: step.decay, keep: 1.0 }.update(step, piece);
    }
}

/// The update that Adam and AdamW share.
pub(super) struct Moments {
    pub betas: [f32; 2],
    pub eps: f32,
    /// Decay that is added to the gradient.
    pub l2: f32,
    /// What the parameters are multiplied by.
    pub keep: f32,
}

impl Moments {
    pub(super) fn update(&self, step: Step, piece: Piece<'_>) {
        let Piece { params, gradient, state: [m, v, ..], .. } = piece;
        Device::adam(params, [m, v], gradient, &self.how(step));
    }

    pub(super) fn how(&self, step: Step) -> AdamStep {
        let Moments { betas, eps, l2, keep } = *self;
        let Step { lr, shrink, .. } = step;
        AdamStep { lr, shrink, l2, keep, betas, unbias: betas.map(|b| step.unbias(b)), eps }
    }
}

/// The registered rule.
pub(super) const ENTRY: Entry<dyn Rule> =
    Entry { about: &ABOUT, params: params_of::<Adam>, build: |v| built(v, Adam::check) };
