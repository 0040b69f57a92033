//! UNDO: unlearn, noise, distil on outputs.
//!
//! Equation: the student starts at θ₀ = (1 − α) θ_u + α β N, N Xavier-uniform for matrices and zero for
//! vectors, and is trained on KL(teacher ‖ student) over forget and retain data; θ_u, the arm it goes on
//! from, is an unlearned model and the teacher. It stops when the retain loss is within 5 % of the teacher's.
//! Paper: Lee et al. 2025 (arXiv 2506.06278) §3. `fresh` distils into a newly drawn network instead.
//! Unusual: the teacher's outputs are computed once; the noise has a key of its own.
//! Fails: α buys robustness with compute; with α = 1 every gain is zero and nothing can be learned (use
//! `fresh`). What the teacher still knows is distilled with the rest.

use lobe_engine::Layout;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{ToReference, refuse, term};
use super::{Shape, Side, Term, Unlearn};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "undo",
    summary: "adds noise to the weights of an unlearned model and distils its outputs back into them",
    reference: "Lee et al. 2025, arXiv 2506.06278, §3",
    unusual: "starts from an unlearned arm, which is also the teacher; the teacher's outputs are computed once",
    fails: "robustness costs compute; what the teacher still knows is distilled as well",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Undo {
    /// Fraction of each weight that noise replaces, 0 to 1.
    pub alpha: f64,
    /// Size of the noise.
    pub beta: f64,
    /// Whether the student is a newly drawn network (unlearn-and-distil).
    pub fresh: bool,
    /// Weight of the forget data in the distillation.
    pub forget_weight: f64,
    /// Stop when the retain loss is at most this many times the teacher's; 0 never stops early.
    pub stop_within: f64,
}

impl Default for Undo {
    fn default() -> Self {
        Undo { alpha: 0.6, beta: 0.1, fresh: false, forget_weight: 1.0, stop_within: 1.05 }
    }
}

/// θ ← (1 − α) θ + α β N, N ~ U(±√(6 / (rows + cols))) for matrices, 0 for vectors.
fn noised(layout: &Layout, params: &[f32], alpha: f64, beta: f64, key: lobe_core::Key) -> Vec<f32> {
    let mut out: Vec<f32> = params.iter().map(|p| (f64::from(*p) * (1.0 - alpha)) as f32).collect();
    for t in layout.tensors().iter().filter(|t| t.rows > 1 && t.cols > 1) {
        let bound = (6.0 / (t.rows + t.cols) as f64).sqrt();
        let mut rng = key.child(&t.name).rng();
        for x in &mut out[t.span()] {
            *x += (alpha * beta * bound * (2.0 * rng.uniform() - 1.0)) as f32;
        }
    }
    out
}

impl Unlearn for Undo {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        for (path, x) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(0.0..=1.0).contains(&x) {
                refuse(path, format!("{x} is not in 0 to 1"))?;
            }
        }
        if self.stop_within != 0.0 && self.stop_within < 1.0 {
            refuse("stop_within", format!("{} is neither 0 nor 1 or more", self.stop_within))?;
        }
        let kl = || Box::new(ToReference { lower: 0.0 });
        let both = [term(Side::Forget, self.forget_weight, kl()), term(Side::Retain, 1.0, kl())];
        Ok(both.into_iter().filter(|t| t.weight != 0.0).collect())
    }

    fn start(&self, layout: &Layout, params: &[f32], key: lobe_core::Key) -> Option<Vec<f32>> {
        if self.fresh {
            return Some(layout.init(key).to_vec());
        }
        Some(noised(layout, params, self.alpha, self.beta, key))
    }

    fn stop_within(&self) -> Option<f64> {
        (self.stop_within > 0.0).then_some(self.stop_within)
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<Undo>,
    build: |v| read::<Undo>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_noise_is_the_teacher_and_vectors_only_shrink() {
        let mut l = Layout::default();
        let w = l.tensor("w", 2, 3).add();
        let v = l.tensor("v", 1, 3).add();
        let params: Vec<f32> = (1..=9).map(|i| i as f32).collect();
        let key = lobe_core::Key::root(1);
        assert_eq!(noised(&l, &params, 0.0, 1.0, key), params);
        let half = noised(&l, &params, 0.5, 0.1, key);
        assert_eq!(half[l.get(v).span()], [3.5, 4.0, 4.5]);
        let bound = 0.5 * 0.1 * (6.0f32 / 5.0).sqrt();
        let moved = |i: usize| (half[i] - 0.5 * params[i]).abs();
        assert!(l.get(w).span().all(|i| moved(i) <= bound && moved(i) > 0.0));
        assert_eq!(noised(&l, &params, 0.5, 0.1, key), half);
    }
}
