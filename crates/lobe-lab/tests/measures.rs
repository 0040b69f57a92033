//! The measuring stage through a whole run: agreement with the control, gradients by region, leakage.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::AtomicBool;

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
    let written = Written::from_str("measures.toml", text).unwrap();
    let (recipe, derived) = resolve(&written).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let options =
        Options { threads: 2, stop: &stop, progress: &Silent, command: String::new(), build: String::new() };
    run(&written, &recipe, &derived, dir.path(), &options).unwrap();
    std::fs::read_to_string(dir.path().join("results.csv")).unwrap()
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
