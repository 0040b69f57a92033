//! An objective, and a post-hoc method that minimises it.
//!
//! Equation: L = γ/N Σ_r mean_v z_rv² over the logits z of the N tokens of forget data, plus the ordinary loss on
//! retain data. With all logits 0 every token is equally likely.
//! Unusual: unlike a distance to the uniform distribution it also fixes the logits' level.
//! Fails: changes what the model says, not what it could say.

use std::error::Error;
use std::process::ExitCode;

use lobe_core::Key;
use lobe_core::registry::{About, Entry, ParamError, Taken, params_of, read};
use lobe_methods::objective::CrossEntropy;
use lobe_methods::unlearn::{Objective, Reads, Shape, Side, Term, UNLEARN, Unlearn, View};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The mean squared logit.
pub(crate) struct Quiet;

impl Objective for Quiet {
    fn reads(&self) -> Reads {
        Reads::Logits
    }

    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let each = 1.0 / (view.rows * view.cols) as f64;
        let mut value = 0.0;
        for r in view.counted() {
            for (g, z) in grad[r * view.cols..][..view.cols].iter_mut().zip(view.row(r)) {
                value += each * f64::from(*z).powi(2);
                *g = (2.0 * each * f64::from(*z)) as f32;
            }
        }
        value
    }
}

/// Parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Hush {
    /// Weight of the forget part.
    gamma: f32,
}

impl Default for Hush {
    fn default() -> Self {
        Hush { gamma: 1.0 }
    }
}

impl Unlearn for Hush {
    fn terms(&self, _: Shape, _: Key) -> Result<Vec<Term>, ParamError> {
        let forget = Term { side: Side::Forget, weight: self.gamma, ..Term::new(Quiet) };
        let retain = Term { side: Side::Retain, ..Term::new(CrossEntropy::default()) };
        Ok(vec![forget, retain])
    }
}

/// The registered method.
static OWN: Entry<dyn Unlearn> = Entry {
    about: &About {
        name: "hush",
        summary: "trains the logits on forget data towards zero",
        reference: "an example",
        unusual: "also fixes the level of the logits",
        fails: "changes the model's output but not its knowledge",
    },
    params: params_of::<Hush>,
    build: |v| read::<Hush>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};

/// The forget loss has to rise to that of guessing.
pub(crate) const RECIPE: &str = r#"
name = "own-objective"

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

[unlearn]
steps = 40
batch = 8
lr = 0.01

[arms]
baseline = { method = "none" }
hush = { method = "hush", from = "baseline" }

[[stage]]
do = "train"
[[stage]]
do = "unlearn"
[[stage]]
do = "measure"
"#;

/// The one line: before the first use, at the start of the program.
///
/// # Errors
/// If the list has one of this name.
pub(crate) fn add() -> Result<(), Taken> {
    UNLEARN.add(&OWN)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    add()?;
    lobe_examples::lobe_or(RECIPE)
}
