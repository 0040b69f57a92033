//! AdamW: Adam with decoupled weight decay; optionally AMSGrad.
//!
//! Equation: m and v as Adam's, of the gradient alone; θ ← (1 − ηλ)θ − η · m̂ / (√v̂ + ε). With AMSGrad
//! w ← max(w, v) stands in place of v.
//! Source: Loshchilov and Hutter 2019, arXiv 1711.05101; Reddi et al. 2018, arXiv 1904.09237.
//! Unusual: the maximum is taken before the bias of v is undone, as in PyTorch.
//! Fails: with `betas` near 1 a rare large gradient slows a weight down for thousands of steps.

use lobe_core::registry::{About, Entry, ParamError, params_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::{Moments, check};
use super::built;
use super::rule::{Piece, Rule, Step};
use crate::kernels::{Device, Kernels};

const ABOUT: About = About {
    name: "adamw",
    summary: "Adam with decoupled weight decay",
    reference: "Loshchilov and Hutter 2019, arXiv 1711.05101; AMSGrad: Reddi et al. 2018, arXiv 1904.09237",
    unusual: "with `amsgrad` the maximum is taken before the bias of the second moment is undone, as in PyTorch",
    fails: "a rare large gradient slows a weight down for a long time when the second beta is near 1",
};

/// Adam with decoupled weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamW {
    /// Decay rates of the first and second moment, each at least 0 and below 1.
    pub betas: [f32; 2],
    /// Term in the denominator, above 0, at most 1.
    pub eps: f32,
    /// Whether the largest second moment so far is used instead of the present one.
    pub amsgrad: bool,
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW { betas: [0.9, 0.999], eps: 1e-8, amsgrad: false }
    }
}

impl AdamW {
    fn check(&self) -> Result<(), ParamError> {
        check(self.betas, self.eps)
    }
}

impl Rule for AdamW {
    fn slots(&self) -> usize {
        if self.amsgrad { 3 } else { 2 }
    }

    fn update(&self, step: Step, piece: Piece<'_>) {
        let keep = 1.0 - step.lr * step.decay;
        let moments = Moments { betas: self.betas, eps: self.eps, l2: 0.0, keep };
        if !self.amsgrad {
            return moments.update(step, piece);
        }
        let Piece { params, gradient, state: [m, v, w, ..], .. } = piece;
        Device::amsgrad(params, [m, v, w], gradient, &moments.how(step));
    }
}

/// The registered rule.
pub(super) const ENTRY: Entry<dyn Rule> =
    Entry { about: &ABOUT, params: params_of::<AdamW>, build: |v| built(v, AdamW::check) };
