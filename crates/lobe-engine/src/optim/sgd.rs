//! Stochastic gradient descent with momentum.
//!
//! Equation: g ← g + λθ; m ← μm + g; θ ← θ − ηm, as in PyTorch (no dampening, no Nesterov).
//! Source: Robbins and Monro 1951; momentum as in Sutskever et al. 2013.
//! Unusual: without momentum it keeps no state at all.
//! Fails: needs a learning rate of its own for each network; layers of other scales train at other speeds.

use lobe_core::registry::{About, Entry, ParamError, params_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Piece, Rule, Step};
use super::{below_one, built};
use crate::kernels::{Descent, Device, Kernels};

const ABOUT: About = About {
    name: "sgd",
    summary: "gradient descent with momentum; weight decay is added to the gradient",
    reference: "Robbins and Monro 1951; momentum as in Sutskever et al. 2013",
    unusual: "without momentum it keeps no state",
    fails: "needs a learning rate of its own for each network",
};

/// Gradient descent with momentum.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sgd {
    /// Momentum, at least 0 and below 1; 0 is none.
    pub momentum: f32,
}

impl Sgd {
    fn check(self) -> Result<(), ParamError> {
        below_one("momentum", self.momentum)
    }
}

impl Rule for Sgd {
    fn slots(&self) -> usize {
        usize::from(self.momentum != 0.0)
    }

    fn update(&self, step: Step, piece: Piece<'_>) {
        let Step { lr, decay, shrink, .. } = step;
        let how = Descent { lr, decay, shrink, momentum: self.momentum };
        let Piece { params, gradient, state: [m, ..], .. } = piece;
        Device::sgd(params, (self.momentum != 0.0).then_some(m), gradient, &how);
    }
}

/// The registered rule.
pub(super) const ENTRY: Entry<dyn Rule> =
    Entry { about: &ABOUT, params: params_of::<Sgd>, build: |v| built(v, |p: &Sgd| p.check()) };
