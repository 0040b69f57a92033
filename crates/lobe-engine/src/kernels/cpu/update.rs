//! Updates of optimisers.

use super::simd;
use crate::kernels::{AdamStep, Blend, Descent};

pub(super) fn sgd(p: &mut [f32], m: Option<&mut [f32]>, gradient: &[f32], step: &Descent) {
    let Descent { lr, decay, shrink, momentum } = *step;
    let n = p.len();
    let gradient = &gradient[..n];
    let Some(m) = m else {
        return simd::on(
            #[inline(always)]
            || {
                for i in 0..n {
                    p[i] -= lr * gradient[i].mul_add(shrink, decay * p[i]);
                }
            },
        );
    };
    let m = &mut m[..n];
    simd::on(
        #[inline(always)]
        || {
            for i in 0..n {
                let g = gradient[i].mul_add(shrink, decay * p[i]);
                m[i] = momentum.mul_add(m[i], g);
                p[i] -= lr * m[i];
            }
        },
    );
}

pub(super) fn adam(p: &mut [f32], [m, v]: [&mut [f32]; 2], gradient: &[f32], step: &AdamStep) {
    let AdamStep { lr, shrink, l2, keep, betas: [beta1, beta2], unbias: [c1, c2], eps } = *step;
    let n = p.len();
    let (gradient, m, v) = (&gradient[..n], &mut m[..n], &mut v[..n]);
    simd::on(
        #[inline(always)]
        || {
            for i in 0..n {
                let g = gradient[i].mul_add(shrink, l2 * p[i]);
                m[i] = (g - m[i]).mul_add(1.0 - beta1, m[i]);
                v[i] = (g * g - v[i]).mul_add(1.0 - beta2, v[i]);
                p[i] = p[i] * keep - lr * (m[i] * c1) / ((v[i] * c2).sqrt() + eps);
            }
        },
    );
}

pub(super) fn amsgrad(p: &mut [f32], [m, v, w]: [&mut [f32]; 3], gradient: &[f32], step: &AdamStep) {
    let AdamStep { lr, shrink, keep, betas: [beta1, beta2], unbias: [c1, c2], eps, .. } = *step;
    let n = p.len();
    let (gradient, m, v, w) = (&gradient[..n], &mut m[..n], &mut v[..n], &mut w[..n]);
    simd::on(
        #[inline(always)]
        || {
            for i in 0..n {
                let g = gradient[i] * shrink;
                m[i] = (g - m[i]).mul_add(1.0 - beta1, m[i]);
                v[i] = (g * g - v[i]).mul_add(1.0 - beta2, v[i]);
                // Not `max`, which would hide what is not a number.
                w[i] = if v[i] <= w[i] { w[i] } else { v[i] };
                p[i] = p[i] * keep - lr * (m[i] * c1) / ((w[i] * c2).sqrt() + eps);
            }
        },
    );
}

pub(super) fn blend(x: &mut [f32], m: &mut [f32], gradient: &[f32], how: &Blend) {
    let Blend { momentum, shrink, nesterov } = *how;
    let n = x.len();
    let (m, gradient) = (&mut m[..n], &gradient[..n]);
    simd::on(
        #[inline(always)]
        || {
            for i in 0..n {
                let g = gradient[i] * shrink;
                m[i] = (g - m[i]).mul_add(1.0 - momentum, m[i]);
                x[i] = if nesterov { (m[i] - g).mul_add(momentum, g) } else { m[i] };
            }
        },
    );
}

pub(super) fn follow(p: &mut [f32], x: &[f32], keep: f32, lr: f32) {
    let n = p.len();
    let x = &x[..n];
    simd::on(
        #[inline(always)]
        || {
            for i in 0..n {
                p[i] = p[i] * keep - lr * x[i];
            }
        },
    );
}
