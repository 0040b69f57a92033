//! Updates of optimisers, in f64.

use super::set;
use crate::kernels::{AdamStep, Blend, Descent};

pub(super) fn sgd(p: &mut [f32], mut m: Option<&mut [f32]>, g: &[f32], step: &Descent) {
    let [lr, decay, shrink, momentum] = [step.lr, step.decay, step.shrink, step.momentum].map(f64::from);
    for i in 0..p.len() {
        let mut d = f64::from(g[i]) * shrink + decay * f64::from(p[i]);
        if let Some(m) = &mut m {
            d += momentum * f64::from(m[i]);
            m[i] = d as f32;
        }
        set(&mut p[i], |p| p - lr * d);
    }
}

pub(super) fn blend(x: &mut [f32], m: &mut [f32], g: &[f32], how: &Blend) {
    let (momentum, shrink) = (f64::from(how.momentum), f64::from(how.shrink));
    for i in 0..x.len() {
        let d = f64::from(g[i]) * shrink;
        let mean = momentum * f64::from(m[i]) + (1.0 - momentum) * d;
        m[i] = mean as f32;
        x[i] = if how.nesterov { momentum * mean + (1.0 - momentum) * d } else { mean } as f32;
    }
}

/// Adam; the largest second moment so far stands in place of the present one where `(w, true)`.
pub(super) fn adam(
    p: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    (w, largest): (&mut [f32], bool),
    g: &[f32],
    step: &AdamStep,
) {
    let [beta1, beta2, c1, c2] =
        [step.betas[0], step.betas[1], step.unbias[0], step.unbias[1]].map(f64::from);
    for i in 0..p.len() {
        let d = f64::from(g[i]) * f64::from(step.shrink) + f64::from(step.l2) * f64::from(p[i]);
        let first = beta1 * f64::from(m[i]) + (1.0 - beta1) * d;
        let second = beta2 * f64::from(v[i]) + (1.0 - beta2) * d * d;
        let most = if largest { second.max(f64::from(w[i])) } else { second };
        (m[i], v[i], w[i]) = (first as f32, second as f32, most as f32);
        let along = first * c1 / ((most * c2).sqrt() + f64::from(step.eps));
        set(&mut p[i], |p| p * f64::from(step.keep) - f64::from(step.lr) * along);
    }
}
