//! What a page says of a run beside its numbers: question, data, model, failures, texts, recipe.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod common;

use std::fs;
use std::path::Path;

use lobe_report::{RunData, html};
use serde_json::{Value, json};

fn run(change: impl FnOnce(&Path, &mut Value)) -> RunData {
    let dir = tempfile::tempdir().unwrap();
    common::bilingual(dir.path(), 2);
    let path = dir.path().join("manifest.json");
    let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(dir.path(), &mut manifest);
    fs::write(&path, manifest.to_string()).unwrap();
    RunData::load(dir.path()).unwrap()
}

#[test]
fn the_head_names_question_date_data_and_model() {
    let page = html::render(&run(|_, m| {
        m["about"] = "Does cutting the region remove Spanish?".into();
        m["started"] = "2026-11-27T16:30:00Z".into();
        m["data"] = json!({"unit": "token", "vocabulary": 1024, "classes": [
            {"name": "es", "label": "forget", "documents": 4000, "units": 1_200_000, "held_out": 100},
            {"name": "en", "label": "retain", "documents": 16000, "units": 5_000_000, "held_out": 100}]});
        m["model"] = json!({"kind": "gpt", "shape": "2 blocks of width 64", "parameters": 286_000});
    }));
    let head = page.split("</header>").next().unwrap();
    for part in [
        "Does cutting",
        "2026-11-27",
        "es 4000 (1.2 M tokens)",
        "2 blocks of width 64, 286 k parameters",
        "lobe run",
    ] {
        assert!(head.contains(part), "{part} is missing in {head}");
    }
    // None of it is needed.
    html::render(&run(|_, _| {}));
}

#[test]
fn failures_and_networks_that_are_the_same_are_said() {
    let page = html::render(&run(|_, m| {
        m["failed"] = json!([{"arm": "routing", "seed": 1, "stage": "train", "reason": "loss of forget is NaN", "step": 12}]);
        m["arms"][1]["same_as"] = "oracle".into();
    }));
    assert!(page.contains("1 member failed") && page.contains("train, step 12"));
    assert!(page.contains("the same networks as oracle"));
    assert!(!html::render(&run(|_, _| {})).contains("member failed"));
}

fn samples(dir: &Path, arm: &str, text: &str) {
    let member = dir.join(format!("stages/measure/{arm}.0"));
    fs::create_dir_all(&member).unwrap();
    fs::write(member.join("samples.json"), text).unwrap();
}

fn measured(m: &mut Value) {
    m["stages"].as_array_mut().unwrap().retain(|s| s["name"] != "measure");
    m["stages"].as_array_mut().unwrap().push(json!({"name": "measure", "do": "measure"}));
}

#[test]
fn texts_stand_before_and_after_the_cut_and_are_escaped() {
    let page = html::render(&run(|d, m| {
        measured(m);
        let text = |text: &str| json!([{"label": "forget", "prompt": "La <b>casa", "text": text}]);
        let models = json!({"models": [
            {"stage": "train", "texts": text("es muy grande")},
            {"stage": "ablate", "texts": text("<script>the the")}]});
        samples(d, "sgtm", &models.to_string());
    }));
    let part = page.split("id=\"samples\"").nth(1).unwrap().split("</section>").next().unwrap();
    let [prompt, before, after] = ["La &lt;b&gt;casa", "es muy grande", "&lt;script&gt;the the"]
        .map(|t| part.find(t).unwrap_or_else(|| panic!("{t}: {part}")));
    assert!(prompt < before && before < after);
    assert!(!page.contains("<script"));
    assert!(!html::render(&run(|_, _| {})).contains("id=\"samples\""), "no texts, no section");
}

#[test]
fn a_damaged_or_huge_file_of_texts_is_left_out_and_named() {
    let broken = run(|d, m| {
        measured(m);
        samples(d, "sgtm", "{\"models\": 3}");
        samples(d, "routing", &format!("{{\"models\": [], \"x\": \"{}\"}}", "y".repeat(300 << 10)));
    });
    assert!(broken.samples.is_empty());
    let warnings = broken.warnings.join("\n");
    assert!(
        warnings.contains("sgtm.0/samples.json line 1") && warnings.contains("routing.0/samples.json"),
        "{warnings}"
    );
    html::render(&broken);
}

#[test]
fn prefixes_that_were_found_are_shown_and_escaped() {
    let page = html::render(&run(|d, _| {
        let entry = json!({"stage": "prefix", "arm": "sgtm", "seed": 0, "variant": "v", "text": "<b>zx", "survives": false});
        fs::write(d.join("prefixes.json"), json!({"prefixes": [entry]}).to_string()).unwrap();
    }));
    assert!(page.contains("&lt;b&gt;zx") && page.contains("no: its text gives other tokens"));
}

#[test]
fn the_recipe_is_in_the_page() {
    let page =
        html::render(&run(|d, _| fs::write(d.join("recipe.toml"), "name = \"x\"\n# <i>why\n").unwrap()));
    assert!(page.contains("name = &quot;x&quot;\n# &lt;i&gt;why"), "as written, escaped");
}

#[test]
fn axes_have_the_unit_that_the_attack_says() {
    let page = |axis: Value| {
        html::render(&run(|_, m| {
            for s in m["stages"].as_array_mut().unwrap() {
                if s["name"] == "relearn" && !axis.is_null() {
                    s["axis"] = axis.clone();
                }
            }
        }))
    };
    assert!(page(Value::Null).contains(">attack steps</text>"));
    assert!(page(json!({"name": "precision", "unit": "bits"})).contains(">precision (bits)</text>"));
}
