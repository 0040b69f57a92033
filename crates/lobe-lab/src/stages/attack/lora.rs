//! Low-rank adapters on the matrices of the blocks.
//!
//! Equation: for every matrix (queries, keys and values are three) W = W₀ + A·B with A [in, r] drawn and B [r, out] zero at the start (Hu et al. 2021, arXiv
//! 2106.09685). The engine gives dW; the chain rule gives dA = dW·Bᵀ and dB = Aᵀ·dW, so no operation has to
//! know of adapters. The gradient's norm is clipped over all adapters together.

use lobe_core::Key;
use lobe_engine::{Layout, Optimiser, OptimiserKind, ParamId, View, ViewMut, gemm};

struct Adapter {
    param: ParamId,
    offset: usize,
    /// Columns of the whole tensor.
    stride: usize,
    rows: usize,
    cols: usize,
    w0: Vec<f32>,
    /// Where A and B lie in the vector of trained numbers.
    a: usize,
    b: usize,
}

/// `rows` rows of `cols` numbers, `stride` apart, from `offset` on.
fn columns(all: &[f32], offset: usize, stride: usize, cols: usize, rows: usize) -> Vec<f32> {
    (0..rows).flat_map(|r| &all[offset + r * stride..][..cols]).copied().collect()
}

/// All adapters of a network.
pub(super) struct Adapters {
    rank: usize,
    parts: Vec<Adapter>,
    values: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adapters {
    pub(super) fn new(layout: &Layout, params: &[f32], rank: usize, key: Key) -> Adapters {
        let (mut parts, mut values) = (Vec::new(), Vec::new());
        for (i, t) in layout.tensors().iter().enumerate() {
            if t.rows < 2 || t.cols < 2 || !t.name.starts_with("blocks.") {
                continue;
            }
            for (n, part) in t.matrices.iter().enumerate() {
                let (rows, cols) = (t.rows, part.len());
                let a = values.len();
                let b = a + rows * rank;
                let own = key.child(&t.name);
                let mut rng = if t.matrices.len() == 1 { own } else { own.index(n as u64) }.rng();
                let spread = 1.0 / (rows as f64).sqrt();
                values.extend((0..rows * rank).map(|_| (spread * rng.normal()) as f32));
                values.resize(b + rank * cols, 0.0);
                let offset = t.offset + part.start;
                let w0 = columns(params, offset, t.cols, cols, rows);
                parts.push(Adapter { param: ParamId(i), offset, stride: t.cols, rows, cols, w0, a, b });
            }
        }
        let n = values.len();
        Adapters { rank, parts, values, first: vec![0.0; n], second: vec![0.0; n] }
    }

    /// Number of trained numbers.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn adapts(&self, p: ParamId) -> bool {
        self.parts.iter().any(|a| a.param == p)
    }

    /// One update from the gradient of the full parameters.
    pub(super) fn step(&mut self, gradient: &[f32], optimiser: &Optimiser, step: u64) {
        let r = self.rank;
        let mut g = vec![0.0; self.values.len()];
        for p in &self.parts {
            let dw = columns(gradient, p.offset, p.stride, p.cols, p.rows);
            let (a, b) = (&self.values[p.a..p.b], &self.values[p.b..p.b + r * p.cols]);
            let (ga, gb) = g[p.a..p.b + r * p.cols].split_at_mut(p.b - p.a);
            let dw = View::new(&dw, p.rows, p.cols);
            gemm(ViewMut::new(ga, p.rows, r), 1.0, dw, View::new(b, r, p.cols).t(), false);
            gemm(ViewMut::new(gb, r, p.cols), 1.0, View::new(a, p.rows, r).t(), dw, false);
        }
        let norm = g.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
        let clip = optimiser.clip.filter(|c| norm > *c).map_or(1.0, |c| c / norm);
        let lr = optimiser.schedule.at(step);
        let OptimiserKind::AdamW { beta1, beta2, eps } = optimiser.kind else { return };
        let n = step as i32 + 1;
        let (c1, c2) = (1.0 - beta1.powi(n), 1.0 - beta2.powi(n));
        for (i, g) in g.iter().enumerate() {
            let g = g * clip;
            self.first[i] = beta1 * self.first[i] + (1.0 - beta1) * g;
            self.second[i] = beta2 * self.second[i] + (1.0 - beta2) * g * g;
            let update = (self.first[i] / c1) / ((self.second[i] / c2).sqrt() + eps);
            self.values[i] -= lr * (update + optimiser.weight_decay * self.values[i]);
        }
    }

    /// Writes W₀ + A·B into the parameters.
    pub(super) fn write(&self, params: &mut [f32]) {
        for p in &self.parts {
            let mut w = p.w0.clone();
            let a = View::new(&self.values[p.a..p.b], p.rows, self.rank);
            let b = View::new(&self.values[p.b..p.b + self.rank * p.cols], self.rank, p.cols);
            gemm(ViewMut::new(&mut w, p.rows, p.cols), 1.0, a, b, true);
            for (r, row) in w.chunks_exact(p.cols).enumerate() {
                params[p.offset + r * p.stride..][..p.cols].copy_from_slice(row);
            }
        }
    }
}
