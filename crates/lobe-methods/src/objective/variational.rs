//! Penalty on the means and scales of a latent that is drawn.
//!
//! Equation: L = λ/(N k) Σ_i Σ_j (μ_ij² + exp(c_ij) − c_ij) over the N rows of the batch and k latents.
//! Source: the code of g-w1/gradient-routed-vae, literally. Unusual: that code multiplies the noise by c and treats
//! the same c here as the logarithm of a variance. The penalty is therefore least at c = 0, where there is no
//! noise, and not at the prior. Read before the routes: every row pulls at every latent.

use super::{Objective, Reads, View};

/// λ times the mean over rows and latents.
#[derive(Debug, Clone)]
pub struct Variational {
    /// The columns: first all means, then all scales.
    pub reads: Reads,
    /// λ
    pub weight: f32,
}

impl Objective for Variational {
    fn reads(&self) -> Reads {
        self.reads.clone()
    }

    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let k = view.cols / 2;
        let each = self.weight / (view.rows * k) as f32;
        let mut value = 0.0;
        for r in view.counted() {
            let (means, scales) = view.row(r).split_at(k);
            let (of_means, of_scales) = grad[r * view.cols..][..view.cols].split_at_mut(k);
            for (g, mean) in of_means.iter_mut().zip(means) {
                *g = 2.0 * each * mean;
                value += f64::from(each) * f64::from(mean * mean);
            }
            for (g, c) in of_scales.iter_mut().zip(scales) {
                let e = c.exp();
                *g = each * (e - 1.0);
                value += f64::from(each) * f64::from(e - c);
            }
        }
        value
    }
}
