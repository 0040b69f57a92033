//! Losses row by row: cross-entropy, divergence to a teacher, distances, L1.

use super::rows;
use super::simd;
use crate::kernels::{Distance, Picked, Scales, View, ViewMut};

pub(super) fn cross_entropy(mut z: ViewMut<'_>, of: Picked<'_>, mut losses: Option<ViewMut<'_>>) {
    simd::on(
        #[inline(always)]
        || {
            for (i, r) in of.rows.iter().enumerate() {
                let r = *r as usize;
                let loss = rows::cross_entropy(z.row(i), of.targets[r] as usize, of.weights.at(r));
                if let Some(losses) = &mut losses {
                    losses.row(r)[0] = loss;
                }
            }
        },
    );
}

pub(super) fn surprise(z: View<'_>, of: Picked<'_>, mut losses: ViewMut<'_>) {
    simd::on(
        #[inline(always)]
        || {
            for (i, r) in of.rows.iter().enumerate() {
                let r = *r as usize;
                let (loss, right) = rows::surprise(z.row(i), of.targets[r] as usize);
                let to = losses.row(r);
                to[0] = loss;
                if let Some(to) = to.get_mut(1) {
                    *to = f32::from(right);
                }
            }
        },
    );
}

pub(super) fn teach(
    mut z: ViewMut<'_>,
    rows: &[u32],
    teacher: View<'_>,
    weights: Scales<'_>,
    out: &mut [f32],
) {
    simd::on(
        #[inline(always)]
        || {
            for (i, r) in rows.iter().enumerate() {
                let r = *r as usize;
                out[r] = teach_row(z.row(i), teacher.row(r), weights.at(r));
            }
        },
    );
}

/// `z ← weight (softmax(z) - softmax(p))`; returns Σ softmax(p) (log softmax(p) - log softmax(z)).
#[inline(always)]
fn teach_row(z: &mut [f32], p: &[f32], weight: f32) -> f32 {
    let (lz, lp) = (rows::log_sum_exp(z).0, rows::log_sum_exp(p).0);
    let kl = simd::sum(
        [p, z],
        #[inline(always)]
        |[p, z]| simd::exp(p - lp) * ((p - lp) - (z - lz)),
    );
    for (z, p) in z.iter_mut().zip(p) {
        *z = weight * (simd::exp(*z - lz) - simd::exp(*p - lp));
    }
    kl
}

pub(super) fn distance(
    out: &mut [f32],
    mut g: Option<&mut [f32]>,
    x: View<'_>,
    target: View<'_>,
    kind: Distance,
    weights: Scales<'_>,
) {
    let (rows, cols) = x.shape();
    simd::on(
        #[inline(always)]
        || {
            for r in 0..rows {
                let (x, t, w) = (&x.row(r)[..cols], &target.row(r)[..cols], weights.at(r));
                out[2 * r] = simd::sum(
                    [x, t],
                    #[inline(always)]
                    |[x, t]| (x - t) * (x - t),
                );
                out[2 * r + 1] = simd::sum(
                    [x, t],
                    #[inline(always)]
                    |[x, t]| (x - t).abs(),
                );
                let Some(g) = g.as_deref_mut().filter(|_| w != 0.0) else { continue };
                let g = &mut g[r * cols..][..cols];
                match kind {
                    Distance::Squared => (0..cols).for_each(|i| g[i] += 2.0 * w * (x[i] - t[i])),
                    Distance::Absolute => (0..cols).for_each(|i| {
                        let e = x[i] - t[i];
                        g[i] += if e > 0.0 {
                            w
                        } else if e < 0.0 {
                            -w
                        } else {
                            0.0
                        };
                    }),
                }
            }
        },
    );
}

pub(super) fn l1(mut g: Option<&mut [f32]>, x: View<'_>, weights: Scales<'_>) -> (f64, f64) {
    let (rows, cols) = x.shape();
    let (mut total, mut weighted) = (0.0, 0.0);
    for r in 0..rows {
        let (w, x) = (weights.at(r), x.row(r));
        if w != 0.0 {
            let sum: f64 = x.iter().map(|v| f64::from(v.abs())).sum();
            total += sum;
            weighted += f64::from(w) * sum;
        }
        if let Some(g) = g.as_deref_mut() {
            let sign = |v: f32| f32::from(i8::from(v > 0.0) - i8::from(v < 0.0));
            g[r * cols..][..cols].iter_mut().zip(x).for_each(|(g, v)| *g = w * sign(*v));
        }
    }
    (total, weighted)
}
