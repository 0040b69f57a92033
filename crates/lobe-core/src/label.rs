//! Labels: the class that a sequence, a token or an image carries while training.

use serde::{Deserialize, Serialize};

/// Index of a label in a [`LabelSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelId(pub u8);

/// Data whose capability is to be localised and removed.
pub const FORGET: LabelId = LabelId(0);
/// Data known to be safe.
pub const RETAIN: LabelId = LabelId(1);
/// Data nobody labelled: it trains the whole network.
pub const UNLABELLED: LabelId = LabelId(2);

impl LabelId {
    /// Position in tables indexed by label.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The ordered names of all labels of one experiment. `forget`, `retain` and `unlabelled` always
/// come first; a recipe may add more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSet(Vec<String>);

impl Default for LabelSet {
    fn default() -> Self {
        LabelSet(["forget", "retain", "unlabelled"].map(String::from).to_vec())
    }
}

impl LabelSet {
    /// Adds `name` if it is new, and returns its id.
    ///
    /// # Panics
    /// With more than 255 labels.
    pub fn add(&mut self, name: &str) -> LabelId {
        if let Some(id) = self.find(name) {
            return id;
        }
        self.0.push(name.to_owned());
        LabelId(u8::try_from(self.0.len() - 1).expect("fewer than 256 labels"))
    }

    /// The id of `name`, if it is a label.
    pub fn find(&self, name: &str) -> Option<LabelId> {
        self.0.iter().position(|n| n == name).map(|i| LabelId(i as u8))
    }

    /// The name of `id`.
    pub fn name(&self, id: LabelId) -> &str {
        &self.0[id.index()]
    }

    /// All names, in id order.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true: the three standard labels always exist.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
