//! Token embedding plus (optionally) learned positions.

use crate::error::EngineError;
use crate::kernels::{Device, Kernels, Lookup, Place};
use crate::layout::{ParamId, SiteId};
use crate::tape::factors::Kind;
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
        for p in [Some(table), positions].into_iter().flatten() {
            self.no_guest("embedding", p)?;
        }
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
        let tokens = Lookup { table: self.param(table), place: Place::Ids(ids) };
        let places = positions.map(|p| Lookup { table: self.param(p), place: Place::Cycle(seq) });
        Device::embed(&mut out, d, tokens, places);
        let first_id = self.ws.ids.len();
        self.ws.ids.extend_from_slice(ids);
        let needs = self.param_needs(table) || positions.is_some_and(|p| self.param_needs(p));
        let out = self.push("embedding", ids.len(), d, out, needs);
        self.leave(out, site, Embedding { table, positions, seq, first_id, out })
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
            let ids = Place::Ids(&t.ws.ids[self.first_id..self.first_id + rows]);
            let place = if by_position { Place::Cycle(self.seq) } else { ids };
            Device::scatter_rows(grads, &dy, d, place, factor.scales());
            t.keep_movable(p);
        }
        t.release(dy);
    }
}
