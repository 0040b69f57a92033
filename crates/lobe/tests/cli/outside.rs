//! Models from outside on which a number is known from `transformers`, where a developer has them beside
//! the checkout; skipped elsewhere.

use std::path::PathBuf;

use crate::process::Place;

fn folder() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/faults");
    Some(dir.join("README.md").canonicalize().ok()?.parent()?.to_owned())
}

/// Held-out loss of the Spanish text under a Llama of two blocks, loaded by a recipe with these settings.
fn loss(model: &str, settings: &str) -> Option<f64> {
    let dir = folder()?;
    let at = |name: &str| serde_json::json!(dir.join(name)).to_string();
    let source = |language: &str, class: &str| {
        let (train, test) = (at(&format!("{language}.train.txt")), at(&format!("{language}.test.txt")));
        format!("  {{ path = {train}, test_path = {test}, class = \"{class}\" }},\n")
    };
    let recipe = format!(
        "name = \"outside\"\nseeds = 1\n[data]\nkind = \"text\"\nseq = 64\n\
         tokenizer = {{ kind = \"file\", path = {tokenizer} }}\nsources = [\n{es}{en}]\n\
         forget = {{ class = \"forget\" }}\nretain = {{ class = \"retain\" }}\n\
         [model]\nkind = \"gpt\"\nvocab = 512\ncontext = 64\nlayers = 2\nwidth = 32\nheads = 4\nkv_heads = 2\n\
         mlp = 48\nactivation = \"swiglu\"\nnorm = \"rms\"\nnorm_eps = 1e-6\npositions = \"rotary\"\n\
         qkv_bias = false\nout_bias = false\nmlp_bias = false\n{settings}\n\
         [train]\nsteps = 1\nbatch = 1\n[arms.model]\nmethod = \"none\"\n\
         [[stage]]\ndo = \"load\"\npath = {path}\n[[stage]]\ndo = \"measure\"\nactivity = false\n",
        tokenizer = at(&format!("{model}/tokenizer.json")),
        es = source("es", "forget"),
        en = source("en", "retain"),
        path = at(model),
    );
    let place = Place::new();
    place.write("outside.toml", &recipe);
    place.lobe(&["run", "outside.toml", "--out", "run", "--quiet"]).ends(0);
    let results = String::from_utf8(place.read("run/results.csv")).unwrap();
    let line = results.lines().find(|l| l.starts_with("load,model,0,forget,loss,")).unwrap();
    line.split(',').nth(6).unwrap().parse().ok()
}

#[test]
fn losses_are_those_of_transformers() {
    for (model, settings, want) in [
        ("rope-scaling-beside-default", "rotary_stretch = 2", 10.1540),
        // A head of zeros says nothing: ln 512.
        ("tied-flag-own-head", "", 6.2383),
    ] {
        let Some(got) = loss(model, settings) else { return };
        assert!((got - want).abs() < 5e-5, "{model}: {got}");
    }
}

#[test]
fn marks_of_other_names_are_used_and_none_is_added() {
    let Some(dir) = folder() else { return };
    let model = dir.join("marks-with-other-names").display().to_string();
    let value = Place::new().lobe(&["sample", "--model", &model, "--tokens", "2", "--json"]).ends(0).json();
    let want = serde_json::json!({ "id": 0, "text": "<｜start｜>", "from": "tokenizer_config.json" });
    assert_eq!(value["begin_mark"], want);
}
