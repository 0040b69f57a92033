//! What the optimiser may move: whole tensors, or entries of them.

use std::ops::Range;

use super::Plan;
use crate::entries::{Entries, Rectangle};
use crate::layout::{Layout, ParamId, Tensor};
use crate::moving::Moving;

/// Per tensor what may move.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moves {
    /// Whether the layout lets it train.
    free: Vec<bool>,
    /// Whether it is trained at all.
    tensors: Vec<bool>,
    /// Which of its entries; `None` is all.
    entries: Vec<Option<Vec<Rectangle>>>,
    /// Their shapes.
    shapes: Vec<(usize, usize)>,
    /// Where the gradients of those lie of which anything moves.
    gradients: Moving,
}

impl Moves {
    pub(super) fn all(layout: &Layout) -> Moves {
        let n = layout.tensors().len();
        let shapes = layout.tensors().iter().map(|t| (t.rows, t.cols)).collect();
        let free: Vec<bool> = layout.tensors().iter().map(|t| !t.frozen).collect();
        let (tensors, gradients) = (free.clone(), Moving::all(layout));
        let mut out = Moves { free, tensors, entries: vec![None; n], shapes, gradients };
        out.settle();
        out
    }

    fn any(&self, p: ParamId) -> bool {
        self.tensors[p.0] && self.entries[p.0].as_ref().is_none_or(|e| !e.is_empty())
    }

    fn settle(&mut self) {
        let all = std::mem::take(&mut self.gradients);
        self.gradients = all.only(|p| self.any(p));
    }

    fn keep(&mut self, still: bool, entries: &Entries) {
        for (i, part) in self.entries.iter_mut().enumerate() {
            let (p, (rows, cols)) = (ParamId(i), self.shapes[i]);
            let before = part.clone().unwrap_or_else(|| vec![(0..rows, 0..cols)]);
            let before = Entries::of(before.into_iter().map(|r| (p, r)));
            let after = if still { before.difference(entries) } else { before.intersection(entries) };
            let after: Vec<Rectangle> = after.rectangles(p).collect();
            let whole = matches!(after.as_slice(), [(r, c)] if (r.len(), c.len()) == (rows, cols));
            *part = (!whole).then_some(after);
        }
        self.settle();
    }
}

impl Plan {
    /// Only these tensors are trained from now on, as far as the layout lets them train.
    pub fn train_only(mut self, keep: impl Fn(ParamId) -> bool) -> Plan {
        let Moves { free, tensors, .. } = &mut self.moves;
        for (i, (t, free)) in tensors.iter_mut().zip(free).enumerate() {
            *t = *free && keep(ParamId(i));
        }
        self.moves.settle();
        self
    }

    /// Only these numbers move. The others stay what they are, bit for bit; what their gradient would have
    /// been is not computed, and does not count in the norm that clips.
    pub fn moving(mut self, entries: &Entries) -> Plan {
        self.moves.keep(false, entries);
        self
    }

    /// These numbers stay what they are, decay and momentum included: a deleted weight stays deleted.
    pub fn still(mut self, entries: &Entries) -> Plan {
        self.moves.keep(true, entries);
        self
    }

    /// Whether the optimiser may move anything of `p`.
    pub fn trainable(&self, p: ParamId) -> bool {
        self.moves.any(p)
    }

    /// Where the gradients lie of the tensors of which anything may move.
    pub fn gradients(&self) -> &Moving {
        &self.moves.gradients
    }

    /// The entries of `p` that may move, where it is not all of them: disjoint, by row and then by column.
    pub fn movable(&self, p: ParamId) -> Option<&[Rectangle]> {
        self.moves.entries[p.0].as_deref()
    }

    /// The parts of `range` (in the flat parameter vector, within `tensor`) that may move, ascending.
    pub(crate) fn within_movable(
        &self,
        (p, tensor): (ParamId, &Tensor),
        range: Range<usize>,
        mut f: impl FnMut(Range<usize>),
    ) {
        let Some(rectangles) = self.movable(p) else { return f(range) };
        let cols = tensor.cols;
        let (first, last) =
            ((range.start - tensor.offset) / cols, (range.end - tensor.offset).div_ceil(cols));
        // Rectangles of a band share their rows, and bands do not overlap.
        for band in rectangles.chunk_by(|a, b| a.0 == b.0) {
            let rows = band[0].0.start.max(first)..band[0].0.end.min(last);
            if let [(_, c)] = band
                && c.len() == cols
                && !rows.is_empty()
            {
                let start = (tensor.offset + rows.start * cols).max(range.start);
                f(start..(tensor.offset + rows.end * cols).min(range.end));
                continue;
            }
            for row in rows {
                let at = tensor.offset + row * cols;
                for (_, c) in band {
                    let part = (at + c.start).max(range.start)..(at + c.end).min(range.end);
                    if !part.is_empty() {
                        f(part);
                    }
                }
            }
        }
    }
}
