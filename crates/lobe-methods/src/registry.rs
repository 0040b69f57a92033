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

/// Holds every number of `full`, also those in lists, against the range in the schema of `P`; where it has no
/// lower end, that is 0.
pub(crate) fn in_range<P: JsonSchema>(full: &Value) -> Result<(), ParamError> {
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

/// The documented parameters of `P`, from its schema.
pub fn params_of<P: JsonSchema>() -> Vec<ParamDoc> {
    let schema = schemars::schema_for!(P).to_value();
    params_in(&schema, &schema)
}

/// The documented keys of an object's schema; `root` holds the definitions it refers to.
pub fn params_in(object: &Value, root: &Value) -> Vec<ParamDoc> {
    let Some(properties) = object.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let one = |(name, p): (&String, &Value)| ParamDoc {
        name: name.clone(),
        kind: kind_of(p, root),
        default: p.get("default").map(digits),
        doc: p.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " "),
    };
    properties.iter().map(one).collect()
}

/// A default as JSON; a number that came from an f32 with the f32's own digits.
fn digits(value: &Value) -> String {
    match value.as_f64() {
        Some(x) if value.is_f64() && f64::from(x as f32) == x => format!("{:?}", x as f32),
        _ => value.to_string(),
    }
}

/// Type and range in a few words: `integer ≥ 0`, `"zero" | "mean"`, `list of number`.
fn kind_of(p: &Value, schema: &Value) -> String {
    let list = |k: &str| p.get(k).and_then(Value::as_array);
    let any = |of: &[Value]| {
        let kinds: Vec<String> = of.iter().map(|v| kind_of(v, schema)).filter(|k| k != "null").collect();
        kinds.join(" | ")
    };
    if let Some(name) = p.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/")) {
        return schema.pointer(&format!("/$defs/{name}")).map_or("table".into(), |d| kind_of(d, schema));
    }
    if let Some(value) = p.get("const") {
        return value.to_string();
    }
    if let Some(choices) = list("enum") {
        return choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(of) = list("anyOf").or(list("oneOf")) {
        return any(of);
    }
    let bound = |k: &str, sign: &str| p.get(k).map_or(String::new(), |v| format!(" {sign} {v}"));
    let name = match p.get("type") {
        Some(Value::String(t)) => t.clone(),
        Some(Value::Array(of)) => {
            of.iter().filter_map(Value::as_str).filter(|t| *t != "null").collect::<Vec<_>>().join(" | ")
        }
        _ => "any".to_owned(),
    };
    match name.as_str() {
        "array" => match p.get("items") {
            Some(item) => format!("list of {}", kind_of(item, schema)),
            None => "list".to_owned(),
        },
        "object" => "table".to_owned(),
        _ => format!("{name}{}{}", bound("minimum", "≥"), bound("maximum", "≤")),
    }
}
