//! `[[target]]`: published numbers that a run is held against. A comparison and no test: a run that misses one is
//! as finished as any other.

use lobe_runs::Need;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{one_of, range};
use super::error::PathError;
use super::form::{Arm, Stage};
use super::tree::{Node, Tree};
use super::typed::typed;

/// Most targets of one recipe.
const MAX_TARGETS: usize = 1000;
/// Longest source.
const MAX_SOURCE_BYTES: usize = 400;

/// A published number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The arm that it is about.
    pub arm: String,
    /// The stage whose number counts. Absent: the model as the last stage left it that is no attack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// True class of the data, or "all".
    pub label: String,
    /// The metric, as in results.csv.
    pub metric: String,
    /// The step, for a point of a curve. Absent: the last number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The published number.
    pub value: f64,
    /// How far the mean over seeds may be from it.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub tolerance: f64,
    /// Which side of it counts.
    #[serde(default)]
    #[schemars(with = "NeedDoc")]
    pub need: Need,
    /// Where it is from.
    pub source: String,
}

/// Which side of the number counts.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "describes the words of `need`")]
enum NeedDoc {
    /// The mean lies within the tolerance of the number.
    Near,
    /// The mean is not above the number by more than the tolerance.
    AtMost,
    /// The mean is not below the number by more than the tolerance.
    AtLeast,
}

impl Target {
    /// As the manifest has it.
    pub fn published(&self) -> lobe_runs::Target {
        let Target { arm, stage, label, metric, step, value, tolerance, need, source } = self.clone();
        lobe_runs::Target { arm, stage, label, metric, step, value, tolerance, need, source }
    }

    fn check(&self, arms: &[Arm], stages: &[Stage]) -> Result<(), PathError> {
        one_of("arm", "arm", &self.arm, arms.iter().map(|a| a.name.as_str()))?;
        if let Some(stage) = &self.stage {
            one_of("stage", "stage", stage, stages.iter().map(|s| s.name.as_str()))?;
        } else if self.step.is_some() {
            return Err(PathError::new("step", "a step is one of a stage: name it with stage = …"));
        }
        range("value", self.value, -1e30..=1e30)?;
        range("tolerance", self.tolerance, 0.0..=1e30)?;
        if self.source.is_empty() || self.source.len() > MAX_SOURCE_BYTES {
            let message = format!("says where the number is from, in 1 to {MAX_SOURCE_BYTES} bytes");
            return Err(PathError::new("source", message));
        }
        Ok(())
    }
}

/// The targets of a recipe; none if it has no `[[target]]`.
pub(super) fn targets(root: &Node, arms: &[Arm], stages: &[Stage]) -> Result<Vec<Target>, PathError> {
    let Some(node) = root.get("target") else { return Ok(Vec::new()) };
    let Tree::List(items) = &node.tree else {
        let message = format!("expected tables [[target]], found {}", node.tree.kind());
        return Err(PathError::new("target", message));
    };
    if items.len() > MAX_TARGETS {
        return Err(PathError::new("target", format!("{} targets; at most {MAX_TARGETS}", items.len())));
    }
    let mut out: Vec<Target> = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let within = |e: PathError| e.within(&["target", &i.to_string()]);
        let target: Target = typed(&item.to_json()).map_err(within)?;
        target.check(arms, stages).map_err(within)?;
        let place = |t: &Target| (t.arm.clone(), t.stage.clone(), t.label.clone(), t.metric.clone(), t.step);
        if out.iter().any(|t| place(t) == place(&target)) {
            let message =
                format!("{} of {} on {} has a target already", target.metric, target.arm, target.label);
            return Err(within(PathError::new("", message)));
        }
        out.push(target);
    }
    Ok(out)
}
