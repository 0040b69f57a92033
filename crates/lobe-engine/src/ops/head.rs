//! The read-out over a vocabulary with its loss, in chunks of rows whose logits are never kept.

use crate::buffer::Buf;
use crate::error::{EngineError, fits, same};
use crate::kernels::{Device, Kernels, Picked, Place, Scales, View, ViewMut};
use crate::layout::ParamId;
pub use crate::ops::row_weights::RowWeights;
use crate::tape::factors::{Factor, Kind};
use crate::tape::{Tape, Var};

/// Rows whose logits exist at a time.
const CHUNK: usize = 256;

/// `token_nll` keeps what it computed for its backward pass up to this many numbers (16 MiB).
const KEEP: usize = 1 << 22;

/// A target that is not one: the row takes no part in the loss.
pub const IGNORE: u32 = u32::MAX;

/// `logits = scale · h W + b`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadSpec {
    /// `[d, vocab]`, or `[vocab, d]` when `tied`.
    pub weight: ParamId,
    /// Whether the weight is an embedding table.
    pub tied: bool,
    /// `[1, vocab]`.
    pub bias: Option<ParamId>,
    /// Scale on the logits.
    pub scale: f32,
}

/// `[rows, 1]` negative log-likelihoods.
#[derive(Debug, Clone, Copy)]
pub struct TokenNll {
    h: Var,
    out: Var,
    /// d out / d logits of the counted rows, one after the other; without it the backward pass
    /// computes the logits again.
    slope: Option<Var>,
    spec: HeadSpec,
    first_id: usize,
}

/// Where the numbers of a pass over the read-out live.
enum Logits<'a> {
    /// In a buffer that the next chunk overwrites.
    Passing,
    /// In a buffer for all active rows, one after the other, to be filled.
    Keep(&'a mut Buf),
    /// The same, filled by an earlier pass over the same rows: no logits are computed.
    Kept(&'a mut Buf),
}

impl Tape<'_> {
    /// Width of the hidden state and size of the vocabulary, if they fit the read-out.
    pub(crate) fn check_head(
        &self,
        op: &'static str,
        h: Var,
        spec: &HeadSpec,
    ) -> Result<(usize, usize), EngineError> {
        self.no_guest(op, spec.weight)?;
        let (rows, d) = self.shape(h);
        let w = self.layout.get(spec.weight);
        let (wd, vocab) = self.head_shape(*spec);
        fits(op, "width of the hidden state and of the head", d == wd, (rows, d), (w.rows, w.cols))?;
        if let Some(b) = spec.bias {
            same(op, "bias", (1, vocab), (self.layout.get(b).rows, self.layout.get(b).cols))?;
        }
        Ok((d, vocab))
    }

    /// The vocabulary's size, if the targets fit, too.
    fn check_targets(
        &self,
        op: &'static str,
        h: Var,
        spec: &HeadSpec,
        targets: &[u32],
    ) -> Result<usize, EngineError> {
        let (_, vocab) = self.check_head(op, h, spec)?;
        same(op, "rows and targets", (self.shape(h).0, 1), (targets.len(), 1))?;
        match targets.iter().find(|t| **t != IGNORE && **t as usize >= vocab) {
            Some(bad) => Err(EngineError::Index { op, what: "target", index: *bad as usize, bound: vocab }),
            None => Ok(vocab),
        }
    }

    /// Logits of all rows, `[rows, vocab]`, for sampling. Nothing flows back.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn logits(&mut self, h: Var, spec: HeadSpec) -> Result<Var, EngineError> {
        let rows = self.shape(h).0;
        let (d, vocab) = self.check_head("logits", h, &spec)?;
        let mut z = self.ws.pool.take(rows * vocab);
        self.head_logits(View::new(self.value(h), rows, d), &mut z, spec);
        Ok(self.push("logits", rows, vocab, z, false))
    }

    /// Width of the hidden state and size of the vocabulary.
    fn head_shape(&self, spec: HeadSpec) -> (usize, usize) {
        let w = self.layout.get(spec.weight);
        if spec.tied { (w.cols, w.rows) } else { (w.rows, w.cols) }
    }

    fn head_logits(&self, h: View<'_>, z: &mut [f32], spec: HeadSpec) {
        let (rows, (d, vocab)) = (h.shape().0, self.head_shape(spec));
        let w = self.param(spec.weight);
        let w = if spec.tied { View::new(w, vocab, d).t() } else { View::new(w, d, vocab) };
        if let Some(b) = spec.bias {
            let b = self.param(b);
            Device::add_row(&mut z[..rows * vocab], None, b);
        }
        Device::gemm(ViewMut::new(z, rows, vocab), spec.scale, h, w, spec.bias.is_some());
    }

    /// Σ weight · cross-entropy over rows whose target is not [`IGNORE`], added to the objective
    /// with its gradient computed at once. Returns `[rows, 2]`: negative log-likelihood and, when
    /// not training, whether the target was the most likely token (0 or 1).
    ///
    /// # Errors
    /// If shapes do not fit or a target is outside of the vocabulary.
    pub fn cross_entropy(
        &mut self,
        h: Var,
        spec: HeadSpec,
        targets: &[u32],
        weights: RowWeights<'_>,
    ) -> Result<Var, EngineError> {
        let vocab = self.check_targets("cross_entropy", h, &spec, targets)?;
        weights.check("cross_entropy", targets.len())?;
        let rows = targets.len();
        let mut stats = self.ws.pool.take_zeroed(rows * 2);
        let own = self.weigh(weights, rows);
        let weights = weights.scales(&own);
        let training = self.training();
        let mut total = 0.0;
        self.head_chunks(h, spec, &|r| targets[r] != IGNORE, &mut |active, z| {
            let (n, of) = (active.len(), Picked { rows: active, targets, weights });
            let losses = ViewMut::new(&mut stats, rows, 2);
            if training {
                Device::cross_entropy(ViewMut::new(z, n, vocab), of, Some(losses));
            } else {
                Device::surprise(View::new(z, n, vocab), of, losses);
            }
            for r in active {
                let r = *r as usize;
                total += f64::from(weights.at(r)) * f64::from(stats[2 * r]);
            }
        });
        self.release(own);
        self.add_objective(total);
        Ok(self.push("cross entropy", rows, 2, stats, false))
    }

    /// `[rows, 1]` negative log-likelihoods (0 where the target is [`IGNORE`]) that further
    /// operations may use. Where the logits are many, the backward pass computes them a second time.
    ///
    /// # Errors
    /// If shapes do not fit or a target is outside of the vocabulary.
    pub fn token_nll(&mut self, h: Var, spec: HeadSpec, targets: &[u32]) -> Result<Var, EngineError> {
        let vocab = self.check_targets("token_nll", h, &spec, targets)?;
        let rows = targets.len();
        let needs =
            self.needs(h) || self.param_needs(spec.weight) || spec.bias.is_some_and(|b| self.param_needs(b));
        let mut out = self.ws.pool.take_zeroed(rows);
        let mut slope = (needs && rows * vocab <= KEEP).then(|| self.ws.pool.take(rows * vocab));
        let sloped = slope.is_some();
        let kept = slope.as_mut().map_or(Logits::Passing, Logits::Keep);
        // Without gradients the chunks only compute the loss.
        let grads = self.grads.take();
        self.head_pass(h, spec, &|r| targets[r] != IGNORE, kept, &mut |active, z| {
            let (n, of) = (active.len(), Picked { rows: active, targets, weights: Scales::One(1.0) });
            let losses = ViewMut::new(&mut out, rows, 1);
            if sloped {
                Device::cross_entropy(ViewMut::new(z, n, vocab), of, Some(losses));
            } else {
                Device::surprise(View::new(z, n, vocab), of, losses);
            }
        });
        self.grads = grads;
        let first_id = self.ws.ids.len();
        self.ws.ids.extend_from_slice(targets);
        let out = self.push("token nll", rows, 1, out, needs);
        let slope = slope.map(|s| self.push("token nll slope", rows, vocab, s, false));
        self.record_op(out, TokenNll { h, out, slope, spec, first_id });
        Ok(out)
    }

    /// An objective on the logits of the rows that `active` names, chunk by chunk, never all at
    /// once. `f(rows, z)` gets the row numbers of a chunk and their logits `[rows, vocab]`, leaves the
    /// derivative in `z` and returns the chunk's value, which is added to the objective.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn logit_objective(
        &mut self,
        h: Var,
        spec: HeadSpec,
        active: &dyn Fn(usize) -> bool,
        f: &mut dyn FnMut(&[u32], &mut [f32]) -> f64,
    ) -> Result<(), EngineError> {
        self.check_head("logit_objective", h, &spec)?;
        let mut total = 0.0;
        self.head_chunks(h, spec, active, &mut |rows, z| total += f(rows, z));
        self.add_objective(total);
        Ok(())
    }

    /// For each chunk of active rows: logits, then `f(rows, logits → dlogits)`, then (when
    /// training) the gradients of h, weight and bias from what `f` left behind.
    pub(crate) fn head_chunks(
        &mut self,
        h: Var,
        spec: HeadSpec,
        active: &dyn Fn(usize) -> bool,
        f: &mut dyn FnMut(&[u32], &mut [f32]),
    ) {
        self.head_pass(h, spec, active, Logits::Passing, f);
    }

    fn head_pass(
        &mut self,
        h: Var,
        spec: HeadSpec,
        active: &dyn Fn(usize) -> bool,
        mut logits: Logits<'_>,
        f: &mut dyn FnMut(&[u32], &mut [f32]),
    ) {
        let (rows, (d, vocab)) = (self.shape(h).0, self.head_shape(spec));
        let chunk = CHUNK.min(rows.max(1));
        // Also when no row counts in this shard: the read-out is part of the network.
        for p in [Some(spec.weight), spec.bias].into_iter().flatten() {
            if self.param_needs(p) {
                self.touch(p);
            }
        }
        let mut passing = match logits {
            Logits::Passing => self.ws.pool.take(chunk * vocab),
            _ => Buf::default(),
        };
        let (mut hs, mut dh) = (self.ws.pool.take(chunk * d), self.ws.pool.take(chunk * d));
        let first = self.ws.ids.len();
        self.ws.ids.extend((0..rows).filter(|r| active(*r)).map(|r| r as u32));
        let ids = std::mem::take(&mut self.ws.ids);
        let dh_wanted = self.training() && self.needs(h);
        let (mut sum_h, had) = if dh_wanted { self.grad_slot(h) } else { (Buf::default(), true) };
        if !had {
            sum_h.fill(0.0);
        }
        for (i, rows) in ids[first..].chunks(chunk).enumerate() {
            let n = rows.len();
            let (z, ready) = match &mut logits {
                Logits::Passing => (&mut passing[..n * vocab], false),
                Logits::Keep(all) => (&mut all[i * chunk * vocab..][..n * vocab], false),
                Logits::Kept(all) => (&mut all[i * chunk * vocab..][..n * vocab], true),
            };
            Device::gather_rows(&mut hs, self.value(h), d, rows);
            if !ready {
                self.head_logits(View::new(&hs, n, d), z, spec);
            }
            f(rows, z);
            if !self.training() {
                continue;
            }
            if dh_wanted {
                let w = self.param(spec.weight);
                let w = if spec.tied { View::new(w, vocab, d) } else { View::new(w, d, vocab).t() };
                Device::gemm(ViewMut::new(&mut dh, n, d), spec.scale, View::new(z, n, vocab), w, false);
                Device::scatter_rows(&mut sum_h, &dh[..n * d], d, Place::Ids(rows), Scales::One(1.0));
            }
            self.head_grads(spec, &mut hs, z, rows);
        }
        self.ws.ids = ids;
        self.ws.ids.truncate(first);
        if dh_wanted {
            self.put_grad(h, sum_h);
        }
        self.release(passing);
        self.release(hs);
        self.release(dh);
    }

    /// Bias and weight gradients of one chunk. May scale `hs` by a per-row update.
    fn head_grads(&mut self, spec: HeadSpec, hs: &mut [f32], z: &[f32], rows: &[u32]) {
        let (n, (d, vocab)) = (rows.len(), self.head_shape(spec));
        if let Some(b) = spec.bias.filter(|b| self.param_needs(*b)) {
            let factor = &self.ws.factors[self.plan.whole(b)][Kind::Update as usize];
            if let Some(sums) = self.grads.as_mut().and_then(|g| g.of(b)) {
                Device::column_sums(sums, View::new(z, n, vocab), &[factor.of_rows(rows)]);
            }
            self.keep_movable(b);
        }
        if !self.param_needs(spec.weight) {
            return;
        }
        let alpha = match &self.ws.factors[self.plan.whole(spec.weight)][Kind::Update as usize] {
            Factor::Unset => spec.scale,
            Factor::One(f) => f * spec.scale,
            by @ Factor::Rows(_) => {
                Device::scale_rows(ViewMut::new(hs, n, d), by.of_rows(rows));
                spec.scale
            }
        };
        if alpha == 0.0 {
            return;
        }
        let Some(grads) = self.grads.as_mut().and_then(|g| g.of(spec.weight)) else { return };
        let (hv, zv) = (View::new(hs, n, d), View::new(z, n, vocab));
        if spec.tied {
            Device::gemm(ViewMut::new(grads, vocab, d), alpha, zv.t(), hv, true);
        } else {
            Device::gemm(ViewMut::new(grads, d, vocab), alpha, hv.t(), zv, true);
        }
        self.keep_movable(spec.weight);
    }
}

impl TokenNll {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(g) = t.take_grad(self.out) else { return };
        let (len, (_, vocab)) = (g.len(), t.head_shape(self.spec));
        // A copy in a buffer that stays: the pass over the read-out uses `ids` itself.
        let mut targets = std::mem::take(&mut t.ws.held);
        targets.clear();
        targets.extend_from_slice(&t.ws.ids[self.first_id..self.first_id + len]);
        if let Some(slope) = self.slope {
            let mut slope = std::mem::take(&mut t.ws.vars[slope.0].value);
            let counted = |r| targets[r] != IGNORE;
            t.head_pass(self.h, self.spec, &counted, Logits::Kept(&mut slope), &mut |rows, z| {
                let (n, of) = (rows.len(), Scales::Picked { of: &g, rows });
                Device::scale_rows(ViewMut::new(z, n, vocab), of);
            });
            t.release(slope);
        } else {
            let counted = |r| targets[r] != IGNORE && g[r] != 0.0;
            t.head_chunks(self.h, self.spec, &counted, &mut |rows, z| {
                let of = Picked { rows, targets: &targets, weights: Scales::Rows(&g) };
                Device::cross_entropy(ViewMut::new(z, rows.len(), vocab), of, None);
            });
        }
        t.ws.held = targets;
        t.release(g);
    }
}
