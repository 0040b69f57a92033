//! The resolved form as TOML that loads again.

use serde_json::{Map, Value};

use super::form::Recipe;

impl Recipe {
    /// The complete recipe as TOML; it resolves to this recipe again.
    pub fn to_toml(&self) -> String {
        let mut out = format!("name = {}\n", text(&self.name));
        if let Some(about) = &self.about {
            out.push_str(&format!("about = {}\n", text(about)));
        }
        out.push_str(&format!("seeds = {}\n", inline(&Value::from(self.seeds.clone()))));
        table(&mut out, "[data]", &fields(&self.data));
        table(&mut out, "[model]", &fields(&self.model));
        let regions = self.regions.iter().map(|r| (r.name.clone(), Value::from(r.text.as_str())));
        table(&mut out, "[regions]", &regions.collect());
        let arms = self.arms.iter().map(|arm| {
            let mut arm_fields = fields(arm);
            arm_fields.shift_remove("name");
            (arm.name.clone(), Value::Object(arm_fields))
        });
        table(&mut out, "[arms]", &arms.collect());
        table(&mut out, "[train]", &fields(&self.train));
        for stage in &self.stages {
            table(&mut out, "[[stage]]", &fields(stage));
        }
        for target in &self.targets {
            table(&mut out, "[[target]]", &fields(target));
        }
        out
    }
}

fn fields(of: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn table(out: &mut String, head: &str, entries: &Map<String, Value>) {
    out.push_str(&format!("\n{head}\n"));
    for (name, value) in entries {
        out.push_str(&format!("{} = {}\n", key(name), inline(value)));
    }
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { text(name) }
}

/// JSON's escapes are TOML's, but TOML also wants DEL escaped.
fn text(raw: &str) -> String {
    Value::from(raw).to_string().replace('\u{7f}', "\\u007f")
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(raw) => text(raw),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(k, v)| format!("{} = {}", key(k), inline(v))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Number(n) => match n.as_f64() {
            // Debug keeps the point, so that 1.0 comes back as a float.
            Some(x) if n.is_f64() => format!("{x:?}"),
            _ => n.to_string(),
        },
        Value::Bool(b) => b.to_string(),
        // Nulls are removed when a recipe resolves.
        Value::Null => "\"\"".to_owned(),
    }
}
