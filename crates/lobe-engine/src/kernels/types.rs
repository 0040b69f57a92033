//! What the kernels are given besides numbers: functions, factors of rows, shapes.

use super::View;

/// A number for each row of a matrix.
#[derive(Debug, Clone, Copy)]
pub enum Scales<'a> {
    /// The same for all.
    One(f32),
    /// One per row.
    Rows(&'a [f32]),
    /// Row `i` has the number of row `rows[i]` of a larger matrix.
    Picked {
        /// The numbers of the larger matrix.
        of: &'a [f32],
        /// Which of its rows stand here.
        rows: &'a [u32],
    },
}

impl Scales<'_> {
    /// The number of a row.
    #[inline(always)]
    pub fn at(&self, row: usize) -> f32 {
        match self {
            Scales::One(s) => *s,
            Scales::Rows(s) => s[row],
            Scales::Picked { of, rows } => of[rows[row] as usize],
        }
    }
}

/// The product of several numbers per row, in order.
#[inline(always)]
pub(super) fn product(by: &[Scales<'_>], row: usize) -> f32 {
    by.iter().fold(1.0, |p, s| p * s.at(row))
}

/// The row of a table that belongs to each row.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// Row `i` belongs to the table's row `ids[i]`.
    Ids(&'a [u32]),
    /// Row `i` belongs to the table's row `i` modulo this number.
    Cycle(usize),
}

impl Place<'_> {
    /// The table's row for row `i`.
    #[inline(always)]
    pub fn of(&self, i: usize) -> usize {
        match self {
            Place::Ids(ids) => ids[i] as usize,
            Place::Cycle(n) => i % n,
        }
    }
}

/// A table `[n, d]` and the place of each row in it.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// The table, row-major.
    pub table: &'a [f32],
    /// Which of its rows are read.
    pub place: Place<'a>,
}

/// Activation applied to `x W + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Act {
    /// None.
    #[default]
    Identity,
    /// max(u, 0).
    Relu,
    /// u Φ(u), exact.
    Gelu,
    /// The tanh approximation of GELU (GPT-2, GPT-Neo).
    GeluTanh,
    /// u σ(u).
    Silu,
}

/// Where the derivative of an activation is read.
#[derive(Clone, Copy)]
pub enum Slope<'a> {
    /// It was kept.
    Kept(View<'a>),
    /// It is 0 where this output is 0, and 1 elsewhere (ReLU).
    Sign(View<'a>),
}

/// An element-wise function of one variable.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// s x
    Scale(f32),
    /// x + s
    Shift(f32),
    /// |x|, with slope 0 at 0.
    Abs,
    /// x²
    Square,
    /// √x
    Sqrt,
    /// eˣ
    Exp,
    /// ln x
    Log,
    /// ln(1 + eˣ), without overflow.
    Softplus,
    /// max(x, 0)
    Relu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// tanh x
    Tanh,
    /// x Φ(x)
    Gelu,
    /// The tanh approximation of GELU.
    GeluTanh,
    /// x σ(x)
    Silu,
}

/// An element-wise function of two variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a ∘ b
    Mul,
    /// a / b
    Div,
}

/// What is reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Sum of all elements: `[1, 1]`.
    Sum,
    /// Mean of all elements: `[1, 1]`.
    Mean,
    /// Sum of each row: `[rows, 1]`.
    RowSum,
    /// Mean of each column: `[1, cols]`.
    ColumnMean,
    /// ln Σ eˣ of each row: `[rows, 1]`.
    RowLogSumExp,
}

/// How far apart two rows are: the sum over columns of the squared or absolute difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// Σ (x - t)²
    Squared,
    /// Σ |x - t|
    Absolute,
}

/// What an intervention does to a unit range of a site, for every row.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Replace the columns by these values (one per column of the range).
    Set(Vec<f32>),
    /// Add these values.
    Add(Vec<f32>),
    /// Remove the component along this unit vector.
    ProjectOut(Vec<f32>),
    /// Clamp to a closed interval.
    Clamp(f32, f32),
}

/// How rows are normalised, and what then happens to each of their columns.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// `[d]`: what columns are multiplied by.
    pub gain: &'a [f32],
    /// `[d]`: what is added to them.
    pub shift: Option<&'a [f32]>,
    /// Whether no mean is subtracted.
    pub rms: bool,
    /// Added to the variance.
    pub eps: f32,
}

/// What the backward pass of a norm reads.
#[derive(Clone, Copy)]
pub struct NormSaved<'a> {
    /// `[rows, d]`: its input.
    pub x: View<'a>,
    /// `[rows, 2]`: mean and reciprocal deviation.
    pub stats: &'a [f32],
    /// `[d]`.
    pub gain: &'a [f32],
    /// Whether no mean was subtracted.
    pub rms: bool,
}

/// What the backward pass of a norm writes.
pub struct NormGrads<'a> {
    /// Gradient of the input, and whether it is added to what is there.
    pub dx: Option<(&'a mut [f32], bool)>,
    /// Sums for gain and shift, added to; rows count with the factors beside them.
    pub sums: Option<[(&'a mut [f32], Scales<'a>); 2]>,
}

/// Rotary positions. Pairs are (i, i + head_dim/2); pair i turns by
/// `position / stretch · base^(-2i/head_dim)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotary {
    /// Base of the angles (10,000 in Llama).
    pub base: f32,
    /// What positions are divided by: 1, or the factor of "linear" scaling for longer contexts
    /// (Chen et al. 2023, arXiv:2306.15595).
    pub stretch: f32,
}

impl Rotary {
    /// Positions as they are.
    pub fn plain(base: f32) -> Rotary {
        Rotary { base, stretch: 1.0 }
    }
}

/// Shape of causal attention. A row of its input is `[q heads | k heads | v heads]`, each `head_dim` wide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// Sequence length; rows are a multiple of it.
    pub seq: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Scale on the logits.
    pub scale: f32,
    /// How many positions back a query sees, itself included; `None` is all.
    pub window: Option<usize>,
}

impl Heads {
    /// Columns of the input.
    pub fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }
    /// First columns of the query, key and value of head `h`.
    pub fn columns(&self, h: usize) -> (usize, usize, usize) {
        let g = h / (self.heads / self.kv_heads);
        let hd = self.head_dim;
        (h * hd, (self.heads + g) * hd, (self.heads + self.kv_heads + g) * hd)
    }
    /// First key that the query at position `q` may see.
    pub fn first_key(&self, q: usize) -> usize {
        self.window.map_or(0, |w| (q + 1).saturating_sub(w))
    }
}

/// What attention computed and its backward pass reads.
#[derive(Debug, Clone, Copy)]
pub struct Attended<'a> {
    /// `[rows, width]`: the rotated input.
    pub qkv: &'a [f32],
    /// `[rows, heads head_dim]`: the context vectors.
    pub context: &'a [f32],
    /// `[rows, heads]`: log-sum-exp of the logits.
    pub lse: &'a [f32],
}

/// Some rows of a shard and what their logits are held against.
#[derive(Debug, Clone, Copy)]
pub struct Picked<'a> {
    /// Row `i` of the logits belongs to row `rows[i]` of the shard.
    pub rows: &'a [u32],
    /// Target of each row of the shard.
    pub targets: &'a [u32],
    /// Weight of each row of the shard.
    pub weights: Scales<'a>,
}

/// One update of gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Descent {
    /// Learning rate.
    pub lr: f32,
    /// Decay that is added to the gradient.
    pub decay: f32,
    /// What the gradient is multiplied by.
    pub shrink: f32,
    /// Momentum.
    pub momentum: f32,
}

/// One update of Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f32,
    /// What the gradient is multiplied by.
    pub shrink: f32,
    /// Decay that is added to the gradient.
    pub l2: f32,
    /// What the parameters are multiplied by.
    pub keep: f32,
    /// Decay rates of the first and second moment.
    pub betas: [f32; 2],
    /// What undoes the moments' bias.
    pub unbias: [f32; 2],
    /// Term in the denominator.
    pub eps: f32,
}

/// Momentum, and which mean of it and the gradient is followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blend {
    /// Decay rate of the momentum.
    pub momentum: f32,
    /// What the gradient is multiplied by.
    pub shrink: f32,
    /// Whether the gradient counts once more on top of the momentum.
    pub nesterov: bool,
}
