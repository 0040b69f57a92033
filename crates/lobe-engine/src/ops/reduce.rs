//! Sums and means over all elements, rows or columns; log-sum-exp over rows.

use crate::tape::{Tape, Var};

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

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Reduce {
    x: Var,
    out: Var,
    over: Over,
}

impl Tape<'_> {
    /// Reduces `x`.
    pub fn reduce(&mut self, x: Var, over: Over) -> Var {
        let (rows, cols) = self.shape(x);
        let (r, c) = match over {
            Over::Sum | Over::Mean => (1, 1),
            Over::RowSum | Over::RowLogSumExp => (rows, 1),
            Over::ColumnMean => (1, cols),
        };
        let mut out = self.ws.pool.take_zeroed(r * c);
        let v = self.value(x);
        // Long sums in f64: a mean over a batch of tokens would lose digits in f32.
        let total = |x: &mut dyn Iterator<Item = f32>| x.map(f64::from).sum::<f64>();
        match over {
            Over::Sum => out[0] = total(&mut v.iter().copied()) as f32,
            Over::Mean => out[0] = (total(&mut v.iter().copied()) / v.len().max(1) as f64) as f32,
            Over::RowSum => {
                out.iter_mut()
                    .zip(v.chunks_exact(cols))
                    .for_each(|(o, x)| *o = total(&mut x.iter().copied()) as f32);
            }
            Over::ColumnMean => {
                for j in 0..cols {
                    out[j] =
                        (total(&mut v.iter().skip(j).step_by(cols).copied()) / rows.max(1) as f64) as f32;
                }
            }
            Over::RowLogSumExp => {
                for (o, x) in out.iter_mut().zip(v.chunks_exact(cols)) {
                    let top = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    *o = top + x.iter().map(|x| (x - top).exp()).sum::<f32>().ln();
                }
            }
        }
        let needs = self.needs(x);
        let out = self.push("reduce", r, c, out, needs);
        self.record_op(out, Reduce { x, out, over });
        out
    }
}

impl Reduce {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(g) = t.take_grad(self.out) else { return };
        let (rows, cols) = t.shape(self.x);
        let mut dx = t.ws.pool.take(rows * cols);
        let (x, y) = (t.value(self.x), t.value(self.out));
        for r in 0..rows {
            for c in 0..cols {
                let i = r * cols + c;
                dx[i] = match self.over {
                    Over::Sum => g[0],
                    Over::Mean => g[0] / (rows * cols) as f32,
                    Over::RowSum => g[r],
                    Over::ColumnMean => g[c] / rows as f32,
                    Over::RowLogSumExp => g[r] * (x[i] - y[r]).exp(),
                };
            }
        }
        t.release(g);
        t.move_grad(self.x, dx);
    }
}
