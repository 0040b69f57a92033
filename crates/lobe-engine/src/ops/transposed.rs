//! A linear map read backwards: `x Wᵀ + b`, for a read-out through the weights of the embedding.

use crate::error::{EngineError, fits, same};
use crate::kernels::{Device, Kernels, View, ViewMut};
use crate::layout::ParamId;
use crate::ops::weight_grad::Seen;
use crate::tape::{Tape, Var};

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Transposed {
    x: Var,
    out: Var,
    weight: ParamId,
    bias: Option<ParamId>,
}

impl Tape<'_> {
    /// `x Wᵀ + b` for x `[rows, m]`, W `[n, m]` and b `[1, n]`: `[rows, n]`.
    ///
    /// # Errors
    /// If shapes do not fit, or a guest stands at the weight: it answers for `x W` alone.
    pub fn transposed(&mut self, x: Var, weight: ParamId, bias: Option<ParamId>) -> Result<Var, EngineError> {
        let op = "transposed";
        self.no_guest(op, weight)?;
        let (rows, m) = self.shape(x);
        let (n, wm) = (self.layout.get(weight).rows, self.layout.get(weight).cols);
        fits(op, "columns of the input and of the weight", m == wm, (rows, m), (n, wm))?;
        let mut value = self.ws.pool.take(rows * n);
        if let Some(b) = bias {
            same(op, "bias", (1, n), (self.layout.get(b).rows, self.layout.get(b).cols))?;
            Device::add_row(&mut value, None, self.param(b));
        }
        let (xv, wv) = (View::new(self.value(x), rows, m), View::new(self.param(weight), n, m).t());
        Device::gemm(ViewMut::new(&mut value, rows, n), 1.0, xv, wv, bias.is_some());
        let learns = self.param_needs(weight) || bias.is_some_and(|b| self.param_needs(b));
        let needs = self.needs(x) || learns;
        let out = self.push(op, rows, n, value, needs);
        self.record_op(out, Transposed { x, out, weight, bias });
        Ok(out)
    }
}

impl Transposed {
    /// dx = dy W, dW = dyᵀ x and db = Σ dy, the last two under the routes of the weight's rows and columns.
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(g) = t.take_grad(self.out) else { return };
        let ((rows, m), n) = (t.shape(self.x), t.layout.get(self.weight).rows);
        if t.needs(self.x) {
            let (mut dx, sum) = t.grad_slot(self.x);
            let w = View::new(t.param(self.weight), n, m);
            Device::gemm(ViewMut::new(&mut dx, rows, m), 1.0, View::new(&g, rows, n), w, sum);
            t.put_grad(self.x, dx);
        }
        // dyᵀ x is what a map from the other side would get. No route makes a column of dy absent, and what stands
        // at the columns of x is what was read, so only updates leave something out.
        let x = std::mem::take(&mut t.ws.vars[self.x.0].value);
        t.weight_grad(self.weight, &g, &x, Seen { filled: true, open: true });
        t.ws.vars[self.x.0].value = x;
        if let Some(b) = self.bias {
            t.bias_grad(b, &g, false);
        }
        t.release(g);
    }
}
