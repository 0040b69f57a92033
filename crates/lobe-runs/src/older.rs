//! Formats before this one, brought up to it while they are read.
//!
//! Format 1 did not say what its stages make: readers knew their names. What they knew stands here, and nowhere
//! else, and does not grow: a newer stage says it itself.

use crate::catalogue::{Catalogue, MetricInfo, Role};
use crate::error::ReadError;
use crate::files::from_json;
use crate::manifest::{FORMAT, Makes, Manifest, Stage, Starts, first};
use crate::text::text;
use serde::Deserialize;

impl Manifest {
    /// Reads a manifest of this format or of one before it, which is brought up to this one.
    ///
    /// # Errors
    /// With the place of what is not in the format, or if the run is of a newer format.
    pub fn parse(file: &str, json: &str) -> Result<Manifest, ReadError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default = "first")]
            format: u32,
            #[serde(default, deserialize_with = "text")]
            build: String,
        }
        // Of a newer format nothing else may be where it is now.
        let head: Head = from_json(file, 0, json)?;
        if head.format > FORMAT {
            let (format, build) = (head.format, head.build);
            return Err(ReadError::Newer { file: file.to_owned(), format, known: FORMAT, build });
        }
        let mut manifest: Manifest = from_json(file, 0, json)?;
        upgrade(&mut manifest);
        Ok(manifest)
    }
}

impl Catalogue {
    /// What readers knew of the metrics of runs that have no `metrics.json`.
    pub fn before_there_was_one() -> Catalogue {
        catalogue()
    }
}

/// Brings a manifest up to this format.
fn upgrade(manifest: &mut Manifest) {
    if manifest.format < 2 {
        manifest.stages.iter_mut().for_each(second);
        manifest.format = FORMAT;
    }
}

/// What a stage of format 1 makes, from its name. One that the manifest does not explain is left open.
fn second(stage: &mut Stage) {
    let (makes, starts, noun) = match stage.does.as_str() {
        "" => return,
        "train" => (Makes::Model, Starts::Drawn, None),
        "load" => (Makes::Model, Starts::Files, None),
        "ablate" => (Makes::Model, Starts::Models, Some("the cut")),
        "unlearn" => (Makes::Model, Starts::From, Some("unlearning")),
        "cohere" => (Makes::Model, Starts::Models, None),
        "measure" => (Makes::Numbers, Starts::Models, None),
        _ => (Makes::Attack, Starts::Models, None),
    };
    stage.makes = Some(makes);
    stage.starts = starts;
    stage.noun = noun.map(str::to_owned);
    if makes == Makes::Attack {
        stage.curve = Some(format!("{}_loss", stage.does));
        stage.redraws = Some("reinit".to_owned());
    }
}

/// Format 1 had no `metrics.json`. What its readers knew: the order of metrics, some titles, and what is no outcome.
const METRICS: [(&str, &str, Role); 34] = [
    ("loss", "held-out loss", Role::Outcome),
    ("calibrated_loss", "loss, calibrated", Role::Outcome),
    ("accuracy", "accuracy", Role::Outcome),
    ("probe_accuracy", "probes answered", Role::Outcome),
    ("probe_chance", "", Role::Chance),
    ("cloze_accuracy", "probes completed", Role::Outcome),
    ("gap_closed", "", Role::Derived),
    ("recovery", "", Role::Outcome),
    ("attack_best", "", Role::Outcome),
    ("attack_retain", "", Role::Outcome),
    ("relearn_loss", "", Role::Curve),
    ("steps_to_baseline", "", Role::Derived),
    ("steps_budget", "", Role::Setting),
    ("steps_target", "", Role::Setting),
    ("leakage", "", Role::Derived),
    ("control_agreement", "same top token as the control", Role::Outcome),
    ("control_kl", "KL from the control", Role::Outcome),
    ("gradient_region", "gradient in the region", Role::Outcome),
    ("gradient_rest", "gradient elsewhere", Role::Outcome),
    ("region_units", "", Role::Setting),
    ("region_params", "", Role::Setting),
    ("params", "", Role::Count),
    ("targets", "", Role::Count),
    ("forget_targets", "", Role::Count),
    ("undiscovered_targets", "", Role::Count),
    ("train_loss", "", Role::Curve),
    ("mse", "squared error", Role::Outcome),
    ("mae", "absolute error", Role::Outcome),
    ("removal_steps", "", Role::Count),
    ("removal_tokens", "", Role::Outcome),
    ("budget_steps", "", Role::Count),
    ("budget_tokens", "", Role::Count),
    ("budget_examples", "", Role::Count),
    ("budget_parameters", "", Role::Count),
];

/// See [`METRICS`].
fn catalogue() -> Catalogue {
    let one = |(name, title, role): &(&str, &str, Role)| MetricInfo {
        name: (*name).to_owned(),
        title: (*title).to_owned(),
        role: *role,
        parts_count: matches!(*name, "mse" | "mae"),
        chance: (*name == "probe_accuracy").then(|| "probe_chance".to_owned()),
        ..MetricInfo::default()
    };
    Catalogue { metrics: METRICS.iter().map(one).collect() }
}
