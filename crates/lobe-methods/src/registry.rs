//! What a registered item carries: its description, its parameters, and how to build it.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The description of a method, attack or measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Its name in recipes.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Paper and equation.
    pub reference: &'static str,
    /// What is unusual about this implementation.
    pub unusual: &'static str,
    /// When it fails.
    pub fails: &'static str,
}

/// One parameter, as `lobe explain` prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamDoc {
    /// The key in the recipe.
    pub name: String,
    /// Its type and range.
    pub kind: String,
    /// The default, as JSON; `None` when it must be given.
    pub default: Option<String>,
    /// What it means.
    pub doc: String,
}

/// Why parameters are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ParamError {
    /// Dotted key below the item's table; empty for the table itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// A registered item that builds a `T`.
pub struct Entry<T: ?Sized + 'static> {
    /// Its description.
    pub about: &'static About,
    /// Its parameters.
    pub params: fn() -> Vec<ParamDoc>,
    /// Builds it; returns the item and its parameters with all defaults.
    pub build: fn(&Value) -> Result<(Box<T>, Value), ParamError>,
}

/// Reads a parameter struct, with the path of what is wrong.
pub(crate) fn read<P: DeserializeOwned + serde::Serialize>(value: &Value) -> Result<(P, Value), ParamError> {
    let params: P = serde_path_to_error::deserialize(value)
        .map_err(|e| ParamError { path: e.path().to_string(), message: e.inner().to_string() })?;
    let fail = |e: serde_json::Error| ParamError { path: String::new(), message: e.to_string() };
    // Through text: a narrow float then has its own shortest digits and not those of its f64.
    let text = serde_json::to_string(&params).map_err(fail)?;
    Ok((params, serde_json::from_str(&text).map_err(fail)?))
}

/// The documented parameters of `P`, from its schema and defaults.
pub fn params_of<P: JsonSchema + Default + serde::Serialize>() -> Vec<ParamDoc> {
    let schema = schemars::schema_for!(P).to_value();
    let defaults = serde_json::to_value(P::default()).unwrap_or_default();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Vec::new() };
    properties
        .iter()
        .map(|(name, p)| {
            let text = |k: &str| p.get(k).and_then(Value::as_str).unwrap_or_default().to_owned();
            let bound = |k: &str, sign: &str| p.get(k).map_or(String::new(), |v| format!(" {sign} {v}"));
            let kind = match p.get("enum").and_then(Value::as_array) {
                Some(choices) => choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "),
                None if p.get("type").is_some() => {
                    format!("{}{}{}", text("type"), bound("minimum", "≥"), bound("maximum", "≤"))
                }
                None => "see the schema".to_owned(),
            };
            let default = defaults.get(name).map(ToString::to_string);
            ParamDoc { name: name.clone(), kind, default, doc: text("description").replace('\n', " ") }
        })
        .collect()
}
