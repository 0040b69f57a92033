//! A linear map read backwards: `x Wᵀ + b`, for a read-out through the weights of the embedding.

use crate::error::{EngineError, fits, same};
use crate::kernels::{Device, Kernels, View, ViewMut};
use crate::layout::ParamId;
use crate::tape::factors::Kind;
use crate::tape::plan::Segment;
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

    /// Multiplies every row of `values` `[rows, width]` by its update, segment by segment.
    fn scale_updates(&self, values: &mut [f32], width: usize, segments: &[Segment]) {
        let rows = values.len() / width;
        for s in segments {
            let factor = self.factor(Kind::Update, s.class);
            if !factor.is(1.0) {
                let part = ViewMut::new(values, rows, width).block(0..rows, s.range.clone());
                Device::scale_rows(part, factor.scales());
            }
        }
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
        if t.param_needs(self.weight) {
            t.touch(self.weight);
            let (mut x, mut dy) = (t.ws.pool.take(rows * m), t.ws.pool.take(rows * n));
            x.copy_from_slice(t.value(self.x));
            dy.copy_from_slice(&g);
            let whole = Segment { range: 0..m, class: t.plan.whole(self.weight) };
            t.scale_updates(&mut x, m, &[whole]);
            t.scale_updates(&mut x, m, t.plan.cols(self.weight));
            t.scale_updates(&mut dy, n, t.plan.rows(self.weight));
            if let Some(grads) = t.grads.as_mut().and_then(|g| g.of(self.weight)) {
                let (dyv, xv) = (View::new(&dy, rows, n).t(), View::new(&x, rows, m));
                Device::gemm(ViewMut::new(grads, n, m), 1.0, dyv, xv, true);
            }
            t.keep_movable(self.weight);
            t.release(x);
            t.release(dy);
        }
        if let Some(b) = self.bias {
            t.bias_grad(b, &g, false);
        }
        t.release(g);
    }
}
