//! Kinds of steps: a share of a label's steps that follows routes of its own.
//!
//! A kind is a label named `label:kind` that no example carries. Which steps are of a kind is a
//! seeded permutation with exact counts, so a run of n steps of one label has round(share · n) of
//! them, wherever it is interrupted.

use lobe_core::{Key, LabelId, LabelSet};

/// A kind of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// The label whose steps it takes.
    pub of: LabelId,
    /// Its name after the colon.
    pub name: &'static str,
    /// Its share of the label's steps, in [0, 1].
    pub share: f64,
}

impl Kind {
    /// The label that its steps carry: `forget:spread`.
    pub fn label(&self, labels: &LabelSet) -> String {
        format!("{}:{}", labels.name(self.of), self.name)
    }

    /// The label's id in a set made by [`with_kinds`].
    pub fn id(&self, labels: &LabelSet) -> Option<LabelId> {
        labels.find(&self.label(labels))
    }
}

/// All labels of the experiment and one more for each kind.
pub fn with_kinds(labels: &LabelSet, kinds: &[Kind]) -> LabelSet {
    let mut out = labels.clone();
    for k in kinds {
        out.add(&k.label(labels));
    }
    out
}

/// Replaces the label of round(share · n) of the n steps of each label by that of its kind.
/// `kinds` holds (label, label of the kind, share).
pub fn assign(steps: &mut [LabelId], kinds: &[(LabelId, LabelId, f64)], key: Key) {
    let mut of: Vec<LabelId> = kinds.iter().map(|k| k.0).collect();
    of.sort_unstable();
    of.dedup();
    for label in of {
        let mut at: Vec<usize> = (0..steps.len()).filter(|i| steps[*i] == label).collect();
        key.index(u64::from(label.0)).rng().shuffle(&mut at);
        let (n, mut start, mut share) = (at.len() as f64, 0, 0.0);
        for (_, kind, s) in kinds.iter().filter(|k| k.0 == label) {
            // Rounding the running sum keeps several shares of 1 in total within the n steps.
            share += s;
            let end = ((share * n).round() as usize).clamp(start, at.len());
            at[start..end].iter().for_each(|i| steps[*i] = *kind);
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use lobe_core::{FORGET, RETAIN};

    use super::*;

    const SPREAD: LabelId = LabelId(3);
    const ROBUST: LabelId = LabelId(4);

    fn plan(n: usize, seed: u64) -> Vec<LabelId> {
        let mut steps: Vec<LabelId> = (0..n).map(|i| if i % 3 == 0 { FORGET } else { RETAIN }).collect();
        assign(&mut steps, &[(FORGET, SPREAD, 0.5), (RETAIN, ROBUST, 0.2)], Key::root(seed));
        steps
    }

    #[test]
    fn counts_are_exact() {
        for n in [0usize, 1, 30, 31, 300, 3001] {
            let (forget, retain) = (n.div_ceil(3), n - n.div_ceil(3));
            let steps = plan(n, 1);
            let count = |l| steps.iter().filter(|s| **s == l).count();
            assert_eq!(count(SPREAD), (0.5 * forget as f64).round() as usize, "{n}");
            assert_eq!(count(ROBUST), (0.2 * retain as f64).round() as usize, "{n}");
            assert_eq!(count(SPREAD) + count(FORGET), forget, "{n}");
            assert_eq!(count(ROBUST) + count(RETAIN), retain, "{n}");
        }
    }

    #[test]
    fn a_seed_fixes_the_order_and_another_changes_it() {
        assert_eq!(plan(300, 1), plan(300, 1));
        assert_ne!(plan(300, 1), plan(300, 2));
    }

    #[test]
    fn kinds_are_labels_of_their_own() {
        let labels = LabelSet::default();
        let kind = Kind { of: FORGET, name: "spread", share: 0.5 };
        let all = with_kinds(&labels, std::slice::from_ref(&kind));
        assert_eq!((all.len(), kind.id(&all)), (labels.len() + 1, all.find("forget:spread")));
        assert_eq!(kind.id(&labels), None);
    }
}
