//! How much each row counts in an objective.

use crate::buffer::Buf;
use crate::error::{EngineError, same};
use crate::kernels::Scales;
use crate::tape::Tape;

/// Weight of each row in the objective.
#[derive(Clone, Copy)]
pub enum RowWeights<'a> {
    /// The same for all.
    One(f32),
    /// One per row.
    Each(&'a [f32]),
    /// A function of the row, where no slice of them exists.
    By(&'a dyn Fn(usize) -> f32),
}

impl std::fmt::Debug for RowWeights<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RowWeights::One(w) => write!(f, "One({w})"),
            RowWeights::Each(w) => write!(f, "Each({w:?})"),
            RowWeights::By(_) => f.write_str("By(..)"),
        }
    }
}

impl RowWeights<'_> {
    pub(crate) fn check(self, op: &'static str, rows: usize) -> Result<(), EngineError> {
        match self {
            RowWeights::One(_) | RowWeights::By(_) => Ok(()),
            RowWeights::Each(w) => same(op, "rows and row weights", (rows, 1), (w.len(), 1)),
        }
    }

    /// As kernels read them; `own` is what [`Tape::weigh`] made of them.
    pub(crate) fn scales<'b>(self, own: &'b Buf) -> Scales<'b>
    where
        Self: 'b,
    {
        match self {
            RowWeights::One(w) => Scales::One(w),
            RowWeights::Each(w) => Scales::Rows(w),
            RowWeights::By(_) => Scales::Rows(own),
        }
    }
}

impl Tape<'_> {
    /// The weights of all rows, where no slice of them exists; otherwise nothing.
    pub(crate) fn weigh(&mut self, weights: RowWeights<'_>, rows: usize) -> Buf {
        let RowWeights::By(w) = weights else { return Buf::default() };
        let mut own = self.ws.pool.take(rows);
        own.iter_mut().enumerate().for_each(|(r, to)| *to = w(r));
        own
    }
}
