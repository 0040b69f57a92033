//! Muon: momentum whose update is made orthogonal, matrix by matrix.
//!
//! Equation: M ← μM + (1 − μ)G; X₀ = (μM + (1 − μ)G) / ‖·‖; X ← aX + (bA + cA²)X with A = XXᵀ, k times;
//! W ← (1 − ηλ)W − η · 0.2√max(rows, columns) · X. AdamW for everything else.
//! Source: Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>, with its coefficients
//! (a, b, c) = (3.4445, −4.7750, 2.0315), which take every singular value to about 1 (0.7 to 1.2) in five
//! iterations but not on to 1 itself; the factor 0.2√max: Liu et al. 2025, arXiv 2502.16982.
//! Unusual: that factor gives an update the size of AdamW's, so one learning rate serves both kinds of
//! tensors. Matrices that share a tensor (queries, keys, values) are made orthogonal one by one. Frozen rows
//! and columns are left out: what remains is a smaller matrix. Iterates in f32 and not in bf16.
//! Fails: rows and columns without a gradient of their own still share in the scale of the others; the
//! matrices of a low rank get as large an update as the others.

use std::cell::RefCell;

use lobe_core::registry::{About, Entry, ParamError, params_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::{Moments, check};
use super::rule::{Matrix, Piece, Rule, Step};
use super::{below_one, built};
use crate::kernels::{Blend, Device, Kernels, View, ViewMut};

/// Coefficients of the iteration X ← aX + (bA + cA²)X (Jordan et al. 2024).
const COEFFICIENTS: [f32; 3] = [3.4445, -4.7750, 2.0315];
/// Root mean square of AdamW's updates, which the updates here are scaled to (Liu et al. 2025).
const RMS: f32 = 0.2;
/// Added to the norm that is divided by (Jordan et al. 2024).
const TINY: f64 = 1e-7;

const ABOUT: About = About {
    name: "muon",
    summary: "momentum, made orthogonal matrix by matrix; AdamW for vectors, embeddings and read-outs",
    reference: "Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; scale: Liu et al. 2025, arXiv 2502.16982",
    unusual: "updates are as large as AdamW's, so that one learning rate serves all tensors",
    fails: "an update of low rank is made as large as any other",
};

/// Muon for the matrices of hidden layers, AdamW for everything else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Muon {
    /// Momentum of the matrices, at least 0 and below 1.
    pub momentum: f32,
    /// Whether the gradient counts once more on top of the momentum (Nesterov).
    pub nesterov: bool,
    /// Iterations that make an update orthogonal, 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub iterations: usize,
    /// AdamW's decay rates of the first and second moment, each at least 0 and below 1.
    pub betas: [f32; 2],
    /// AdamW's term in the denominator, above 0, at most 1.
    pub eps: f32,
}

impl Default for Muon {
    fn default() -> Muon {
        Muon { momentum: 0.95, nesterov: true, iterations: 5, betas: [0.9, 0.999], eps: 1e-8 }
    }
}

impl Muon {
    fn check(&self) -> Result<(), ParamError> {
        below_one("momentum", self.momentum)?;
        if !(1..=20).contains(&self.iterations) {
            let message = format!("{} is out of range 1 to 20", self.iterations);
            return Err(ParamError { path: "iterations".into(), message });
        }
        check(self.betas, self.eps)
    }
}

/// Room for the iteration, kept by each worker, so that no step after the first allocates.
#[derive(Default)]
struct Room {
    x: Vec<f32>,
    next: Vec<f32>,
    gram: Vec<f32>,
    poly: Vec<f32>,
}

thread_local! {
    static ROOM: RefCell<Room> = RefCell::default();
}

impl Rule for Muon {
    fn slots(&self) -> usize {
        2
    }

    fn whole_matrices(&self) -> bool {
        true
    }

    fn update(&self, step: Step, mut piece: Piece<'_>) {
        let Some(matrix) = piece.matrix else {
            let keep = 1.0 - step.lr * step.decay;
            return Moments { betas: self.betas, eps: self.eps, l2: 0.0, keep }.update(step, piece);
        };
        ROOM.with_borrow_mut(|room| {
            (0..matrix.parts.len()).for_each(|part| self.part(step, &mut piece, matrix, part, room));
        });
    }
}

impl Muon {
    /// Moves one matrix of a tensor.
    fn part(&self, step: Step, piece: &mut Piece<'_>, matrix: &Matrix, part: usize, room: &mut Room) {
        let (rows, cols) = matrix.shape(part);
        if rows * cols == 0 {
            return;
        }
        let how = Blend { momentum: self.momentum, shrink: step.shrink, nesterov: self.nesterov };
        room.x.resize(rows * cols, 0.0);
        let mut x = &mut room.x[..];
        for run in matrix.runs(part) {
            let (to, rest) = std::mem::take(&mut x).split_at_mut(run.len());
            Device::blend(to, &mut piece.state[0][run.clone()], &piece.gradient[run], &how);
            x = rest;
        }
        orthogonalise(room, rows, cols, self.iterations);
        let lr = step.lr * RMS * (rows.max(cols) as f32).sqrt();
        let keep = 1.0 - step.lr * step.decay;
        let mut x = &room.x[..];
        for run in matrix.runs(part) {
            let (along, rest) = x.split_at(run.len());
            Device::follow(&mut piece.params[run], along, keep, lr);
            x = rest;
        }
    }
}

/// `x` `[rows, cols]` with its singular values taken to about 1; zeros stay.
fn orthogonalise(room: &mut Room, rows: usize, cols: usize, iterations: usize) {
    let [a, b, c] = COEFFICIENTS;
    let side = rows.min(cols);
    let size = Device::squares(&room.x).sqrt();
    Device::scale(&mut room.x, (1.0 / (size + TINY)) as f32);
    room.next.resize(rows * cols, 0.0);
    room.gram.resize(side * side, 0.0);
    room.poly.resize(side * side, 0.0);
    for _ in 0..iterations {
        // The Gram matrix of the shorter side: A = XXᵀ, or XᵀX with the products from the right.
        let x = View::new(&room.x, rows, cols);
        let (left, right) = if rows <= cols { (x, x.t()) } else { (x.t(), x) };
        Device::gemm(ViewMut::new(&mut room.gram, side, side), 1.0, left, right, false);
        let gram = View::new(&room.gram, side, side);
        Device::scaled(&mut room.poly, b, &room.gram);
        Device::gemm(ViewMut::new(&mut room.poly, side, side), c, gram, gram, true);
        Device::scaled(&mut room.next, a, &room.x);
        let poly = View::new(&room.poly, side, side);
        let (left, right) = if rows <= cols { (poly, x) } else { (x, poly) };
        Device::gemm(ViewMut::new(&mut room.next, rows, cols), 1.0, left, right, true);
        std::mem::swap(&mut room.x, &mut room.next);
    }
}

/// The registered rule.
pub(super) const ENTRY: Entry<dyn Rule> =
    Entry { about: &ABOUT, params: params_of::<Muon>, build: |v| built(v, Muon::check) };
