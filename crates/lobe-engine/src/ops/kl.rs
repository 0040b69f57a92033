//! Kullback–Leibler divergence to a teacher's distribution over the vocabulary.

use crate::error::{EngineError, filled};
use crate::ops::head::{HeadSpec, RowWeights};
use crate::tape::{Tape, Var};
use crate::{rows, simd};

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
        let mut total = 0.0;
        self.head_chunks(h, spec, &|r| weights.at(r) != 0.0, &mut |active, z| {
            for (z, r) in z.chunks_exact_mut(vocab).zip(active) {
                let r = *r as usize;
                let (p, w) = (&teacher[r * vocab..][..vocab], weights.at(r));
                out[r] = simd::on(
                    #[inline(always)]
                    || kl_row(z, p, w),
                );
                total += f64::from(w) * f64::from(out[r]);
            }
        });
        self.add_objective(total);
        Ok(self.push("kl", rows, 1, out, false))
    }
}

/// `z ← weight (softmax(z) - softmax(p))`; returns Σ softmax(p) (log softmax(p) - log softmax(z)).
#[inline(always)]
fn kl_row(z: &mut [f32], p: &[f32], weight: f32) -> f32 {
    let (lz, lp) = (rows::log_sum_exp(z).0, rows::log_sum_exp(p).0);
    let kl = simd::sum(
        [p, z],
        #[inline(always)]
        |[p, z]| simd::exp(p - lp) * ((p - lp) - (z - lz)),
    );
    for (z, p) in z.iter_mut().zip(p) {
        *z = weight * (simd::exp(*z - lz) - simd::exp(*p - lp));
    }
    kl
}
