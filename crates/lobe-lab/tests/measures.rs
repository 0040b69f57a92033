//! The measuring stage through a whole run: agreement with the control, gradients by region, leakage.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use lobe_lab::LabError;
use lobe_lab::exec::{Options, Silent, resolve, run};
use lobe_lab::recipe::Written;

const RECIPE: &str = r#"
name = "measures"
seeds = 2
[data]
kind = "bilingual"
stories = 160
test_stories = 8
seq = 48
packing = "pack"
forget = { language = "es", recall = 0.6 }
retain = { language = "en" }
[model]
kind = "gpt"
layers = 2
width = 16
heads = 2
mlp = 32
[regions]
module = "blocks.*.mlp.post[-8..]"
[train]
steps = 60
batch = 4
lr = 1e-2
[arms.baseline]
method = "none"
[arms.oracle]
method = "none"
data = "retain only"
[arms.filter]
method = "filter"
[arms.sgtm]
method = "sgtm"
region = "module"
[[stage]]
do = "train"
[[stage]]
do = "ablate"
[[stage]]
do = "measure"
"#;

fn results(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    go(text, dir.path(), false).unwrap();
    std::fs::read_to_string(dir.path().join("results.csv")).unwrap()
}

/// Runs a recipe; with `stop` it is interrupted before the first stage.
fn go(text: &str, out: &Path, stop: bool) -> Result<(), LabError> {
    let written = Written::from_str("measures.toml", text).unwrap();
    let (recipe, derived) = resolve(&written).unwrap();
    let stop = AtomicBool::new(stop);
    let options =
        Options { threads: 2, stop: &stop, progress: &Silent, command: String::new(), build: String::new() };
    run(&written, &recipe, &derived, out, &options)
}

/// Values of (stage, arm, label, metric) without a step, one per seed.
fn values(csv: &str, what: [&str; 4]) -> Vec<f64> {
    let of = csv.lines().filter_map(|l| {
        let f: Vec<&str> = l.split(',').collect();
        ([f[0], f[1], f[3], f[4]] == what && f[5].is_empty()).then(|| f[6].parse().unwrap())
    });
    of.collect()
}

#[test]
fn models_are_compared_with_the_control_and_with_the_family_of_filters() {
    let csv = results(RECIPE);
    for arm in ["baseline", "filter", "sgtm"] {
        for label in ["forget", "retain"] {
            let same = values(&csv, ["train", arm, label, "control_agreement"]);
            let kl = values(&csv, ["train", arm, label, "control_kl"]);
            assert!(
                same.len() == 2 && same.iter().all(|a| (0.0..1.0).contains(a)),
                "{arm} {label}: {same:?}"
            );
            assert!(kl.len() == 2 && kl.iter().all(|k| *k > 0.0), "{arm} {label}: {kl:?}");
        }
        // Whoever saw Spanish differs from the control more in Spanish than in English.
        let kl = |label| values(&csv, ["train", arm, label, "control_kl"])[0];
        assert!(kl("forget") > kl("retain"), "{arm}");
    }
    assert!(values(&csv, ["train", "oracle", "forget", "control_kl"]).is_empty(), "no model against itself");

    // A filter leaks exactly what it let through; the stage is the last before an attack.
    for leak in values(&csv, ["ablate", "filter", "forget", "leakage"]) {
        assert!((leak - 1.0).abs() < 1e-9, "{leak}");
    }
    assert_eq!(values(&csv, ["ablate", "filter", "forget", "leakage"]).len(), 2);
    assert!(
        values(&csv, ["ablate", "baseline", "forget", "leakage"]).is_empty(),
        "a plain arm is the yardstick"
    );

    for (metric, at_least) in [("gradient_region", 0.0), ("gradient_rest", 0.0)] {
        let got = values(&csv, ["train", "sgtm", "forget", metric]);
        assert!(got.len() == 2 && got.iter().all(|g| *g > at_least), "{metric}: {got:?}");
        // After the cut the region's weights are 0 and have no relative norm.
        assert!(values(&csv, ["ablate", "sgtm", "forget", metric]).is_empty());
        assert!(values(&csv, ["train", "filter", "forget", metric]).is_empty(), "no region, no number");
    }
}

#[test]
fn what_is_switched_off_is_not_measured() {
    let off = RECIPE.replace("do = \"measure\"", "do = \"measure\"\nagreement = false\ngradients = 0");
    let csv = results(&off);
    assert!(!csv.contains("control_kl") && !csv.contains("gradient_region"));
    assert!(csv.contains("undiscovered_targets"));
}

const RELEARN: &str = r#"
[[stage]]
do = "relearn"
lrs = [1e-2]
steps = 4
batch = 4
eval_every = 2
"#;

#[test]
fn a_changed_recipe_shows_nothing_of_what_was_measured_before() {
    let dir = tempfile::tempdir().unwrap();
    let short = RECIPE.replace("steps = 60", "steps = 4");
    go(&short, dir.path(), false).unwrap();
    let csv = || std::fs::read_to_string(dir.path().join("results.csv")).unwrap();
    assert!(csv().lines().count() > 20);
    assert!(dir.path().join("activity.json").exists());
    let other = short.replace("lr = 1e-2", "lr = 2e-2");
    assert!(matches!(go(&other, dir.path(), true), Err(LabError::Interrupted)));
    assert_eq!(csv().lines().count(), 1, "{}", csv());
    let activity = std::fs::read_to_string(dir.path().join("activity.json")).unwrap();
    assert!(!activity.contains("sgtm"), "{activity}");
    // The old recipe finds its work again.
    go(&short, dir.path(), true).unwrap_err();
    assert!(csv().lines().count() > 20);
}

#[test]
fn a_measure_follows_every_model_it_looks_at() {
    let dir = tempfile::tempdir().unwrap();
    let two = |how: &str| {
        let first = format!(
            "do = \"ablate\"\nhow = \"{how}\"\n[[stage]]\ndo = \"ablate\"\nname = \"later\"\nfrom = \"train\""
        );
        RECIPE.replace("steps = 60", "steps = 12").replace("do = \"ablate\"", &first)
    };
    let loss = |how: &str| {
        go(&two(how), dir.path(), false).unwrap();
        let csv = std::fs::read_to_string(dir.path().join("results.csv")).unwrap();
        values(&csv, ["ablate", "sgtm", "forget", "loss"])
    };
    assert_ne!(loss("zero"), loss("reinit"), "the first cut is not the last one's parent");
}

#[test]
fn of_two_measures_the_later_counts() {
    let text = RECIPE.replace("steps = 60", "steps = 4");
    let twice = text.replace(
        "do = \"measure\"",
        "do = \"measure\"\nexamples = 2\n[[stage]]\ndo = \"measure\"\nname = \"all\"",
    );
    let (once, twice) = (results(&text), results(&twice));
    let loss = |csv: &str| values(csv, ["train", "baseline", "forget", "loss"]);
    assert_eq!(loss(&twice), loss(&once));
}

#[test]
fn an_attack_is_compared_on_its_own_label_and_its_own_tokens() {
    let csv = results(&format!("{}{RELEARN}", RECIPE.replace("steps = 60", "steps = 30")));
    for arm in ["baseline", "oracle", "sgtm"] {
        let target = values(&csv, ["relearn", arm, "forget", "steps_target"]);
        assert_eq!(target, values(&csv, ["relearn", "baseline", "forget", "attack_start"]), "{arm}");
    }
    let retain = RELEARN.replace("lrs", "label = \"retain\"\nlrs");
    let csv = results(&format!("{}{retain}", RECIPE.replace("steps = 60", "steps = 30")));
    let compared = csv.lines().filter(|l| l.starts_with("relearn,") && l.contains(",forget,"));
    assert!(compared.clone().all(|l| !l.contains("recovery") && !l.contains("steps_target")));
    assert_eq!(values(&csv, ["relearn", "sgtm", "retain", "steps_target"]).len(), 2);
}
