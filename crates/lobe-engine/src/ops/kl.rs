//! Kullback–Leibler divergence to a teacher's distribution over the vocabulary.

use crate::error::{EngineError, filled};
use crate::kernels::{Device, Kernels, View, ViewMut};
use crate::ops::head::{HeadSpec, RowWeights};
use crate::tape::{Tape, Var};

impl Tape<'_> {
    /// Σ weight · KL(teacher ‖ student) over the rows with a non-zero weight, added to the
    /// objective with its gradient (softmax(z) - p). `teacher` holds log-probabilities or logits
    /// `[rows, vocab]`. Returns `[rows, 1]` divergences.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn kl(
        &mut self,
        h: Var,
        spec: HeadSpec,
        teacher: &[f32],
        weights: RowWeights<'_>,
    ) -> Result<Var, EngineError> {
        let rows = self.shape(h).0;
        let (_, vocab) = self.check_head("kl", h, &spec)?;
        filled("kl", "teacher logits", (rows, vocab), teacher.len())?;
        weights.check("kl", rows)?;
        let mut out = self.ws.pool.take_zeroed(rows);
        let own = self.weigh(weights, rows);
        let weights = weights.scales(&own);
        let teacher = View::new(teacher, rows, vocab);
        let mut total = 0.0;
        self.head_chunks(h, spec, &|r| weights.at(r) != 0.0, &mut |active, z| {
            Device::teach(ViewMut::new(z, active.len(), vocab), active, teacher, weights, &mut out);
            for r in active {
                let r = *r as usize;
                total += f64::from(weights.at(r)) * f64::from(out[r]);
            }
        });
        self.release(own);
        self.add_objective(total);
        Ok(self.push("kl", rows, 1, out, false))
    }
}
