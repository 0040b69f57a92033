//! Constrained fine-tuning: ordinary training whose pull fades as a token's probability rises above
//! what it was, soonest at the first tokens of a sequence.
//!
//! Equation: L = mean over tokens of −(2/β_t) log σ(β_t log(p/p_ref)). Its gradient is the ordinary
//! loss's times w = 2 (1 − σ(β_t log(p/p_ref))), which is 1 at the start.
//! Paper: Qi et al. 2024 (arXiv 2406.05946) §4.
//! Unusual: removes nothing. "Forget" data is what is fine-tuned on: a way for the holder of a safe
//! model to offer fine-tuning. β is 0.1, five times that on the first token, twenty times on the next
//! four.
//! Fails: binds only those who fine-tune with this loss; an attacker with the weights takes another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{positive, sigmoid, softplus, term};
use super::{Objective, Reads, Shape, Side, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "constrained-tuning",
    summary: "fine-tunes so that the model's first tokens stay close to what they were",
    reference: "Qi et al. 2024, arXiv 2406.05946, §4",
    unusual: "removes nothing: the forget data is the data to fine-tune on",
    fails: "protects only against attackers who fine-tune with this loss",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConstrainedTuning {
    /// Strength of the constraint, greater than 0; towards 0 it is ordinary fine-tuning.
    pub beta: f64,
    /// Factor on `beta` at the first counted token of a sequence.
    pub first: f64,
    /// Factor on `beta` at the tokens after it, up to `early`.
    pub next: f64,
    /// Number of tokens at the start of a sequence that are constrained more strongly.
    pub early: usize,
}

impl Default for ConstrainedTuning {
    fn default() -> Self {
        ConstrainedTuning { beta: 0.1, first: 5.0, next: 20.0, early: 5 }
    }
}

impl ConstrainedTuning {
    /// β of the counted token number `t` of a sequence, from 0.
    fn at(&self, t: usize) -> f64 {
        let factor = match t {
            t if t >= self.early => 1.0,
            0 => self.first,
            _ => self.next,
        };
        self.beta * factor
    }
}

/// The method, made of its parameters.
pub struct Constrained(pub ConstrainedTuning);

impl Objective for Constrained {
    fn reads(&self) -> Reads {
        Reads::TokenNll
    }
    fn needs_reference(&self) -> bool {
        true
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = view.rows as f64;
        let mut sum = 0.0;
        for (t, r) in view.each_sequence().flat_map(|rows| rows.into_iter().enumerate()) {
            let beta = self.0.at(t);
            // log(p/p_ref) = −x
            let x = f64::from(view.values[r]) - f64::from(view.reference[r]);
            sum += 2.0 / beta * softplus(beta * x);
            grad[r] = (2.0 * sigmoid(beta * x) / n) as f32;
        }
        sum / n
    }
}

impl Unlearn for ConstrainedTuning {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        positive("beta", self.beta)?;
        positive("first", self.first)?;
        positive("next", self.next)?;
        Ok(vec![term(Side::Forget, 1.0, Box::new(Constrained(self.clone())))])
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<ConstrainedTuning>,
    build: |v| read::<ConstrainedTuning>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
