//! What the recipe asks the rest of Lobe: are these keys right, and what are their defaults?

use serde_json::Value;

use super::error::PathError;
use super::form::StageFacts;

/// A callback's answer for a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageInfo {
    /// The stage's parameters with every default.
    pub params: Value,
    /// What is known of its kind.
    pub facts: StageFacts,
}

/// Parsers of the parts of a recipe whose meaning other crates know.
///
/// Each gets a name and the table's other keys, and returns the table with every default filled
/// in. Resolving what they returned must give the same again. The path of an error is relative to
/// the table; an unknown name is an error at `kind`, `method` or `do`.
pub struct Callbacks<'a> {
    /// `[data]`: kind and the rest.
    pub data: &'a dyn Fn(&str, &Value) -> Result<Value, PathError>,
    /// `[model]`: kind and the rest.
    pub model: &'a dyn Fn(&str, &Value) -> Result<Value, PathError>,
    /// An arm: method and the method's parameters.
    pub method: &'a dyn Fn(&str, &Value) -> Result<Value, PathError>,
    /// Whether a method is post-hoc: it goes on from another arm's model. `None` if that is not known; then
    /// an arm is what it says with `from`.
    pub post_hoc: &'a dyn Fn(&str) -> Option<bool>,
    /// The `labels` of an arm, given the resolved `[data]` (with `kind`).
    pub labels: &'a dyn Fn(&Value, &Value) -> Result<Value, PathError>,
    /// A stage: `do` and the stage's parameters.
    pub stage: &'a dyn Fn(&str, &Value) -> Result<StageInfo, PathError>,
}

impl Callbacks<'static> {
    /// Accepts every table as it is, with stages as `stage` says: for looking at a recipe without running it.
    pub fn permissive(
        stage: &'static dyn Fn(&str, &Value) -> Result<StageInfo, PathError>,
    ) -> Callbacks<'static> {
        Callbacks {
            data: &|_, rest| Ok(rest.clone()),
            model: &|_, rest| Ok(rest.clone()),
            method: &|_, rest| Ok(rest.clone()),
            post_hoc: &|_| None,
            labels: &|_, rest| Ok(rest.clone()),
            stage,
        }
    }
}
