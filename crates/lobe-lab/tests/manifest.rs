//! What a run's manifest says of its recipe, through a run directory.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use lobe_lab::recipe::Written;
use lobe_runs::{RunDir, RunState};

fn names(dir: &Path) -> Vec<String> {
    let mut out: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    out.sort();
    out
}

#[test]
fn a_whole_run_is_written_and_opened_again() {
    let text = r#"
        name = "small"
        seeds = 2
        data = { kind = "bilingual" }
        model = { kind = "gpt" }
        regions = { a = "latent[..4]", b = "latent[4..]" }
        stage = [{ do = "train" }, { do = "measure" }]
        [arms]
        plain = { method = "none" }
        cut = { method = "filter" }
        sgtm = { method = "sgtm", region = ["a", "b"], about = "both" }
        clean = { method = "none", data = "retain only" }
    "#;
    let written = Written::from_str("small.toml", text).unwrap();
    let (recipe, derived) = written.resolve(&lobe_lab::schedule::permissive()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let run = RunDir::create_or_open(&path).unwrap();
    assert_eq!(run.manifest().unwrap(), None);
    let mut manifest =
        lobe_lab::schedule::manifest(&recipe, &derived, &|arm| format!("method {}", arm.method));
    run.write_manifest(&manifest).unwrap();
    run.write_recipe(written.text(), &recipe.to_toml()).unwrap();
    let member = run.member("train", "plain", 0).unwrap();
    fs::write(member.path().join(".model.safetensors.1-1.tmp"), "half").unwrap();
    fs::write(path.join(".results.csv.1-1.tmp"), "half").unwrap();
    manifest.state = RunState::Done;
    manifest.stages[0].seconds = Some(1.5);
    run.write_manifest(&manifest).unwrap();
    drop(run);
    let run = RunDir::create_or_open(&path).unwrap();
    assert_eq!(run.manifest().unwrap(), Some(manifest.clone()));
    assert_eq!(names(&path), ["manifest.json", "recipe.toml", "resolved.toml", "run.lock", "stages"]);
    assert_eq!(names(run.member("train", "plain", 0).unwrap().path()), Vec::<String>::new());
    let again = Written::load(&path.join("resolved.toml")).unwrap();
    assert_eq!(again.resolve(&lobe_lab::schedule::permissive()).unwrap().0.hash(), manifest.recipe_hash);
    let reference = &manifest.reference;
    let found = [&reference.baseline, &reference.control, &reference.filter].map(|r| r.as_deref());
    assert_eq!(found, [Some("plain"), Some("clean"), Some("cut")]);
    let arm = &manifest.arms[2];
    assert_eq!((arm.region.as_deref(), arm.note.as_str(), arm.control), (Some("a, b"), "both", false));
    assert_eq!((manifest.arms[3].note.as_str(), manifest.arms[3].control), ("method none", true));
    let json = fs::read_to_string(path.join("manifest.json")).unwrap();
    assert!(json.contains("\"state\": \"done\"") && json.contains("\"do\": \"train\""), "{json}");
}
