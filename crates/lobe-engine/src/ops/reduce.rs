//! Sums and means over all elements, rows or columns; log-sum-exp over rows.

pub use crate::kernels::Over;
use crate::kernels::{Device, Kernels, View};
use crate::tape::{Tape, Var};

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Reduce {
    x: Var,
    out: Var,
    over: Over,
}

impl Tape<'_> {
    /// Reduces `x`.
    pub fn reduce(&mut self, x: Var, over: Over) -> Var {
        let (rows, cols) = self.shape(x);
        let (r, c) = match over {
            Over::Sum | Over::Mean => (1, 1),
            Over::RowSum | Over::RowLogSumExp => (rows, 1),
            Over::ColumnMean => (1, cols),
        };
        let mut out = self.ws.pool.take_zeroed(r * c);
        Device::reduce(&mut out, View::new(self.value(x), rows, cols), over);
        let needs = self.needs(x);
        let out = self.push("reduce", r, c, out, needs);
        self.record_op(out, Reduce { x, out, over });
        out
    }
}

impl Reduce {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(g) = t.take_grad(self.out) else { return };
        let (rows, cols) = t.shape(self.x);
        let mut dx = t.ws.pool.take(rows * cols);
        let x = View::new(t.value(self.x), rows, cols);
        Device::reduce_grad(&mut dx, &g, x, t.value(self.out), self.over);
        t.release(g);
        t.move_grad(self.x, dx);
    }
}
