//! The gradient of a weight matrix, with what a route makes unnecessary left out.

use crate::factors::{Factor, Kind, Run};
use crate::gemm::{View, ViewMut, gemm};
use crate::layout::ParamId;
use crate::simd;
use crate::tape::Tape;

impl Tape<'_> {
    /// `grad(w) += update ∘ xᵀ du` with x `[rows, k]`, du `[rows, n]` and w `[k, n]`.
    ///
    /// Blocks whose update is zero, whose input is absent or whose output gradient is zero are not
    /// computed. Per-row updates gather the rows that count and run a smaller product.
    pub(crate) fn weight_grad(&mut self, w: ParamId, x: &[f32], du: &[f32], open: bool) {
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
        let still = if self.reads_rewritten(w) { &still[..1] } else { &still };
        let ins = self.runs(self.plan.rows(w), k, by, still);
        let outs = self.runs(self.plan.cols(w), n, by, shut(open));
        for i in &ins {
            for o in &outs {
                let classes = [i.class, o.class, whole];
                match uniform(classes.map(|c| self.factor(Kind::Update, c))) {
                    Some(alpha) => {
                        let Some(grads) = self.grads.as_mut().and_then(|g| g.of(w)) else { continue };
                        let c = ViewMut::new(grads, k, n);
                        let a = View::new(x, rows, k).cols(i.start..i.end).t();
                        let b = View::new(du, rows, n).cols(o.start..o.end);
                        gemm(c.block(i.start..i.end, o.start..o.end), alpha, a, b, true);
                    }
                    None => self.gathered(w, (i, o), classes, x, du),
                }
            }
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
        let mut kept = 0;
        for r in 0..rows {
            let f: f32 = classes.iter().map(|c| self.factor(Kind::Update, *c).at(r)).product();
            if f == 0.0 {
                continue;
            }
            xs[kept * ki..][..ki].copy_from_slice(&x[r * k + i.start..r * k + i.end]);
            let d = &mut ds[kept * no..][..no];
            d.copy_from_slice(&du[r * n + o.start..r * n + o.end]);
            simd::scale(d, f);
            kept += 1;
        }
        if let Some(grads) = self.grads.as_mut().and_then(|g| g.of(w)) {
            let c = ViewMut::new(grads, k, n).block(i.start..i.end, o.start..o.end);
            gemm(c, 1.0, View::new(&xs, kept, ki).t(), View::new(&ds, kept, no), true);
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
            let factors = [o.class, whole].map(|c| &self.ws.factors[c][Kind::Update as usize]);
            let sums = &mut grads[o.start..o.end];
            match factors {
                [Factor::One(a), Factor::One(b)] if a * b == 0.0 => {}
                [Factor::One(a), Factor::One(b)] => simd::column_sums(sums, du, n, o.start, a * b),
                [a, b] => {
                    for (r, row) in du.chunks_exact(n).enumerate() {
                        let f = a.at(r) * b.at(r);
                        sums.iter_mut().zip(&row[o.start..o.end]).for_each(|(s, d)| *s += f * d);
                    }
                }
            }
        }
        self.done(outs);
    }
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
