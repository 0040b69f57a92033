//! Published numbers that a run is held against.

use serde::{Deserialize, Serialize};

use crate::text::{maybe_text, text};

/// Which side of a published number counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Within the tolerance of it.
    #[default]
    Near,
    /// Not above it by more than the tolerance.
    AtMost,
    /// Not below it by more than the tolerance.
    AtLeast,
}

/// One published number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The arm that it is about.
    #[serde(deserialize_with = "text")]
    pub arm: String,
    /// The stage whose number counts; absent for the model as the last stage left it that is no attack.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub stage: Option<String>,
    /// True class of the data, or `all`.
    #[serde(deserialize_with = "text")]
    pub label: String,
    /// The metric.
    #[serde(deserialize_with = "text")]
    pub metric: String,
    /// The step; absent for the last number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The published number.
    pub value: f64,
    /// How far the mean over seeds may be from it.
    #[serde(default)]
    pub tolerance: f64,
    /// Which side of it counts.
    #[serde(default)]
    pub need: Need,
    /// Where it is from.
    #[serde(default, deserialize_with = "text")]
    pub source: String,
}

impl Target {
    /// How far `measured` is from what the target allows: 0 if it is met, positive above, negative below.
    pub fn missed_by(&self, measured: f64) -> f64 {
        // What differs in the last digits only is no miss.
        let room = self.tolerance + 1e-9 * self.value.abs().max(self.tolerance);
        let distance = measured - self.value;
        match self.need {
            Need::AtMost if distance <= room => 0.0,
            Need::AtLeast if distance >= -room => 0.0,
            _ if distance.abs() <= room => 0.0,
            _ => distance - self.tolerance.copysign(distance),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_counted_from_the_edge() {
        let t = |need| Target { value: 0.12, tolerance: 0.01, need, ..Target::default() };
        let near = [0.13, 0.11, 0.15, 0.05].map(|v| t(Need::Near).missed_by(v));
        assert_eq!(near[..2], [0.0, 0.0]);
        assert!((near[2] - 0.02).abs() < 1e-12 && (near[3] + 0.06).abs() < 1e-12, "{near:?}");
        assert_eq!([0.0, 0.13].map(|v| t(Need::AtMost).missed_by(v)), [0.0, 0.0]);
        assert!((t(Need::AtMost).missed_by(0.14) - 0.01).abs() < 1e-12);
        assert_eq!(t(Need::AtLeast).missed_by(9.0), 0.0);
        assert!((t(Need::AtLeast).missed_by(0.1) + 0.01).abs() < 1e-12);
    }
}
