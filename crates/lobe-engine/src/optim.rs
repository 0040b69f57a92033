//! SGD, Adam and AdamW: one fused pass that sums the lanes in order, updates, and clears them.

use std::ops::Range;

use lobe_core::JointKind;
use rayon::prelude::*;

use crate::buffer::Buf;
use crate::layout::{Layout, ParamId};
use crate::plan::Plan;
use crate::schedule::Schedule;
use crate::simd;

/// Elements per piece of work: parameters, moments and lanes of a piece stay in cache.
const PIECE: usize = 8192;

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptimiserKind {
    /// Stochastic gradient descent; decay is added to the gradient.
    Sgd {
        /// Momentum; 0 for none.
        momentum: f32,
    },
    /// Adam (Kingma and Ba 2015); decay is added to the gradient (coupled L2).
    Adam {
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
    },
    /// AdamW (Loshchilov and Hutter 2019); decay shrinks the parameters directly.
    AdamW {
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
    },
}

/// What happens to entries that no data of a step may update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Masked {
    /// Their gradient is zero: momentum and decay go on (the reference behaviour of SGTM).
    #[default]
    ZeroGrad,
    /// They do not move and their moments do not change.
    Freeze,
}

/// An optimiser's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimiser {
    /// The update rule.
    pub kind: OptimiserKind,
    /// Learning rate over the steps.
    pub schedule: Schedule,
    /// Weight decay.
    pub weight_decay: f32,
    /// Whether decay leaves vectors (biases, norms) and embeddings alone.
    pub decay_matrices_only: bool,
    /// Largest global gradient norm.
    pub clip: Option<f32>,
    /// Masked entries.
    pub masked: Masked,
}

/// Moments and the number of updates made.
#[derive(Debug, Clone, Default)]
pub struct OptimiserState {
    /// First moment (momentum for SGD).
    pub first: Buf,
    /// Second moment; empty for SGD.
    pub second: Buf,
    /// Updates made.
    pub updates: u64,
}

impl OptimiserState {
    /// Zero moments for `len` parameters.
    pub fn new(len: usize, kind: OptimiserKind) -> OptimiserState {
        let second = if matches!(kind, OptimiserKind::Sgd { .. }) { 0 } else { len };
        OptimiserState { first: Buf::zeros(len), second: Buf::zeros(second), updates: 0 }
    }

    /// Back to zero moments.
    pub fn reset(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.updates = 0;
    }
}

/// A run of parameters that may move.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    range: Range<usize>,
    decay: bool,
}

/// The parameters that may move when the classes in `frozen` may not, cut into pieces.
pub(crate) fn pieces(
    layout: &Layout,
    plan: &Plan,
    frozen: &dyn Fn(usize) -> bool,
    matrices_only: bool,
) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let mut add = |range: Range<usize>, decay: bool| {
        if range.is_empty() {
            return;
        }
        match out.last_mut() {
            Some(last)
                if last.range.end == range.start
                    && last.decay == decay
                    && last.range.len() + range.len() <= PIECE =>
            {
                last.range.end = range.end;
            }
            _ => {
                let starts = range.clone().step_by(PIECE);
                out.extend(starts.map(|s| Piece { range: s..(s + PIECE).min(range.end), decay }));
            }
        }
    };
    for (i, t) in layout.tensors().iter().enumerate() {
        let p = ParamId(i);
        let mut add = |range, decay| plan.within_movable((p, t), range, |part| add(part, decay));
        if !plan.trainable(p) || frozen(plan.whole(p)) {
            continue;
        }
        let decay = !matrices_only || (t.matrix && t.joint != Some(JointKind::Embedding));
        let (rows, cols) = (plan.rows(p), plan.cols(p));
        if !rows.iter().chain(cols).any(|s| frozen(s.class)) {
            add(t.span(), decay);
            continue;
        }
        for r in 0..t.rows {
            if rows.iter().any(|s| s.range.contains(&r) && frozen(s.class)) {
                continue;
            }
            let at = t.offset + r * t.cols;
            if cols.is_empty() {
                add(at..at + t.cols, decay);
            }
            for s in cols.iter().filter(|s| !frozen(s.class)) {
                add(at + s.range.start..at + s.range.end, decay);
            }
        }
    }
    out
}

/// Mutable access to disjoint ranges of one slice from several threads.
struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    _borrow: std::marker::PhantomData<&'a mut [f32]>,
}

#[allow(unsafe_code, reason = "pieces of one vector are updated in parallel")]
// SAFETY: access goes through `get`, whose caller promises disjoint ranges; f32 has no drop glue.
unsafe impl Sync for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    fn new(slice: &'a mut [f32]) -> Self {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), _borrow: std::marker::PhantomData }
    }

    #[allow(unsafe_code, clippy::mut_from_ref, reason = "pieces of one vector are updated in parallel")]
    /// SAFETY: no two live results may overlap.
    unsafe fn get(&self, range: &Range<usize>) -> &'a mut [f32] {
        if self.len == 0 {
            return &mut [];
        }
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice (asserted) and disjoint from other results (caller).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

impl Optimiser {
    /// Sums `lanes` in order, updates `params`, and clears the lanes. Returns the gradient norm
    /// before clipping, when clipping is on.
    pub(crate) fn apply(
        &self,
        step: u64,
        pieces: &[Piece],
        params: &mut [f32],
        state: &mut OptimiserState,
        lanes: &mut [Buf],
        norms: &mut Vec<f64>,
    ) -> Option<f32> {
        state.updates += 1;
        let lr = self.schedule.at(step);
        let (p, m, v) =
            (Disjoint::new(params), Disjoint::new(&mut state.first), Disjoint::new(&mut state.second));
        let updates = state.updates;
        // At most 64 lanes: a fixed array keeps the step free of allocations.
        let mut views: [Option<Disjoint<'_>>; 64] = [const { None }; 64];
        for (view, lane) in views.iter_mut().zip(lanes.iter_mut()) {
            *view = Some(Disjoint::new(lane));
        }
        let sum = |piece: &Piece| -> &mut [f32] {
            let mut all = views.iter().flatten();
            #[allow(unsafe_code, reason = "pieces of one vector are updated in parallel")]
            // SAFETY: pieces are disjoint ranges, each handled by one task.
            let mut get = || all.next().map(|l| unsafe { l.get(&piece.range) });
            let Some(first) = get() else { return &mut [] };
            while let Some(next) = get() {
                simd::add(first, next);
                next.fill(0.0);
            }
            first
        };
        let mut norm = None;
        if self.clip.is_some() {
            norms.clear();
            norms.resize(pieces.len(), 0.0);
            pieces.par_iter().zip(norms.par_iter_mut()).with_min_len(4).for_each(|(piece, n)| {
                *n = sum(piece).iter().map(|g| f64::from(*g) * f64::from(*g)).sum();
            });
            norm = Some(norms.iter().sum::<f64>().sqrt() as f32);
        }
        let shrink = match (norm, self.clip) {
            (Some(n), Some(c)) if n > c => c / n,
            _ => 1.0,
        };
        pieces.par_iter().with_min_len(4).for_each(|piece| {
            // After the norm pass the later lanes are zero; adding them again changes nothing.
            let g = sum(piece);
            #[allow(unsafe_code, reason = "pieces of one vector are updated in parallel")]
            // SAFETY: pieces are disjoint ranges, each handled by one task.
            let (p, m, v) = unsafe { (p.get(&piece.range), m.get(&piece.range), v.get(&piece.range)) };
            let decay = if piece.decay { self.weight_decay } else { 0.0 };
            self.update(lr, decay, shrink, updates, p, g, m, v);
            g.fill(0.0);
        });
        norm
    }

    fn update(
        &self,
        lr: f32,
        decay: f32,
        shrink: f32,
        updates: u64,
        p: &mut [f32],
        g: &[f32],
        m: &mut [f32],
        v: &mut [f32],
    ) {
        let n = p.len();
        let correct = |beta: f32| 1.0 / (1.0 - f64::from(beta).powf(updates as f64)) as f32;
        match self.kind {
            OptimiserKind::Sgd { momentum } => simd::on(
                #[inline(always)]
                || {
                    for i in 0..n {
                        let g = g[i].mul_add(shrink, decay * p[i]);
                        m[i] = momentum.mul_add(m[i], g);
                        p[i] -= lr * m[i];
                    }
                },
            ),
            OptimiserKind::Adam { beta1, beta2, eps } | OptimiserKind::AdamW { beta1, beta2, eps } => {
                let (c1, c2) = (correct(beta1), correct(beta2));
                let coupled = matches!(self.kind, OptimiserKind::Adam { .. });
                let (l2, keep) = if coupled { (decay, 1.0) } else { (0.0, 1.0 - lr * decay) };
                let v = &mut v[..n];
                simd::on(
                    #[inline(always)]
                    || {
                        for i in 0..n {
                            let g = g[i].mul_add(shrink, l2 * p[i]);
                            m[i] = (g - m[i]).mul_add(1.0 - beta1, m[i]);
                            v[i] = (g * g - v[i]).mul_add(1.0 - beta2, v[i]);
                            p[i] = p[i] * keep - lr * (m[i] * c1) / ((v[i] * c2).sqrt() + eps);
                        }
                    },
                );
            }
        }
    }
}
