//! `manifest.json`: what the run is.

use serde::{Deserialize, Deserializer};

/// The content of `manifest.json`. Keys this version does not know are ignored, so that an older
/// Lobe can report a newer run.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Manifest {
    /// The experiment's name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// `running`, `done`, …
    #[serde(default, deserialize_with = "text")]
    pub state: String,
    /// Hash of the resolved recipe.
    #[serde(default, deserialize_with = "text")]
    pub recipe_hash: String,
    /// Version and commit that made the run.
    #[serde(default, deserialize_with = "text")]
    pub build: String,
    /// The exact command.
    #[serde(default, deserialize_with = "text")]
    pub command: String,
    /// The seeds that were asked for.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// Every arm, in the recipe's order.
    pub arms: Vec<Arm>,
    /// Label names, in the recipe's order.
    #[serde(default, deserialize_with = "texts")]
    pub labels: Vec<String>,
    /// Every stage, in order.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// The arms that others are compared with.
    #[serde(default)]
    pub reference: Reference,
    /// Derived settings with the rule that gave them.
    #[serde(default)]
    pub derived: Vec<Derived>,
    /// Remarks of the run about itself.
    #[serde(default, deserialize_with = "texts")]
    pub notes: Vec<String>,
    /// What the experiment is about, in the recipe's words.
    #[serde(default, deserialize_with = "maybe_long")]
    pub about: Option<String>,
    /// When the run began and when it ended last, as `2026-11-27T16:30:00Z`.
    #[serde(default, deserialize_with = "maybe_text")]
    pub started: Option<String>,
    /// See [`Manifest::started`].
    #[serde(default, deserialize_with = "maybe_text")]
    pub finished: Option<String>,
    /// What was learned from.
    #[serde(default)]
    pub data: Option<DataFacts>,
    /// What learned it.
    #[serde(default)]
    pub model: Option<ModelFacts>,
    /// Members that ended with a number that is not finite; they have no results.
    #[serde(default)]
    pub failed: Vec<Failed>,
}

/// What a run learned from.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DataFacts {
    /// What an example is made of: `token`, `pixel`.
    #[serde(default, deserialize_with = "text")]
    pub unit: String,
    /// Different tokens, for text.
    #[serde(default)]
    pub vocabulary: Option<u64>,
    /// Every true class.
    #[serde(default)]
    pub classes: Vec<ClassFacts>,
}

/// One true class of the data.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ClassFacts {
    /// Its name.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// The label whose held-out data it belongs to.
    #[serde(default, deserialize_with = "text")]
    pub label: String,
    /// Training documents, or images.
    #[serde(default)]
    pub documents: Option<u64>,
    /// Tokens of them, or pixels.
    #[serde(default)]
    pub units: Option<u64>,
    /// Held-out documents, or images.
    #[serde(default)]
    pub held_out: Option<u64>,
}

/// What a run trained.
#[derive(Debug, Clone, Default, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Failed {
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Axis {
    /// In words, for a title: `optimiser steps`, `bits per weight`.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Its unit, one word.
    #[serde(default, deserialize_with = "text")]
    pub unit: String,
}

/// One treatment.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Arm {
    /// Its name in the recipe.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// The localisation method.
    #[serde(default, deserialize_with = "text")]
    pub method: String,
    /// The region it trains, if it has one.
    #[serde(default, deserialize_with = "maybe_text")]
    pub region: Option<String>,
    /// One line about it.
    #[serde(default, deserialize_with = "text")]
    pub note: String,
    /// True for an arm that never had the capability.
    #[serde(default)]
    pub control: bool,
    /// The arm whose model a post-hoc method started from, or whose profile it is.
    #[serde(default, deserialize_with = "maybe_text")]
    pub from: Option<String>,
    /// `training-time`, `post-hoc`, `profile`, `control` or `reference` (older runs: `control`).
    #[serde(default, deserialize_with = "maybe_text")]
    pub kind: Option<String>,
    /// The labels whose capability it is to be without; empty in what removes nothing, and in runs that do
    /// not say: then the label that attacks bring back is meant.
    #[serde(default, deserialize_with = "texts")]
    pub removes: Vec<String>,
    /// The earlier arm that is the same network, trained once.
    #[serde(default, deserialize_with = "maybe_text")]
    pub same_as: Option<String>,
}

/// One step of the experiment.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Stage {
    /// Its name, as in `results.csv`.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// What it does: `train`, `ablate`, `relearn`, …
    #[serde(default, rename = "do", deserialize_with = "text")]
    pub does: String,
    /// Wall time, once finished.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// Attacks: what their curves run along.
    #[serde(default)]
    pub axis: Option<Axis>,
}

/// The arms that others are compared with.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Reference {
    /// Trains on everything.
    #[serde(default, deserialize_with = "maybe_text")]
    pub baseline: Option<String>,
    /// Never had the capability.
    #[serde(default, deserialize_with = "maybe_text")]
    pub control: Option<String>,
    /// Ordinary training on filtered data.
    #[serde(default, deserialize_with = "maybe_text")]
    pub filter: Option<String>,
    /// A network that was never trained.
    #[serde(default, deserialize_with = "maybe_text")]
    pub fresh: Option<String>,
}

/// A setting that the recipe did not state.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Derived {
    /// Its dotted key.
    #[serde(deserialize_with = "text")]
    pub key: String,
    /// The value it got.
    #[serde(default, deserialize_with = "any_text")]
    pub value: String,
    /// The rule that gave it.
    #[serde(default, deserialize_with = "text")]
    pub rule: String,
}

/// Longest text taken from a file; a name that is longer is cut, not refused.
const LONGEST: usize = 400;
/// Longest text in sentences.
const LONG: usize = 4000;

/// `raw` without control characters and without marks that reorder text: both could make a
/// terminal or a page show something else than what is there.
pub fn readable(raw: &str) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    raw.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()
}

/// [`readable`], and no longer than a name may be.
pub(crate) fn clean(raw: &str) -> String {
    let short: String = raw.chars().take(LONGEST).collect();
    readable(&short)
}

pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(clean(&String::deserialize(from)?))
}

fn maybe_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|s| clean(&s)))
}

/// Text of several lines, without what could show something else than what is there.
pub(crate) fn lines(raw: &str, most: usize) -> String {
    let short: String = raw.chars().take(most).collect();
    short.lines().map(|l| readable(&l.replace('\t', "    "))).collect::<Vec<_>>().join("\n")
}

fn maybe_long<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|s| lines(&s, LONG)))
}

pub(crate) fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<String>::deserialize(from)?.iter().map(|s| clean(s)).collect())
}

fn any_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(s) => clean(&s),
        other => clean(&other.to_string()),
    })
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
}
