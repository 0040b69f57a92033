//! A block of columns.

use std::ops::Range;

use crate::error::EngineError;
use crate::kernels::{Device, Kernels, View, ViewMut};
use crate::tape::{Tape, Var};

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    x: Var,
    out: Var,
    start: usize,
}

impl Tape<'_> {
    /// Columns `range` of `x`.
    ///
    /// # Errors
    /// If the range lies outside.
    pub fn columns(&mut self, x: Var, range: Range<usize>) -> Result<Var, EngineError> {
        let (rows, cols) = self.shape(x);
        crate::error::columns("columns", &range, cols)?;
        let n = range.len();
        let mut value = self.ws.pool.take(rows * n);
        let from = View::new(self.value(x), rows, cols).cols(range.clone());
        Device::copy(ViewMut::new(&mut value, rows, n), from, false);
        let needs = self.needs(x);
        let out = self.push("columns", rows, n, value, needs);
        self.record_op(out, Columns { x, out, start: range.start });
        Ok(out)
    }
}

impl Columns {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(g) = t.take_grad(self.out) else { return };
        let ((rows, cols), (_, n)) = (t.shape(self.x), t.shape(self.out));
        let (mut dx, sum) = t.grad_slot(self.x);
        if !sum {
            dx.fill(0.0);
        }
        let to = ViewMut::new(&mut dx, rows, cols).block(0..rows, self.start..self.start + n);
        Device::copy(to, View::new(&g, rows, n), true);
        t.put_grad(self.x, dx);
        t.release(g);
    }
}
