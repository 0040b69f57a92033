//! Circuit breakers, representation rerouting: hidden states of forget data are turned away from what
//! they were, those of retain data are held.
//!
//! Equation: L = c_s mean ReLU(cos(h(x_f), h_ref(x_f))) + c_r mean ‖h(x_r) − h_ref(x_r)‖₂, means over
//! tokens and blocks; with t the share of the steps that is done, c_s = a (1 − t (1 − s)) and
//! c_r = a r t.
//! Paper: Zou et al. 2024 (arXiv 2406.04313) §3; a = 10 and s = r = 1/2 is what its code does in 150
//! steps for an 8B model.
//! Unusual: all parameters move, where the paper trains low-rank adapters. The distance is a norm,
//! not its square: its pull does not fade near 0. At the reference itself the cosine is at its
//! maximum and its gradient is exactly 0, a point that the paper's dropout and rounding leave; here
//! training starts at θ (1 + `jitter` · N(0, 1)).
//! Fails: says nothing about weights; fine-tuning on a little forget data brings the states back.

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{blocks, norm, not_negative, positive, term};
use super::{Objective, Reads, Shape, Side, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "circuit-breakers",
    summary: "turns the hidden states of forget data away from their original direction and keeps those of retain data",
    reference: "Zou et al. 2024, arXiv 2406.04313, §3",
    unusual: "trains all parameters, not adapters",
    fails: "fine-tuning on a little forget data restores the states",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreakers {
    /// Blocks whose hidden states are turned away, from 0. Empty means those at one third and two thirds.
    pub layers: Vec<usize>,
    /// Blocks whose hidden states are kept on retain data. Empty means all.
    pub retain_layers: Vec<usize>,
    /// Weight of the forget part at the first step.
    pub coefficient: f64,
    /// Weight of the forget part at the last step, as a share of `coefficient`.
    pub forget_end: f64,
    /// Weight of the retain part at the last step, as a share of `coefficient`; it grows from 0.
    pub retain_end: f64,
    /// Relative size of the noise that training starts with, so that it leaves the reference.
    pub jitter: f64,
}

impl Default for CircuitBreakers {
    fn default() -> Self {
        let (layers, retain_layers) = (Vec::new(), Vec::new());
        CircuitBreakers {
            layers,
            retain_layers,
            coefficient: 10.0,
            forget_end: 0.5,
            retain_end: 0.5,
            jitter: 1e-2,
        }
    }
}

/// A weight that changes evenly over the steps.
#[derive(Clone, Copy)]
struct Ramp {
    from: f64,
    to: f64,
}

impl Ramp {
    fn at(self, progress: f64) -> f64 {
        self.from + (self.to - self.from) * progress
    }
}

/// Mean over tokens of ReLU(cos(h, h_ref)).
struct Reroute {
    layer: usize,
    weight: Ramp,
}

impl Objective for Reroute {
    fn reads(&self) -> Reads {
        Reads::Hidden { layer: self.layer }
    }
    fn needs_reference(&self) -> bool {
        true
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let w = self.weight.at(view.progress) / view.rows as f64;
        let mut sum = 0.0;
        for r in view.counted() {
            let (h, h0) = (view.row(r), view.reference_row(r));
            let (n, n0) = (norm(h), norm(h0));
            let dot: f64 = h.iter().zip(h0).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            if dot <= 0.0 {
                continue;
            }
            let cos = dot / (n * n0);
            sum += cos;
            for ((g, a), b) in grad[r * view.cols..].iter_mut().zip(h).zip(h0) {
                *g = (w * (f64::from(*b) / n0 - cos * f64::from(*a) / n) / n) as f32;
            }
        }
        w * sum
    }
}

/// Mean over tokens of ‖h − h_ref‖; where it is 0 the derivative is taken as 0.
struct Hold {
    layer: usize,
    weight: Ramp,
}

impl Objective for Hold {
    fn reads(&self) -> Reads {
        Reads::Hidden { layer: self.layer }
    }
    fn needs_reference(&self) -> bool {
        true
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let w = self.weight.at(view.progress) / view.rows as f64;
        let mut sum = 0.0;
        for r in view.counted() {
            let both = || view.row(r).iter().zip(view.reference_row(r));
            let distance = both().map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt();
            if distance == 0.0 {
                continue;
            }
            sum += distance;
            for (g, (a, b)) in grad[r * view.cols..].iter_mut().zip(both()) {
                *g = (w * (f64::from(*a) - f64::from(*b)) / distance) as f32;
            }
        }
        w * sum
    }
}

impl Unlearn for CircuitBreakers {
    fn start(&self, _: &lobe_engine::Layout, params: &[f32], key: Key) -> Option<Vec<f32>> {
        let mut rng = key.child("jitter").rng();
        Some(params.iter().map(|p| p * (1.0 + self.jitter * rng.normal()) as f32).collect())
    }

    fn terms(&self, shape: Shape, _: Key) -> Result<Vec<Term>, ParamError> {
        positive("coefficient", self.coefficient)?;
        not_negative("forget_end", self.forget_end)?;
        not_negative("retain_end", self.retain_end)?;
        not_negative("jitter", self.jitter)?;
        let mut turned = self.layers.clone();
        if turned.is_empty() {
            turned = vec![shape.layers / 3, 2 * shape.layers / 3];
            turned.dedup();
        }
        let turned = blocks("layers", &turned, shape)?;
        let held = blocks("retain_layers", &self.retain_layers, shape)?;
        let a = self.coefficient;
        let away = Ramp { from: a, to: a * self.forget_end };
        let keep = Ramp { from: 0.0, to: a * self.retain_end };
        let forget = turned.iter().map(|layer| {
            let objective = Reroute { layer: *layer, weight: away };
            term(Side::Forget, 1.0 / turned.len() as f64, Box::new(objective))
        });
        let retain = held.iter().map(|layer| {
            let objective = Hold { layer: *layer, weight: keep };
            term(Side::Retain, 1.0 / held.len() as f64, Box::new(objective))
        });
        Ok(forget.chain(retain).collect())
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<CircuitBreakers>,
    build: |v| read::<CircuitBreakers>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
