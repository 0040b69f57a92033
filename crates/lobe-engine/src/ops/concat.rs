//! Two variables side by side.

use crate::error::{EngineError, fits};
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
        for (r, y) in value.chunks_exact_mut((m + n).max(1)).enumerate() {
            y[..m].copy_from_slice(&self.value(a)[r * m..(r + 1) * m]);
            y[m..].copy_from_slice(&self.value(b)[r * n..(r + 1) * n]);
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
        let (m, width) = (t.shape(self.a).1, t.shape(self.out).1);
        for (v, range) in [(self.a, 0..m), (self.b, m..width)] {
            let mut part = t.ws.pool.take(t.value(v).len());
            for (p, g) in part.chunks_exact_mut(range.len().max(1)).zip(g.chunks_exact(width)) {
                p.copy_from_slice(&g[range.clone()]);
            }
            t.move_grad(v, part);
        }
        t.release(g);
    }
}
