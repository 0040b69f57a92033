//! Errors of the engine: each names the operation and the shapes.

use std::ops::Range;

use thiserror::Error;

/// Why a network or a step is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    /// Two shapes do not fit.
    #[error("{op}: {what}: {left:?} against {right:?}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// What should have agreed.
        what: &'static str,
        /// First shape, (rows, columns).
        left: (usize, usize),
        /// Second shape, (rows, columns).
        right: (usize, usize),
    },
    /// An index (token, target, unit) is out of range.
    #[error("{op}: {what} {index} is outside of 0..{bound}")]
    Index {
        /// The operation.
        op: &'static str,
        /// What the index stands for.
        what: &'static str,
        /// The index.
        index: usize,
        /// The exclusive bound.
        bound: usize,
    },
    /// A number became infinite or NaN.
    #[error("non-finite loss: first seen in {place}, shard {shard}")]
    NonFinite {
        /// Operation (and site) whose output first was not finite.
        place: String,
        /// Shard of the batch.
        shard: usize,
    },
    /// A trainable parameter took part in no shard and no route declared that.
    #[error("parameter {name:?} received no gradient; nothing in the network uses it")]
    NoGradient {
        /// The parameter's name.
        name: String,
    },
    /// A layout, region or option is inconsistent.
    #[error("{0}")]
    Invalid(String),
}

/// `Ok` if the shapes agree.
pub(crate) fn same(
    op: &'static str,
    what: &'static str,
    left: (usize, usize),
    right: (usize, usize),
) -> Result<(), EngineError> {
    fits(op, what, left == right, left, right)
}

/// `Ok` if `len` numbers fill `shape`.
pub(crate) fn filled(
    op: &'static str,
    what: &'static str,
    shape: (usize, usize),
    len: usize,
) -> Result<(), EngineError> {
    let whole = shape.1 > 0 && len.is_multiple_of(shape.1);
    let right = if whole { (len / shape.1, shape.1) } else { (1, len) };
    fits(op, what, len == shape.0 * shape.1, shape, right)
}

/// `Ok` if `range` lies within `0..cols`.
pub(crate) fn columns(op: &'static str, range: &Range<usize>, cols: usize) -> Result<(), EngineError> {
    if range.start <= range.end && range.end <= cols {
        return Ok(());
    }
    Err(EngineError::Index { op, what: "column", index: range.end, bound: cols + 1 })
}

/// `Ok` if `ok`; otherwise the two shapes as they are.
pub(crate) fn fits(
    op: &'static str,
    what: &'static str,
    ok: bool,
    left: (usize, usize),
    right: (usize, usize),
) -> Result<(), EngineError> {
    if ok { Ok(()) } else { Err(EngineError::Shape { op, what, left, right }) }
}
