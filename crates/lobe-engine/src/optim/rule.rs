//! What an optimiser is: a rule that moves a piece of the parameters along its gradient.

use std::fmt::Debug;
use std::ops::Range;

/// Most numbers that a rule keeps for each parameter.
pub const MOST_SLOTS: usize = 4;

/// The update rule of an optimiser. To add one, write its file and its line in [`super::OPTIMISERS`].
pub trait Rule: Debug + Send + Sync {
    /// How many numbers it keeps for each parameter from step to step, at most [`MOST_SLOTS`]. They start
    /// at zero.
    fn slots(&self) -> usize;

    /// Whether it needs every matrix in one piece ([`Piece::matrix`]). Without, pieces are runs of a length
    /// that stays in cache, and where they begin and end must not change a result.
    fn whole_matrices(&self) -> bool {
        false
    }

    /// Moves the parameters of a piece and its numbers of state. Called once per piece and step, from several
    /// threads: the loop over the parameters is the rule's own. The gradient is cleared afterwards.
    fn update(&self, step: Step, piece: Piece<'_>);
}

/// What is the same for all parameters of a piece in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Learning rate.
    pub lr: f32,
    /// Weight decay; 0 where the settings leave a tensor alone.
    pub decay: f32,
    /// What clipping multiplies the gradient by; 1 where it leaves it alone.
    pub shrink: f32,
    /// Number of updates with this one: 1 in the first step.
    pub updates: u64,
}

impl Step {
    /// What undoes the bias of a mean with decay `beta` that started at zero: 1 / (1 − βᵗ).
    pub fn unbias(&self, beta: f32) -> f32 {
        1.0 / (1.0 - f64::from(beta).powf(self.updates as f64)) as f32
    }
}

/// Parameters that a rule moves at once. All slices have the same length.
#[derive(Debug)]
pub struct Piece<'a> {
    /// The parameters.
    pub params: &'a mut [f32],
    /// Their gradient, before clipping. A rule may use it as it likes.
    pub gradient: &'a mut [f32],
    /// The rule's own numbers, as many slices as [`Rule::slots`] says; the others are empty.
    pub state: [&'a mut [f32]; MOST_SLOTS],
    /// The shape of the piece, for a rule that asked for [whole matrices](Rule::whole_matrices); `None` for
    /// what is no matrix of a hidden layer: vectors, embeddings and read-outs.
    pub matrix: Option<&'a Matrix>,
}

/// A tensor of one or more matrices side by side, row-major, of which only some rows and columns may move in
/// a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Columns of the whole tensor: the distance between its rows.
    pub stride: usize,
    /// The rows that may move, ascending. Entries outside of them have no gradient and must stay.
    pub rows: Vec<Range<usize>>,
    /// For each matrix its columns that may move, ascending.
    pub parts: Vec<Vec<Range<usize>>>,
}

impl Matrix {
    /// Where the runs of part number `part` that may move lie in the tensor, row by row.
    pub fn runs(&self, part: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let of_row = move |r: usize| {
            let at = r * self.stride;
            self.parts[part].iter().map(move |c| at + c.start..at + c.end)
        };
        self.rows.iter().cloned().flatten().flat_map(of_row)
    }

    /// (rows, columns) of part number `part`, counting what may move.
    pub fn shape(&self, part: usize) -> (usize, usize) {
        let count = |of: &[Range<usize>]| of.iter().map(Range::len).sum();
        (count(&self.rows), count(&self.parts[part]))
    }
}
