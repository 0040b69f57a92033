//! Removal: stages that turn a trained model into one without the capability.

pub mod ablate;

use lobe_core::registry::{About, List, Listed, ParamDoc};

/// A removal stage, as it is listed.
pub struct StageEntry {
    /// Its description.
    pub about: &'static About,
    /// Its parameters.
    pub params: fn() -> Vec<ParamDoc>,
}

impl Listed for StageEntry {
    fn name(&self) -> &'static str {
        self.about.name
    }
}

/// All removal stages.
pub static STAGES: List<StageEntry> = List::new(&[ablate::ENTRY]);
