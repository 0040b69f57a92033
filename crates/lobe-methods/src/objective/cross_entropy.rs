//! Cross-entropy of the next token.
//!
//! Equation: L = 1/N Σ_t w(label of t) · −ln p(t), over the N tokens of the batch that count.
//! Unusual: the divisor is the number of tokens whatever their weights are.

use super::{Objective, Reads, View};

/// The mean loss over the tokens of a batch, each with the weight of its label.
#[derive(Debug, Clone, Default)]
pub struct CrossEntropy {
    /// By label; 1 where it has no number.
    pub label_weight: Vec<f32>,
}

impl Objective for CrossEntropy {
    fn reads(&self) -> Reads {
        Reads::MeanLoss
    }

    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let mean = 1.0 / view.rows as f32;
        let mut value = 0.0;
        for r in view.counted() {
            grad[r] = mean * self.label_weight.get(view.label(r).index()).unwrap_or(&1.0);
            value += f64::from(grad[r]) * f64::from(view.values[r]);
        }
        value
    }
}
