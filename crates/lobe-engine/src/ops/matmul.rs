//! The product of two variables.

use crate::error::{EngineError, fits};
use crate::kernels::{Device, Kernels, View, ViewMut};
use crate::tape::{Tape, Var};

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct MatMul {
    a: Var,
    b: Var,
    out: Var,
}

impl Tape<'_> {
    /// `a b` for a `[m, k]` and b `[k, n]`.
    ///
    /// # Errors
    /// If the inner dimensions differ.
    pub fn matmul(&mut self, a: Var, b: Var) -> Result<Var, EngineError> {
        let ((m, k), (kb, n)) = (self.shape(a), self.shape(b));
        fits("matmul", "columns of the first and rows of the second", k == kb, (m, k), (kb, n))?;
        let mut value = self.ws.pool.take(m * n);
        let (av, bv) = (View::new(self.value(a), m, k), View::new(self.value(b), k, n));
        Device::gemm(ViewMut::new(&mut value, m, n), 1.0, av, bv, false);
        let needs = self.needs(a) || self.needs(b);
        let out = self.push("matmul", m, n, value, needs);
        self.record_op(out, MatMul { a, b, out });
        Ok(out)
    }
}

impl MatMul {
    /// dA = dC Bᵀ, dB = Aᵀ dC.
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(g) = t.take_grad(self.out) else { return };
        let ((m, k), (_, n)) = (t.shape(self.a), t.shape(self.b));
        let gv = View::new(&g, m, n);
        if t.needs(self.a) {
            let (mut da, sum) = t.grad_slot(self.a);
            Device::gemm(ViewMut::new(&mut da, m, k), 1.0, gv, View::new(t.value(self.b), k, n).t(), sum);
            t.put_grad(self.a, da);
        }
        if t.needs(self.b) {
            let (mut db, sum) = t.grad_slot(self.b);
            Device::gemm(ViewMut::new(&mut db, k, n), 1.0, View::new(t.value(self.a), m, k).t(), gv, sum);
            t.put_grad(self.b, db);
        }
        t.release(g);
    }
}
