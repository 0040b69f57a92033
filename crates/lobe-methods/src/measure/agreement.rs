//! Agreement: whether two models give the same outputs, above all a cut one and the one that never saw
//! the data.
//!
//! Equation: per token, whether the most likely next token is the same, and KL(control ‖ model) over the
//! vocabulary; means over a label's tokens. Paper: the oracle-matching view of unlearning, Lee et al. 2025
//! (arXiv 2506.06278). Unusual: both numbers per label, so that agreeing on retain data and
//! disagreeing on forget data stay apart. Fails: 1 is not the goal, because training from another seed
//! alone moves outputs; compare arms.

use lobe_engine::rows;

use lobe_core::registry::About;

/// The measure.
pub const ABOUT: About = About {
    name: "agreement",
    summary: "fraction of tokens on which a model and the control make the same prediction, and KL(control ‖ model)",
    reference: "Lee et al. 2025, arXiv 2506.06278 (matching the oracle's outputs)",
    unusual: "control and model share the seed, hence initial weights and data order",
    fails: "shows that outputs differ, not why; compare arms, and do not take 1 as the goal",
};

/// Compares two rows of logits: whether the largest is the same, and KL(softmax(control) ‖
/// softmax(model)) in nat. `control` and `model` are `[vocab]`, `scratch` is `[2 · vocab]`.
///
/// # Panics
/// If the rows differ in length or `scratch` is not two of them.
pub fn agreement(control: &[f32], model: &[f32], scratch: &mut [f32]) -> (bool, f64) {
    let (grad, work) = scratch.split_at_mut(control.len());
    let kl = rows::divergence(model, control, 0.0, grad, work);
    (top(control) == top(model), kl)
}

/// Index of the largest logit, the first of equals.
fn top(z: &[f32]) -> usize {
    z.iter().enumerate().fold((0, f32::NEG_INFINITY), |a, (i, v)| if *v > a.1 { (i, *v) } else { a }).0
}

#[cfg(test)]
mod tests {
    use super::agreement;

    #[test]
    fn agreement_by_hand() {
        let mut scratch = [0.0; 4];
        // p = (3/4, 1/4), q = (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2).
        let (same, kl) = agreement(&[3f32.ln(), 0.0], &[0.0, 0.0], &mut scratch);
        assert!(same, "ties go to the first");
        assert!((kl - (0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln())).abs() < 1e-6, "{kl}");
        let (same, kl) = agreement(&[1.0, 0.0], &[0.0, 1.0], &mut scratch);
        // KL of (σ, 1−σ) against (1−σ, σ): (2σ − 1) · 1.
        let sigma = 1.0 / (1.0 + (-1.0f64).exp());
        assert!(!same && (kl - (2.0 * sigma - 1.0)).abs() < 1e-6, "{kl}");
        assert!(agreement(&[2.0, 5.0], &[2.0, 5.0], &mut scratch).1.abs() < 1e-7);
    }
}
