//! Low-rank adapters on the matrices of the blocks.
//!
//! Equation: for every matrix (queries, keys and values are three) W = W₀ + A·B with A [in, r] drawn and
//! B [r, out] zero at the start (Hu et al. 2021, arXiv 2106.09685). The engine gives dW; the chain rule gives
//! dA = dW·Bᵀ and dB = Aᵀ·dW, so no operation has to know of adapters. The engine's optimiser moves all of
//! them together: the norm of their gradient is clipped as one.

use lobe_core::Key;
use lobe_engine::{Layout, Optimiser, OptimiserState, ParamId, View, ViewMut, gemm};

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
    /// Every A and every B as a tensor of its own, in the order of `values`.
    layout: Layout,
    state: OptimiserState,
}

impl Adapters {
    pub(super) fn new(layout: &Layout, params: &[f32], rank: usize, key: Key) -> Adapters {
        let (mut parts, mut values, mut own) = (Vec::new(), Vec::new(), Layout::default());
        for (i, t) in layout.tensors().iter().enumerate() {
            if t.rows < 2 || t.cols < 2 || !t.name.starts_with("blocks.") {
                continue;
            }
            for (n, part) in t.matrices.iter().enumerate() {
                let (rows, cols) = (t.rows, part.len());
                let a = values.len();
                let b = a + rows * rank;
                let key = key.child(&t.name);
                let mut rng = if t.matrices.len() == 1 { key } else { key.index(n as u64) }.rng();
                let spread = 1.0 / (rows as f64).sqrt();
                values.extend((0..rows * rank).map(|_| (spread * rng.normal()) as f32));
                values.resize(b + rank * cols, 0.0);
                own.tensor(format!("{}.{n}.a", t.name), rows, rank).add();
                own.tensor(format!("{}.{n}.b", t.name), rank, cols).add();
                let offset = t.offset + part.start;
                let w0 = columns(params, offset, t.cols, cols, rows);
                parts.push(Adapter { param: ParamId(i), offset, stride: t.cols, rows, cols, w0, a, b });
            }
        }
        Adapters { rank, parts, values, layout: own, state: OptimiserState::default() }
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
        optimiser.step_on(&self.layout, &mut self.state, &mut self.values, &mut g, step);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lobe_engine::Schedule;
    use lobe_engine::optim::{OPTIMISERS, Rule, Sgd};

    use super::*;

    /// One step on a 2 × 3 matrix of zeros whose gradient is given; returns A before, A and B.
    fn stepped(rule: Arc<dyn Rule>) -> [Vec<f32>; 3] {
        let mut layout = Layout::default();
        layout.tensor("blocks.0.w", 2, 3).add();
        let mut adapters = Adapters::new(&layout, &[0.0; 6], 2, Key::root(3));
        let before = adapters.values[..4].to_vec();
        let o = Optimiser { rule, ..Optimiser::new(Sgd::default(), Schedule::constant(0.1)) };
        adapters.step(&[1.0, -2.0, 0.5, 3.0, 0.25, -1.0], &o, 0);
        let mut written = [0.0; 6];
        adapters.write(&mut written);
        assert!(written.iter().any(|w| *w != 0.0), "{o:?} moves the matrix");
        [before, adapters.values[..4].to_vec(), adapters.values[4..].to_vec()]
    }

    #[test]
    fn every_optimiser_trains_adapters() {
        for entry in OPTIMISERS {
            let name = entry.about.name;
            let (rule, _) = (entry.build)(&serde_json::json!({})).unwrap();
            let [before, a, b] = stepped(rule.into());
            // With B = 0 nothing reaches A in the first step.
            assert_eq!(a, before, "{name}");
            let dw = [[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]];
            for (i, b) in b.iter().enumerate() {
                let (r, col) = (i / 3, i % 3);
                let g = before[r] * dw[0][col] + before[2 + r] * dw[1][col];
                match name {
                    "sgd" => assert!((b + 0.1 * g).abs() < 1e-6, "{name}: {b} for {g}"),
                    "muon" => {}
                    _ => assert!((b + 0.1 * g.signum()).abs() < 1e-4, "{name}: {b} for {g}"),
                }
            }
        }
    }
}
