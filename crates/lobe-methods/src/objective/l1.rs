//! L1 penalty on activations.
//!
//! Equation: L = λ/N Σ |a| over some columns of a site and the N rows of the batch that count.
//! Unusual: read *before* the site it is a plain penalty on the values; read *after* it, a route scales the penalty's
//! gradient with the rest of the activation's.

use super::{Objective, Reads, View};

/// λ times the mean over rows of the sum of absolute values.
#[derive(Debug, Clone)]
pub struct L1 {
    /// What is penalised.
    pub reads: Reads,
    /// λ
    pub weight: f32,
}

impl Objective for L1 {
    fn reads(&self) -> Reads {
        self.reads.clone()
    }

    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let each = self.weight / view.rows as f32;
        let mut value = 0.0;
        for r in view.counted() {
            for (g, a) in grad[r * view.cols..][..view.cols].iter_mut().zip(view.row(r)) {
                *g = each * f32::from(i8::from(*a > 0.0) - i8::from(*a < 0.0));
                value += f64::from(each) * f64::from(a.abs());
            }
        }
        value
    }
}
