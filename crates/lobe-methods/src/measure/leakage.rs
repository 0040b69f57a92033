//! Leakage: how much of the undiscovered forget data a model learned all the same.
//!
//! Equation: T_std(L_m) / T_undiscovered, with T_std(L) the forget tokens a plainly trained model
//! needs to reach forget loss L (linear interpolation over a family of runs). Filtering is 1 by
//! definition. Paper: Shilov et al. 2025 §4. Unusual: the family is the recipe's own arms of the same seed
//! and training: the control (0 forget tokens), filters of several recalls, the baseline (all). Fails:
//! missing when the loss lies outside of the family's range, or when nothing was undiscovered.

use lobe_core::registry::About;

/// The measure.
pub const ABOUT: About = About {
    name: "leakage",
    summary: "forget tokens that a plain model needs for the same forget loss, divided by the undiscovered forget tokens",
    reference: "Shilov et al. 2025, arXiv 2512.05648, §4",
    unusual: "the family consists of the recipe's own control, filters of several recalls and baseline, per seed",
    fails: "missing outside the range of the family; it never extrapolates",
};

/// Leakage of a model with forget loss `loss`; `family` holds (forget tokens, forget loss) of plain
/// runs and is sorted by tokens.
pub fn leakage(loss: f64, family: &[(f64, f64)], undiscovered: f64) -> Option<f64> {
    if undiscovered <= 0.0 {
        return None;
    }
    let pair = family.windows(2).find(|w| (w[1].1..=w[0].1).contains(&loss))?;
    let ((t0, l0), (t1, l1)) = (pair[0], pair[1]);
    let t = if l0 == l1 { t0 } else { t0 + (t1 - t0) * (l0 - loss) / (l0 - l1) };
    Some(t / undiscovered)
}

#[cfg(test)]
mod tests {
    use super::leakage;

    #[test]
    fn leakage_by_hand() {
        let family = [(0.0, 8.0), (100.0, 6.0), (1000.0, 3.0)];
        assert_eq!(leakage(7.0, &family, 500.0), Some(0.1));
        assert_eq!(leakage(4.5, &family, 550.0), Some(1.0));
        assert_eq!(leakage(9.0, &family, 500.0), None);
        assert_eq!(leakage(7.0, &family, 0.0), None);
    }
}
