//! The gradient of a weight matrix, with what a route makes unnecessary left out.

use std::ops::Range;

use crate::kernels::{Device, Kernels, View, ViewMut};
use crate::layout::ParamId;
use crate::tape::Tape;
use crate::tape::factors::{Factor, Kind, Run};

/// Rectangles up to which only what moves is multiplied: many small products cost more than one.
const FEW: usize = 16;

/// Where a product holds numbers although a route makes their columns absent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// In its input: see [`Tape::reads_rewritten`].
    pub filled: bool,
    /// In its output, which something reads before its site.
    pub open: bool,
}

impl Tape<'_> {
    /// `grad(w) += update ∘ xᵀ du` with x `[rows, k]`, du `[rows, n]` and w `[k, n]`.
    ///
    /// Blocks whose update is zero, whose input is absent or whose output gradient is zero are not
    /// computed, nor is what does not move. Per-row updates gather the rows that count and run a smaller product.
    pub(crate) fn weight_grad(&mut self, w: ParamId, x: &[f32], du: &[f32], seen: Seen) {
        if !self.param_needs(w) {
            return;
        }
        self.touch(w);
        let tensor = self.layout.get(w);
        let (k, n) = (tensor.rows, tensor.cols);
        let rows = x.len() / k;
        let whole = self.plan.whole(w);
        if self.factor(Kind::Update, whole).is(0.0) {
            return;
        }
        let by = Some(Kind::Update);
        let still = [Kind::Update, Kind::Forward];
        let still = if seen.filled { &still[..1] } else { &still };
        let ins = self.runs(self.plan.rows(w), k, by, still);
        let outs = self.runs(self.plan.cols(w), n, by, shut(seen.open));
        let plan = self.plan;
        let parts = plan.movable(w).filter(|parts| parts.len() <= FEW);
        let whole_tensor = [(0..k, 0..n)];
        for (rows_of, cols_of) in parts.unwrap_or(&whole_tensor) {
            for (i, o) in blocks(&ins, &outs, rows_of, cols_of) {
                let (i, o) = (&i, &o);
                let classes = [i.class, o.class, whole];
                match uniform(classes.map(|c| self.factor(Kind::Update, c))) {
                    Some(alpha) => {
                        let Some(grads) = self.grads.as_mut().and_then(|g| g.of(w)) else { continue };
                        let c = ViewMut::new(grads, k, n);
                        let a = View::new(x, rows, k).cols(i.start..i.end).t();
                        let b = View::new(du, rows, n).cols(o.start..o.end);
                        Device::gemm(c.block(i.start..i.end, o.start..o.end), alpha, a, b, true);
                    }
                    None => self.gathered(w, (i, o), classes, x, du),
                }
            }
        }
        if parts.is_none() {
            self.keep_movable(w);
        }
        self.done(ins);
        self.done(outs);
    }

    /// One block with a factor per row: rows with factor 0 take no part.
    fn gathered(&mut self, w: ParamId, (i, o): (&Run, &Run), classes: [usize; 3], x: &[f32], du: &[f32]) {
        let (k, n) = (self.layout.get(w).rows, self.layout.get(w).cols);
        let rows = x.len() / k;
        let (ki, no) = (i.end - i.start, o.end - o.start);
        let mut xs = self.ws.pool.take(rows * ki);
        let mut ds = self.ws.pool.take(rows * no);
        let by = classes.map(|c| self.factor(Kind::Update, c).scales());
        let kept = Device::pack_rows(&mut xs, View::new(x, rows, k).cols(i.start..i.end), &by, false);
        Device::pack_rows(&mut ds, View::new(du, rows, n).cols(o.start..o.end), &by, true);
        if let Some(grads) = self.grads.as_mut().and_then(|g| g.of(w)) {
            let c = ViewMut::new(grads, k, n).block(i.start..i.end, o.start..o.end);
            Device::gemm(c, 1.0, View::new(&xs, kept, ki).t(), View::new(&ds, kept, no), true);
        }
        self.release(xs);
        self.release(ds);
    }

    /// `grad(b) += update ∘ column sums of du`.
    pub(crate) fn bias_grad(&mut self, b: ParamId, du: &[f32], open: bool) {
        if !self.param_needs(b) {
            return;
        }
        self.touch(b);
        let n = self.layout.get(b).cols;
        let whole = self.plan.whole(b);
        let outs = self.runs(self.plan.cols(b), n, Some(Kind::Update), shut(open));
        let Some(grads) = self.grads.as_mut().and_then(|g| g.of(b)) else { return };
        for o in &outs {
            let by = [o.class, whole].map(|c| self.ws.factors[c][Kind::Update as usize].scales());
            let du = View::new(du, du.len() / n, n).cols(o.start..o.end);
            Device::column_sums(&mut grads[o.start..o.end], du, &by);
        }
        self.keep_movable(b);
        self.done(outs);
    }
}

/// Every pair of an input and an output run, cut down to some rows and columns.
fn blocks<'a>(
    ins: &'a [Run],
    outs: &'a [Run],
    rows: &'a Range<usize>,
    cols: &'a Range<usize>,
) -> impl Iterator<Item = (Run, Run)> + 'a {
    let cut = |run: &Run, to: &Range<usize>| {
        let (start, end) = (run.start.max(to.start), run.end.min(to.end));
        (start < end).then_some(Run { start, end, class: run.class })
    };
    ins.iter()
        .filter_map(move |i| cut(i, rows))
        .flat_map(move |i| outs.iter().filter_map(move |o| Some((i, cut(o, cols)?))))
}

/// Which zeros leave a column out. An open output has a gradient where its site passes none.
fn shut(open: bool) -> &'static [Kind] {
    if open { &[Kind::Update] } else { &[Kind::Update, Kind::Flow] }
}

fn uniform(factors: [&Factor; 3]) -> Option<f32> {
    factors.iter().try_fold(1.0, |p, f| match f {
        Factor::One(f) => Some(p * f),
        Factor::Unset => Some(p),
        Factor::Rows(_) => None,
    })
}
