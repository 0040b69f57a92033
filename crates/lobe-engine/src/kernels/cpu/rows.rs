//! Functions of a row of logits `[vocab]`. Those for objectives compute exponentials
//! and sums in f64, so that a value may be differentiated numerically; the training step's own
//! cross-entropy computes in f32.

use super::simd::{self, LANES};

/// exp(x) to 2e-11 on [-700, 700], clamped outside.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // Adding 1.5 · 2^52 rounds to an integer, which then stands in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = x.clamp(-700.0, 700.0);
    let shifted = x.mul_add(std::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-std::f64::consts::LN_2, x);
    let mut p = 1.0 / 362_880.0;
    p = r.mul_add(p, 1.0 / 40_320.0);
    p = r.mul_add(p, 1.0 / 5_040.0);
    p = r.mul_add(p, 1.0 / 720.0);
    p = r.mul_add(p, 1.0 / 120.0);
    p = r.mul_add(p, 1.0 / 24.0);
    p = r.mul_add(p, 1.0 / 6.0);
    p = r.mul_add(p, 0.5);
    p = r.mul_add(p, 1.0);
    p = r.mul_add(p, 1.0);
    p * f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

/// `f(i, out[i])` for every element; returns the sums of the two numbers it gives back, each in
/// [`LANES`] interleaved partial sums.
#[inline(always)]
fn fold(out: &mut [f32], f: impl Fn(usize, &mut f32) -> (f64, f64)) -> (f64, f64) {
    let (mut a, mut b) = ([0f64; LANES], [0f64; LANES]);
    let whole = out.len() - out.len() % LANES;
    let (head, tail) = out.split_at_mut(whole);
    for (c, out) in head.chunks_exact_mut(LANES).enumerate() {
        for l in 0..LANES {
            let (x, y) = f(c * LANES + l, &mut out[l]);
            a[l] += x;
            b[l] += y;
        }
    }
    for (l, out) in tail.iter_mut().enumerate() {
        let (x, y) = f(whole + l, out);
        a[l] += x;
        b[l] += y;
    }
    (a.iter().sum(), b.iter().sum())
}

/// `out ← softmax(z)`; returns ln Σ exp(z).
#[inline(always)]
fn softmax_row(z: &[f32], out: &mut [f32]) -> f64 {
    let z = &z[..out.len()];
    let top = f64::from(simd::max(z));
    let (total, _) = fold(
        out,
        #[inline(always)]
        |i, out| {
            let e = exp(f64::from(z[i]) - top);
            *out = e as f32;
            (e, 0.0)
        },
    );
    let s = (1.0 / total) as f32;
    for x in out.iter_mut() {
        *x *= s;
    }
    top + total.ln()
}

/// KL(uniform ‖ softmax(z)); `grad ← weight (softmax(z) − 1/n)`.
///
/// # Panics
/// If the lengths differ, as everywhere here.
pub(super) fn from_uniform(z: &[f32], weight: f64, grad: &mut [f32]) -> f64 {
    assert_eq!(z.len(), grad.len());
    let n = z.len() as f64;
    simd::on(
        #[inline(always)]
        || {
            let log_z = softmax_row(z, grad);
            let (w, even) = (weight as f32, (1.0 / n) as f32);
            let (sum, _) = fold(
                grad,
                #[inline(always)]
                |i, g| {
                    *g = w * (*g - even);
                    (f64::from(z[i]), 0.0)
                },
            );
            log_z - sum / n - n.ln()
        },
    )
}

/// KL(softmax(teacher) ‖ softmax(z)); `grad ← weight (softmax(z) − softmax(teacher))`. `scratch` is
/// one more row.
pub(super) fn divergence(
    z: &[f32],
    teacher: &[f32],
    weight: f64,
    grad: &mut [f32],
    scratch: &mut [f32],
) -> f64 {
    assert!(z.len() == grad.len() && teacher.len() == grad.len() && scratch.len() == grad.len());
    simd::on(
        #[inline(always)]
        || {
            let (log_z, log_t) = (softmax_row(z, grad), softmax_row(teacher, scratch));
            let (w, q) = (weight as f32, &scratch[..grad.len()]);
            let (sum, _) = fold(
                grad,
                #[inline(always)]
                |i, g| {
                    *g = w * (*g - q[i]);
                    let (log_p, log_q) = (f64::from(z[i]) - log_z, f64::from(teacher[i]) - log_t);
                    (f64::from(q[i]) * (log_q - log_p), 0.0)
                },
            );
            sum
        },
    )
}

/// s = Σ p ln p of p = softmax(z); `grad ← weight p (ln p − s)`.
pub(super) fn negative_entropy(z: &[f32], weight: f64, grad: &mut [f32]) -> f64 {
    assert_eq!(z.len(), grad.len());
    simd::on(
        #[inline(always)]
        || {
            let top = f64::from(simd::max(z));
            let (total, dot) = fold(
                grad,
                #[inline(always)]
                |i, g| {
                    let x = f64::from(z[i]) - top;
                    let e = exp(x);
                    *g = e as f32;
                    (e, e * x)
                },
            );
            let log_z = total.ln();
            let s = dot / total - log_z;
            let w = weight / total;
            fold(
                grad,
                #[inline(always)]
                |i, g| {
                    *g = (w * f64::from(*g) * (f64::from(z[i]) - top - log_z - s)) as f32;
                    (0.0, 0.0)
                },
            );
            s
        },
    )
}

/// Cross-entropy of one row of logits under an added bias: returns lse(z + b) - (z + b)_y and adds
/// `scale (softmax(z + b) - onehot(y))` to `grad`. For fitting a bias to a frozen model.
pub(super) fn bias_gradient(
    (z, bias): (&[f32], &[f32]),
    y: usize,
    scale: f32,
    grad: &mut [f32],
    scratch: &mut [f32],
) -> f32 {
    let n = z.len();
    simd::on(
        #[inline(always)]
        || {
            for i in 0..n {
                scratch[i] = z[i] + bias[i];
            }
            let loss = cross_entropy(&mut scratch[..n], y, scale);
            for i in 0..n {
                grad[i] += scratch[i];
            }
            loss
        },
    )
}

/// `z ← weight (softmax(z) - onehot(y))`; returns lse(z) - z_y.
#[inline(always)]
pub(super) fn cross_entropy(z: &mut [f32], y: usize, weight: f32) -> f32 {
    let zy = z[y];
    let top = simd::max(z);
    let total = simd::exp_sum(z, top);
    let s = weight / total;
    for x in z.iter_mut() {
        *x *= s;
    }
    z[y] -= weight;
    top + total.ln() - zy
}

/// lse(z) - z_y, and whether no logit is larger than z_y: the same sums as [`cross_entropy`], without its
/// gradient.
#[inline(always)]
pub(super) fn surprise(z: &[f32], y: usize) -> (f32, bool) {
    let (lse, top) = log_sum_exp(z);
    (lse - z[y], z[y] >= top)
}

/// ln Σ exp(z) in f32, and the largest of z.
#[inline(always)]
pub(super) fn log_sum_exp(z: &[f32]) -> (f32, f32) {
    let top = simd::max(z);
    let total = simd::sum(
        [z],
        #[inline(always)]
        |[z]| simd::exp(z - top),
    );
    (top + total.ln(), top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for i in -70_000..70_000 {
            let x = f64::from(i) / 100.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 2e-11, "exp {x}");
        }
        assert!(exp(f64::NEG_INFINITY) < 1e-300 && exp(f64::NAN).is_nan());
    }

    #[test]
    fn rows_of_any_length_agree_with_the_definitions() {
        for n in [1, 5, 16, 37] {
            let at = |f: fn(f32) -> f32| (0..n).map(|i| f(i as f32)).collect::<Vec<f32>>();
            let (z, t) = (at(|i| (0.7 * i).sin() * 3.0), at(|i| (1.3 * i).cos() * 2.0));
            let log_sum = |x: &[f32]| x.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
            let log_p = |x: &[f32]| x.iter().map(|v| f64::from(*v) - log_sum(x)).collect::<Vec<f64>>();
            let (p, q) = (log_p(&z), log_p(&t));
            let (mut g, mut scratch) = (vec![0.0; n], vec![0.0; n]);
            let close = |what: &str, found: f64, g: &[f32], value: f64, grad: &dyn Fn(usize) -> f64| {
                assert!((found - value).abs() < 1e-6, "{what} {n}: {found}, {value}");
                let off = |i: usize| (f64::from(g[i]) - grad(i)).abs();
                assert!((0..n).all(|i| off(i) < 1e-6), "{what} {n}");
            };
            let found = from_uniform(&z, 0.5, &mut g);
            let even = 1.0 / n as f64;
            let value = p.iter().map(|p| even * (even.ln() - p)).sum();
            close("from uniform", found, &g, value, &|i| 0.5 * (p[i].exp() - even));
            let found = divergence(&z, &t, 2.0, &mut g, &mut scratch);
            let value = p.iter().zip(&q).map(|(p, q)| q.exp() * (q - p)).sum();
            close("divergence", found, &g, value, &|i| 2.0 * (p[i].exp() - q[i].exp()));
            let found = negative_entropy(&z, 0.5, &mut g);
            let s: f64 = p.iter().map(|p| p.exp() * p).sum();
            close("negative entropy", found, &g, s, &|i| 0.5 * p[i].exp() * (p[i] - s));
        }
    }
}
