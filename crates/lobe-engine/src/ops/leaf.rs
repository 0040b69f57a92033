//! A parameter as a variable, for objectives on weights.

use crate::kernels::{Device, Kernels, Scales, columns};
use crate::layout::ParamId;
use crate::tape::factors::{Factor, Kind};
use crate::tape::{Tape, Var};

/// A copy of a tensor whose gradient flows into the tensor.
#[derive(Debug, Clone, Copy)]
pub struct Leaf {
    param: ParamId,
    out: Var,
}

impl Tape<'_> {
    /// The tensor `p` as a variable `[rows, cols]`.
    pub fn leaf(&mut self, p: ParamId) -> Var {
        let (rows, cols) = (self.layout.get(p).rows, self.layout.get(p).cols);
        let mut value = self.ws.pool.take(rows * cols);
        value.copy_from_slice(self.param(p));
        let needs = self.param_needs(p);
        let out = self.push("parameter", rows, cols, value, needs);
        self.record_op(out, Leaf { param: p, out });
        out
    }
}

impl Leaf {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(mut g) = t.take_grad(self.out) else { return };
        t.touch(self.param);
        // A weight belongs to no row of the data: only a route shared by the whole shard applies.
        let shared = |class| match t.factor(Kind::Update, class) {
            Factor::One(f) => *f,
            Factor::Unset | Factor::Rows(_) => 1.0,
        };
        let cols = t.layout.get(self.param).cols;
        Device::scale(&mut g, shared(t.plan.whole(self.param)));
        for seg in t.plan.rows(self.param) {
            Device::scale(&mut g[seg.range.start * cols..seg.range.end * cols], shared(seg.class));
        }
        for seg in t.plan.cols(self.param) {
            let f = shared(seg.class);
            if f != 1.0 {
                Device::scale_rows(columns(&mut g, cols, seg.range.clone()), Scales::One(f));
            }
        }
        if let Some(grads) = t.grads.as_mut().and_then(|g| g.of(self.param)) {
            Device::add(grads, &g);
        }
        t.keep_movable(self.param);
        t.release(g);
    }
}
