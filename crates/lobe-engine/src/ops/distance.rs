//! Squared and absolute distance to a target, per row.

use crate::error::{EngineError, filled};
use crate::ops::head::RowWeights;
use crate::simd;
use crate::tape::{Tape, Var};

/// How far apart two rows are: the sum over columns of the squared or absolute difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// Σ (x - t)²
    Squared,
    /// Σ |x - t|
    Absolute,
}

impl Tape<'_> {
    /// Σ weight · distance(x, target) over rows, added to the objective with its gradient. Returns
    /// `[rows, 2]`: squared and absolute distances, whichever is minimised.
    ///
    /// # Errors
    /// If x `[rows, cols]` and `target` differ in size.
    pub fn distance(
        &mut self,
        x: Var,
        target: &[f32],
        kind: Distance,
        weights: RowWeights<'_>,
    ) -> Result<Var, EngineError> {
        let (rows, cols) = self.shape(x);
        filled("distance", "target", (rows, cols), target.len())?;
        weights.check("distance", rows)?;
        let mut out = self.ws.pool.take(rows * 2);
        let mut total = 0.0;
        let needs = self.needs(x);
        let (mut g, sum) = if needs { self.grad_slot(x) } else { (self.ws.pool.take(0), false) };
        if needs && !sum {
            g.fill(0.0);
        }
        let xv = &self.ws.vars[x.0].value;
        for r in 0..rows {
            let (x, t, w) = (&xv[r * cols..][..cols], &target[r * cols..][..cols], weights.at(r));
            simd::on(
                #[inline(always)]
                || {
                    out[2 * r] = simd::sum(
                        [x, t],
                        #[inline(always)]
                        |[x, t]| (x - t) * (x - t),
                    );
                    out[2 * r + 1] = simd::sum(
                        [x, t],
                        #[inline(always)]
                        |[x, t]| (x - t).abs(),
                    );
                    if needs && w != 0.0 {
                        let g = &mut g[r * cols..][..cols];
                        match kind {
                            Distance::Squared => (0..cols).for_each(|i| g[i] += 2.0 * w * (x[i] - t[i])),
                            Distance::Absolute => (0..cols).for_each(|i| {
                                let e = x[i] - t[i];
                                g[i] += if e > 0.0 {
                                    w
                                } else if e < 0.0 {
                                    -w
                                } else {
                                    0.0
                                };
                            }),
                        }
                    }
                },
            );
            total += f64::from(w) * f64::from(out[2 * r + usize::from(kind == Distance::Absolute)]);
        }
        if needs {
            self.put_grad(x, g);
        }
        self.add_objective(total);
        Ok(self.push("distance", rows, 2, out, false))
    }
}
