//! The parameters that may move in a step, cut into pieces of work.

use std::ops::Range;

use lobe_core::JointKind;

use super::rule::Matrix;
use crate::layout::{Layout, ParamId, Tensor};
use crate::tape::plan::{Plan, Segment};

/// Elements per piece of work: parameters, moments and lanes of a piece stay in cache.
const PIECE: usize = 8192;

/// A run of parameters that may move.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// In the parameters.
    pub range: Range<usize>,
    /// Where it begins in gradients and moments.
    pub at: usize,
    pub decay: bool,
    /// What of it may move, where the rule asked for whole matrices and this is one.
    pub matrix: Option<Matrix>,
}

/// What decides over the pieces beside the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cutting {
    /// Whether vectors and embeddings do not decay.
    pub matrices_only: bool,
    /// Whether the rule needs matrices in one piece.
    pub whole: bool,
}

/// The parameters that may move when the classes in `frozen` may not, cut into pieces.
pub(crate) fn cut(layout: &Layout, plan: &Plan, frozen: &dyn Fn(usize) -> bool, how: Cutting) -> Vec<Cut> {
    let mut out: Vec<Cut> = Vec::new();
    for (i, t) in layout.tensors().iter().enumerate() {
        let p = ParamId(i);
        let Some(place) = plan.gradients().of(p) else { continue };
        if frozen(plan.whole(p)) {
            continue;
        }
        let decay = !how.matrices_only || (t.matrix && t.joint != Some(JointKind::Embedding));
        let (rows, cols) = (plan.rows(p), plan.cols(p));
        let piece = |range: Range<usize>, matrix| {
            let at = place.start + range.start - t.offset;
            Cut { range, at, decay, matrix }
        };
        // A matrix with holes is none: its entries move one by one.
        if how.whole && is_hidden_matrix(t) && plan.movable(p).is_none() {
            let matrix = matrix(t, &free(rows, t.rows, frozen), &free(cols, t.cols, frozen));
            out.extend(matrix.map(|m| piece(t.span(), Some(m))));
            continue;
        }
        let mut add = |range: Range<usize>| {
            plan.within_movable((p, t), range, |part| add(&mut out, piece(part, None)));
        };
        if !rows.iter().chain(cols).any(|s| frozen(s.class)) {
            add(t.span());
            continue;
        }
        for r in 0..t.rows {
            if rows.iter().any(|s| s.range.contains(&r) && frozen(s.class)) {
                continue;
            }
            let at = t.offset + r * t.cols;
            if cols.is_empty() {
                add(at..at + t.cols);
            }
            for s in cols.iter().filter(|s| !frozen(s.class)) {
                add(at + s.range.start..at + s.range.end);
            }
        }
    }
    out
}

/// A run joins the piece before it, or is cut into pieces of its own.
fn add(out: &mut Vec<Cut>, run: Cut) {
    let Cut { range, at, decay, .. } = run;
    if range.is_empty() {
        return;
    }
    match out.last_mut() {
        Some(last)
            if last.range.end == range.start
                && last.at + last.range.len() == at
                && last.decay == decay
                && last.matrix.is_none()
                && last.range.len() + range.len() <= PIECE =>
        {
            last.range.end = range.end;
        }
        _ => out.extend(range.clone().step_by(PIECE).map(|start| {
            let at = at + start - range.start;
            let range = start..(start + PIECE).min(range.end);
            Cut { range, at, decay, matrix: None }
        })),
    }
}

/// Whether a tensor is a matrix between two layers of activations, and neither a table nor a read-out.
fn is_hidden_matrix(t: &Tensor) -> bool {
    let outer = matches!(t.joint, Some(JointKind::Embedding | JointKind::Head));
    t.matrix && t.rows > 1 && t.cols > 1 && !outer
}

/// The ranges of `0..extent` whose class is not frozen.
fn free(segments: &[Segment], extent: usize, frozen: &dyn Fn(usize) -> bool) -> Vec<Range<usize>> {
    if segments.is_empty() {
        return std::iter::once(0..extent).collect();
    }
    let mut out: Vec<Range<usize>> = Vec::new();
    for s in segments.iter().filter(|s| !frozen(s.class)) {
        match out.last_mut() {
            Some(last) if last.end == s.range.start => last.end = s.range.end,
            _ => out.push(s.range.clone()),
        }
    }
    out
}

/// The matrices of a tensor of which these rows and columns may move; `None` if nothing may.
fn matrix(t: &Tensor, rows: &[Range<usize>], cols: &[Range<usize>]) -> Option<Matrix> {
    let within = |part: &Range<usize>| {
        let both = cols.iter().map(|c| c.start.max(part.start)..c.end.min(part.end));
        both.filter(|c| !c.is_empty()).collect()
    };
    let parts: Vec<Vec<Range<usize>>> = t.matrices.iter().map(within).collect();
    let any = !rows.is_empty() && parts.iter().any(|p| !p.is_empty());
    any.then(|| Matrix { stride: t.cols, rows: rows.to_vec(), parts })
}

impl Cut {
    /// Where it lies in gradients and moments.
    pub(super) fn place(&self) -> Range<usize> {
        self.at..self.at + self.range.len()
    }
}
