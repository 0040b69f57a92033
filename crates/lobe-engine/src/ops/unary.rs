//! Element-wise functions of one variable.

pub use crate::kernels::Function;
use crate::kernels::{Device, Kernels};
use crate::tape::{Tape, Var};

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
        Device::map(&mut value, self.value(x), f);
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
        Device::map_grad(&mut g, t.value(self.x), self.f);
        t.move_grad(self.x, g);
    }
}
