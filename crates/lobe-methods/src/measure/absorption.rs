//! Absorption: which part of a network an example trains.
//!
//! Equation: ‖∂L/∂θ_part‖ ÷ ‖θ_part‖ of one example's mean loss L, for the region's parameters and for
//! all others; means over a label's examples. Paper: Shilov et al. 2025 (arXiv 2512.05648), the check that
//! *unlabelled* forget data comes to train the region of its own accord. Unusual: of plain gradients, no
//! route is in force: this is where an unlabelled example pulls. Fails: a part whose parameters are all 0 has
//! no relative norm (missing), and a converged network has small gradients everywhere: compare labels.

use lobe_core::registry::About;

/// The measure.
pub const ABOUT: About = About {
    name: "absorption",
    summary: "relative gradient norm of single examples on the region and on the rest of the network",
    reference: "Shilov et al. 2025, arXiv 2512.05648",
    unusual: "takes the gradient of an unlabelled example, whatever its true label",
    fails: "small everywhere on a converged network; only comparisons between labels mean something",
};

/// ‖gradient‖ ÷ ‖weights‖ over the numbers inside `part` and over those outside, a ratio without unit;
/// `None` where the weights are all 0. All three slices are `[parameters]`.
pub fn relative_norms(gradient: &[f32], weights: &[f32], part: &[bool]) -> [Option<f64>; 2] {
    let mut sums = [[0.0f64; 2]; 2];
    for ((g, w), inside) in gradient.iter().zip(weights).zip(part) {
        let sum = &mut sums[usize::from(!inside)];
        *sum = [sum[0] + f64::from(*g).powi(2), sum[1] + f64::from(*w).powi(2)];
    }
    sums.map(|[g, w]| (w > 0.0).then(|| (g / w).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::relative_norms;

    #[test]
    fn norms_by_hand() {
        let (g, w) = ([3.0, 4.0, 1.0], [6.0, 8.0, 4.0]);
        assert_eq!(relative_norms(&g, &w, &[true, true, false]), [Some(0.5), Some(0.25)]);
        assert_eq!(relative_norms(&g, &[0.0, 0.0, 2.0], &[true, true, false]), [None, Some(0.5)]);
        assert_eq!(relative_norms(&g, &w, &[false; 3])[0], None, "a part without parameters");
    }
}
