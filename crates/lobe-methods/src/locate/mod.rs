//! Locating: which single weights matter most, one file for each way to score them.
//!
//! [`LOCATORS`] is the explicit ordered list. [`top`] turns scores into a set.

mod gradient;
mod importance;
mod magnitude;

use lobe_core::registry::{Entry, List};
use lobe_engine::{Entries, Layout, ParamId};

pub use gradient::Gradient;
pub use importance::Importance;
pub use magnitude::Magnitude;

/// A way to score weights.
pub trait Locator: Send + Sync {
    /// Whether it needs dL/dθ on the data that the stage names.
    fn needs_gradient(&self) -> bool;

    /// How much a weight matters, from its value and its gradient (0 where none is needed); larger is more.
    fn score(&self, weight: f32, gradient: f32) -> f32;
}

/// All ways, in the order they are listed.
pub static LOCATORS: List<Entry<dyn Locator>> =
    List::new(&[magnitude::ENTRY, gradient::ENTRY, importance::ENTRY]);

/// The way called `name`.
pub fn locator(name: &str) -> Option<&'static Entry<dyn Locator>> {
    LOCATORS.find(name)
}

/// A weight and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Its tensor.
    pub tensor: ParamId,
    /// Row and column.
    pub at: (usize, usize),
    /// The score.
    pub score: f32,
}

/// The `most` highest scores among `within`, the highest first; equal ones in the order of the parameters. `scores`
/// has a number for every parameter; one that is not finite counts as none.
pub fn top(layout: &Layout, scores: &[f32], within: &Entries, most: usize) -> Vec<Scored> {
    let mut all: Vec<(f32, usize, ParamId)> = Vec::new();
    within.for_ranges(layout, |p, range| {
        all.extend(range.filter(|i| scores[*i].is_finite()).map(|i| (scores[i], i, p)));
    });
    let by = |a: &(f32, usize, ParamId), b: &(f32, usize, ParamId)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if most < all.len() {
        all.select_nth_unstable_by(most, by);
        all.truncate(most);
    }
    all.sort_unstable_by(by);
    let scored = |(score, i, tensor): (f32, usize, ParamId)| {
        let t = layout.get(tensor);
        let at = ((i - t.offset) / t.cols, (i - t.offset) % t.cols);
        Scored { tensor, at, score }
    };
    all.into_iter().map(scored).collect()
}

/// The weights of scores as a set.
pub fn entries(of: &[Scored]) -> Entries {
    Entries::of(of.iter().map(|s| (s.tensor, (s.at.0..s.at.0 + 1, s.at.1..s.at.1 + 1))))
}
