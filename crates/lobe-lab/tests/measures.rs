//! The measuring stage through a whole run: agreement with the control, gradients by region, leakage.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{results_of, values};
use lobe_lab::LabError;
use lobe_lab::recipe::Written;

const REST: &str = r#"
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

fn recipe() -> String {
    common::small(", recall = 0.6") + REST
}

fn go(text: &str, out: &Path, stop: bool) -> Result<(), LabError> {
    common::go(&Written::from_str("measures.toml", text).unwrap(), out, 2, stop)
}

fn results(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    go(text, dir.path(), false).unwrap();
    results_of(dir.path())
}

#[test]
fn models_are_compared_with_the_control_and_with_the_family_of_filters() {
    let csv = results(&recipe());
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

    // An answer said without choices is the likeliest of the choices, too, where it is one word.
    for arm in ["baseline", "oracle", "filter", "sgtm"] {
        for label in ["forget", "retain"] {
            let [chosen, said] =
                ["probe_accuracy", "cloze_accuracy"].map(|m| values(&csv, ["train", arm, label, m]));
            assert!(said.len() == 2 && said.iter().zip(&chosen).all(|(s, c)| *s >= 0.0 && s <= c), "{arm}");
        }
    }
    // What no cut touched has the numbers it had.
    for metric in ["loss", "control_kl", "probe_accuracy"] {
        let of = |stage, arm| values(&csv, [stage, arm, "forget", metric]);
        assert_eq!(
            (of("ablate", "filter").len(), of("ablate", "filter")),
            (2, of("train", "filter")),
            "{metric}"
        );
        // Few right answers may stay as many; a loss does not.
        let moved = of("ablate", "sgtm") != of("train", "sgtm");
        assert!(moved || metric == "probe_accuracy", "{metric}");
    }

    // A filter leaks exactly what it let through; the stage is the last before an attack.
    for leak in values(&csv, ["ablate", "filter", "forget", "leakage"]) {
        assert!((leak - 1.0).abs() < 1e-9, "{leak}");
    }
    assert_eq!(values(&csv, ["ablate", "filter", "forget", "leakage"]).len(), 2);
    assert!(
        values(&csv, ["ablate", "baseline", "forget", "leakage"]).is_empty(),
        "a plain arm is the yardstick"
    );

    for metric in ["gradient_region", "gradient_rest"] {
        let got = values(&csv, ["train", "sgtm", "forget", metric]);
        assert!(got.len() == 2 && got.iter().all(|g| *g > 0.0), "{metric}: {got:?}");
        // After the cut the region's weights are 0 and have no relative norm.
        assert!(values(&csv, ["ablate", "sgtm", "forget", metric]).is_empty());
        assert!(values(&csv, ["train", "filter", "forget", metric]).is_empty(), "no region, no number");
    }
}

#[test]
fn what_is_switched_off_is_not_measured() {
    let off = recipe().replace("do = \"measure\"", "do = \"measure\"\nagreement = false\ngradients = 0");
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
    let short = recipe().replace("steps = 60", "steps = 4");
    go(&short, dir.path(), false).unwrap();
    let csv = || results_of(dir.path());
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
        recipe().replace("steps = 60", "steps = 12").replace("do = \"ablate\"", &first)
    };
    let loss = |how: &str| {
        go(&two(how), dir.path(), false).unwrap();
        let csv = results_of(dir.path());
        values(&csv, ["ablate", "sgtm", "forget", "loss"])
    };
    assert_ne!(loss("zero"), loss("reinit"), "the first cut is not the last one's parent");
}

#[test]
fn of_two_measures_the_later_counts() {
    let text = recipe().replace("steps = 60", "steps = 4");
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
    let csv = results(&format!("{}{RELEARN}", recipe().replace("steps = 60", "steps = 30")));
    for arm in ["baseline", "oracle", "sgtm"] {
        let target = values(&csv, ["relearn", arm, "forget", "steps_target"]);
        assert_eq!(target, values(&csv, ["relearn", "baseline", "forget", "attack_start"]), "{arm}");
    }
    let retain = RELEARN.replace("lrs", "label = \"retain\"\nlrs");
    let csv = results(&format!("{}{retain}", recipe().replace("steps = 60", "steps = 30")));
    let compared = csv.lines().filter(|l| l.starts_with("relearn,") && l.contains(",forget,"));
    assert!(compared.clone().all(|l| !l.contains("recovery") && !l.contains("steps_target")));
    assert_eq!(values(&csv, ["relearn", "sgtm", "retain", "steps_target"]).len(), 2);
}

#[test]
fn held_out_facts_are_asked_about_before_after_and_of_the_original() {
    let facts = RELEARN.replace("relearn", "held-out-facts");
    let csv = results(&recipe().replace("do = \"measure\"", &format!("do = \"measure\"{facts}")));
    for arm in ["baseline", "sgtm"] {
        for when in ["", "_before", "_original"] {
            let of =
                |metric: &str| values(&csv, ["held-out-facts", arm, "forget", &format!("{metric}{when}")]);
            let right = of("watched_accuracy");
            assert!(
                right.len() == 2 && right.iter().all(|v| (0.0..=1.0).contains(v)),
                "{arm}{when}: {right:?}"
            );
            assert_eq!(of("watched_loss").len(), 2, "{arm}{when}");
        }
    }
    let of = |arm, metric| values(&csv, ["held-out-facts", arm, "forget", metric]);
    assert_eq!(of("baseline", "watched_loss_before"), of("baseline", "watched_loss_original"));
    assert_ne!(of("sgtm", "watched_loss_before"), of("sgtm", "watched_loss_original"));
    assert!(
        of("sgtm", "watched_loss") < of("sgtm", "watched_loss_before"),
        "training on the one half teaches Spanish"
    );
}
