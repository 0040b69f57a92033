//! Gap closed: how far a cut moved the forget loss from the baseline towards the control.
//!
//! Equation: (L_cut - L_baseline) / (L_control - L_baseline), per seed. 1 is as ignorant as a model
//! that never saw the data. Fails: undefined (missing) when the control is not worse than the
//! baseline; above 1 the cut did damage beyond ignorance.

use lobe_core::registry::About;

/// The measure.
pub const ABOUT: About = About {
    name: "gap-closed",
    summary: "fraction of the gap in forget loss between baseline and control that the cut closed",
    reference: "—",
    unusual: "paired: baseline, control and cut model share the seed",
    fails: "missing if the control is no worse than the baseline",
};

/// The share, or `None` when there is no gap.
pub fn gap_closed(cut: f64, baseline: f64, control: f64) -> Option<f64> {
    let gap = control - baseline;
    (gap > 0.0).then(|| (cut - baseline) / gap)
}

#[cfg(test)]
mod tests {
    #[test]
    fn gap_by_hand() {
        assert_eq!(super::gap_closed(3.0, 2.0, 4.0), Some(0.5));
        assert_eq!(super::gap_closed(3.0, 4.0, 4.0), None);
    }
}
