//! Documentation of parameters, read off their schema down to the last key.

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// Deepest nesting of tables that is described: a schema that refers to itself ends there.
const MAX_DEPTH: usize = 12;

/// One key, as `lobe explain` prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamDoc {
    /// The key in the recipe.
    pub name: String,
    /// Its type and range.
    pub kind: String,
    /// The default, as JSON; `None` when it must be given.
    pub default: Option<String>,
    /// Whether its table is refused without it.
    pub required: bool,
    /// What it means.
    pub doc: String,
    /// The words it accepts.
    pub choices: Vec<Choice>,
    /// The keys of the table, or of each table of the list or map, that it holds.
    pub keys: Vec<ParamDoc>,
    /// Its JSON schema, with every reference replaced by what it refers to.
    pub schema: Value,
}

/// One of several words that a key accepts, or one kind of table.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The word: the value itself, or the table's `kind`.
    pub name: String,
    /// What it means.
    pub doc: String,
    /// The other keys of a table of this kind.
    pub keys: Vec<ParamDoc>,
    /// Whether it is a table `{ kind = "…" }`.
    pub is_table: bool,
}

/// The documented parameters of `P`, from its schema.
pub fn params_of<P: JsonSchema>() -> Vec<ParamDoc> {
    let schema = schemars::schema_for!(P).to_value();
    params_in(&schema, &schema)
}

/// The documented keys of an object's schema; `root` holds the definitions it refers to.
pub fn params_in(object: &Value, root: &Value) -> Vec<ParamDoc> {
    keys_of(&inlined(object, root, 0))
}

/// The kinds of a table that says with `kind` what its other keys are: every variant of such an enum.
pub fn kinds_of<T: JsonSchema>() -> Vec<Choice> {
    let schema = schemars::schema_for!(T).to_value();
    choices_of(&inlined(&schema, &schema, 0))
}

/// `schema` with each `$ref` replaced by the definition; what stands beside the reference wins.
fn inlined(schema: &Value, root: &Value, depth: usize) -> Value {
    match schema {
        Value::Object(map) => {
            let target = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"));
            let found = target.filter(|_| depth < MAX_DEPTH).and_then(|name| root["$defs"].get(name));
            let mut out = match found.map(|d| inlined(d, root, depth + 1)) {
                Some(Value::Object(base)) => base,
                _ => Map::new(),
            };
            let own = map.iter().filter(|(k, _)| !matches!(k.as_str(), "$ref" | "$defs" | "$schema"));
            for (key, value) in own {
                let value = inlined(value, root, depth);
                match (out.get_mut(key), value) {
                    // A tagged variant: its own `kind` beside the keys it refers to.
                    (Some(Value::Object(base)), Value::Object(more)) if key == "properties" => {
                        base.extend(more);
                    }
                    (Some(Value::Array(base)), Value::Array(more)) if key == "required" => base.extend(more),
                    (_, value) => drop(out.insert(key.clone(), value)),
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => items.iter().map(|v| inlined(v, root, depth)).collect(),
        other => other.clone(),
    }
}

/// The keys of an object, its schema without references.
fn keys_of(object: &Value) -> Vec<ParamDoc> {
    let Some(properties) = object.get("properties").and_then(Value::as_object) else { return Vec::new() };
    let must = list(object, "required");
    let one = |(name, p): (&String, &Value)| {
        let required = p.get("default").is_none() && must.iter().any(|m| m == name.as_str());
        ParamDoc { required, ..key(name, p) }
    };
    properties.iter().map(one).collect()
}

fn key(name: &str, p: &Value) -> ParamDoc {
    ParamDoc {
        name: name.to_owned(),
        kind: kind_of(p),
        default: p.get("default").map(digits),
        required: false,
        doc: description(p),
        choices: choices_of(p),
        keys: tables_in(p).into_iter().flat_map(keys_of).collect(),
        schema: p.clone(),
    }
}

/// What it means. An example in the doc comment is left out: it is shown beside it.
fn description(p: &Value) -> String {
    let doc = p.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    let Some((before, rest)) = doc.split_once("Example: `") else { return doc };
    let after = rest.split_once('`').map_or("", |(_, after)| after.trim_start_matches('.'));
    format!("{}{after}", before.trim_end())
}

fn list<'a>(p: &'a Value, key: &str) -> &'a [Value] {
    p.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The alternatives of `anyOf` or `oneOf`.
fn alternatives(p: &Value) -> &[Value] {
    let any = list(p, "anyOf");
    if any.is_empty() { list(p, "oneOf") } else { any }
}

/// The `kind` of a table that has a fixed one.
fn tag(p: &Value) -> Option<&str> {
    p.pointer("/properties/kind/const").and_then(Value::as_str)
}

/// Tables without a fixed kind that a value may be, or hold in a list or a map.
fn tables_in(p: &Value) -> Vec<&Value> {
    if p.get("properties").is_some() {
        return if tag(p).is_some() { Vec::new() } else { vec![p] };
    }
    let inner = [p.get("items"), p.get("additionalProperties")];
    let inner = inner.into_iter().flatten().filter(|v| v.is_object());
    inner.chain(alternatives(p)).flat_map(tables_in).collect()
}

fn choices_of(p: &Value) -> Vec<Choice> {
    let word = |v: &Value, doc: String| {
        let name = v.as_str()?.to_owned();
        Some(Choice { name, doc, keys: Vec::new(), is_table: false })
    };
    if let Some(value) = p.get("const") {
        return word(value, description(p)).into_iter().collect();
    }
    if let Some(kind) = tag(p) {
        let keys = keys_of(p).into_iter().filter(|k| k.name != "kind").collect();
        return vec![Choice { name: kind.to_owned(), doc: description(p), keys, is_table: true }];
    }
    let words = list(p, "enum").iter().filter_map(|v| word(v, String::new()));
    let inner = [p.get("items"), p.get("additionalProperties")];
    let inner = inner.into_iter().flatten().filter(|v| v.is_object());
    let all: Vec<Choice> = words.chain(inner.chain(alternatives(p)).flat_map(choices_of)).collect();
    // A table that may be written as its name alone is one choice and not two.
    let table = |name: &str| all.iter().any(|c| c.is_table && c.name == name);
    all.iter().filter(|c| c.is_table || !table(&c.name)).cloned().collect()
}

/// A default as JSON; a number that came from an f32 with the f32's own digits.
fn digits(value: &Value) -> String {
    match (value.as_array(), value.as_f64()) {
        (Some(items), _) => format!("[{}]", items.iter().map(digits).collect::<Vec<_>>().join(",")),
        (_, Some(x)) if value.is_f64() && f64::from(x as f32) == x => format!("{:?}", x as f32),
        _ => value.to_string(),
    }
}

/// Type and range in a few words: `integer ≥ 0`, `"zero" | "mean"`, `list of number`.
fn kind_of(p: &Value) -> String {
    if let Some(kind) = tag(p) {
        return format!("{{ kind = {kind:?}, … }}");
    }
    if let Some(value) = p.get("const") {
        return value.to_string();
    }
    if let Some(choices) = p.get("enum").and_then(Value::as_array) {
        return choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    let of = alternatives(p);
    if of.iter().any(|v| tag(v).is_some()) {
        let kinds: Vec<String> = of.iter().filter_map(tag).map(|k| format!("{k:?}")).collect();
        return format!("table with kind = {}", kinds.join(" | "));
    }
    if !of.is_empty() {
        let kinds: Vec<String> = of.iter().map(kind_of).filter(|k| k != "null").collect();
        return kinds.join(" | ");
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
            Some(item) => format!("list of {}", plural(&kind_of(item))),
            None => "list".to_owned(),
        },
        "object" => match p.get("additionalProperties").filter(|v| v.is_object()) {
            Some(of) => format!("table of {} by name", plural(&kind_of(of))),
            None => "table".to_owned(),
        },
        "string" => "text".to_owned(),
        "boolean" => "true or false".to_owned(),
        _ => format!("{name}{}{}", bound("minimum", "≥"), bound("maximum", "≤")),
    }
}

/// `tables`, `integers ≥ 0`; text has no plural.
fn plural(kind: &str) -> String {
    let (first, rest) = kind.split_once(' ').unwrap_or((kind, ""));
    let first = match first {
        "table" | "list" | "integer" | "number" => format!("{first}s"),
        other => other.to_owned(),
    };
    if rest.is_empty() { first } else { format!("{first} {rest}") }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    /// A shape.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
    enum Shape {
        /// Round.
        Ball {
            /// How far from the middle.
            radius: f32,
        },
        /// Nothing.
        None,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        /// The first.
        One,
        /// The second.
        Two,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Inner {
        /// Its depth.
        #[schemars(range(min = 1))]
        depth: u32,
        /// How it rocks.
        #[serde(default = "rates")]
        rates: [f32; 2],
    }

    fn rates() -> [f32; 2] {
        [0.9, 0.999]
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Outer {
        /// What it looks like.
        shape: Shape,
        /// Which.
        word: Option<Word>,
        /// Several.
        inner: Vec<Inner>,
    }

    #[test]
    fn docs_go_down_to_the_last_key() {
        let keys = params_of::<Outer>();
        let of = |name: &str| keys.iter().find(|k| k.name == name).unwrap();
        let shape = of("shape");
        assert_eq!(shape.kind, r#"table with kind = "ball" | "none""#);
        assert_eq!(shape.choices[0].keys[0].doc, "How far from the middle.");
        assert_eq!((shape.choices[1].name.as_str(), shape.choices[1].doc.as_str()), ("none", "Nothing."));
        assert_eq!(of("inner").keys[1].default.as_deref(), Some("[0.9,0.999]"));
        let word = of("word");
        assert_eq!(word.kind, r#""one" | "two""#);
        assert_eq!(word.choices[1].doc, "The second.");
        let inner = of("inner");
        assert_eq!((inner.kind.as_str(), inner.keys[0].kind.as_str()), ("list of tables", "integer ≥ 1"));
        assert!(!keys.iter().any(|k| k.schema.to_string().contains("$ref")));
        assert_eq!(kinds_of::<Shape>().len(), 2);
    }
}
