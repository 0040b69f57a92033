//! A block of columns.

use std::ops::Range;

use crate::error::EngineError;
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
        for (y, x) in value.chunks_exact_mut(n.max(1)).zip(self.value(x).chunks_exact(cols)) {
            y.copy_from_slice(&x[range.clone()]);
        }
        let needs = self.needs(x);
        let out = self.push("columns", rows, n, value, needs);
        self.record_op(out, Columns { x, out, start: range.start });
        Ok(out)
    }
}

impl Columns {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(g) = t.take_grad(self.out) else { return };
        let ((_, cols), (_, n)) = (t.shape(self.x), t.shape(self.out));
        let (mut dx, sum) = t.grad_slot(self.x);
        if !sum {
            dx.fill(0.0);
        }
        for (dx, g) in dx.chunks_exact_mut(cols).zip(g.chunks_exact(n.max(1))) {
            dx[self.start..self.start + n].iter_mut().zip(g).for_each(|(d, g)| *d += g);
        }
        t.put_grad(self.x, dx);
        t.release(g);
    }
}
