//! Grafts: a few variables laid over a frozen model. Choosing them, their chain rule, their shapes and
//! optimiser, their batches. Pure functions; `sparse-graft` trains them.

use lobe_engine::ops::head::IGNORE;
use lobe_engine::optim::Adam;
use lobe_engine::{Layout, Optimiser, Schedule};
use lobe_nets::Batch;

/// Indices of the `k` largest scores among those `allowed`, ascending; of equals the first.
pub(super) fn largest(score: &[f32], allowed: impl Fn(usize) -> bool, k: usize) -> Vec<usize> {
    let mut at: Vec<usize> = (0..score.len()).filter(|i| !score[*i].is_nan() && allowed(*i)).collect();
    if k < at.len() {
        at.select_nth_unstable_by(k, |a, b| score[*b].total_cmp(&score[*a]).then(a.cmp(b)));
        at.truncate(k);
    }
    at.sort_unstable();
    at
}

/// What is laid over the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Graft {
    /// θ_i ← θ_i + x_i at these places.
    Entries {
        /// Places in the flat parameters, ascending.
        at: Vec<usize>,
    },
    /// W ← W + A·B on some rows and columns of one matrix; the variables are A `[rows, r]`, then B
    /// `[r, cols]`.
    LowRank {
        /// Where the matrix starts.
        offset: usize,
        /// Its full number of columns.
        stride: usize,
        /// The rows that may change.
        rows: Vec<usize>,
        /// The columns that may change.
        cols: Vec<usize>,
        /// Rank.
        rank: usize,
    },
}

impl Graft {
    /// Number of variables.
    pub(super) fn variables(&self) -> usize {
        match self {
            Graft::Entries { at } => at.len(),
            Graft::LowRank { rows, cols, rank, .. } => rank * (rows.len() + cols.len()),
        }
    }

    /// Number of parameters of the model that it changes.
    pub(super) fn changes(&self) -> usize {
        match self {
            Graft::Entries { at } => at.len(),
            Graft::LowRank { rows, cols, .. } => rows.len() * cols.len(),
        }
    }

    /// The variables as tensors.
    pub(super) fn layout(&self) -> Layout {
        let mut out = Layout::default();
        match self {
            Graft::Entries { at } => drop(out.tensor("entries", 1, at.len()).add()),
            Graft::LowRank { rows, cols, rank, .. } => {
                out.tensor("a", rows.len(), *rank).add();
                out.tensor("b", *rank, cols.len()).add();
            }
        }
        out
    }

    /// Gradient of the variables `x` from that of all parameters: dx = dθ at its places; dA = dW·Bᵀ,
    /// dB = Aᵀ·dW.
    pub(super) fn pull(&self, x: &[f32], dense: &[f32]) -> Vec<f32> {
        match self {
            Graft::Entries { at } => at.iter().map(|i| dense[*i]).collect(),
            Graft::LowRank { offset, stride, rows, cols, rank } => {
                let (a, b) = x.split_at(rows.len() * rank);
                let mut out = vec![0.0f32; x.len()];
                let (da, db) = out.split_at_mut(a.len());
                for (i, row) in rows.iter().enumerate() {
                    for (j, col) in cols.iter().enumerate() {
                        let g = dense[offset + row * stride + col];
                        for r in 0..*rank {
                            da[i * rank + r] += g * b[r * cols.len() + j];
                            db[r * cols.len() + j] += g * a[i * rank + r];
                        }
                    }
                }
                out
            }
        }
    }

    /// Writes `base` + graft into `params` where the graft reaches; `params` equals `base` elsewhere.
    pub(super) fn apply(&self, x: &[f32], base: &[f32], params: &mut [f32]) {
        match self {
            Graft::Entries { at } => at.iter().zip(x).for_each(|(i, x)| params[*i] = base[*i] + x),
            Graft::LowRank { offset, stride, rows, cols, rank } => {
                let (a, b) = x.split_at(rows.len() * rank);
                for (i, row) in rows.iter().enumerate() {
                    for (j, col) in cols.iter().enumerate() {
                        let delta: f32 = (0..*rank).map(|r| a[i * rank + r] * b[r * cols.len() + j]).sum();
                        let p = offset + row * stride + col;
                        params[p] = base[p] + delta;
                    }
                }
            }
        }
    }
}

/// Adam with its usual settings, at one rate.
pub(super) fn optimiser(lr: f64) -> Optimiser {
    Optimiser::new(Adam::default(), Schedule::constant(lr as f32))
}

/// Step `step`'s batch of `size` examples, taken from `pool` in turn. Needs one sequence to a shard.
pub(super) fn turn(pool: &Batch, step: u64, size: usize) -> Batch {
    if size >= pool.len() {
        return pool.clone();
    }
    let seq = (0..pool.shards()).map(|s| pool.text(s).2).max().unwrap_or(0);
    let mut out = Batch::tokens(seq, 1);
    for i in 0..size {
        let shard = ((step as usize).wrapping_mul(size) + i) % pool.shards();
        let (inputs, targets, _) = pool.text(shard);
        let pad = |t: &[u32]| -> Vec<u32> {
            t.iter().copied().chain(std::iter::repeat(IGNORE)).take(seq).collect()
        };
        out.push_pair(&pad(inputs), &pad(targets), pool.row_label(shard, 0), None);
    }
    out
}

#[cfg(test)]
mod tests {
    use lobe_core::FORGET;
    use lobe_nets::Batch;

    use lobe_engine::OptimiserState;

    use super::{Graft, largest, optimiser, turn};

    #[test]
    fn the_largest_are_the_first_of_equals_and_come_in_order() {
        let score = [1.0, 3.0, f32::NAN, 3.0, 2.0, 3.0];
        assert_eq!(largest(&score, |_| true, 2), [1, 3]);
        assert_eq!(largest(&score, |i| i != 1, 3), [3, 4, 5]);
        assert_eq!(largest(&score, |_| true, 9), [0, 1, 3, 4, 5]);
        assert_eq!(largest(&score, |_| true, 0), [0usize; 0]);
    }

    /// A 3×4 matrix at offset 2; its middle row and last column may not change.
    fn low_rank() -> Graft {
        Graft::LowRank { offset: 2, stride: 4, rows: vec![0, 2], cols: vec![0, 1, 2], rank: 2 }
    }

    #[test]
    fn a_low_rank_graft_stays_in_its_rows_and_columns() {
        let graft = low_rank();
        assert_eq!((graft.variables(), graft.changes()), (10, 6));
        // A = [[1, 2], [0, -1]], B = [[1, 0, 2], [3, 1, 0]]: A·B = [[7, 2, 2], [-3, -1, 0]].
        let x = [1.0, 2.0, 0.0, -1.0, 1.0, 0.0, 2.0, 3.0, 1.0, 0.0];
        let base = [10.0; 15];
        let mut params = base;
        graft.apply(&x, &base, &mut params);
        let want = [10., 10., 17., 12., 12., 10., 10., 10., 10., 10., 7., 9., 10., 10., 10.];
        assert_eq!(params, want);
    }

    #[test]
    fn the_chain_rule_agrees_with_finite_differences() {
        let graft = low_rank();
        let x: Vec<f32> = (0..10).map(|i| (i as f32 * 0.7).sin()).collect();
        let weights: Vec<f32> = (0..15).map(|i| (i as f32).cos()).collect();
        // The objective is Σ w·θ², so dθ = 2·w·θ.
        let at = |x: &[f32]| {
            let mut params = weights.clone();
            graft.apply(x, &weights, &mut params);
            params
        };
        let value = |x: &[f32]| -> f64 {
            at(x).iter().zip(&weights).map(|(p, w)| f64::from(*w) * f64::from(*p).powi(2)).sum()
        };
        let dense: Vec<f32> = at(&x).iter().zip(&weights).map(|(p, w)| 2.0 * w * p).collect();
        for (i, g) in graft.pull(&x, &dense).iter().enumerate() {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += 1e-2;
            down[i] -= 1e-2;
            let slope = (value(&up) - value(&down)) / 2e-2;
            assert!((slope - f64::from(*g)).abs() < 1e-3, "{i}: {slope} against {g}");
        }
    }

    #[test]
    fn the_variables_are_tensors_that_an_optimiser_can_move() {
        let (graft, mut x) = (low_rank(), vec![1.0f32; 10]);
        let shapes: Vec<_> = graft.layout().tensors().iter().map(|t| (t.rows, t.cols)).collect();
        assert_eq!((shapes, graft.layout().len()), (vec![(2, 2), (2, 3)], graft.variables()));
        assert_eq!(Graft::Entries { at: vec![3, 5, 8] }.layout().len(), 3);
        // Adam begins with steps of the learning rate, whatever the size of the gradient.
        let (adam, mut state) = (optimiser(0.1), OptimiserState::default());
        let mut g = [0.5, -20.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        adam.step_on(&graft.layout(), &mut state, &mut x, &mut g, 0);
        let want = [0.9, 1.1, 1.0].into_iter().chain([0.9; 7]);
        x.iter().zip(want).for_each(|(x, w)| assert!((x - w).abs() < 1e-6, "{x} against {w}"));
        // m = 0.9·0.05 − 0.1·0.5 = −0.005, v = 0.00049975; m̂ / √v̂ = (−0.005 / 0.19) / 0.5.
        let mut g = [0.0; 10];
        g[0] = -0.5;
        adam.step_on(&graft.layout(), &mut state, &mut x, &mut g, 1);
        assert!((x[0] - (0.9 + 0.1 * 0.005 / 0.19 / 0.5)).abs() < 1e-5, "{}", x[0]);
    }

    #[test]
    fn examples_are_taken_in_turn() {
        let mut pool = Batch::tokens(3, 1);
        (0..3).for_each(|i| pool.push(&[i, i, i, i], FORGET, None));
        let firsts = |b: &Batch| (0..b.shards()).map(|s| b.text(s).0[0]).collect::<Vec<_>>();
        assert_eq!(firsts(&turn(&pool, 0, 2)), [0, 1]);
        assert_eq!(firsts(&turn(&pool, 1, 2)), [2, 0]);
        assert_eq!(firsts(&turn(&pool, 5, 8)), [0, 1, 2]);
        assert_eq!(turn(&pool, 1, 2).targets(), 6);
    }
}
