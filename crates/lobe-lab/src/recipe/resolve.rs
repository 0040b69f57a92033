//! Written form → resolved form: every check before anything runs, every default, every derived
//! value with its rule.

use std::collections::BTreeSet;

use lobe_core::{Region, did_you_mean};
use serde_json::{Map, Value};

use super::arms;
use super::callbacks::Callbacks;
use super::check::{name, range};
use super::error::PathError;
use super::form::{Derived, NamedRegion, Recipe, Section};
use super::scale::{Scale, train};
use super::stages;
use super::targets::targets;
use super::train::Train;
use super::tree::{Node, Tree};
use super::typed::typed;

/// The keys of a recipe, in the order they are usually written.
pub(super) const KEYS: [&str; 12] = [
    "name", "about", "seeds", "scale", "data", "model", "regions", "arms", "train", "unlearn", "stage",
    "target",
];
/// Most seeds of one recipe.
const MAX_SEEDS: usize = 1000;
/// Largest seed: every JSON reader holds it exactly.
const MAX_SEED: u64 = 1 << 53;
/// Most regions of one recipe.
const MAX_REGIONS: usize = 64;
/// Longest sentence in `about`.
const MAX_ABOUT_BYTES: usize = 2000;
/// Most networks trained by one recipe.
const MAX_MEMBERS: usize = 10_000;

pub(super) fn resolve(root: &Node, callbacks: &Callbacks) -> Result<(Recipe, Vec<Derived>), PathError> {
    let mut derived = Vec::new();
    for (key, _) in root.entries(&[])? {
        if !KEYS.contains(&key.as_str()) {
            let message = format!("unknown key{}", did_you_mean(key, KEYS.into_iter().chain(["presets"])));
            return Err(PathError::new("", message).within(&[key]));
        }
    }
    let title: String = required(root, "name", "the recipe's name")?;
    name("a recipe's name", &title).map_err(|m| PathError::new("name", m))?;
    let about = about(root).map_err(|e| e.within(&["about"]))?;
    let seeds = seeds(root.get("seeds"), &mut derived).map_err(|e| e.within(&["seeds"]))?;
    let scale = Scale(match root.get("scale") {
        Some(node) => typed(&node.to_json()).map_err(|e| e.within(&["scale"]))?,
        None => 1.0,
    });
    range("scale", scale.0, 1e-6..=1e3)?;
    let data = section(root, "data", callbacks.data)?;
    let model = section(root, "model", callbacks.model)?;
    let regions = regions(root)?;
    let train = train(root.get("train"), scale, "train", &mut derived).map_err(|e| e.within(&["train"]))?;
    let after = after(root, scale, &mut derived).map_err(|e| e.within(&["unlearn"]))?;
    let base = train;
    let around = arms::Around {
        root,
        regions: &regions,
        data: &data,
        model: &model,
        base: &base,
        after: &after,
        scale,
        callbacks,
    };
    let arms = arms::arms(&around, &mut derived)?;
    if arms.len() * seeds.len() > MAX_MEMBERS {
        let message =
            format!("{} arms × {} seeds are more than {MAX_MEMBERS} networks", arms.len(), seeds.len());
        return Err(PathError::new("seeds", message));
    }
    let around = stages::Around { regions: &regions, arms: &arms, scale, callbacks };
    let stages = stages::stages(root, &around, &mut derived)?;
    let targets = targets(root, &arms, &stages)?;
    Ok((
        Recipe { name: title, about, seeds, data, model, regions, train: base, arms, stages, targets },
        derived,
    ))
}

/// `[unlearn]`: how post-hoc arms are trained. The keys of `[train]`.
fn after(root: &Node, scale: Scale, derived: &mut Vec<Derived>) -> Result<Train, PathError> {
    match root.get("unlearn") {
        Some(node) => train(Some(node), scale, "unlearn", derived),
        // Nothing is derived from a table that nobody wrote and nothing uses.
        None => train(None, scale, "unlearn", &mut Vec::new()),
    }
}

/// A value that has no default.
pub(super) fn required<T: serde::de::DeserializeOwned>(
    table: &Node,
    key: &str,
    what: &str,
) -> Result<T, PathError> {
    let Some(node) = table.get(key) else {
        return Err(PathError::new("", format!("the key {key:?} is missing ({what})")));
    };
    typed(&node.to_json()).map_err(|e| e.within(&[key]))
}

/// `about` of the recipe or of an arm.
pub(super) fn about(table: &Node) -> Result<Option<String>, PathError> {
    let Some(node) = table.get("about") else { return Ok(None) };
    let about: String = typed(&node.to_json())?;
    if about.len() > MAX_ABOUT_BYTES {
        return Err(PathError::new("", format!("longer than {MAX_ABOUT_BYTES} bytes")));
    }
    Ok(Some(about))
}

fn seeds(node: Option<&Node>, derived: &mut Vec<Derived>) -> Result<Vec<u64>, PathError> {
    let Some(node) = node else {
        derived.push(Derived {
            key: "seeds".into(),
            value: "[0]".into(),
            rule: "one seed by default".into(),
        });
        return Ok(vec![0]);
    };
    if let Tree::List(_) = node.tree {
        let seeds: Vec<u64> = typed(&node.to_json())?;
        range("", seeds.len(), 1..=MAX_SEEDS)
            .map_err(|e| PathError::new("", format!("the number of seeds {}", e.message)))?;
        let mut seen = BTreeSet::new();
        for (i, seed) in seeds.iter().enumerate() {
            range(&i.to_string(), *seed, 0..=MAX_SEED)?;
            if !seen.insert(seed) {
                return Err(PathError::new(&i.to_string(), format!("the seed {seed} is listed twice")));
            }
        }
        return Ok(seeds);
    }
    let count: u64 = typed(&node.to_json())?;
    range("", count, 1..=MAX_SEEDS as u64)?;
    let value = if count == 1 { "[0]".to_owned() } else { format!("0 to {}", count - 1) };
    derived.push(Derived { key: "seeds".into(), value, rule: format!("the first {count} from 0") });
    Ok((0..count).collect())
}

fn section(
    root: &Node,
    key: &str,
    callback: &dyn Fn(&str, &Value) -> Result<Value, PathError>,
) -> Result<Section, PathError> {
    let Some(node) = root.get(key) else {
        return Err(PathError::new("", format!("the table [{key}] is missing")));
    };
    node.entries(&[key])?;
    let inner = || {
        let kind: String = required(node, "kind", "what it is")?;
        let rest = Value::Object(node.to_map(&["kind"]));
        let params = complete(callback(&kind, &rest)?, &["kind"])?;
        Ok(Section { kind, params })
    };
    inner().map_err(|e: PathError| e.within(&[key]))
}

/// A callback's answer as a table that TOML can hold: no null, no number beyond 64 bits, and
/// none of the keys that the recipe itself gives a meaning.
pub(super) fn complete(value: Value, reserved: &[&str]) -> Result<Map<String, Value>, PathError> {
    let Some(Value::Object(map)) = clean(value) else {
        return Err(PathError::new("", "resolves to something that is not a table"));
    };
    let too_large = |v: &Value| holds(v, &|v| v.is_u64() && v.as_i64().is_none());
    if let Some((key, _)) = map.iter().find(|(_, v)| too_large(v)) {
        return Err(PathError::new("", "does not fit into 64 bits").within(&[key]));
    }
    Ok(map.into_iter().filter(|(k, _)| !reserved.contains(&k.as_str())).collect())
}

fn clean(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(items) => Some(items.into_iter().filter_map(clean).collect()),
        Value::Object(map) => {
            Some(Value::Object(map.into_iter().filter_map(|(k, v)| Some((k, clean(v)?))).collect()))
        }
        scalar => Some(scalar),
    }
}

fn holds(value: &Value, what: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|v| holds(v, what)),
        Value::Object(map) => map.values().any(|v| holds(v, what)),
        scalar => what(scalar),
    }
}

fn regions(root: &Node) -> Result<Vec<NamedRegion>, PathError> {
    let Some(node) = root.get("regions") else { return Ok(Vec::new()) };
    let entries = node.entries(&["regions"])?;
    if entries.len() > MAX_REGIONS {
        return Err(PathError::new("regions", format!("{} regions; at most {MAX_REGIONS}", entries.len())));
    }
    let mut out = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let fail = |message: String| PathError::new("", message).within(&["regions", key]);
        name("a region's name", key).map_err(fail)?;
        let written: String = typed(&value.to_json()).map_err(|e| e.within(&["regions", key]))?;
        let region: Region = written.parse().map_err(|e| {
            let message = format!("{e}");
            fail(message.strip_prefix("region: ").unwrap_or(&message).to_owned())
        })?;
        // One spelling for equal regions, so that spaces do not change the recipe's hash.
        let text = region.to_string();
        let same = text.parse::<Region>().is_ok_and(|again| again == region);
        out.push(NamedRegion { name: key.clone(), text: if same { text } else { written } });
    }
    Ok(out)
}
