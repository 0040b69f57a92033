//! Functions of a number or of a row, in f64.

use crate::kernels::{Act, Function, Pair};

/// A slice in f64.
pub(super) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

/// erf(z) by its series with positive terms: 2/√π e^(-z²) Σ 2ⁿ z^(2n+1) / (2n+1)!!.
fn erf(z: f64) -> f64 {
    // Beyond 6 it is 1 to the last digit of an f64.
    if z.abs() > 6.0 {
        return z.signum();
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..400 {
        term *= 2.0 * z * z / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-z * z).exp() * sum
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `(value, derivative)` of an activation at u.
pub(super) fn activation(act: Act, u: f64) -> (f64, f64) {
    match act {
        Act::Identity => (u, 1.0),
        Act::Relu => (u.max(0.0), if u > 0.0 { 1.0 } else { 0.0 }),
        Act::Gelu => {
            let phi = 0.5 * (1.0 + erf(u / 2f64.sqrt()));
            (u * phi, phi + u * (-0.5 * u * u).exp() / (2.0 * std::f64::consts::PI).sqrt())
        }
        Act::GeluTanh => {
            let c = (2.0 / std::f64::consts::PI).sqrt();
            let t = (c * (u + 0.044715 * u.powi(3))).tanh();
            let inner = c * (1.0 + 3.0 * 0.044715 * u * u);
            (0.5 * u * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * u * (1.0 - t * t) * inner)
        }
        Act::Silu => (u * sigmoid(u), sigmoid(u) * (1.0 + u * (1.0 - sigmoid(u)))),
    }
}

/// `(value, derivative)` of a function at x.
pub(super) fn function(f: Function, x: f64) -> (f64, f64) {
    match f {
        Function::Scale(s) => (f64::from(s) * x, f64::from(s)),
        Function::Shift(s) => (x + f64::from(s), 1.0),
        Function::Abs => (x.abs(), if x == 0.0 { 0.0 } else { x.signum() }),
        Function::Square => (x * x, 2.0 * x),
        Function::Sqrt => (x.sqrt(), 0.5 / x.sqrt()),
        Function::Exp => (x.exp(), x.exp()),
        Function::Log => (x.ln(), 1.0 / x),
        Function::Softplus => (x.exp().ln_1p(), sigmoid(x)),
        Function::Sigmoid => (sigmoid(x), sigmoid(x) * (1.0 - sigmoid(x))),
        Function::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        Function::Relu => activation(Act::Relu, x),
        Function::Gelu => activation(Act::Gelu, x),
        Function::GeluTanh => activation(Act::GeluTanh, x),
        Function::Silu => activation(Act::Silu, x),
    }
}

/// `(value, ∂/∂a, ∂/∂b)` of a function of two numbers.
pub(super) fn pair(f: Pair, a: f64, b: f64) -> (f64, f64, f64) {
    match f {
        Pair::Add => (a + b, 1.0, 1.0),
        Pair::Sub => (a - b, 1.0, -1.0),
        Pair::Mul => (a * b, b, a),
        Pair::Div => (a / b, 1.0 / b, -a / (b * b)),
    }
}

/// ln Σ eˣ.
pub(super) fn log_sum_exp(x: &[f64]) -> f64 {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + x.iter().map(|x| (x - top).exp()).sum::<f64>().ln()
}

/// ln softmax(x).
pub(super) fn log_softmax(x: &[f32]) -> Vec<f64> {
    let x = wide(x);
    let total = log_sum_exp(&x);
    x.iter().map(|x| x - total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Φ of the normal distribution and erf as tables give them (Abramowitz and Stegun, 26.1 and 7.1).
    #[test]
    fn the_error_function_is_that_of_the_tables() {
        for (z, want) in [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)]
        {
            assert!((erf(z) - want).abs() < 1e-10 && (erf(-z) + want).abs() < 1e-10, "{z}");
        }
        assert!((erf(5.999) - 1.0).abs() < 1e-15);
        let (value, slope) = activation(Act::Gelu, 1.0);
        assert!((value - 0.841_344_746_1).abs() < 1e-10 && (slope - 1.083_315_470_6).abs() < 1e-9);
    }

    /// Each derivative against a central difference of its value.
    #[test]
    fn derivatives_are_those_of_the_values() {
        let near = |f: &dyn Fn(f64) -> (f64, f64), x: f64| {
            let difference = (f(x + 1e-5).0 - f(x - 1e-5).0) / 2e-5;
            (difference - f(x).1).abs() < 1e-6
        };
        for x in [-1.3, -0.2, 0.4, 2.1] {
            for act in [Act::Identity, Act::Relu, Act::Gelu, Act::GeluTanh, Act::Silu] {
                assert!(near(&|x| activation(act, x), x), "{act:?} {x}");
            }
            for f in
                [Function::Scale(-2.0), Function::Abs, Function::Square, Function::Exp, Function::Softplus]
            {
                assert!(near(&|x| function(f, x), x), "{f:?} {x}");
            }
            for f in [Function::Shift(1.0), Function::Sigmoid, Function::Tanh] {
                assert!(near(&|x| function(f, x), x), "{f:?} {x}");
            }
            for f in [Function::Sqrt, Function::Log] {
                assert!(near(&|x| function(f, x), x.abs()), "{f:?} {x}");
            }
            for f in [Pair::Add, Pair::Sub, Pair::Mul, Pair::Div] {
                assert!(near(&|x| (pair(f, x, 0.7).0, pair(f, x, 0.7).1), x), "{f:?} {x}");
                assert!(near(&|x| (pair(f, 0.7, x).0, pair(f, 0.7, x).2), x), "{f:?} {x}");
            }
        }
    }
}
