//! Token embedding plus (optionally) learned positions.

use crate::error::EngineError;
use crate::factors::Kind;
use crate::layout::{ParamId, SiteId};
use crate::simd;
use crate::tape::{Tape, Var};

/// Tokens `[rows]` to vectors `[rows, d]`: `table[token] + positions[row % seq]`.
#[derive(Debug, Clone, Copy)]
pub struct Embedding {
    table: ParamId,
    positions: Option<ParamId>,
    seq: usize,
    first_id: usize,
    out: Var,
}

impl Tape<'_> {
    /// Looks up `ids` in `table` `[vocab, d]` and adds `positions` `[≥ seq, d]`.
    ///
    /// # Errors
    /// If a token is outside of the vocabulary, the sequence is longer than the positions, or what
    /// stands at the site does not fit.
    pub fn embedding(
        &mut self,
        ids: &[u32],
        seq: usize,
        table: ParamId,
        positions: Option<ParamId>,
        site: Option<SiteId>,
    ) -> Result<Var, EngineError> {
        let (vocab, d) = (self.layout.get(table).rows, self.layout.get(table).cols);
        if let Some(bad) = ids.iter().find(|t| **t as usize >= vocab) {
            return Err(EngineError::Index {
                op: "embedding",
                what: "token",
                index: *bad as usize,
                bound: vocab,
            });
        }
        if let Some(p) = positions {
            if seq == 0 {
                return Err(EngineError::Invalid("embedding: a sequence length of 0".into()));
            }
            let t = self.layout.get(p);
            crate::error::same("embedding", "widths of table and positions", (vocab, d), (vocab, t.cols))?;
            if seq > t.rows {
                return Err(EngineError::Index {
                    op: "embedding",
                    what: "position",
                    index: seq - 1,
                    bound: t.rows,
                });
            }
        }
        let mut out = self.ws.pool.take(ids.len() * d);
        let table_values = self.param(table);
        let position_values = positions.map(|p| self.param(p));
        for (i, (row, id)) in out.chunks_exact_mut(d).zip(ids).enumerate() {
            row.copy_from_slice(&table_values[*id as usize * d..][..d]);
            if let Some(p) = position_values {
                simd::add(row, &p[i % seq * d..][..d]);
            }
        }
        let first_id = self.ws.ids.len();
        self.ws.ids.extend_from_slice(ids);
        let needs = self.param_needs(table) || positions.is_some_and(|p| self.param_needs(p));
        let out = self.push("embedding", ids.len(), d, out, needs);
        if let Some(site) = site {
            self.mark_site(out, site)?;
        }
        self.record_op(out, Embedding { table, positions, seq, first_id, out });
        Ok(out)
    }
}

impl Embedding {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(dy) = t.take_grad(self.out) else { return };
        let (rows, d) = t.shape(self.out);
        for (p, by_position) in [(Some(self.table), false), (self.positions, true)] {
            let Some(p) = p.filter(|p| t.param_needs(*p)) else { continue };
            t.touch(p);
            let class = t.plan.whole(p);
            let Some(grads) = t.grads.as_mut().and_then(|g| g.of(p)) else { continue };
            let factor = &t.ws.factors[class][Kind::Update as usize];
            if factor.is(0.0) {
                continue;
            }
            for i in 0..rows {
                let at = if by_position { i % self.seq } else { t.ws.ids[self.first_id + i] as usize };
                let (g, dy, f) = (&mut grads[at * d..][..d], &dy[i * d..][..d], factor.at(i));
                if f == 1.0 {
                    simd::add(g, dy);
                } else {
                    g.iter_mut().zip(dy).for_each(|(g, dy)| *g += f * dy);
                }
            }
        }
        t.release(dy);
    }
}
