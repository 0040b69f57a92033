//! How much each row counts in an objective.

use crate::error::{EngineError, same};

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
    pub(crate) fn at(self, row: usize) -> f32 {
        match self {
            RowWeights::One(w) => w,
            RowWeights::Each(w) => w[row],
            RowWeights::By(w) => w(row),
        }
    }
}
