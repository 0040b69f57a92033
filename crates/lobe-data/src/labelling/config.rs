//! A label's rule as a recipe writes it.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::ratio::FrequencyRatio;

/// How one label is given, as a recipe writes it: `{ language = "es", recall = 0.9 }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = with_aliases)]
pub struct RuleConfig {
    /// The true classes (languages, sources, digits) that the label belongs to: one name or a list.
    /// Example: `class = ["virology", "bacteriology"]`.
    #[serde(
        alias = "class",
        alias = "language",
        alias = "source",
        alias = "digits",
        deserialize_with = "one_or_many"
    )]
    #[schemars(with = "Names")]
    pub classes: Vec<String>,
    /// Instead of classes: any of these as a whole word, in any case. Example: `words = ["virus", "viral"]`.
    pub words: Vec<String>,
    /// Fraction of the true examples that keep the label; the others become unlabelled.
    /// Example: `recall = 0.9`.
    pub recall: f64,
    /// True positives / (true + false positives), in expectation. Example: `precision = 0.95`.
    pub precision: f64,
    /// Classes that false positives come from. Empty: all that are not truly of the label.
    /// Example: `confused_with = "bacteriology"`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Names")]
    pub confused_with: Vec<String>,
    /// Weigh each token of the label's examples by how typical it is (ERA).
    /// Example: `tokens = { scale = 1.0, bias = -4.0 }`.
    pub tokens: Option<FrequencyRatio>,
}

impl Default for RuleConfig {
    fn default() -> Self {
        RuleConfig {
            classes: Vec::new(),
            words: Vec::new(),
            recall: 1.0,
            precision: 1.0,
            confused_with: Vec::new(),
            tokens: None,
        }
    }
}

impl RuleConfig {
    /// The name under which a key of a rule is saved.
    pub fn canonical(key: &str) -> &str {
        if CLASS_ALIASES.contains(&key) { "classes" } else { key }
    }
}

/// One name or several, for the schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what `one_or_many` accepts")]
enum Names {
    One(String),
    Number(u64),
    Many(Vec<String>),
    Numbers(Vec<u64>),
}

/// Editors and the recipe's check know only what the schema names.
fn with_aliases(schema: &mut Schema) {
    if let Some(properties) = schema.get_mut("properties").and_then(|p| p.as_object_mut()) {
        let classes = properties.get("classes").cloned().unwrap_or_default();
        for name in CLASS_ALIASES {
            properties.insert(name.into(), classes.clone());
        }
    }
}

/// Other names of [`RuleConfig::classes`].
const CLASS_ALIASES: [&str; 4] = ["class", "language", "source", "digits"];

/// Accepts `"es"` for `["es"]`, and numbers for digit classes.
fn one_or_many<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum One {
        Text(String),
        Number(u64),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Many {
        One(One),
        Many(Vec<One>),
    }
    let text = |o| match o {
        One::Text(s) => s,
        One::Number(n) => n.to_string(),
    };
    Ok(match Many::deserialize(d)? {
        Many::One(o) => vec![text(o)],
        Many::Many(v) => v.into_iter().map(text).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_as_people_write_them() {
        let rule = |text: &str| serde_json::from_str::<RuleConfig>(text);
        assert_eq!(rule(r#"{"language": "es"}"#).unwrap().classes, ["es"]);
        assert_eq!(rule(r#"{"digits": [0, 1]}"#).unwrap().classes, ["0", "1"]);
        assert_eq!(rule(r#"{"class": ["a", "b"], "confused_with": "c"}"#).unwrap().confused_with, ["c"]);
        assert!(rule(r#"{"class": "x", "recal": 1}"#).unwrap_err().to_string().contains("recal"));
        let schema = schemars::schema_for!(RuleConfig).to_value();
        assert!(CLASS_ALIASES.iter().all(|a| schema["properties"].get(a).is_some()), "{schema}");
    }
}
