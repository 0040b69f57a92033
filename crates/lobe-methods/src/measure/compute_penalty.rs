//! Compute penalty: how much of the training a removal cost, in compute.
//!
//! Equation: L(C) = α · C^(−β), fitted to plainly trained models of several sizes by least squares of
//! log L on log C, with C = 6 · parameters · tokens; a model of loss L and compute C is worth
//! C' = (α / L)^(1/β), and its penalty is 1 − C'/C. Paper: Shilov et al. 2025 (arXiv 2512.05648). Unusual:
//! negative penalties stand as they are: the model is better than a plain one of its compute. Fails: far
//! from the family's losses the law is an extrapolation.

use lobe_core::registry::About;

/// The measure.
pub const ABOUT: About = About {
    name: "compute-penalty",
    summary: "fraction of the training compute that was wasted: a plain model would reach the same loss with that much less",
    reference: "Shilov et al. 2025, arXiv 2512.05648",
    unusual: "fits a power law to the baselines of several runs (`lobe penalty`), at least three sizes",
    fails: "extrapolates outside the losses of the family, and says so",
};

/// L = `alpha` · C^(−`beta`): held-out loss in nat against training compute in FLOP, counted as 6 ·
/// parameters · training targets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// Loss in nat at a compute of one FLOP.
    pub alpha: f64,
    /// How fast the loss falls.
    pub beta: f64,
    /// Root mean square of the fit's residuals in log L.
    pub residual: f64,
}

impl PowerLaw {
    /// Fits (compute, loss) points; `None` for fewer than three different computes, or where the loss
    /// does not fall.
    pub fn fit(points: &[(f64, f64)]) -> Option<PowerLaw> {
        let usable = |p: &&(f64, f64)| p.0 > 0.0 && p.1 > 0.0 && p.0.is_finite() && p.1.is_finite();
        let logs: Vec<(f64, f64)> = points.iter().filter(usable).map(|(c, l)| (c.ln(), l.ln())).collect();
        let mut sizes: Vec<f64> = logs.iter().map(|p| p.0).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        if sizes.len() < 3 {
            return None;
        }
        let n = logs.len() as f64;
        let (mx, my) = (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
        let sxx: f64 = logs.iter().map(|p| (p.0 - mx).powi(2)).sum();
        let sxy: f64 = logs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
        let slope = sxy / sxx;
        let rest: f64 = logs.iter().map(|p| (p.1 - my - slope * (p.0 - mx)).powi(2)).sum();
        let law = PowerLaw { alpha: (my - slope * mx).exp(), beta: -slope, residual: (rest / n).sqrt() };
        (slope < 0.0).then_some(law)
    }

    /// The compute, in FLOP, at which a plain model has this loss (nat).
    pub fn compute(&self, loss: f64) -> f64 {
        (self.alpha / loss).powf(1.0 / self.beta)
    }

    /// 1 − C'/C of a model with this loss (nat) and compute (FLOP).
    pub fn penalty(&self, loss: f64, compute: f64) -> f64 {
        1.0 - self.compute(loss) / compute
    }
}

#[cfg(test)]
mod tests {
    use super::PowerLaw;

    #[test]
    fn law_by_hand() {
        // L = 8 / √C
        let law = PowerLaw::fit(&[(1.0, 8.0), (4.0, 4.0), (16.0, 2.0)]).unwrap_or_else(|| unreachable!());
        assert!((law.alpha - 8.0).abs() < 1e-9 && (law.beta - 0.5).abs() < 1e-12 && law.residual < 1e-9);
        // A model of compute 16 with loss 4 is worth a plain one of compute 4.
        assert!((law.penalty(4.0, 16.0) - 0.75).abs() < 1e-9);
        assert!((law.penalty(2.0, 4.0) + 3.0).abs() < 1e-9, "better than plain is negative");
    }

    #[test]
    fn too_few_sizes_or_a_loss_that_does_not_fall_is_no_law() {
        assert_eq!(PowerLaw::fit(&[(1.0, 8.0), (1.0, 7.0), (4.0, 4.0)]), None);
        assert_eq!(PowerLaw::fit(&[(1.0, 2.0), (4.0, 3.0), (16.0, 4.0)]), None);
    }
}
