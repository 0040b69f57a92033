//! Recipes: what is refused and in which words, what is merged, what is derived.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod refused;
mod resolved;

use lobe_lab::recipe::{
    ArmData, Callbacks, Makes, Masked, Recipe, RecipeError, StageFacts, StageInfo, Starts, Written,
    completed, fuzz_recipe, json_schema, one_of, range,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

const QUICKSTART: &str = r#"name  = "quickstart"
about = "Spanish in, Spanish out"
seeds = 3

[data]
kind   = "bilingual"
forget = { language = "es", recall = 0.9 }

[model]
kind = "gpt"
layers = 4

[regions]
spanish = "blocks.*.mlp.post[-32..]+blocks.*.attn.z[-1]"
heads   = "blocks.*.attn.z[-1]"

[arms]
baseline = { method = "none" }
sgtm     = { method = "sgtm", region = "spanish", masked = "freeze", strength = 0.5 }
lower    = { method = "sgtm", region = ["heads", "spanish"], train = { lr = 2e-4 }, loss_weight = { forget = 2 } }
oracle   = { method = "none", data = "retain only", labels = { recall = 0.6 } }

[train]
steps = 1500
lr = 1e-3

[[stage]]
do = "train"
[[stage]]
do = "relearn"
arms = ["oracle", "sgtm"]
steps = 200
[[stage]]
do = "relearn"
from = "train"
[[stage]]
do = "measure"
name = "final"

[presets.tiny]
seeds = 1
[presets.tiny.train]
steps = 20
[presets.tiny.stage.relearn-2]
steps = 5
[presets.paper]
seeds = [1, 2, 3, 4, 5]
scale = 2
data = { kind = "text", dir = "corpus" }
"#;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Model {
    layers: u32,
    width: u32,
}

impl Default for Model {
    fn default() -> Model {
        Model { layers: 2, width: 64 }
    }
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Side {
    language: String,
    recall: f64,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Data {
    forget: Side,
    #[serde(skip_serializing_if = "String::is_empty")]
    dir: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Relearn {
    steps: u64,
    region: Option<String>,
}

impl Default for Relearn {
    fn default() -> Relearn {
        Relearn { steps: 100, region: None }
    }
}

fn callbacks() -> Callbacks<'static> {
    Callbacks {
        data: &|kind, rest| {
            one_of("kind", "kind of data", kind, ["bilingual", "text"].into_iter())?;
            let (data, full) = completed::<Data>(rest)?;
            range("forget.recall", data.forget.recall, 0.0..=1.0)?;
            Ok(full)
        },
        model: &|kind, rest| {
            one_of("kind", "kind of network", kind, ["gpt", "autoencoder"].into_iter())?;
            Ok(completed::<Model>(rest)?.1)
        },
        post_hoc: &|_| Some(false),
        method: &|method, rest| {
            one_of("method", "method", method, ["none", "sgtm"].into_iter())?;
            for key in rest.as_object().into_iter().flat_map(|m| m.keys()) {
                one_of(key, "parameter", key, ["strength"].into_iter())?;
            }
            Ok(rest.clone())
        },
        labels: &|_, labels| completed::<Side>(labels).map(|_| labels.clone()),
        stage: &|does, rest| {
            one_of("do", "stage", does, ["train", "relearn", "measure"].into_iter())?;
            let params = if does == "relearn" { completed::<Relearn>(rest)?.1 } else { rest.clone() };
            let makes = if does == "measure" { Makes::Numbers } else { Makes::Model };
            let starts = if does == "train" { Starts::Drawn } else { Starts::Models };
            Ok(StageInfo { params, facts: StageFacts { makes, starts, noun: None } })
        },
    }
}

fn load(text: &str) -> Result<Recipe, RecipeError> {
    Ok(Written::from_str("recipe.toml", text)?.resolve(&callbacks())?.0)
}

/// Replaces the only occurrence of `from` and returns the error.
fn check(from: &str, to: &str, error: &str) {
    assert_eq!(QUICKSTART.matches(from).count(), 1, "{from:?} occurs once");
    let found = load(&QUICKSTART.replace(from, to)).map(|_| ()).unwrap_err();
    assert_eq!(found.to_string(), error);
}

fn check_set(argument: &str, error: &str) {
    let written = Written::from_str("recipe.toml", QUICKSTART).unwrap();
    let found = written.with_set(argument).and_then(|w| w.resolve(&callbacks())).map(|_| ()).unwrap_err();
    assert_eq!(found.to_string(), error);
}

fn with(preset: Option<&str>, sets: &[&str]) -> (Recipe, Vec<(String, String, String)>) {
    let mut written = Written::from_str("recipe.toml", QUICKSTART).unwrap().with_preset(preset).unwrap();
    for set in sets {
        written = written.with_set(set).unwrap();
    }
    let (recipe, derived) = written.resolve(&callbacks()).unwrap();
    (recipe, derived.into_iter().map(|d| (d.key, d.value, d.rule)).collect())
}
