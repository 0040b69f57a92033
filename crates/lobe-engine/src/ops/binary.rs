//! Element-wise functions of two variables; the second may be a row, a column or a scalar.

use crate::error::{EngineError, same};
pub use crate::kernels::Pair;
use crate::kernels::{Device, Kernels, View};
use crate::tape::{Tape, Var};

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Binary {
    a: Var,
    b: Var,
    out: Var,
    f: Pair,
}

impl Tape<'_> {
    /// `a ∘ b` for a `[r, c]` and b `[r, c]`, `[1, c]`, `[r, 1]` or `[1, 1]`.
    ///
    /// # Errors
    /// If `b` has another shape.
    pub fn pair(&mut self, a: Var, f: Pair, b: Var) -> Result<Var, EngineError> {
        let ((rows, cols), bs) = (self.shape(a), self.shape(b));
        if (bs.0 != 1 && bs.0 != rows) || (bs.1 != 1 && bs.1 != cols) {
            same("pair", "shapes (the second may be broadcast)", (rows, cols), bs)?;
        }
        let mut value = self.ws.pool.take(rows * cols);
        let (av, bv) = (View::new(self.value(a), rows, cols), View::new(self.value(b), bs.0, bs.1));
        Device::pair(&mut value, av, f, bv);
        let needs = self.needs(a) || self.needs(b);
        let out = self.push("pair", rows, cols, value, needs);
        self.record_op(out, Binary { a, b, out, f });
        Ok(out)
    }
}

impl Binary {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(mut g) = t.take_grad(self.out) else { return };
        let ((rows, cols), bs) = (t.shape(self.a), t.shape(self.b));
        if t.needs(self.b) {
            let (mut db, sum) = t.grad_slot(self.b);
            if !sum {
                db.fill(0.0);
            }
            let (av, bv) = (View::new(t.value(self.a), rows, cols), View::new(t.value(self.b), bs.0, bs.1));
            Device::pair_grad_right(&mut db, &g, av, self.f, bv);
            t.put_grad(self.b, db);
        }
        if t.needs(self.a) {
            let (av, bv) = (View::new(t.value(self.a), rows, cols), View::new(t.value(self.b), bs.0, bs.1));
            Device::pair_grad_left(&mut g, av, self.f, bv);
            t.move_grad(self.a, g);
        } else {
            t.release(g);
        }
    }
}
