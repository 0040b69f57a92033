//! Calibrated loss: the loss after a logit bias was fitted.
//!
//! Equation: minimise L_forget(b) + α L_retain(b) over b alone, the model frozen, with AdamW (rate
//! 1e-2 falling linearly to a tenth, b ~ N(0, 0.1) at the start); then measure. α = 100.
//! Paper: Shilov et al. 2025 §4: a raw forget loss can be inflated cheaply by a wrong token prior.
//! Unusual: hidden states do not depend on b, so they are computed once, of up to 16,384 training tokens per label.
//! Fails: only removes the cheapest kind of inflation.

use lobe_core::Key;

use lobe_core::registry::About;

/// The measure.
pub const ABOUT: About = About {
    name: "calibrated-loss",
    summary: "held-out loss per label after fitting a logit bias to forget and retain data",
    reference: "Shilov et al. 2025, arXiv 2512.05648, §4",
    unusual: "hidden states of up to 16,384 training tokens of either label are computed once; only the bias is trained",
    fails: "corrects a wrong token prior and nothing deeper",
};

/// Fixed settings of the fit.
pub const ALPHA: f64 = 100.0;

/// Initial bias: N(0, 0.1) from a fixed key, the same for all arms.
pub fn initial_bias(vocab: usize, key: Key) -> Vec<f32> {
    let mut rng = key.child("calibration").rng();
    (0..vocab).map(|_| (0.1 * rng.normal()) as f32).collect()
}

/// AdamW's rate at `step` of `steps`: 1e-2 falling linearly to a tenth.
pub fn rate(step: u64, steps: u64) -> f64 {
    1e-2 * (1.0 - 0.9 * step as f64 / steps.max(1) as f64)
}

/// One AdamW step (betas 0.9 and 0.999, no decay) on the bias.
pub fn adam_step(bias: &mut [f32], grad: &[f32], m: &mut [f64], v: &mut [f64], step: u64, rate: f64) {
    let (c1, c2) = (1.0 - 0.9f64.powi(step as i32 + 1), 1.0 - 0.999f64.powi(step as i32 + 1));
    for i in 0..bias.len() {
        let g = f64::from(grad[i]);
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.999 * v[i] + 0.001 * g * g;
        bias[i] -= (rate * (m[i] / c1) / ((v[i] / c2).sqrt() + 1e-8)) as f32;
    }
}
