//! Activations, gates and element-wise functions of one variable.

use super::simd;
use crate::kernels::{Act, Function, Scales, Slope, ViewMut};

/// `(value, derivative)`.
#[inline(always)]
fn identity(u: f32) -> (f32, f32) {
    (u, 1.0)
}

/// `(value, derivative)`. What is not a number stays so: hiding it would hide its cause.
#[inline(always)]
fn relu(u: f32) -> (f32, f32) {
    if u <= 0.0 { (0.0, 0.0) } else { (u, 1.0) }
}

/// `(value, derivative)`.
#[inline(always)]
fn gelu(u: f32) -> (f32, f32) {
    let (erf, e) = simd::erf_exp(u * std::f32::consts::FRAC_1_SQRT_2);
    let phi = 0.5 + 0.5 * erf;
    (u * phi, (u * e).mul_add(0.398_942_3, phi))
}

/// `(value, derivative)`.
#[inline(always)]
fn gelu_tanh(u: f32) -> (f32, f32) {
    const C: f32 = 0.797_884_6;
    let inner = C * u * 0.044_715_f32.mul_add(u * u, 1.0);
    let t = simd::tanh(inner);
    let slope = C * (3.0 * 0.044_715_f32).mul_add(u * u, 1.0);
    (0.5 * u * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * u * (1.0 - t * t) * slope)
}

/// `(value, derivative)`.
#[inline(always)]
fn silu(u: f32) -> (f32, f32) {
    let s = simd::sigmoid(u);
    (u * s, s * u.mul_add(1.0 - s, 1.0))
}

/// `u ← act(u + b)`, `slope ← act'(u + b)`. Loops, not `for_each`: a closure that is not inlined is
/// compiled without the machine's vectors, and every `mul_add` in it becomes a call.
#[inline(always)]
fn with_slope(u: &mut [f32], b: Option<&[f32]>, slope: &mut [f32], n: usize, f: impl Fn(f32) -> (f32, f32)) {
    simd::on(
        #[inline(always)]
        || {
            for (u, s) in u.chunks_exact_mut(n).zip(slope.chunks_exact_mut(n)) {
                if let Some(b) = b {
                    for i in 0..n {
                        u[i] += b[i];
                    }
                }
                for i in 0..n {
                    (u[i], s[i]) = f(u[i]);
                }
            }
        },
    );
}

/// `u ← act(u + b)`.
#[inline(always)]
fn alone(u: &mut [f32], b: Option<&[f32]>, n: usize, f: impl Fn(f32) -> (f32, f32)) {
    simd::on(
        #[inline(always)]
        || {
            for u in u.chunks_exact_mut(n) {
                match b {
                    Some(b) => {
                        for i in 0..n {
                            u[i] = f(u[i] + b[i]).0;
                        }
                    }
                    None => {
                        for i in 0..n {
                            u[i] = f(u[i]).0;
                        }
                    }
                }
            }
        },
    );
}

pub(super) fn activate(u: &mut [f32], slope: Option<&mut [f32]>, b: Option<&[f32]>, n: usize, act: Act) {
    if n == 0 {
        return;
    }
    match (act, slope) {
        (Act::Identity, Some(s)) => with_slope(u, b, s, n, identity),
        (Act::Relu, Some(s)) => with_slope(u, b, s, n, relu),
        (Act::Gelu, Some(s)) => with_slope(u, b, s, n, gelu),
        (Act::GeluTanh, Some(s)) => with_slope(u, b, s, n, gelu_tanh),
        (Act::Silu, Some(s)) => with_slope(u, b, s, n, silu),
        (Act::Identity, None) => alone(u, b, n, identity),
        (Act::Relu, None) => alone(u, b, n, relu),
        (Act::Gelu, None) => alone(u, b, n, gelu),
        (Act::GeluTanh, None) => alone(u, b, n, gelu_tanh),
        (Act::Silu, None) => alone(u, b, n, silu),
    }
}

pub(super) fn activate_grad(mut dy: ViewMut<'_>, slope: Slope<'_>, by: Scales<'_>) {
    let (rows, n) = dy.shape();
    simd::on(
        #[inline(always)]
        || {
            for r in 0..rows {
                let (dy, f) = (&mut dy.row(r)[..n], by.at(r));
                if f == 0.0 {
                    dy.fill(0.0);
                    continue;
                }
                match &slope {
                    Slope::Kept(s) => {
                        let s = &s.row(r)[..n];
                        (0..n).for_each(|j| dy[j] *= s[j] * f);
                    }
                    Slope::Sign(y) => {
                        let y = &y.row(r)[..n];
                        (0..n).for_each(|j| dy[j] = if y[j] == 0.0 { 0.0 } else { dy[j] * f });
                    }
                }
            }
        },
    );
}

pub(super) fn gated(y: &mut [f32], x: &[f32], n: usize) {
    if n == 0 {
        return;
    }
    simd::on(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_exact_mut(n).zip(x.chunks_exact(2 * n)) {
                for i in 0..n {
                    y[i] = silu(x[i]).0 * x[n + i];
                }
            }
        },
    );
}

pub(super) fn gated_grad(dx: &mut [f32], dy: &[f32], x: &[f32], n: usize) {
    if n == 0 {
        return;
    }
    simd::on(
        #[inline(always)]
        || {
            for ((dx, x), dy) in dx.chunks_exact_mut(2 * n).zip(x.chunks_exact(2 * n)).zip(dy.chunks_exact(n))
            {
                for i in 0..n {
                    let (value, slope) = silu(x[i]);
                    dx[i] = dy[i] * x[n + i] * slope;
                    dx[n + i] = dy[i] * value;
                }
            }
        },
    );
}

/// `(value, derivative)` at x.
#[inline(always)]
fn both(f: Function, x: f32) -> (f32, f32) {
    match f {
        Function::Scale(s) => (s * x, s),
        Function::Shift(s) => (x + s, 1.0),
        Function::Abs => (x.abs(), if x == 0.0 { 0.0 } else { x.signum() }),
        Function::Square => (x * x, 2.0 * x),
        Function::Sqrt => (x.sqrt(), 0.5 / x.sqrt()),
        Function::Exp => (x.exp(), x.exp()),
        Function::Log => (x.ln(), 1.0 / x),
        Function::Softplus => (x.max(0.0) + (-x.abs()).exp().ln_1p(), simd::sigmoid(x)),
        Function::Relu => relu(x),
        Function::Sigmoid => {
            let s = simd::sigmoid(x);
            (s, s * (1.0 - s))
        }
        Function::Tanh => {
            let t = simd::tanh(x);
            (t, 1.0 - t * t)
        }
        Function::Gelu => gelu(x),
        Function::GeluTanh => gelu_tanh(x),
        Function::Silu => silu(x),
    }
}

pub(super) fn map(y: &mut [f32], x: &[f32], f: Function) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = both(f, *x).0);
}

pub(super) fn map_grad(g: &mut [f32], x: &[f32], f: Function) {
    g.iter_mut().zip(x).for_each(|(g, x)| *g *= both(f, *x).1);
}
