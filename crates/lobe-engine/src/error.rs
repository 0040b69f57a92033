//! Errors of the engine: each names the operation and the shapes.

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
    if left == right { Ok(()) } else { Err(EngineError::Shape { op, what, left, right }) }
}
