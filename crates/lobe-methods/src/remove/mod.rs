//! Removal: stages that turn a trained model into one without the capability.

pub mod ablate;

use lobe_core::registry::{About, ParamDoc};

/// A removal stage, as it is listed.
pub struct StageEntry {
    /// Its description.
    pub about: &'static About,
    /// Its parameters.
    pub params: fn() -> Vec<ParamDoc>,
}

/// All removal stages.
pub static STAGES: &[StageEntry] = &[ablate::ENTRY];
