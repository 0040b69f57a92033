//! Token weights from the ratio of frequencies (ERA; Cloud et al. 2024, appendix C).
//!
//! ```text
//! w_t = 1 − sigmoid(s · (ρ − 1/ρ) + b)        ρ = f_forget(t) / f_retain(t)
//! strength = 1 − w_t                          t is the target (next) token
//! ```
//!
//! A strength of 1 applies a route in full, 0 not at all: only tokens typical of the forget
//! data are routed. Unusual here: additive counts differ (1 for forget, 20 for retain), which
//! keeps rare tokens from counting as typical. Fails when the two classes differ in style
//! rather than in words; two languages give a strength near 1 almost everywhere.

use lobe_core::LabelId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Examples, PAD};
use crate::error::{DataError, Result};

/// Settings of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FrequencyRatio {
    /// s: how sharply the weight falls.
    pub scale: f64,
    /// b: where it falls.
    pub bias: f64,
    /// Count added to every token in the label's examples.
    pub add_forget: f64,
    /// Count added to every token in all other examples.
    pub add_retain: f64,
    /// How many examples of each side are counted.
    pub examples: usize,
}

impl Default for FrequencyRatio {
    fn default() -> Self {
        FrequencyRatio { scale: 1.0, bias: -4.0, add_forget: 1.0, add_retain: 20.0, examples: 25_000 }
    }
}

impl FrequencyRatio {
    /// w for the ratio ρ of two frequencies.
    pub fn weight(&self, rho: f64) -> f64 {
        1.0 / (1.0 + (self.scale * (rho - 1.0 / rho) + self.bias).exp())
    }
}

/// ρ per token: smoothed, normalised forget frequency over the same for retain.
pub fn frequency_ratio(forget: &[u64], retain: &[u64], add_forget: f64, add_retain: f64) -> Vec<f64> {
    let total = |c: &[u64], add: f64| c.iter().sum::<u64>() as f64 + add * c.len() as f64;
    let (f, r) = (total(forget, add_forget), total(retain, add_retain));
    let ratio = |(a, b): (&u64, &u64)| ((*a as f64 + add_forget) / f) / ((*b as f64 + add_retain) / r);
    forget.iter().zip(retain).map(ratio).collect()
}

/// How strongly each token of a label's examples is routed.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenStrength {
    /// The label it modulates; examples of other labels have strength 1 throughout.
    pub label: LabelId,
    /// In [0, 1], per target token id; `vocab` long.
    pub by_token: Vec<f32>,
}

impl TokenStrength {
    /// Counts the targets of examples labelled `id` against all others. It sees the degraded
    /// labels: a real labeller knows no better.
    pub(crate) fn count(
        ratio: FrequencyRatio,
        id: LabelId,
        label: &[LabelId],
        data: &Dataset,
    ) -> Result<TokenStrength> {
        let refuse = |what: &str| Err(DataError::Labelling { what: what.into() });
        if data.vocab == 0 {
            return refuse("token weights need text");
        }
        let good = |x: f64| x.is_finite() && x > 0.0;
        if !good(ratio.add_forget)
            || !good(ratio.add_retain)
            || !ratio.scale.is_finite()
            || !ratio.bias.is_finite()
        {
            return refuse("token weights: added counts must be positive, scale and bias finite");
        }
        let mut counts = [vec![0u64; data.vocab], vec![0u64; data.vocab]];
        let mut seen = [0, 0];
        for (i, l) in label.iter().enumerate() {
            let side = usize::from(*l != id);
            seen[side] += 1;
            if seen[side] <= ratio.examples {
                let targets = data.train.row(i)[1..].iter().filter(|&&t| t != PAD);
                targets.for_each(|&t| counts[side][t as usize] += 1);
            }
        }
        let rho = frequency_ratio(&counts[0], &counts[1], ratio.add_forget, ratio.add_retain);
        let by_token = rho.iter().map(|&r| (1.0 - ratio.weight(r)) as f32).collect();
        Ok(TokenStrength { label: id, by_token })
    }

    /// Appends the strength of each of the `seq` positions of example `i`, whose label is `label`.
    pub fn row_into(&self, examples: &Examples, i: usize, label: LabelId, out: &mut Vec<f32>) {
        let of = |t: &u32| {
            if label == self.label { self.by_token.get(*t as usize).copied().unwrap_or(0.0) } else { 1.0 }
        };
        out.extend(examples.row(i).iter().skip(1).map(of));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_match_the_published_table() {
        // (forget per 10k, retain per 10k, w recomputed from these rounded frequencies)
        let table = [
            (73.1, 18.7, 0.586),
            (10.3, 3.6, 0.816),
            (10.9, 3.8, 0.815),
            (10.2, 3.9, 0.854),
            (5.1, 7.1, 0.991),
        ];
        for (f, r, w) in table {
            let got = FrequencyRatio::default().weight(f / r);
            assert!((got - w).abs() < 0.0006, "{f}/{r}: {got} instead of {w}");
        }
        assert!(FrequencyRatio::default().weight(2000.0) < 1e-9);
        assert_eq!(FrequencyRatio::default().weight(f64::INFINITY), 0.0);
    }

    #[test]
    fn ratios_are_of_smoothed_normalised_counts() {
        let rho = frequency_ratio(&[9, 0], &[0, 60], 1.0, 20.0);
        // (10/11) / (20/100) and (1/11) / (80/100)
        assert!((rho[0] - 10.0 / 11.0 / 0.2).abs() < 1e-12 && (rho[1] - 1.0 / 11.0 / 0.8).abs() < 1e-12);
    }
}
