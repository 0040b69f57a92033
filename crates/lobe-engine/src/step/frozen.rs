//! Which classes of a plan no row of a batch may update.

/// Most classes of a plan: 256 regions, the six parts that no region names and plain training, each of them
/// twice where the rows of its units are joint.
const MOST: usize = 2 * (256 + 7);
const WORDS: usize = MOST.div_ceil(64);

/// A set of classes, small enough to be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Frozen([u64; WORDS]);

impl Frozen {
    /// The classes below `classes` of which `is` holds.
    ///
    /// # Panics
    /// If there are more classes than a plan can have.
    pub(super) fn of(classes: usize, is: impl Fn(usize) -> bool) -> Frozen {
        assert!(classes <= MOST, "{classes} classes, but a plan has at most {MOST}");
        let mut out = Frozen::default();
        for class in (0..classes).filter(|c| is(*c)) {
            out.0[class / 64] |= 1 << (class % 64);
        }
        out
    }

    /// Whether `class` is in the set.
    pub(super) fn has(&self, class: usize) -> bool {
        self.0[class / 64] >> (class % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_that_a_plan_can_have_can_freeze() {
        let every_third = Frozen::of(MOST, |c| c % 3 == 0);
        for class in 0..MOST {
            assert_eq!(every_third.has(class), class % 3 == 0, "{class}");
        }
        assert_eq!(Frozen::of(70, |c| c < 64), Frozen::of(MOST, |c| c < 64));
        assert_ne!(Frozen::of(70, |_| true), Frozen::of(70, |c| c != 69));
    }
}
