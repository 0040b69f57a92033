//! Adaptive RMU: RMU whose target is as long as the hidden state it replaces asks for.
//!
//! Equation: L = mean (h(x_f) − k ‖h_ref(x_f)‖ u)² + α mean (h(x_r) − h_ref(x_r))², each row with its
//! own ‖h_ref‖.
//! Paper: Huu-Tien et al. 2024 (arXiv 2408.06223).
//! Unusual: needs no tuning of a norm to the block; otherwise `rmu`.
//! Fails: like RMU, it hides the capability rather than removing it.

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rmu::{Length, moved, pair};
use super::terms::positive;
use super::{Moves, Shape, Term, Unlearn};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "adaptive-rmu",
    summary: "RMU with a target whose size follows the norm of the hidden state",
    reference: "Huu-Tien et al. 2024, arXiv 2408.06223",
    unusual: "the norm does not have to be tuned to the block",
    fails: "hides the capability rather than removing it: it is relearnt within a few steps",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveRmu {
    /// The block after which hidden states are read, from 0; left out, the middle one. Its MLP
    /// down-projection moves, and those of the two blocks before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Norm of the target as a multiple of the norm of the row's hidden state before.
    pub scale: f64,
    /// Weight of the retain part; 0 leaves it out.
    pub alpha: f64,
}

impl Default for AdaptiveRmu {
    fn default() -> Self {
        AdaptiveRmu { layer: None, scale: 5.0, alpha: 1200.0 }
    }
}

impl Unlearn for AdaptiveRmu {
    fn terms(&self, shape: Shape, key: Key) -> Result<Vec<Term>, ParamError> {
        positive("scale", self.scale)?;
        pair(self.layer, Length::Own(self.scale), self.alpha, shape, key)
    }
    fn moves(&self, shape: Shape) -> Moves {
        moved(self.layer, shape)
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<AdaptiveRmu>,
    build: |v| read::<AdaptiveRmu>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
