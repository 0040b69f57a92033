//! Which unit answers to which label: a table of how often each unit is the largest.
//!
//! Equation: n_lu counts the rows of label l whose largest unit is u; accuracy = Σ_i n_ii / Σ n, with unit i at home
//! to label i; purity = Σ_u max_l n_lu / Σ n, the accuracy if every unit were given to the label that it answers to
//! most. Source: the evaluation of g-w1/gradient-routed-vae. Unusual: purity needs no assignment, so it says whether a
//! network that was not routed has such units anyway, in another order. Fails: purity is never below the share of the
//! largest label, and units that are 0 together count for the first of them.

use lobe_core::registry::About;

/// The measure.
pub const ABOUT: About = About {
    name: "confusion",
    summary: "how often each unit of a site is the largest, by label: accuracy with unit i for label i, and purity",
    reference: "g-w1/gradient-routed-vae",
    unusual: "purity needs no assignment of units to labels, so networks that were not routed can be compared",
    fails: "purity is never below the share of the largest label; of equal units the first counts as the largest",
};

/// Counts of largest units by label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// `[label][unit]`
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// No rows yet.
    pub fn new(labels: usize, units: usize) -> Confusion {
        Confusion { counts: vec![vec![0; units]; labels] }
    }

    /// Counts a row of label number `label`; of equal units the first is the largest.
    ///
    /// # Panics
    /// If there is no such label, or there are more units.
    pub fn add(&mut self, label: usize, units: impl IntoIterator<Item = f32>) {
        let first = (0, f32::NEG_INFINITY);
        let larger = |a: (usize, f32), (u, v): (usize, f32)| if v > a.1 { (u, v) } else { a };
        let (unit, _) = units.into_iter().enumerate().fold(first, larger);
        self.counts[label][unit] += 1;
    }

    /// Adds another table of the same shape.
    pub fn merge(&mut self, other: &Confusion) {
        let both = self.counts.iter_mut().flatten().zip(other.counts.iter().flatten());
        both.for_each(|(a, b)| *a += b);
    }

    /// Share of a label's rows whose largest unit is the one of the same number; `None` without rows.
    pub fn of_label(&self, label: usize) -> Option<f64> {
        let row = &self.counts[label];
        share(row[label], row.iter().sum())
    }

    /// Share of all rows whose largest unit has the number of their label; `None` without rows.
    pub fn accuracy(&self) -> Option<f64> {
        let own = self.counts.iter().enumerate().map(|(i, row)| row.get(i).copied().unwrap_or(0));
        share(own.sum(), self.total())
    }

    /// Share of all rows that carry the label which their largest unit answers to most; `None` without rows.
    pub fn purity(&self) -> Option<f64> {
        let units = self.counts.first().map_or(0, Vec::len);
        let most = |u: usize| self.counts.iter().map(|row| row[u]).max().unwrap_or(0);
        share((0..units).map(most).sum(), self.total())
    }

    fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_by_hand() {
        let mut c = Confusion::new(3, 3);
        // Label 0: unit 0 twice and unit 2 once; label 1: a tie, which goes to the first; label 2: unit 1, twice.
        for (label, units) in [
            (0, [0.3, 0.1, 0.2]),
            (0, [-0.1, -0.5, -0.2]),
            (0, [0.0, 0.0, 4.0]),
            (1, [0.0, 0.0, 0.0]),
            (2, [0.0, 2.0, 1.0]),
            (2, [0.0, 3.0, 1.0]),
        ] {
            c.add(label, units);
        }
        assert_eq!(c.counts, [[2, 0, 1], [1, 0, 0], [0, 2, 0]]);
        assert_eq!(c.accuracy(), Some(2.0 / 6.0));
        assert_eq!((c.of_label(0), c.of_label(1)), (Some(2.0 / 3.0), Some(0.0)));
        // Units 0, 1 and 2 answer to labels 0, 2 and 0: 2 + 2 + 1 of 6.
        assert_eq!(c.purity(), Some(5.0 / 6.0));
        let mut both = c.clone();
        both.merge(&c);
        assert_eq!((both.counts[0][0], both.accuracy()), (4, c.accuracy()));
        assert_eq!((Confusion::new(2, 2).accuracy(), Confusion::new(2, 2).of_label(1)), (None, None));
    }
}
