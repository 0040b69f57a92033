//! Correlation between two groups of units over a batch.
//!
//! Equation: L = γ/(|A||B|) Σ_ab |corr(z_a, z_b)|, deviations with n − 1.
//! Paper: Cloud et al. 2024 (arXiv 2410.04332), appendix B.
//! Unusual: it couples the whole batch; columns that do not vary correlate with nothing.

use std::ops::Range;

use lobe_engine::SiteId;
use lobe_engine::ops::penalty::correlation;

use super::{Objective, Reads, View};

/// γ times the mean absolute correlation between the columns `left` and `right` of a site.
#[derive(Debug, Clone)]
pub struct Correlation {
    /// The site.
    pub site: SiteId,
    /// Its number of columns.
    pub columns: usize,
    /// One group.
    pub left: Range<usize>,
    /// The other.
    pub right: Range<usize>,
    /// γ
    pub weight: f32,
}

impl Objective for Correlation {
    fn reads(&self) -> Reads {
        Reads::Site { site: self.site, columns: 0..self.columns, unrouted: true }
    }

    fn couples(&self) -> bool {
        true
    }

    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let mean =
            correlation(view.values, view.cols, self.left.clone(), self.right.clone(), self.weight, grad);
        // A group that is no part of the columns is no number, which ends the step.
        mean.map_or(f64::NAN, |mean| f64::from(self.weight) * mean)
    }
}
