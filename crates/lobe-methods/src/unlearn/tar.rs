//! TAR, tamper-resistant training: the forget gradient is averaged over weights that a simulated
//! attacker reached by fine-tuning.
//!
//! Equation: the step is Σ w_i ∇L_f(θ_i) / Σ w_i + ∇L_r(θ), θ_i the weights after i of the attacker's n
//! steps on forget data, i a multiple of `every`, and w_i = exp(`decay` · (i − n)) (first order: the
//! attack itself is not differentiated). Without an inner method L_f = γ mean Σ_v p_v log p_v, the negative entropy, and L_r = α mean (h − h_ref)² over
//! all blocks on retain data.
//! Paper: Tamirisa et al. 2024 (arXiv 2408.00761) §4.
//! Unusual: goes around any method, if `around` names one. The attacker takes its learning rates in
//! turn, where the paper draws one; weights are divided by their sum; the paper takes 64 steps of the
//! attacker and starts from a model whose hidden states were made random.
//! Fails: broken by attackers with other settings (arXiv 2412.07097); costs `steps` times a plain step.

use lobe_core::Key;
use lobe_engine::rows;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::around::{Around, build, with_inner};
use super::terms::{HiddenSquared, not_negative, positive, refuse, term};
use super::{Drive, Objective, Reads, Shape, Side, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "tar",
    summary: "computes the forget gradient at weights that a simulated attacker reaches, not only at the current ones",
    reference: "Tamirisa et al. 2024, arXiv 2408.00761, §4",
    unusual: "first order; the attacker cycles through its learning rates; wraps any method",
    fails: "attackers with other settings break it; one step costs as much as many",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tar {
    /// The method it wraps. Absent: the paper's own objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub around: Option<String>,
    /// Parameters of the wrapped method.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub inner: Map<String, Value>,
    /// Weight of the negative entropy on forget data, without an inner method.
    pub gamma: f64,
    /// Weight of the distance of hidden states on retain data, without an inner method.
    pub alpha: f64,
    /// The attacker's steps, 1 or more.
    pub steps: usize,
    /// The attacker's learning rates, used in turn.
    pub lrs: Vec<f64>,
    /// Number of attacker steps between points where the gradient is taken, 1 to `steps`.
    pub every: usize,
    /// How much more later points count, per step of the attacker, 0 or greater.
    pub decay: f64,
}

impl Default for Tar {
    fn default() -> Self {
        Tar {
            around: None,
            inner: Map::new(),
            gamma: 4.0,
            alpha: 1.0,
            steps: 16,
            lrs: vec![3e-4, 1e-3, 3e-3],
            every: 4,
            decay: 0.0625,
        }
    }
}

/// Mean over tokens of Σ_v p_v log p_v.
struct NegativeEntropy;

impl Objective for NegativeEntropy {
    fn reads(&self) -> Reads {
        Reads::Logits
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = view.rows as f64;
        let mut sum = 0.0;
        for r in view.counted() {
            sum += rows::negative_entropy(view.row(r), 1.0 / n, &mut grad[r * view.cols..][..view.cols]);
        }
        sum / n
    }
}

/// The paper's own objective.
struct Own {
    gamma: f64,
    alpha: f64,
}

impl Unlearn for Own {
    fn terms(&self, shape: Shape, _: Key) -> Result<Vec<Term>, ParamError> {
        let mut out = vec![term(Side::Forget, self.gamma, Box::new(NegativeEntropy))];
        if self.alpha > 0.0 {
            let weight = self.alpha / shape.layers as f64;
            let held = |layer| term(Side::Retain, weight, Box::new(HiddenSquared { layer }));
            out.extend((0..shape.layers).map(held));
        }
        Ok(out)
    }
}

fn check(p: &Tar) -> Result<(), ParamError> {
    positive("gamma", p.gamma)?;
    not_negative("alpha", p.alpha)?;
    positive("steps", p.steps as f64)?;
    not_negative("decay", p.decay)?;
    if p.lrs.is_empty() {
        return refuse("lrs", "no learning rate".into());
    }
    p.lrs.iter().try_for_each(|lr| positive("lrs", *lr))?;
    if p.every == 0 || p.every > p.steps {
        return refuse("every", format!("{} is not between 1 and steps = {}", p.every, p.steps));
    }
    if p.around.is_none() && !p.inner.is_empty() {
        return refuse("inner", "parameters of a method that `around` does not name".into());
    }
    Ok(())
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<Tar>,
    build: |v| {
        let (p, full) = read::<Tar>(v)?;
        check(&p)?;
        let lrs = p.lrs.iter().map(|lr| *lr as f32).collect();
        let drive = Drive::Tar { steps: p.steps, lrs, every: p.every, decay: p.decay };
        if let Some(around) = &p.around {
            let (inner, params) = build(around, &p.inner)?;
            return Ok((Box::new(Around { inner, drive }), with_inner(full, params)));
        }
        let inner = Box::new(Own { gamma: p.gamma, alpha: p.alpha });
        Ok((Box::new(Around { inner, drive }), full))
    },
};
