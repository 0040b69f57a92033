//! What is mixed into the labels of a class: a matrix M with nothing on its diagonal.

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Result, setting};

/// Where a mixing matrix comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MixingKind {
    /// Nothing is mixed in.
    #[default]
    None,
    /// I - W Wᵀ for rows of length 1 in random directions: what a residual stream of `width` dimensions does to
    /// numbers that share it.
    Embedding,
    /// Normal with standard deviation `sigma`, the same both ways.
    Symmetric,
    /// Normal with standard deviation `sigma`.
    Asymmetric,
}

/// A class of rows and what is mixed into its labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixingConfig {
    /// Name of the class.
    pub name: String,
    /// Where the matrix comes from.
    pub kind: MixingKind,
    /// Dimensions of the embedding.
    pub width: usize,
    /// Standard deviation of a random matrix.
    pub sigma: f64,
    /// Factor on the matrix. Classes of one kind have one matrix, each times its factor.
    pub scale: f64,
}

impl Default for MixingConfig {
    fn default() -> Self {
        MixingConfig { name: String::new(), kind: MixingKind::None, width: 1000, sigma: 0.032, scale: 1.0 }
    }
}

impl MixingConfig {
    pub(super) fn check(&self, before: &[MixingConfig]) -> Result<()> {
        let name = &self.name;
        if name.is_empty() || before.iter().any(|b| b.name == *name) {
            return setting(format!("features: mixing: the name {name:?} is empty or used twice"));
        }
        if self.width == 0 || self.width > 1 << 16 {
            return setting(format!("features: mixing: width {} of {name:?} (1 to 65536)", self.width));
        }
        if !(0.0..=1e3).contains(&self.sigma) || !(-1e3..=1e3).contains(&self.scale) {
            let what = format!("sigma {} (0 to 1000) or scale {} (-1000 to 1000)", self.sigma, self.scale);
            return setting(format!("features: mixing: {what} of {name:?}"));
        }
        Ok(())
    }

    /// The matrix `[n, n]`; `None` without one.
    pub(super) fn matrix(&self, n: usize, key: Key) -> Option<Vec<f32>> {
        let mut m = match self.kind {
            MixingKind::None => return None,
            MixingKind::Embedding => overlaps(n, self.width, key.child("embedding")),
            MixingKind::Symmetric => {
                let mut m = normal(n * n, key.child("symmetric"));
                (0..n).for_each(|i| (0..i).for_each(|j| m[i * n + j] = m[j * n + i]));
                m
            }
            MixingKind::Asymmetric => normal(n * n, key.child("asymmetric")),
        };
        let by = if self.kind == MixingKind::Embedding { self.scale } else { self.scale * self.sigma };
        for x in &mut m {
            *x *= by;
        }
        (0..n).for_each(|i| m[i * n + i] = 0.0);
        Some(m.into_iter().map(|x| x as f32).collect())
    }

    /// What a reader of the results has to know of it.
    pub(super) fn note(&self, m: &[f32]) -> String {
        let norm = m.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let entries = (m.len() as f64).sqrt();
        format!(
            "{}: the matrix that mixes the labels has the norm {norm:.3}, entries of {:.4}",
            self.name,
            norm / entries
        )
    }
}

fn normal(len: usize, key: Key) -> Vec<f64> {
    let mut rng = key.rng();
    (0..len).map(|_| rng.normal()).collect()
}

/// -W Wᵀ for `n` rows of length 1.
fn overlaps(n: usize, width: usize, key: Key) -> Vec<f64> {
    let mut w = normal(n * width, key);
    for row in w.chunks_exact_mut(width) {
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        for x in row {
            *x /= norm;
        }
    }
    let mut out = vec![0.0; n * n];
    for (a, out) in w.chunks_exact(width).zip(out.chunks_exact_mut(n)) {
        for (b, out) in w.chunks_exact(width).zip(out) {
            *out = -a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        }
    }
    out
}
