//! NPO, negative preference optimisation: ascent whose step fades as the forget data's probability
//! falls below what it was.
//!
//! Equation: L = −(2/β) E log σ(β (l − l_ref)) + α R, l = −log p(sequence). Its gradient is that of
//! ascent, −∇l, times w = 2 p^β / (p^β + p_ref^β) = 2 σ(−β (l − l_ref)), which is 1 at the start.
//! Paper: Zhang et al. 2024 (arXiv 2404.05868) §3.
//! Unusual: `likelihood` says whether l is the sum over a sequence's tokens (the paper, TOFU) or
//! their mean (the MUSE code): with the same β they differ by the length of the sequence.
//! Fails: with "sum" and long sequences w is near 0 after a fraction of a nat per token, so that
//! little is removed; with "mean" and a small β w stays near 1, which is gradient ascent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{Retain, positive, sides, sigmoid, softplus};
use super::{Objective, Reads, Shape, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "npo",
    summary: "gradient ascent on forget data that fades as the data becomes less likely than it was before",
    reference: "Zhang et al. 2024, arXiv 2404.05868, §3",
    unusual: "`likelihood` chooses between the sum and the mean of the token losses inside the sigmoid",
    fails: "with summed losses it stops early on long sequences; with a small beta it is gradient ascent",
};

/// Whether a sequence's loss is the sum or the mean of its tokens' losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// −log p(sequence).
    Sum,
    /// The same divided by the number of tokens.
    Mean,
}

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Npo {
    /// Inverse temperature, greater than 0; towards 0 the method becomes gradient ascent.
    pub beta: f64,
    /// "sum" or "mean" of the token losses inside the sigmoid.
    pub likelihood: Likelihood,
    /// Weight of the forget part.
    pub gamma: f64,
    /// Weight of the retain part; 0 leaves it out.
    pub alpha: f64,
    /// "loss" (the ordinary loss on retain data) or "kl" (to the model before).
    pub retain: Retain,
}

impl Default for Npo {
    fn default() -> Self {
        Npo { beta: 0.1, likelihood: Likelihood::Sum, gamma: 1.0, alpha: 1.0, retain: Retain::Loss }
    }
}

/// The factor between NPO's gradient and gradient ascent's: 2 p^β / (p^β + p_ref^β) with
/// p = exp(−`nll`) and p_ref = exp(−`reference`). It is 1 where they are equal, never more than 2, and
/// goes to 0 as p does.
pub fn adaptive_weight(nll: f64, reference: f64, beta: f64) -> f64 {
    2.0 * sigmoid(-beta * (nll - reference))
}

/// −(2/β) log σ(β (l − l_ref)); its derivative with respect to l is −[`adaptive_weight`].
pub fn loss(nll: f64, reference: f64, beta: f64) -> f64 {
    2.0 / beta * softplus(-beta * (nll - reference))
}

struct Preference {
    beta: f64,
    likelihood: Likelihood,
}

impl Objective for Preference {
    fn reads(&self) -> Reads {
        Reads::TokenNll
    }
    fn needs_reference(&self) -> bool {
        true
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = view.sequences as f64;
        let mut sum = 0.0;
        for rows in view.each_sequence().filter(|rows| !rows.is_empty()) {
            let per = match self.likelihood {
                Likelihood::Sum => 1.0,
                Likelihood::Mean => 1.0 / rows.len() as f64,
            };
            let total = |x: &[f32]| per * rows.iter().map(|r| f64::from(x[*r])).sum::<f64>();
            let (now, before) = (total(view.values), total(view.reference));
            sum += loss(now, before, self.beta);
            let g = -per * adaptive_weight(now, before, self.beta) / n;
            for r in rows {
                grad[r] = g as f32;
            }
        }
        sum / n
    }
}

impl Unlearn for Npo {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        positive("beta", self.beta)?;
        let forget = Preference { beta: self.beta, likelihood: self.likelihood };
        sides((self.gamma, Box::new(forget)), (self.alpha, self.retain))
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<Npo>,
    build: |v| read::<Npo>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
