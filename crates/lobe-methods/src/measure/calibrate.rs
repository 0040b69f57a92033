//! Calibrated loss: the loss after a logit bias was fitted.
//!
//! Equation: minimise L_forget(b) + α L_retain(b) over b alone, the model frozen, with AdamW (rate
//! 1e-2 falling linearly to a tenth, b ~ N(0, 0.1) at the start); then measure. α = 100.
//! Paper: Shilov et al. 2025 §4: a raw forget loss can be inflated cheaply by a wrong token prior.
//! Unusual: hidden states do not depend on b, so they are computed once, of up to 16,384 training tokens per label.
//! Fails: only removes the cheapest kind of inflation.

use lobe_core::Key;

use lobe_core::registry::About;
use lobe_engine::optim::AdamW;
use lobe_engine::{Optimiser, Schedule, ScheduleShape};

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

/// AdamW without decay, for `steps` steps at a rate that falls from 1e-2 in a straight line to a tenth.
pub fn optimiser(steps: u64) -> Optimiser {
    let (shape, floor) = (ScheduleShape::Linear, 0.1);
    Optimiser::new(AdamW::default(), Schedule { steps, shape, floor, ..Schedule::constant(1e-2) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_in_a_straight_line() {
        let rate = optimiser(200).schedule;
        let at = |step| rate.at(step);
        assert_eq!((at(0), at(200)), (1e-2, 1e-3));
        assert!((at(100) - 5.5e-3).abs() < 1e-8 && (at(150) - 3.25e-3).abs() < 1e-8);
    }
}
