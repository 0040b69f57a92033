//! Penalties on activations: L1, and correlation between two groups of units over a batch.

use std::ops::Range;

use crate::error::EngineError;
use crate::ops::head::RowWeights;
use crate::tape::{Tape, Var};

impl Tape<'_> {
    /// `Σ weight · |x|` over rows, added to the objective with its gradient; returns the plain sum of the
    /// rows whose weight is not 0. Reads `x` before any site that comes later, so no route scales it.
    ///
    /// # Errors
    /// If there is not one weight per row.
    pub fn l1(&mut self, x: Var, weights: RowWeights<'_>) -> Result<f64, EngineError> {
        let (rows, cols) = self.shape(x);
        weights.check("l1", rows)?;
        let needs = self.needs(x);
        let mut g = self.ws.pool.take(if needs { rows * cols } else { 0 });
        let (mut total, mut weighted) = (0.0, 0.0);
        for r in 0..rows {
            let (w, x) = (weights.at(r), &self.value(x)[r * cols..][..cols]);
            if w != 0.0 {
                let sum: f64 = x.iter().map(|v| f64::from(v.abs())).sum();
                total += sum;
                weighted += f64::from(w) * sum;
            }
            if needs {
                let sign = |v: f32| f32::from(i8::from(v > 0.0) - i8::from(v < 0.0));
                g[r * cols..][..cols].iter_mut().zip(x).for_each(|(g, v)| *g = w * sign(*v));
            }
        }
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
pub fn correlation(
    z: &[f32],
    cols: usize,
    a: Range<usize>,
    b: Range<usize>,
    weight: f32,
    grad: &mut [f32],
) -> f64 {
    let n = z.len() / cols.max(1);
    if n < 2 || a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let standard = |j: usize| -> (Vec<f64>, f64) {
        let column = (0..n).map(|i| f64::from(z[i * cols + j]));
        let mean = column.clone().sum::<f64>() / n as f64;
        let sd = (column.clone().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt();
        // Below f32 resolution of the mean a deviation is rounding, not signal.
        let alive = sd > 1e-7 * mean.abs().max(1e-12);
        (column.map(|x| if alive { (x - mean) / sd } else { 0.0 }).collect(), if alive { sd } else { 0.0 })
    };
    let (xs, ys): (Vec<_>, Vec<_>) = (a.clone().map(standard).collect(), b.clone().map(standard).collect());
    let pairs = (a.len() * b.len()) as f64;
    let mut gx = vec![vec![0.0; n]; xs.len()];
    let mut gy = vec![vec![0.0; n]; ys.len()];
    let mut total = 0.0;
    for (i, (x, _)) in xs.iter().enumerate() {
        for (j, (y, _)) in ys.iter().enumerate() {
            let c = x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / n as f64;
            total += c.abs() / pairs;
            let s = c.signum() / (n as f64 * pairs);
            gx[i].iter_mut().zip(y).for_each(|(g, y)| *g += s * y);
            gy[j].iter_mut().zip(x).for_each(|(g, x)| *g += s * x);
        }
    }
    let columns = a.chain(b).zip(xs.iter().chain(&ys)).zip(gx.iter().chain(&gy));
    for ((j, (x, sd)), g) in columns {
        if *sd == 0.0 {
            continue;
        }
        let mean = g.iter().sum::<f64>() / n as f64;
        let along = g.iter().zip(x).map(|(g, x)| g * x).sum::<f64>() / (n - 1) as f64;
        for i in 0..n {
            grad[i * cols + j] += weight * ((g[i] - mean - x[i] * along) / sd) as f32;
        }
    }
    total
}
