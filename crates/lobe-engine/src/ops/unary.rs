//! Element-wise functions of one variable.

use crate::ops::linear::{gelu, gelu_tanh, relu, silu};
use crate::simd;
use crate::tape::{Tape, Var};

/// The function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// s x
    Scale(f32),
    /// x + s
    Shift(f32),
    /// |x|, with slope 0 at 0.
    Abs,
    /// x²
    Square,
    /// √x
    Sqrt,
    /// eˣ
    Exp,
    /// ln x
    Log,
    /// ln(1 + eˣ), without overflow.
    Softplus,
    /// max(x, 0)
    Relu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// tanh x
    Tanh,
    /// x Φ(x)
    Gelu,
    /// The tanh approximation of GELU.
    GeluTanh,
    /// x σ(x)
    Silu,
}

impl Function {
    /// `(value, derivative)` at x.
    #[inline(always)]
    fn both(self, x: f32) -> (f32, f32) {
        match self {
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
}

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Unary {
    x: Var,
    out: Var,
    f: Function,
}

impl Tape<'_> {
    /// `f(x)`, element by element.
    pub fn map(&mut self, x: Var, f: Function) -> Var {
        let (rows, cols) = self.shape(x);
        let mut value = self.ws.pool.take(rows * cols);
        value.iter_mut().zip(self.value(x)).for_each(|(y, x)| *y = f.both(*x).0);
        let needs = self.needs(x);
        let out = self.push("map", rows, cols, value, needs);
        self.record_op(out, Unary { x, out, f });
        out
    }

    /// `x` with nothing flowing back.
    pub fn detach(&mut self, x: Var) -> Var {
        let (rows, cols) = self.shape(x);
        let mut value = self.ws.pool.take(rows * cols);
        value.copy_from_slice(self.value(x));
        self.push("detach", rows, cols, value, false)
    }
}

impl Unary {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(mut g) = t.take_grad(self.out) else { return };
        g.iter_mut().zip(t.value(self.x)).for_each(|(g, x)| *g *= self.f.both(*x).1);
        t.move_grad(self.x, g);
    }
}
