//! `manifest.json`: what the run is.

use lobe_methods::ATTACKS;
use serde::{Deserialize, Serialize};

use crate::recipe::{Arm, ArmData, Derived, Recipe, Starts};

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// A process works on it, or was killed while doing so.
    Running,
    /// Every stage is finished.
    Done,
    /// Stopped on request; can go on.
    Stopped,
    /// Ended with an error.
    Failed,
}

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The experiment's name.
    pub name: String,
    /// How far it is.
    pub state: RunState,
    /// Hash of the resolved recipe.
    pub recipe_hash: String,
    /// Version and commit that made the run.
    pub build: String,
    /// The exact command.
    pub command: String,
    /// Every seed.
    pub seeds: Vec<u64>,
    /// Every arm, in the recipe's order.
    pub arms: Vec<ManifestArm>,
    /// Names of all labels.
    pub labels: Vec<String>,
    /// Every stage, in order.
    pub stages: Vec<ManifestStage>,
    /// The arms that others are compared with.
    pub reference: Reference,
    /// Settings nobody wrote, with the rule that gave them.
    pub derived: Vec<Derived>,
    /// Remarks of the run about itself.
    pub notes: Vec<String>,
    /// Members that ended with a number that is not finite. What starts from their models was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedMember>,
    /// What it is about, in the recipe's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// When it began, as `2026-11-27T16:30:00Z`. May differ between runs that are otherwise equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// When the last of its work was done, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// What it learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataFacts>,
    /// What learned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelFacts>,
}

/// What a run learned from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// What an example is made of: `token` or `pixel`.
    pub unit: String,
    /// Different tokens, for text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<u64>,
    /// Every true class.
    pub classes: Vec<ClassFacts>,
}

/// One true class of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassFacts {
    /// Its name.
    pub name: String,
    /// The label its held-out examples have; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Training examples: documents, pieces of them, or images.
    pub documents: u64,
    /// Tokens to predict in them, or pixels.
    pub units: u64,
    /// Held-out examples.
    pub held_out: u64,
}

/// What a run trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// `gpt` or `autoencoder`.
    pub kind: String,
    /// Its size in words.
    pub shape: String,
    /// Numbers that training moves.
    pub parameters: u64,
}

/// A member that ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedMember {
    /// The stage.
    pub stage: String,
    /// The arm.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// What happened, in a line.
    pub reason: String,
    /// The step it was seen at, counted from 1; 0 where there are no steps.
    pub step: u64,
}

/// What the curves of an attack run along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestAxis {
    /// In words.
    pub name: String,
    /// Its unit, one word.
    pub unit: String,
}

/// One treatment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestArm {
    /// Its name.
    pub name: String,
    /// Its localisation method.
    pub method: String,
    /// The regions it works on, separated by `, `.
    pub region: Option<String>,
    /// One line about it.
    pub note: String,
    /// Whether it never saw what the others are to forget.
    pub control: bool,
    /// The arm whose model it goes on from, for post-hoc methods and profiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// "control" (never had the capability), "reference" (what others are compared with besides), "profile",
    /// "training-time" or "post-hoc".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The labels whose capability it is to be without; empty for the baseline.
    #[serde(default)]
    pub removes: Vec<String>,
    /// The earlier arm that trains in the very same way, so that both are one network, trained once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
}

/// One step of the experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestStage {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(rename = "do")]
    pub does: String,
    /// Wall time, once finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Attacks: what their curves run along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<ManifestAxis>,
}

/// The arms that others are compared with; absent if the recipe has none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reference {
    /// Trains on everything in the ordinary way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Never saw what the others are to forget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// Ordinary training on filtered data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// A network as it was drawn: what an attack can teach from nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<String>,
}

impl Reference {
    /// Finds the reference arms: an arm that has the role's name and fits it, else the first
    /// that fits.
    pub fn of(recipe: &Recipe) -> Reference {
        let find = |name: &str, fits: &dyn Fn(&Arm) -> bool| {
            let named = recipe.arm(name).filter(|a| fits(a));
            named.or_else(|| recipe.arms.iter().find(|a| fits(a))).map(|a| a.name.clone())
        };
        // What a loaded model was trained on is not known here: only its name can say that.
        let loaded = |a: &Arm| recipe.origin_of(&a.name).is_some_and(|s| s.facts.starts == Starts::Files);
        let plain = |a: &Arm| {
            let known = a.name == "baseline" || !loaded(a);
            a.method == "none" && a.data == ArmData::All && !a.control && a.from.is_none() && known
        };
        Reference {
            baseline: find("baseline", &plain),
            control: recipe.control_of("forget").map(|a| a.name.clone()),
            filter: find("filter", &|a| a.method == "filter"),
            fresh: find("fresh", &|a| a.data == ArmData::Nothing),
        }
    }
}

/// What sort of treatment an arm is.
fn kind(a: &Arm, reference: &Reference) -> &'static str {
    if a.control {
        "control"
    } else if [&reference.baseline, &reference.fresh].into_iter().flatten().any(|n| *n == a.name) {
        "reference"
    } else if a.is_profile() {
        "profile"
    } else if a.from.is_some() {
        "post-hoc"
    } else {
        "training-time"
    }
}

fn axis(does: &str) -> Option<ManifestAxis> {
    let axis = ATTACKS.iter().find(|e| e.about.name == does)?.axis;
    Some(ManifestAxis { name: axis.name.to_owned(), unit: axis.unit.to_owned() })
}

impl Manifest {
    /// The manifest of a run that starts. `note` is one line about an arm that has no `about`; what arms remove
    /// and share is left open.
    pub fn new(recipe: &Recipe, derived: &[Derived], note: &dyn Fn(&Arm) -> String) -> Manifest {
        let reference = Reference::of(recipe);
        let arm = |a: &Arm| ManifestArm {
            name: a.name.clone(),
            method: a.method.clone(),
            region: (!a.regions.is_empty()).then(|| a.regions.join(", ")),
            note: a.about.clone().unwrap_or_else(|| note(a)),
            control: a.control,
            from: a.from.clone(),
            kind: Some(kind(a, &reference).to_owned()),
            removes: Vec::new(),
            same_as: None,
        };
        let stage = |s: &crate::recipe::Stage| ManifestStage {
            name: s.name.clone(),
            does: s.does.clone(),
            seconds: None,
            axis: axis(&s.does),
        };
        Manifest {
            name: recipe.name.clone(),
            state: RunState::Running,
            recipe_hash: recipe.hash(),
            build: String::new(),
            command: String::new(),
            seeds: recipe.seeds.clone(),
            arms: recipe.arms.iter().map(arm).collect(),
            labels: lobe_core::LabelSet::default().names().to_vec(),
            stages: recipe.stages.iter().map(stage).collect(),
            reference: reference.clone(),
            derived: derived.to_vec(),
            notes: Vec::new(),
            failed: Vec::new(),
            about: recipe.about.clone(),
            started: None,
            finished: None,
            data: None,
            model: None,
        }
    }
}
