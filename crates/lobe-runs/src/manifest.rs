//! `manifest.json`: what the run is.
//!
//! Written by whoever runs the experiment, read by anybody: reading takes text from a stranger, so names are cut
//! to a length and characters that disguise text are dropped. Keys that this version does not know are ignored.

use serde::{Deserialize, Serialize};

use crate::target::Target;
use crate::text::{any_text, maybe_long, maybe_text, text, texts};

/// The number of this format. A run of a lower number is read; see `older.rs`.
pub const FORMAT: u32 = 2;

/// How far a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The manifest does not say, or with a word that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl RunState {
    /// The word of the manifest.
    pub fn word(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Done => "done",
            RunState::Stopped => "stopped",
            RunState::Failed => "failed",
            RunState::Unknown => "unknown",
        }
    }

    /// The word, if there is something left to do.
    pub fn unfinished(self) -> Option<&'static str> {
        (!matches!(self, RunState::Done | RunState::Unknown)).then(|| self.word())
    }
}

/// The number of a manifest without one.
pub(crate) fn first() -> u32 {
    1
}

/// The content of `manifest.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The number of the format; absent in the first.
    #[serde(default = "first")]
    pub format: u32,
    /// The experiment's name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// How far it is.
    #[serde(default)]
    pub state: RunState,
    /// Hash of the resolved recipe.
    #[serde(default, deserialize_with = "text")]
    pub recipe_hash: String,
    /// Version and commit that made the run.
    #[serde(default, deserialize_with = "text")]
    pub build: String,
    /// The exact command.
    #[serde(default, deserialize_with = "text")]
    pub command: String,
    /// Every seed.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// Every arm, in the recipe's order.
    pub arms: Vec<Arm>,
    /// Names of all labels, in the recipe's order.
    #[serde(default, deserialize_with = "texts")]
    pub labels: Vec<String>,
    /// Every stage, in order.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// The arms that others are compared with.
    #[serde(default)]
    pub reference: Reference,
    /// Settings nobody wrote, with the rule that gave them.
    #[serde(default)]
    pub derived: Vec<Derived>,
    /// Remarks of the run about itself.
    #[serde(default, deserialize_with = "texts")]
    pub notes: Vec<String>,
    /// Members that ended with a number that is not finite; they have no results. What starts from their models
    /// was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedMember>,
    /// Published numbers that the run is held against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
    /// What it is about, in the recipe's words.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_long")]
    pub about: Option<String>,
    /// When it began, as `2026-11-27T16:30:00Z`. May differ between runs that are otherwise equal.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub started: Option<String>,
    /// When the last of its work was done, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub finished: Option<String>,
    /// What it learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataFacts>,
    /// What learned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelFacts>,
}

impl Manifest {
    /// The stage called `name`.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|s| s.name == name)
    }
}

/// What a run learned from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// What an example is made of: `token` or `pixel`.
    #[serde(default, deserialize_with = "text")]
    pub unit: String,
    /// Different tokens, for text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<u64>,
    /// Every true class.
    #[serde(default)]
    pub classes: Vec<ClassFacts>,
}

/// One true class of the data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassFacts {
    /// Its name.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// The label its held-out examples have; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub label: Option<String>,
    /// Training examples: documents, pieces of them, or images.
    #[serde(default)]
    pub documents: Option<u64>,
    /// Tokens to predict in them, or pixels.
    #[serde(default)]
    pub units: Option<u64>,
    /// Held-out examples.
    #[serde(default)]
    pub held_out: Option<u64>,
}

/// What a run trained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// `gpt`, `autoencoder`, …
    #[serde(default, deserialize_with = "text")]
    pub kind: String,
    /// Its size in words: `4 blocks of width 128`.
    #[serde(default, deserialize_with = "text")]
    pub shape: String,
    /// Numbers that training moves.
    #[serde(default)]
    pub parameters: Option<u64>,
}

/// A member that ended early.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedMember {
    /// The stage.
    #[serde(deserialize_with = "text")]
    pub stage: String,
    /// The arm.
    #[serde(deserialize_with = "text")]
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// What happened, in a line.
    #[serde(default, deserialize_with = "text")]
    pub reason: String,
    /// The step it was seen at, counted from 1; 0 where there are no steps.
    #[serde(default)]
    pub step: u64,
}

/// What the curves of an attack run along.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// In words, for a title: `optimiser steps`, `bits per weight`.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Its unit, one word.
    #[serde(default, deserialize_with = "text")]
    pub unit: String,
}

/// One treatment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Its name in the recipe.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Its localisation method.
    #[serde(default, deserialize_with = "text")]
    pub method: String,
    /// The place of the method in the lists of the version that made the run: methods of different places look
    /// different, and the same in every report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// The regions it works on, separated by `, `.
    #[serde(default, deserialize_with = "maybe_text")]
    pub region: Option<String>,
    /// One line about it.
    #[serde(default, deserialize_with = "text")]
    pub note: String,
    /// Whether it never saw what the others are to forget.
    #[serde(default)]
    pub control: bool,
    /// The arm whose model it goes on from, for post-hoc methods and profiles.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub from: Option<String>,
    /// "control" (never had the capability), "reference" (what others are compared with besides), "profile",
    /// "training-time" or "post-hoc".
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub kind: Option<String>,
    /// The labels whose capability it is to be without; empty for the baseline, and in runs that do not say: then
    /// the label that attacks bring back is meant.
    #[serde(default, deserialize_with = "texts")]
    pub removes: Vec<String>,
    /// The earlier arm that trains in the very same way, so that both are one network, trained once.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub same_as: Option<String>,
    /// The family that it is a point of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
}

/// Arms that differ in keys whose values were listed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// Its name in the recipe.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Where one arm stands: the same keys in the same order for every arm of the family.
    #[serde(default)]
    pub point: Vec<Coordinate>,
}

/// What a key of a family is for one arm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Coordinate {
    /// Dotted key of the arm.
    #[serde(deserialize_with = "text")]
    pub key: String,
    /// Its value in words.
    #[serde(deserialize_with = "text")]
    pub text: String,
    /// Its value, where that is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<f64>,
}

/// What a stage leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Makes {
    /// Models that later stages start from.
    Model,
    /// Attempts to bring a capability back; its models go no further.
    Attack,
    /// Numbers about models of earlier stages.
    Numbers,
    /// A word that this version does not know.
    #[serde(other)]
    Other,
}

/// What a stage starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Starts {
    /// Networks as they are drawn.
    Drawn,
    /// Files from elsewhere.
    Files,
    /// The model of the arm that each arm names with `from`: it changes post-hoc arms.
    From,
    /// Models of earlier stages, or a word that this version does not know.
    #[default]
    #[serde(other)]
    Models,
}

/// One step of the experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name, as in `results.csv`.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// What it does, in the recipe's word. Readers show it; what they need to know stands in the other fields.
    #[serde(default, rename = "do", deserialize_with = "text")]
    pub does: String,
    /// What it leaves behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub makes: Option<Makes>,
    /// What it starts from.
    #[serde(default)]
    pub starts: Starts,
    /// What it does to a model, as a noun: `the cut`, `unlearning`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub noun: Option<String>,
    /// Attacks: the label whose capability they try to bring back.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub label: Option<String>,
    /// Attacks: what their curves run along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub axis: Option<Axis>,
    /// Attacks: the metric of their curves.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub curve: Option<String>,
    /// Attacks: the start, as in `attacks.csv`, of variants that draw a cut region again.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub redraws: Option<String>,
    /// Wall time, once finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// The arms that others are compared with; absent if the recipe has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Trains on everything in the ordinary way.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub baseline: Option<String>,
    /// Never saw what the others are to forget.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub control: Option<String>,
    /// Ordinary training on filtered data.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub filter: Option<String>,
    /// A network as it was drawn: what an attack can teach from nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub fresh: Option<String>,
}

/// A setting nobody wrote, and the rule that gave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// Dotted key.
    #[serde(deserialize_with = "text")]
    pub key: String,
    /// Its value.
    #[serde(default, deserialize_with = "any_text")]
    pub value: String,
    /// The rule.
    #[serde(default, deserialize_with = "text")]
    pub rule: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_says_what_it_removes_and_an_older_run_need_not() {
        let arm = |text: &str| serde_json::from_str::<Arm>(text).expect("an arm");
        let old = arm(r#"{"name": "baseline", "method": "none", "control": false, "kind": "control"}"#);
        assert_eq!((old.removes, old.same_as, old.kind.as_deref()), (vec![], None, Some("control")));
        let new = arm(
            r#"{"name": "oracle", "removes": ["forget", "b"], "same_as": "filter", "kind": "reference"}"#,
        );
        assert_eq!((new.removes.len(), new.same_as.as_deref()), (2, Some("filter")));
    }

    #[test]
    fn a_state_of_another_version_is_unknown() {
        let state = |text: &str| serde_json::from_str::<RunState>(text).expect("a state");
        assert_eq!([state("\"done\""), state("\"paused\"")], [RunState::Done, RunState::Unknown]);
        assert_eq!([RunState::Stopped, RunState::Done].map(RunState::unfinished), [Some("stopped"), None]);
    }
}
