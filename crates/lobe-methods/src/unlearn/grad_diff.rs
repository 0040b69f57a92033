//! Gradient difference: ascent on forget data, descent on retain data.
//!
//! Equation: L = γ · (−NLL_forget) + α · R, R the retain loss or KL(before ‖ now) on retain data;
//! NLL is a mean over tokens.
//! Paper: Liu et al. 2022 (arXiv 2203.12817); Maini et al. 2024 (arXiv 2401.06121).
//! Unusual: nothing.
//! Fails: the forget part has no minimum and outgrows the retain part; a result depends on when it
//! was stopped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{MeanLoss, Retain, sides};
use super::{Shape, Term, Unlearn};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "grad-diff",
    summary: "gradient ascent on forget data, descent on retain data",
    reference: "Liu et al. 2022, arXiv 2203.12817; Maini et al. 2024, arXiv 2401.06121",
    unusual: "nothing",
    fails: "the forget term has no minimum, so the result depends on when training stops",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GradDiff {
    /// Weight of the forget part.
    pub gamma: f64,
    /// Weight of the retain part; 0 leaves it out.
    pub alpha: f64,
    /// "loss" (the ordinary loss on retain data) or "kl" (to the model before).
    pub retain: Retain,
}

impl Default for GradDiff {
    fn default() -> Self {
        GradDiff { gamma: 1.0, alpha: 1.0, retain: Retain::Loss }
    }
}

impl Unlearn for GradDiff {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        sides((self.gamma, Box::new(MeanLoss { sign: -1.0 })), (self.alpha, self.retain))
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<GradDiff>,
    build: |v| read::<GradDiff>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
