//! What the methods share: objectives, the retain side, and checks of ranges.
//!
//! Means are over the whole batch: each shard adds its sum divided by the batch's count.

use lobe_engine::rows;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Objective, Reads, Shape, Side, Term, View};
use lobe_core::registry::ParamError;

/// What keeps the rest of the model where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Retain {
    /// The ordinary loss on retain data.
    #[default]
    Loss,
    /// KL(before ‖ now) on retain data.
    Kl,
}

/// `gamma` · forget + `alpha` · retain; a side with weight 0 is left out.
pub(super) fn sides(
    (gamma, forget): (f64, Box<dyn Objective>),
    (alpha, retain): (f64, Retain),
) -> Result<Vec<Term>, ParamError> {
    not_negative("gamma", gamma)?;
    not_negative("alpha", alpha)?;
    let keep: Box<dyn Objective> = match retain {
        Retain::Loss => Box::new(MeanLoss { sign: 1.0 }),
        Retain::Kl => Box::new(ToReference { lower: 0.0 }),
    };
    let both = [term(Side::Forget, gamma, forget), term(Side::Retain, alpha, keep)];
    Ok(both.into_iter().filter(|t| t.weight != 0.0).collect())
}

pub(super) fn term(side: Side, weight: f64, objective: Box<dyn Objective>) -> Term {
    Term { side, weight: weight as f32, objective }
}

/// sign · mean over tokens of −log p(token).
pub(super) struct MeanLoss {
    pub(super) sign: f64,
}

impl Objective for MeanLoss {
    fn reads(&self) -> Reads {
        Reads::MeanLoss
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let w = self.sign / view.rows as f64;
        let mut sum = 0.0;
        for r in view.counted() {
            sum += f64::from(view.values[r]);
            grad[r] = w as f32;
        }
        w * sum
    }
}

/// Mean over tokens of KL(q ‖ p), q the softmax of the reference logits after the true token's logit
/// was lowered by `lower`. The derivative with respect to the logits is p − q.
pub(super) struct ToReference {
    pub(super) lower: f64,
}

impl Objective for ToReference {
    fn reads(&self) -> Reads {
        Reads::Logits
    }
    fn needs_reference(&self) -> bool {
        true
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = view.rows as f64;
        let (mut teacher, mut scratch) = (vec![0.0f32; view.cols], vec![0.0f32; view.cols]);
        let mut sum = 0.0;
        for r in view.counted() {
            teacher.copy_from_slice(view.reference_row(r));
            teacher[view.targets[r] as usize] -= self.lower as f32;
            let grad = &mut grad[r * view.cols..][..view.cols];
            sum += rows::divergence(view.row(r), &teacher, 1.0 / n, grad, &mut scratch);
        }
        sum / n
    }
}

/// Mean over tokens and dimensions of (h − h_ref)² after block `layer`.
pub(super) struct HiddenSquared {
    pub(super) layer: usize,
}

impl Objective for HiddenSquared {
    fn reads(&self) -> Reads {
        Reads::Hidden { layer: self.layer }
    }
    fn needs_reference(&self) -> bool {
        true
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = (view.rows * view.cols) as f64;
        let mut sum = 0.0;
        for r in view.counted() {
            let out = &mut grad[r * view.cols..][..view.cols];
            for ((h, h0), g) in view.row(r).iter().zip(view.reference_row(r)).zip(out) {
                let d = f64::from(*h) - f64::from(*h0);
                sum += d * d;
                *g = (2.0 * d / n) as f32;
            }
        }
        sum / n
    }
}

/// log(1 + eˣ) = −log σ(−x).
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// 1 / (1 + e⁻ˣ), the derivative of [`softplus`].
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub(super) fn norm(row: &[f32]) -> f64 {
    row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

pub(super) fn positive(path: &str, x: f64) -> Result<(), ParamError> {
    if x > 0.0 && x.is_finite() { Ok(()) } else { refuse(path, format!("{x} is not greater than 0")) }
}

pub(super) fn not_negative(path: &str, x: f64) -> Result<(), ParamError> {
    if x >= 0.0 && x.is_finite() { Ok(()) } else { refuse(path, format!("{x} is not 0 or greater")) }
}

/// A block that exists.
pub(super) fn block(path: &str, layer: usize, shape: Shape) -> Result<usize, ParamError> {
    if layer < shape.layers {
        return Ok(layer);
    }
    refuse(path, format!("no block {layer}: the network has {}, counted from 0", shape.layers))
}

/// The blocks named, or all of them when none is.
pub(super) fn blocks(path: &str, layers: &[usize], shape: Shape) -> Result<Vec<usize>, ParamError> {
    if layers.is_empty() {
        return Ok((0..shape.layers).collect());
    }
    layers.iter().map(|l| block(path, *l, shape)).collect()
}

pub(super) fn refuse<T>(path: &str, message: String) -> Result<T, ParamError> {
    Err(ParamError { path: path.to_owned(), message })
}
