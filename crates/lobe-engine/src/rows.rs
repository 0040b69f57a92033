//! Functions of a row of logits `[vocab]`, for objectives. They compute exponentials and sums in f64, so that a
//! value may be differentiated numerically; the training step's own cross-entropy computes in f32.
//!
//! All panic if lengths differ.

use crate::kernels::{Device, Kernels};

/// KL(uniform ‖ softmax(z)); `grad ← weight (softmax(z) − 1/n)`.
pub fn from_uniform(z: &[f32], weight: f64, grad: &mut [f32]) -> f64 {
    Device::from_uniform(z, weight, grad)
}

/// KL(softmax(teacher) ‖ softmax(z)); `grad ← weight (softmax(z) − softmax(teacher))`. `scratch` is
/// one more row.
pub fn divergence(z: &[f32], teacher: &[f32], weight: f64, grad: &mut [f32], scratch: &mut [f32]) -> f64 {
    Device::divergence(z, teacher, weight, grad, scratch)
}

/// s = Σ p ln p of p = softmax(z); `grad ← weight p (ln p − s)`.
pub fn negative_entropy(z: &[f32], weight: f64, grad: &mut [f32]) -> f64 {
    Device::negative_entropy(z, weight, grad)
}

/// `out ← scale · x`.
pub fn scaled(out: &mut [f32], x: &[f32], scale: f32) {
    Device::scaled(out, scale, x);
}

/// Cross-entropy of one row of logits under an added bias: returns lse(z + b) - (z + b)_y and adds
/// `scale (softmax(z + b) - onehot(y))` to `grad`. For fitting a bias to a frozen model.
pub fn bias_gradient(
    z: &[f32],
    bias: &[f32],
    y: usize,
    scale: f32,
    grad: &mut [f32],
    scratch: &mut [f32],
) -> f32 {
    Device::bias_gradient((z, bias), y, scale, grad, scratch)
}
