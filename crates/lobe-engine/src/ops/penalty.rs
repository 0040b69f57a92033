//! Penalties on activations: L1, and correlation between two groups of units over a batch.

use std::ops::Range;

use crate::error::{EngineError, columns, filled};
use crate::kernels::{Device, Kernels, View};
use crate::ops::head::RowWeights;
use crate::tape::{Tape, Var};

impl Tape<'_> {
    /// `Σ weight · |x|` over the rows of x `[rows, cols]`, added to the objective with its gradient; returns
    /// the plain sum of the rows whose weight is not 0. Reads `x` before any site that comes later, so no
    /// route scales it.
    ///
    /// # Errors
    /// If there is not one weight per row.
    pub fn l1(&mut self, x: Var, weights: RowWeights<'_>) -> Result<f64, EngineError> {
        let (rows, cols) = self.shape(x);
        weights.check("l1", rows)?;
        let needs = self.needs(x);
        let own = self.weigh(weights, rows);
        let mut g = self.ws.pool.take(if needs { rows * cols } else { 0 });
        let xv = View::new(self.value(x), rows, cols);
        let (total, weighted) = Device::l1(needs.then_some(&mut g[..]), xv, weights.scales(&own));
        self.release(own);
        self.add_objective(weighted);
        if needs {
            self.move_grad(x, g);
        } else {
            self.release(g);
        }
        Ok(total)
    }
}

/// Mean absolute correlation between the columns `a` and the columns `b` of z `[n, cols]`, with
/// its gradient added to `grad` times `weight`. (Cloud et al. 2024, appendix B: absolute value of
/// each correlation; standard deviations with n - 1.) Columns that do not vary correlate with
/// nothing instead of dividing by zero.
///
/// With x̂ the standardised column and C = X̂ᵀŶ / n:  dL/dx̂ = Σ_b sign(C) ŷ_b / (n |A||B|), and
/// dL/dx = (g - mean(g) - x̂ Σ(g x̂)/(n - 1)) / sd.
///
/// # Errors
/// If `z` is no whole number of rows, `grad` has another size, or a range lies outside of the columns.
pub fn correlation(
    z: &[f32],
    cols: usize,
    a: Range<usize>,
    b: Range<usize>,
    weight: f32,
    grad: &mut [f32],
) -> Result<f64, EngineError> {
    let n = z.len() / cols.max(1);
    filled("correlation", "values", (n, cols), z.len())?;
    filled("correlation", "gradient", (n, cols), grad.len())?;
    columns("correlation", &a, cols)?;
    columns("correlation", &b, cols)?;
    if n < 2 || a.is_empty() || b.is_empty() {
        return Ok(0.0);
    }
    // One allocation for all pairs: standardised columns, their gradients, their deviations.
    let (left, count) = (a.len(), a.len() + b.len());
    let mut scratch = vec![0.0; (2 * n + 1) * count];
    let (standard, rest) = scratch.split_at_mut(n * count);
    let (grads, deviations) = rest.split_at_mut(n * count);
    let both = || a.clone().chain(b.clone());
    for ((j, x), deviation) in both().zip(standard.chunks_exact_mut(n)).zip(deviations.iter_mut()) {
        let column = (0..n).map(|i| f64::from(z[i * cols + j]));
        let mean = column.clone().sum::<f64>() / n as f64;
        let sd = (column.clone().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt();
        // Below f32 resolution of the mean a deviation is rounding, not signal.
        if sd > 1e-7 * mean.abs().max(1e-12) {
            x.iter_mut().zip(column).for_each(|(x, v)| *x = (v - mean) / sd);
            *deviation = sd;
        }
    }
    let pairs = (a.len() * b.len()) as f64;
    let (xs, ys) = standard.split_at(n * left);
    let (gxs, gys) = grads.split_at_mut(n * left);
    let mut total = 0.0;
    for (x, gx) in xs.chunks_exact(n).zip(gxs.chunks_exact_mut(n)) {
        for (y, gy) in ys.chunks_exact(n).zip(gys.chunks_exact_mut(n)) {
            let c = x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / n as f64;
            total += c.abs() / pairs;
            let s = c.signum() / (n as f64 * pairs);
            gx.iter_mut().zip(y).for_each(|(g, y)| *g += s * y);
            gy.iter_mut().zip(x).for_each(|(g, x)| *g += s * x);
        }
    }
    let parts = standard.chunks_exact(n).zip(grads.chunks_exact(n)).zip(&*deviations);
    for (j, ((x, g), sd)) in both().zip(parts) {
        if *sd == 0.0 {
            continue;
        }
        let mean = g.iter().sum::<f64>() / n as f64;
        let along = g.iter().zip(x).map(|(g, x)| g * x).sum::<f64>() / (n - 1) as f64;
        for i in 0..n {
            grad[i * cols + j] += weight * ((g[i] - mean - x[i] * along) / sd) as f32;
        }
    }
    Ok(total)
}
