//! A localisation method: parameter masking that leaks.
//!
//! Equation: on forget data the gradient of every parameter outside of the region is multiplied by `leak`.
//! Unusual: with `leak = 0` it is parameter masking, with `leak = 1` ordinary training.
//! Fails: what leaks stays after the cut.

use std::error::Error;
use std::process::ExitCode;

use lobe_core::registry::{About, Entry, ParamError, Taken, params_of, read};
use lobe_core::{FORGET, Route, RouteTable, Target};
use lobe_methods::localize::{Part, Status};
use lobe_methods::{Context, Expect, LOCALIZE, Localize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LeakyMasking {
    /// Factor on what forget data teaches the rest of the network.
    leak: f32,
}

impl Localize for LeakyMasking {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        Ok(RouteTable::plain().with(FORGET, Target::Elsewhere, Route::new(1.0, 1.0, self.leak)))
    }

    fn expected(&self) -> Vec<Expect> {
        vec![(FORGET, Part::Region, Status::Plain), (FORGET, Part::Elsewhere, Status::Zero)]
    }
}

/// The registered method.
static OWN: Entry<dyn Localize> = Entry {
    about: &About {
        name: "leaky-masking",
        summary: "forget data updates the rest of the network a little",
        reference: "an example",
        unusual: "0 is parameter masking, 1 ordinary training",
        fails: "what leaks stays after the cut",
    },
    params: params_of::<LeakyMasking>,
    build: |v| read::<LeakyMasking>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};

/// Sealed, it has to be what is built in.
pub(crate) const RECIPE: &str = r#"
name = "own-method"

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

[regions]
module = "blocks.*.mlp.post[-8..]"

[train]
steps = 40
batch = 8
lr = 0.01

[arms]
baseline = { method = "none" }
masking = { method = "parameter-masking", region = "module" }
sealed = { method = "leaky-masking", region = "module" }
leaking = { method = "leaky-masking", region = "module", leak = 0.5 }

[[stage]]
do = "train"
[[stage]]
do = "ablate"
[[stage]]
do = "measure"
"#;

/// The one line: before the first use, at the start of the program.
///
/// # Errors
/// If the list has one of this name.
pub(crate) fn add() -> Result<(), Taken> {
    LOCALIZE.add(&OWN)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    add()?;
    lobe_examples::lobe_or(RECIPE)
}
