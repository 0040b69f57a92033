//! Distance of an output to its target.
//!
//! Equation: L = 1/(N d) Σ_i w(label of i) · Σ_j |x_ij − t_ij|^p, p = 1 or 2, over N rows of d numbers; as a sum of
//! means, N is the number of rows of the row's own label.
//! Paper: the split autoencoder of Cloud et al. 2024 (arXiv 2410.04332), appendix B.

use super::{Distance, Objective, Reads, View};

/// The mean distance over the rows of a batch.
#[derive(Debug, Clone)]
pub struct Reconstruct {
    /// Which output.
    pub output: usize,
    /// Its numbers per row.
    pub width: usize,
    /// Squared or absolute.
    pub kind: Distance,
    /// Weight by label; empty counts all rows alike.
    pub label_weight: Vec<f32>,
    /// Whether this is the sum of the labels' means instead of one mean over all rows.
    pub sum_of_means: bool,
}

impl Objective for Reconstruct {
    fn reads(&self) -> Reads {
        Reads::Distance { output: self.output, kind: self.kind }
    }

    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let (dim, all) = (self.width as f32, view.rows as f32);
        let mut value = 0.0;
        for r in view.counted() {
            let label = view.label(r).index();
            let n = if self.sum_of_means { view.by_label[label] as f32 } else { all };
            grad[r] = self.label_weight.get(label).unwrap_or(&1.0) / (n * dim);
            value += f64::from(grad[r]) * f64::from(view.values[r]);
        }
        value
    }
}
