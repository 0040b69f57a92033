//! Where a graft goes: outside of the cut, where the gradient is largest.

use std::ops::Range;

use lobe_core::{Key, Selection};
use lobe_engine::{Layout, Owner};

use super::BenchError;
use super::graft::{Graft, largest};

/// The parameters a graft may touch and how much each would help.
pub(super) struct Places<'a> {
    pub(super) layout: &'a Layout,
    gradient: &'a [f32],
    frozen: Vec<bool>,
    key: Key,
}

impl<'a> Places<'a> {
    /// Everything that `cut` does not own, with the gradient of the loss at the start.
    pub(super) fn new(
        layout: &'a Layout,
        cut: Option<&Selection>,
        gradient: &'a [f32],
        key: Key,
    ) -> Places<'a> {
        let mut frozen = vec![false; layout.len()];
        if let Some(cut) = cut {
            layout.for_owned(cut, |_, range| frozen[range].fill(true));
        }
        Places { layout, gradient, frozen, key }
    }

    /// Whether a parameter may be touched.
    pub(super) fn free(&self, i: usize) -> bool {
        !self.frozen[i]
    }

    /// The `k` entries with the largest gradient.
    pub(super) fn entries(&self, k: usize) -> Vec<usize> {
        let size: Vec<f32> = self.gradient.iter().map(|g| g.abs()).collect();
        largest(&size, |i| self.free(i), k)
    }

    /// All that the `n` neurons with the largest gradient own. A neuron is a unit that owns single rows
    /// and columns; heads, which own blocks, are none.
    pub(super) fn neurons(&self, n: usize) -> Vec<usize> {
        let mut score: Vec<Vec<f32>> =
            self.layout.sites().iter().map(|s| vec![f32::NAN; s.units as usize]).collect();
        for t in self.layout.tensors() {
            for (owner, of_rows) in [(&t.row_owner, true), (&t.col_owner, false)] {
                let Some(owner) = owner else { continue };
                for part in owner.parts.iter().filter(|p| p.width == 1 && p.units_per_block == 1) {
                    for unit in 0..part.blocks {
                        let (line, step, len) = if of_rows {
                            ((part.start + unit) * t.cols, 1, t.cols)
                        } else {
                            (part.start + unit, t.cols, t.rows)
                        };
                        let at = (0..len).map(|i| t.offset + line + i * step);
                        // An entry in the cut makes its unit infinite, which is never chosen.
                        let sum: f32 = at
                            .map(|i| if self.free(i) { self.gradient[i].powi(2) } else { f32::INFINITY })
                            .sum();
                        let s = &mut score[owner.site.0][unit];
                        *s = if s.is_nan() { sum } else { *s + sum };
                    }
                }
            }
        }
        let flat: Vec<(usize, usize)> =
            score.iter().enumerate().flat_map(|(s, u)| (0..u.len()).map(move |u| (s, u))).collect();
        let all = score.concat();
        let mut chosen = Selection::default();
        for i in largest(&all, |i| all[i].is_finite(), n) {
            let (site, unit) = flat[i];
            chosen.add(site, std::iter::once(unit as u32..unit as u32 + 1));
        }
        let mut at = Vec::new();
        self.layout.for_owned(&chosen, |_, range| at.extend(range));
        at.sort_unstable();
        at
    }

    /// A low-rank graft on the neurons' matrix with the largest gradient (gate and way up are two): B is zero and A is drawn, so
    /// that it starts as nothing.
    pub(super) fn low_rank(&self, rank: usize) -> Result<(Graft, Vec<f32>), BenchError> {
        let single = |o: &Owner| o.parts.iter().all(|p| p.width == 1 && p.units_per_block == 1);
        let owned = |o: &Option<Owner>| o.as_ref().is_some_and(single);
        let mut best: Option<(f64, usize, &Range<usize>)> = None;
        for (i, t) in self.layout.tensors().iter().enumerate() {
            if !t.matrix || !(owned(&t.row_owner) || owned(&t.col_owner)) {
                continue;
            }
            for part in &t.matrices {
                let mine = |p: &usize| self.free(*p) && part.contains(&((p - t.offset) % t.cols));
                let sum = t.span().filter(mine).map(|p| f64::from(self.gradient[p]).powi(2)).sum::<f64>();
                if best.is_none_or(|(b, ..)| sum > b) {
                    best = Some((sum, i, part));
                }
            }
        }
        let Some((_, i, part)) = best else {
            return Err(BenchError::Missing("sparse-graft: rank needs an MLP".into()));
        };
        let t = &self.layout.tensors()[i];
        let at = |r: usize, c: usize| t.offset + r * t.cols + c;
        // Rows that are cut from end to end, and columns that are cut in any row that is left.
        let rows: Vec<usize> = (0..t.rows).filter(|r| part.clone().any(|c| self.free(at(*r, c)))).collect();
        let cols: Vec<usize> = part.clone().filter(|c| rows.iter().all(|r| self.free(at(*r, *c)))).collect();
        let mut rng = self.key.child(&t.name).index(rank as u64).rng();
        let std = 1.0 / (rows.len().max(1) as f64).sqrt();
        let mut x: Vec<f32> = (0..rows.len() * rank).map(|_| (std * rng.normal()) as f32).collect();
        x.resize(rank * (rows.len() + cols.len()), 0.0);
        Ok((Graft::LowRank { offset: t.offset, stride: t.cols, rows, cols, rank }, x))
    }
}
