//! The JSON schema of recipes, down to the last key of every kind of data, network, method and stage.

use lobe_methods::{Choice, ParamDoc};
use serde_json::{Map, Value, json};

use super::examples::value_of;
use super::keys::{Found, Step, recipe_keys, tag};
use crate::recipe::json_schema;

/// The JSON schema of recipes, with an example for every key.
pub fn schema() -> Value {
    let mut schema = json_schema().to_value();
    let keys = recipe_keys();
    for key in &keys {
        let mut whole = match key.name.as_str() {
            "data" | "model" | "train" | "unlearn" => composed(key),
            "arms" => json!({ "type": "object", "additionalProperties": composed(key) }),
            "stage" => json!({ "type": "array", "minItems": 1, "maxItems": 256, "items": composed(key) }),
            _ => described(key, &mut Vec::new()),
        };
        whole["description"] = key.doc.as_str().into();
        schema["properties"][key.name.as_str()] = whole;
    }
    if let Some(map) = schema.as_object_mut() {
        map.remove("$defs");
    }
    schema
}

/// A table whose other keys depend on its kind.
fn composed(key: &ParamDoc) -> Value {
    let tables: Vec<&Choice> = key.choices.iter().filter(|c| c.is_table).collect();
    let tag = tag(&key.name);
    let mut own = properties(&key.keys, &mut vec![Step { key, kind: None }]);
    let what = key.keys.iter().find(|k| k.name == tag).map_or("", |k| k.doc.as_str());
    let names: Vec<&str> = tables.iter().map(|c| c.name.as_str()).collect();
    own.insert(tag.to_owned(), json!({ "type": "string", "description": what, "enum": names }));
    let kinds = tables.iter().map(|c| {
        let then = properties(&c.keys, &mut vec![Step { key, kind: Some(c) }]);
        json!({
            "if": { "properties": { tag: { "const": c.name } } },
            "then": { "description": c.doc, "properties": then, "required": required(&c.keys) },
        })
    });
    json!({ "type": "object", "properties": own, "required": required(&key.keys), "allOf": kinds.collect::<Vec<_>>() })
}

fn required(keys: &[ParamDoc]) -> Vec<&str> {
    keys.iter().filter(|k| k.required).map(|k| k.name.as_str()).collect()
}

fn properties<'a>(keys: &'a [ParamDoc], way: &mut Vec<Step<'a>>) -> Map<String, Value> {
    keys.iter().map(|k| (k.name.clone(), described(k, way))).collect()
}

/// A key's schema with an example, and the same for the keys of the tables in it.
fn described<'a>(key: &'a ParamDoc, way: &mut Vec<Step<'a>>) -> Value {
    let mut out = key.schema.clone();
    if let Some(map) = out.as_object_mut() {
        let example = value_of(&Found { way: way.clone(), key }).and_then(|text| json_of(&text));
        map.extend(example.map(|e| ("examples".to_owned(), json!([e]))));
    }
    inner(&mut out, key, way);
    out
}

fn inner<'a>(schema: &mut Value, key: &'a ParamDoc, way: &mut Vec<Step<'a>>) {
    let kind = schema.pointer("/properties/kind/const").and_then(Value::as_str);
    let kind = kind.and_then(|k| key.choices.iter().find(|c| c.is_table && c.name == k));
    let keys = kind.map_or(&key.keys, |c| &c.keys);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        way.push(Step { key, kind });
        for (name, value) in properties {
            if let Some(k) = keys.iter().find(|k| k.name == *name) {
                *value = described(k, way);
            }
        }
        way.pop();
    }
    for part in ["items", "additionalProperties"] {
        if let Some(value) = schema.get_mut(part).filter(|v| v.is_object()) {
            inner(value, key, way);
        }
    }
    for part in ["anyOf", "oneOf"] {
        if let Some(list) = schema.get_mut(part).and_then(Value::as_array_mut) {
            for value in list {
                inner(value, key, way);
            }
        }
    }
}

/// A TOML value as JSON.
fn json_of(text: &str) -> Option<Value> {
    let table: toml::Table = format!("x = {text}").parse().ok()?;
    serde_json::to_value(table.get("x")?).ok()
}
