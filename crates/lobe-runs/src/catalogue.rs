//! `metrics.json`: what the metrics of a run mean, so that a reader needs to know none by name.

use serde::{Deserialize, Serialize};

use crate::error::ReadError;
use crate::files::from_json;
use crate::metrics::part;
use crate::text::{maybe_text, text};

/// Most metrics that are read.
const MOST: usize = 2000;

/// Which of two numbers is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// Neither, or a word that this version does not know.
    #[default]
    #[serde(other)]
    Neither,
}

/// What sort of number a metric is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A curve; its last number is no outcome.
    Curve,
    /// What follows from comparing arms, or attacks with each other: it has a place of its own.
    Derived,
    /// A cost or an amount that was counted.
    Count,
    /// Set by the recipe.
    Setting,
    /// The level that guessing reaches.
    Chance,
    /// What a model can do; or a word that this version does not know.
    #[default]
    #[serde(other)]
    Outcome,
}

/// One metric.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricInfo {
    /// Its name, without `@…`.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Its unit.
    #[serde(default, deserialize_with = "text")]
    pub unit: String,
    /// Its name in a heading.
    #[serde(default, deserialize_with = "text")]
    pub title: String,
    /// What it says, in one line.
    #[serde(default, deserialize_with = "text")]
    pub about: String,
    /// What its steps count; absent for a number that has none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub axis: Option<String>,
    /// Which of two numbers is better.
    #[serde(default)]
    pub better: Better,
    /// What sort of number it is.
    #[serde(default)]
    pub role: Role,
    /// What stands behind `@`: `variant`, `class`, `decoder`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub parts: Option<String>,
    /// Whether a part is as much of an outcome as the whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parts_count: bool,
    /// The metric that says what guessing gives.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_text")]
    pub chance: Option<String>,
}

/// The metrics of a run, in the order in which readers list them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// One entry for each.
    pub metrics: Vec<MetricInfo>,
}

impl Catalogue {
    /// Reads `metrics.json`.
    ///
    /// # Errors
    /// With the place of what is not in the format, or if there are too many.
    pub fn parse(file: &str, json: &str) -> Result<Catalogue, ReadError> {
        let all: Catalogue = from_json(file, 0, json)?;
        if all.metrics.len() > MOST {
            return Err(ReadError::content(file, 1, format!("more than {MOST} metrics")));
        }
        Ok(all)
    }

    /// What is known of a metric, whatever stands behind its `@`.
    pub fn get(&self, metric: &str) -> Option<&MetricInfo> {
        self.metrics.iter().find(|m| m.name == part(metric).0)
    }

    /// Its place in the list; those that are not in it come last.
    pub fn place(&self, metric: &str) -> usize {
        self.metrics.iter().position(|m| m.name == part(metric).0).unwrap_or(self.metrics.len())
    }

    /// The metric in words for a heading, with the part behind a comma.
    pub fn title(&self, metric: &str) -> String {
        let (name, behind) = part(metric);
        let known = self.get(name).map(|m| m.title.clone()).filter(|t| !t.is_empty());
        let title = known.unwrap_or_else(|| name.replace('_', " "));
        behind.map_or(title.clone(), |p| format!("{title}, {p}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_has_its_name_and_the_last_place() {
        let json = r#"{"metrics": [{"name": "loss", "title": "held-out loss", "unit": "nat", "better": "lower"},
            {"name": "speed", "better": "sideways", "role": "unheard-of"}]}"#;
        let all = Catalogue::parse("metrics.json", json).expect("a catalogue");
        assert_eq!(
            [all.title("loss"), all.title("loss@es"), all.title("my_own")],
            ["held-out loss", "held-out loss, es", "my own"]
        );
        assert_eq!([all.place("loss@es"), all.place("speed"), all.place("my_own")], [0, 1, 2]);
        let speed = all.get("speed").expect("it is there");
        assert_eq!(
            (speed.better, speed.role, all.metrics[0].better),
            (Better::Neither, Role::Outcome, Better::Lower)
        );
    }
}
