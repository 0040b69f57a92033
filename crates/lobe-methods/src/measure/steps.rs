//! Steps to baseline: how long a relearning attack takes to reach a loss.
//!
//! Equation: min { t : L(t) ≤ L* }, interpolated linearly between evaluations. Paper: Shilov et al.
//! 2025 §5. Fails: not reached within the budget is *missing*, never the budget itself.

use lobe_core::registry::About;

/// The measure.
pub const ABOUT: About = About {
    name: "steps-to-baseline",
    summary: "attack steps until the forget loss equals the baseline arm's",
    reference: "Shilov et al. 2025, arXiv 2512.05648, §5",
    unusual: "interpolated between evaluations; missing if never reached",
    fails: "compares methods only if all are attacked with the same sweep and budget",
};

/// First step at which a curve of (step, loss) reaches `target`; `None` if it never does.
pub fn steps_to(curve: &[(u64, f64)], target: f64) -> Option<f64> {
    let hit = curve.iter().position(|(_, loss)| *loss <= target)?;
    let (step, loss) = curve[hit];
    if hit == 0 {
        return Some(step as f64);
    }
    let (before, above) = curve[hit - 1];
    Some(before as f64 + (step - before) as f64 * (above - target) / (above - loss))
}

/// At each step the lowest loss of any variant: the attacker's best.
pub fn worst_case(curves: &[Vec<(u64, f64)>]) -> Vec<(u64, f64)> {
    let mut out: Vec<(u64, f64)> = curves.iter().flatten().copied().collect();
    out.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    out.dedup_by_key(|p| p.0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_interpolate_and_missing_is_missing() {
        let curve = [(0, 5.0), (10, 4.0), (20, 2.0)];
        assert_eq!(steps_to(&curve, 3.0), Some(15.0));
        assert_eq!(steps_to(&curve, 6.0), Some(0.0));
        assert_eq!(steps_to(&curve, 1.0), None);
        assert_eq!(steps_to(&[], 1.0), None);
        assert_eq!(
            worst_case(&[curve.to_vec(), vec![(0, 5.0), (10, 3.5), (20, 2.5)]]),
            [(0, 5.0), (10, 3.5), (20, 2.0)]
        );
    }
}
