//! Two variables side by side.

use crate::error::{EngineError, fits};
use crate::kernels::{Device, Kernels, View, ViewMut};
use crate::tape::{Tape, Var};

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Concat {
    a: Var,
    b: Var,
    out: Var,
}

impl Tape<'_> {
    /// `[a | b]` for a `[r, m]` and b `[r, n]`.
    ///
    /// # Errors
    /// If the numbers of rows differ.
    pub fn concat(&mut self, a: Var, b: Var) -> Result<Var, EngineError> {
        let ((rows, m), (rb, n)) = (self.shape(a), self.shape(b));
        fits("concat", "rows", rows == rb, (rows, m), (rb, n))?;
        let mut value = self.ws.pool.take(rows * (m + n));
        for (v, range) in [(a, 0..m), (b, m..m + n)] {
            let from = View::new(self.value(v), rows, range.len());
            Device::copy(ViewMut::new(&mut value, rows, m + n).block(0..rows, range), from, false);
        }
        let needs = self.needs(a) || self.needs(b);
        let out = self.push("concat", rows, m + n, value, needs);
        self.record_op(out, Concat { a, b, out });
        Ok(out)
    }
}

impl Concat {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(g) = t.take_grad(self.out) else { return };
        let (m, (rows, width)) = (t.shape(self.a).1, t.shape(self.out));
        for (v, range) in [(self.a, 0..m), (self.b, m..width)] {
            let mut part = t.ws.pool.take(t.value(v).len());
            let (from, n) = (View::new(&g, rows, width).cols(range.clone()), range.len());
            Device::copy(ViewMut::new(&mut part, rows, n), from, false);
            t.move_grad(v, part);
        }
        t.release(g);
    }
}
