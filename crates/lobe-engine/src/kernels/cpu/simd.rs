//! Loops compiled once per instruction set and chosen at run time, and the functions that they are made of.
//!
//! A kernel is an ordinary loop over slices; [`on`] compiles it with the widest vectors the
//! machine has (AVX-512, AVX2+FMA, NEON, or plain), so no intrinsics and no `unsafe` are needed.

use pulp::Arch;

/// Runs `f` compiled for the best instruction set of this machine. `f` and what it calls must be
/// `#[inline(always)]` to profit. For loops that are no kernel: those of an optimiser's rule, for instance.
#[inline]
pub fn on<R>(f: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(f)
}

/// Partial sums per reduction: 16 lanes, so that the compiler may vectorise without reassociating.
pub(super) const LANES: usize = 16;

/// exp(x) to 2 ulp on [-87, 88], clamped outside (Cephes polynomial).
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2^23 rounds to an integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4_f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 0.166_666_66);
    p = p.mul_add(r, 0.5);
    let p = (p * r).mul_add(r, r) + 1.0;
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// tanh(x).
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    // Below 0.04 the quotient cancels; the odd series is exact to f32 there.
    let t = 2.0 * sigmoid(2.0 * x) - 1.0;
    let series = x * (1.0 - x * x * (1.0 / 3.0));
    if x.abs() < 0.04 { series } else { t }
}

/// erf(z) and e^(-z²) (Abramowitz and Stegun 7.1.26, |error| < 1.5e-7).
#[inline(always)]
pub(super) fn erf_exp(z: f32) -> (f32, f32) {
    let e = exp(-z * z);
    let a = z.abs();
    let t = 1.0 / 0.327_591_1_f32.mul_add(a, 1.0);
    let mut p = 1.061_405_4_f32;
    p = p.mul_add(t, -1.453_152);
    p = p.mul_add(t, 1.421_413_7);
    p = p.mul_add(t, -0.284_496_73);
    p = p.mul_add(t, 0.254_829_6);
    let erf = 1.0 - p * t * e;
    (if z < 0.0 { -erf } else { erf }, e)
}

/// Sum of `f` over slices of one length, in [`LANES`] interleaved partial sums. Whole chunks, not indices: a
/// bounds check in the loop would keep it from being vectorised.
#[inline(always)]
pub(super) fn sum<const N: usize>(xs: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let n = xs[0].len();
    let whole = n - n % LANES;
    let mut s = [0f32; LANES];
    for i in (0..whole).step_by(LANES) {
        let mut chunk = [[0f32; LANES]; N];
        for k in 0..N {
            chunk[k].copy_from_slice(&xs[k][i..i + LANES]);
        }
        for l in 0..LANES {
            let mut at = [0f32; N];
            for k in 0..N {
                at[k] = chunk[k][l];
            }
            s[l] += f(at);
        }
    }
    let mut tail = 0.0;
    for i in whole..n {
        let mut at = [0f32; N];
        for k in 0..N {
            at[k] = xs[k][i];
        }
        tail += f(at);
    }
    s.iter().sum::<f32>() + tail
}

/// `x ← exp(x − shift)`; returns the sum of the new values, in the order of [`sum`].
#[inline(always)]
pub(super) fn exp_sum(x: &mut [f32], shift: f32) -> f32 {
    let mut s = [0f32; LANES];
    let mut chunks = x.chunks_exact_mut(LANES);
    for c in &mut chunks {
        for l in 0..LANES {
            c[l] = exp(c[l] - shift);
            s[l] += c[l];
        }
    }
    let mut tail = 0.0;
    for x in chunks.into_remainder() {
        *x = exp(*x - shift);
        tail += *x;
    }
    s.iter().sum::<f32>() + tail
}

/// Maximum of `x`; -inf when empty.
#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let mut m = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for c in chunks {
        for l in 0..LANES {
            m[l] = if c[l] > m[l] { c[l] } else { m[l] };
        }
    }
    let top = m.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    rest.iter().fold(top, |a, &b| a.max(b))
}

/// `y += x`.
pub(super) fn add(y: &mut [f32], x: &[f32]) {
    debug_assert_eq!(y.len(), x.len());
    on(
        #[inline(always)]
        || {
            for (y, x) in y.iter_mut().zip(x) {
                *y += x;
            }
        },
    );
}

/// `y = s x`.
pub(super) fn scaled(y: &mut [f32], s: f32, x: &[f32]) {
    let n = y.len();
    let x = &x[..n];
    on(
        #[inline(always)]
        || {
            for i in 0..n {
                y[i] = s * x[i];
            }
        },
    );
}

/// `y *= s`.
pub(super) fn scale(y: &mut [f32], s: f32) {
    on(
        #[inline(always)]
        || {
            for y in y.iter_mut() {
                *y *= s;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_match_the_standard_library() {
        for i in -4000..4000 {
            let x = i as f32 / 100.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-6, "exp {x}");
            assert!((tanh(x) - x.tanh()).abs() < 3e-7, "tanh {x}");
            assert!((sigmoid(x) - 1.0 / (1.0 + (-x).exp())).abs() < 3e-7);
        }
        // Reference values of erf (Abramowitz and Stegun, table 7.1).
        for (z, want) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3)] {
            assert!((erf_exp(z).0 - want).abs() < 3e-7 && (erf_exp(-z).0 + want).abs() < 3e-7);
        }
    }
}
