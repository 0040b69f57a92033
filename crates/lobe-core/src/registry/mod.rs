//! What a registered item carries: its description, its parameters, and how to build it.

mod docs;
mod list;
mod typed;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use docs::{Choice, ParamDoc, kinds_of, params_in, params_of};
pub use list::{Iter, List, Listed, Taken};
pub use typed::{full, typed};

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

/// Why parameters are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ParamError {
    /// Dotted key below the item's table; empty for the table itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl ParamError {
    /// The same error of something that stands under `key` of a larger table.
    #[must_use]
    pub fn within(self, key: &str) -> ParamError {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{key}.{}", self.path) };
        ParamError { path, ..self }
    }
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

/// Reads a parameter struct; returns it and its parameters with every default.
///
/// # Errors
/// With the path of what is wrong.
pub fn read<P: DeserializeOwned + serde::Serialize>(value: &Value) -> Result<(P, Value), ParamError> {
    let params: P = typed(value).map_err(|(path, message)| ParamError { path: path.join("."), message })?;
    let full = full(&params).map_err(|e| ParamError { path: String::new(), message: e.to_string() })?;
    Ok((params, full))
}

/// Holds every number of `full`, also those in lists, against the range in the schema of `P`; where it has no
/// lower end, that is 0.
///
/// # Errors
/// With the first key that is out of its range.
pub fn in_range<P: JsonSchema>(full: &Value) -> Result<(), ParamError> {
    let schema = schemars::schema_for!(P).to_value();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
    for (key, value) in full.as_object().into_iter().flatten() {
        let Some(kind) = properties.get(key) else { continue };
        let (kind, values) = match value {
            Value::Array(items) => (kind.get("items").unwrap_or(kind), items.as_slice()),
            one => (kind, std::slice::from_ref(one)),
        };
        let end = |name: &str| kind.get(name).and_then(Value::as_f64);
        let (low, high) = (end("minimum").unwrap_or(0.0), end("maximum").unwrap_or(f64::INFINITY));
        if let Some(x) = values.iter().filter_map(Value::as_f64).find(|x| !(low..=high).contains(x)) {
            let message = match end("maximum") {
                Some(high) => format!("is {x}, must be in {low}..={high}"),
                None => format!("is {x}, must be at least {low}"),
            };
            return Err(ParamError { path: key.clone(), message });
        }
    }
    Ok(())
}
