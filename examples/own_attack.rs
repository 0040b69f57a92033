//! An attack: louder weights.
//!
//! Equation: every matrix W becomes g · W, for each gain g; the best gain counts.
//! Unusual: needs no data.
//! Fails: a layer norm behind a matrix undoes any gain; what was cut stays cut.

use std::error::Error;
use std::process::ExitCode;

use lobe_core::registry::{About, Taken, in_range, params_of, read};
use lobe_engine::Plan;
use lobe_methods::{ATTACKS, Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Trial};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Louder {
    /// The label whose capability the attack tries to restore.
    label: String,
    /// Factors on the weights, one variant each.
    gains: Vec<f32>,
}

impl Default for Louder {
    fn default() -> Self {
        Louder { label: "forget".into(), gains: vec![1.1, 1.5, 2.0] }
    }
}

impl Louder {
    fn case(gain: f32) -> Case {
        Case::new(format!("gain={gain}"), [("gain", gain.into())])
    }
}

impl Attack for Louder {
    fn label(&self) -> &str {
        &self.label
    }

    fn cases(&self, _: &dyn Bench) -> Vec<Case> {
        self.gains.iter().map(|g| Louder::case(*g)).collect()
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let layout = bench.net().layout().clone();
        for gain in self.gains.iter().filter(|g| cases.contains(&Louder::case(**g))) {
            let mut params = bench.victim().to_vec();
            for tensor in layout.tensors().iter().filter(|t| t.matrix) {
                params[tensor.span()].iter_mut().for_each(|w| *w *= gain);
            }
            let losses = bench.losses(&params, &Plan::plain(&layout))?;
            let budget = Budget { parameters: params.len() as u64, ..Budget::default() };
            let hundredths = (100.0 * gain) as u64;
            bench.keep(Trial::new(Louder::case(*gain).name, vec![(hundredths, losses)], budget))?;
        }
        Ok(())
    }
}

/// The registered attack.
static OWN: AttackEntry = AttackEntry {
    about: &About {
        name: "louder",
        summary: "multiplies all matrices by a factor",
        reference: "an example",
        unusual: "needs no data",
        fails: "a norm behind a matrix undoes it",
    },
    axis: Axis { name: "gain in hundredths", unit: "gain" },
    battery: Battery::OnRequest,
    sweeps: &["gains"],
    params: params_of::<Louder>,
    build: |v| {
        let (p, full) = read::<Louder>(v)?;
        in_range::<Louder>(&full)?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};

/// A gain of 1 has to change nothing.
pub(crate) const RECIPE: &str = r#"
name = "own-attack"

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
routing = { method = "gradient-routing", region = "module" }

[[stage]]
do = "train"
[[stage]]
do = "ablate"
[[stage]]
do = "louder"
gains = [1.0, 1.5]
"#;

/// The one line: before the first use, at the start of the program.
///
/// # Errors
/// If the list has one of this name.
pub(crate) fn add() -> Result<(), Taken> {
    ATTACKS.add(&OWN)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    add()?;
    lobe_examples::lobe_or(RECIPE)
}
