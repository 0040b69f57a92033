//! A stage: every weight is multiplied by a factor.
//!
//! A stage turns models into models or numbers. This one makes models, so that later stages start from them.

use std::error::Error;
use std::process::ExitCode;
use std::sync::LazyLock;

use lobe_core::registry::{About, Taken};
use lobe_lab::LabError;
use lobe_lab::graph::{At, Change, Changed, Context, Shares, Stage, StageEntry};
use lobe_lab::recipe::StageFacts;
use lobe_lab::stages::STAGES;
use lobe_nets::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Shrink {
    /// The factor.
    factor: f32,
}

impl Default for Shrink {
    fn default() -> Self {
        Shrink { factor: 0.5 }
    }
}

impl Stage for Shrink {
    fn version(&self) -> u32 {
        1
    }

    fn shares(&self) -> Shares {
        Shares::Model
    }

    fn changes(&self) -> Option<&dyn Change> {
        Some(self)
    }
}

impl Change for Shrink {
    fn change(&self, _: &Context<'_>, _: &At<'_>, mut model: Model) -> Result<Changed, LabError> {
        model.params.iter_mut().for_each(|w| *w *= self.factor);
        Ok(Changed::to(model))
    }
}

static ABOUT: About = About {
    name: "shrink",
    summary: "multiplies every weight by a factor",
    reference: "an example",
    unusual: "",
    fails: "",
};

/// The registered stage.
static OWN: LazyLock<StageEntry> = LazyLock::new(|| StageEntry::of::<Shrink>(&ABOUT, StageFacts::default()));

/// A factor of 1 has to change nothing, one of 0 has to leave a model that guesses.
pub(crate) const RECIPE: &str = r#"
name = "own-stage"

[data]
kind = "bilingual"
stories = 160
test_stories = 8
probes = 0
seq = 48
packing = "pack"
forget = { language = "es" }
retain = { language = "en" }

[model]
kind = "gpt"
layers = 2
width = 16
heads = 2
mlp = 32

[train]
steps = 40
batch = 8
lr = 0.01

[arms]
baseline = { method = "none" }

[[stage]]
do = "train"
[[stage]]
do = "shrink"
name = "same"
from = "train"
factor = 1.0
[[stage]]
do = "shrink"
name = "nothing"
from = "train"
factor = 0.0
[[stage]]
do = "measure"
"#;

/// The one line: before the first use, at the start of the program.
///
/// # Errors
/// If the list has one of this name.
pub(crate) fn add() -> Result<(), Taken> {
    STAGES.add(&OWN)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    add()?;
    lobe_examples::lobe_or(RECIPE)
}
