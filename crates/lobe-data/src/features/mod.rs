//! `features`: rows of numbers most of which are zero, drawn when they are asked for.
//!
//! A row's numbers are active independently with one probability, or so many of them exactly, and an active
//! one is uniform in a range. What a row is to come out as is a function of each number, plus, for a class with
//! a mixing matrix M, the noise x M: the labels of compressed computation. Classes differ in M alone.

mod mixing;

use std::path::Path;
use std::sync::Arc;

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Examples, Payload, Wanted};
use crate::drawn::{DrawnRows, Features, Target, active_at};
use crate::error::{Result, setting};
use crate::memory;
use crate::source::{DataSource, SourceEntry};

pub use mixing::{MixingConfig, MixingKind};

/// Settings of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FeaturesConfig {
    /// Numbers per row.
    pub count: usize,
    /// Probability that a number is active, each on its own; an inactive one is 0.
    pub probability: f64,
    /// Active numbers of every row, whichever they are; 0 leaves it to `probability`.
    pub exactly: usize,
    /// Least and largest value of an active number.
    pub range: [f32; 2],
    /// What a number is to come out as.
    pub target: Target,
    /// What is mixed into that: a class of rows for each entry, the rows in turn. Empty is one class, `rows`,
    /// without noise. Example: `mixing = [{ name = "clean" }, { name = "noisy", kind = "embedding" }]`.
    pub mixing: Vec<MixingConfig>,
    /// Training rows per epoch. No epoch repeats a row.
    pub examples: usize,
    /// Held-out rows per class: the same numbers for every class. Each number is active in the expected share of
    /// them, with values spread evenly over the range, so that few rows give a loss without much chance in it.
    pub held_out: usize,
}

impl Default for FeaturesConfig {
    fn default() -> Self {
        FeaturesConfig {
            count: 100,
            probability: 0.01,
            exactly: 0,
            range: [-1.0, 1.0],
            target: Target::Input,
            mixing: Vec::new(),
            examples: 1 << 16,
            held_out: 10_000,
        }
    }
}

/// Most training rows per epoch.
const MOST: usize = 1 << 26;

impl DataSource for FeaturesConfig {
    fn load(&self, _: &Path, key: Key) -> Result<Dataset> {
        FeaturesConfig::load(self, key)
    }
}

/// The registered source.
pub(crate) const ENTRY: SourceEntry = SourceEntry::of::<FeaturesConfig>(
    "features",
    "rows of numbers most of which are zero, drawn when they are asked for",
);

impl FeaturesConfig {
    /// Prepares the draw and draws the held-out rows.
    ///
    /// # Errors
    /// If a setting is out of range or the held-out rows do not fit into memory.
    pub fn load(&self, key: Key) -> Result<Dataset> {
        self.check()?;
        let none = [MixingConfig { name: "rows".into(), ..MixingConfig::default() }];
        let classes = if self.mixing.is_empty() { &none[..] } else { &self.mixing };
        let key = key.child("features");
        let mixing: Vec<_> = classes.iter().map(|m| m.matrix(self.count, key.child("mixing"))).collect();
        let notes = classes.iter().zip(&mixing).filter_map(|(c, m)| m.as_deref().map(|m| c.note(m)));
        let notes = notes.collect();
        let features = Arc::new(Features {
            count: self.count,
            probability: self.probability,
            exactly: self.exactly,
            range: self.range,
            target: self.target,
            mixing,
        });
        let (test, active) = self.held_out(&features, key.child("held out"));
        let class = |n: usize| (0..n).map(|i| (i % classes.len()) as u16).collect();
        let train = Examples {
            payload: Payload::Drawn(DrawnRows::new(features, key.child("rows"))),
            class: class(self.examples),
        };
        let names = classes.iter().map(|c| c.name.clone()).collect();
        let mut out = Dataset::new("features", train, test, names, None, Vec::new())?;
        out.active = Some(active);
        out.notes = notes;
        Ok(out)
    }

    fn check(&self) -> Result<()> {
        let n = self.count;
        if n == 0 || n > 1 << 16 {
            return setting(format!("features: count {n} (1 to 65536)"));
        }
        if !(self.probability > 0.0 && self.probability <= 1.0) {
            return setting(format!("features: probability {} (above 0, at most 1)", self.probability));
        }
        if self.exactly > n {
            return setting(format!("features: exactly {} of {n} numbers", self.exactly));
        }
        let [low, high] = self.range;
        if !(low < high && low.is_finite() && high.is_finite()) {
            return setting(format!("features: range [{low}, {high}] (the least value first)"));
        }
        if self.examples == 0 || self.examples > MOST {
            return setting(format!("features: examples {} (1 to {MOST})", self.examples));
        }
        let share = if self.exactly > 0 { self.exactly as f64 / n as f64 } else { self.probability };
        if (self.held_out as f64 * share).round() < 1.0 {
            let what = format!("features: of {} held-out rows a number is active in none", self.held_out);
            return setting(format!("{what}; raise held_out to {}", (1.0 / share).ceil()));
        }
        for (i, m) in self.mixing.iter().enumerate() {
            m.check(&self.mixing[..i])?;
        }
        let classes = self.mixing.len().max(1) as u64;
        let rows = (self.held_out as u64).saturating_mul(classes);
        let numbers = rows.saturating_mul(2 * n as u64).saturating_add(3 * classes * (n * n) as u64);
        memory::fits(&format!("{rows} held-out rows"), numbers, memory::available(), "lower held_out")
    }

    /// The held-out rows of every class in turn, and the share of their numbers that is active.
    fn held_out(&self, features: &Features, key: Key) -> (Examples, f64) {
        let (n, rows, classes) = (self.count, self.held_out, features.mixing.len());
        let mut once = vec![0.0; n * rows];
        let [low, high] = self.range;
        let (mut active, mut rng) = (0, key.child("values").rng());
        for (feature, at) in active_at(features, rows, key).iter().enumerate() {
            let mut strata: Vec<u32> = (0..at.len() as u32).collect();
            rng.shuffle(&mut strata);
            for (row, stratum) in at.iter().zip(strata) {
                let u = (f64::from(stratum) + rng.uniform()) / at.len() as f64;
                once[*row as usize * n + feature] = low + (high - low) * u as f32;
            }
            active += at.len();
        }
        let mut values = Vec::with_capacity(n * rows * classes);
        let mut wanted = vec![0.0; n * rows * classes];
        for (i, out) in wanted.chunks_exact_mut(n).enumerate() {
            let row = &once[i / classes * n..][..n];
            values.extend_from_slice(row);
            features.label(i % classes, row, out);
        }
        let wanted = Some(Wanted { width: n, values: wanted });
        let class = (0..rows * classes).map(|i| (i % classes) as u16).collect();
        let payload = Payload::Rows { width: n, values, wanted, image: None };
        (Examples { payload, class }, active as f64 / (n * rows) as f64)
    }
}

#[cfg(test)]
mod tests;
