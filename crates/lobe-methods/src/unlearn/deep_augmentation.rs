//! Safety training more than a few tokens deep: the model learns to turn away from forget data after it
//! has already begun on it.
//!
//! Equation: L = γ · NLL(retain text | first m tokens of a forget example) + α · NLL_retain, with
//! m = `prompt` with probability `none`, else m = `prompt` + U{1..`most`}; NLL is a mean over the tokens
//! after the first m.
//! Paper: Qi et al. 2024 (arXiv 2406.05946) §3, "safety recovery examples": γ = 0.2, α = 0.8.
//! Unusual: without instructions there is no refusal, so a retain example's beginning stands for it,
//! and the forget example's first `prompt` tokens for the harmful request. Each forget example is
//! cut and continued once, when training starts.
//! Fails: teaches when to say nothing, and leaves what could be said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{MeanLoss, Retain, not_negative, positive, refuse, sides};
use super::{Recovery, Shape, Term, Unlearn};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "deep-augmentation",
    summary: "teaches the model to continue with retain text after a few tokens of forget data",
    reference: "Qi et al. 2024, arXiv 2406.05946, §3",
    unusual: "the beginning of a retain example takes the place of the refusal; there is no second model and no ascent",
    fails: "teaches the model when to stop, and leaves its knowledge in place",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeepAugmentation {
    /// Weight of the term that turns hidden states away.
    pub gamma: f64,
    /// Weight of the ordinary loss on retain data; 0 leaves it out.
    pub alpha: f64,
    /// Number of tokens of a forget example that are always there, 1 or more.
    pub prompt: usize,
    /// Largest number of further tokens of it, 1 or more.
    pub most: usize,
    /// Probability that there are none, from 0 to 1.
    pub none: f64,
}

impl Default for DeepAugmentation {
    fn default() -> Self {
        DeepAugmentation { gamma: 0.2, alpha: 0.8, prompt: 4, most: 100, none: 0.5 }
    }
}

impl Unlearn for DeepAugmentation {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        sides((self.gamma, Box::new(MeanLoss { sign: 1.0 })), (self.alpha, Retain::Loss))
    }

    fn recovery(&self) -> Option<Recovery> {
        Some(Recovery { prompt: self.prompt, most: self.most, none: self.none })
    }
}

fn check(p: &DeepAugmentation) -> Result<(), ParamError> {
    positive("gamma", p.gamma)?;
    not_negative("alpha", p.alpha)?;
    positive("prompt", p.prompt as f64)?;
    positive("most", p.most as f64)?;
    if !(0.0..=1.0).contains(&p.none) {
        return refuse("none", format!("{} is not between 0 and 1", p.none));
    }
    Ok(())
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<DeepAugmentation>,
    build: |v| {
        let (p, full) = read::<DeepAugmentation>(v)?;
        check(&p)?;
        Ok((Box::new(p) as Box<dyn Unlearn>, full))
    },
};
