//! An optimiser: Lion.
//!
//! Equation: c = β₁m + (1 − β₁)g; θ ← θ − η (sign c + λθ); m ← β₂m + (1 − β₂)g.
//! Source: Chen et al. 2023, arXiv 2302.06675.
//! Unusual: all entries move by the same amount; it keeps one number for each.
//! Fails: needs a learning rate some ten times smaller than AdamW's.

use std::error::Error;
use std::process::ExitCode;

use lobe_core::registry::{About, Entry, ParamError, Taken, params_of, read};
use lobe_engine::optim::{OPTIMISERS, Piece, Rule, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lion.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Lion {
    /// How much of the mean the step takes, and how slowly the mean moves; each at least 0 and below 1.
    betas: [f32; 2],
}

impl Default for Lion {
    fn default() -> Self {
        Lion { betas: [0.9, 0.99] }
    }
}

impl Rule for Lion {
    fn slots(&self) -> usize {
        1
    }

    fn update(&self, step: Step, piece: Piece<'_>) {
        let Piece { params, gradient, state: [mean, ..], .. } = piece;
        let [b1, b2] = self.betas;
        for ((p, g), m) in params.iter_mut().zip(&*gradient).zip(mean) {
            let g = g * step.shrink;
            let c = b1 * *m + (1.0 - b1) * g;
            let sign = f32::from(i8::from(c > 0.0) - i8::from(c < 0.0));
            *p -= step.lr * (sign + step.decay * *p);
            *m = b2 * *m + (1.0 - b2) * g;
        }
    }
}

/// The registered optimiser.
static OWN: Entry<dyn Rule> = Entry {
    about: &About {
        name: "lion",
        summary: "moves every parameter by the sign of its mean gradient",
        reference: "Chen et al. 2023, arXiv 2302.06675",
        unusual: "one number of state for each parameter",
        fails: "needs a smaller learning rate than AdamW",
    },
    params: params_of::<Lion>,
    build: |v| {
        let (p, full) = read::<Lion>(v)?;
        if let Some(i) = p.betas.iter().position(|b| !(0.0..1.0).contains(b)) {
            let message = format!("{} is out of range: at least 0 and below 1", p.betas[i]);
            return Err(ParamError { path: format!("betas.{i}"), message });
        }
        Ok((Box::new(p) as Box<dyn Rule>, full))
    },
};

/// The loss has to fall.
pub(crate) const RECIPE: &str = r#"
name = "own-optimiser"

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
optimiser = "lion"
betas = [0.9, 0.98]
steps = 40
batch = 8
lr = 0.002
eval_every = 40

[arms]
baseline = { method = "none" }

[[stage]]
do = "train"
[[stage]]
do = "measure"
"#;

/// The one line: before the first use, at the start of the program.
///
/// # Errors
/// If the list has one of this name.
pub(crate) fn add() -> Result<(), Taken> {
    OPTIMISERS.add(&OWN)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    add()?;
    lobe_examples::lobe_or(RECIPE)
}
