//! Squared and absolute distance to a target, per row.

use crate::buffer::Buf;
use crate::error::{EngineError, filled};
pub use crate::kernels::Distance;
use crate::kernels::{Device, Kernels, View};
use crate::ops::head::RowWeights;
use crate::tape::{Tape, Var};

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
        let own = self.weigh(weights, rows);
        let weights = weights.scales(&own);
        let needs = self.needs(x);
        let (mut g, sum) = if needs { self.grad_slot(x) } else { (Buf::default(), true) };
        if !sum {
            g.fill(0.0);
        }
        let (xv, tv) = (View::new(self.value(x), rows, cols), View::new(target, rows, cols));
        Device::distance(&mut out, needs.then_some(&mut g[..]), xv, tv, kind, weights);
        let column = usize::from(kind == Distance::Absolute);
        let total = (0..rows)
            .map(|r| f64::from(weights.at(r)) * f64::from(out[2 * r + column]))
            .fold(0.0, |a, b| a + b);
        self.release(own);
        if needs {
            self.put_grad(x, g);
        }
        self.add_objective(total);
        Ok(self.push("distance", rows, 2, out, false))
    }
}
