//! A member whose numbers are not finite fails alone.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::{results_of, values};
use lobe_lab::LabError;
use lobe_lab::recipe::Written;
use serde_json::Value;

/// The arm `wild` has a rate at which nothing stays finite.
fn recipe(wild: &str) -> Written {
    let rest = format!(
        r#"
[train]
steps = 8
batch = 4
lr = 1e-2
warmup = 0
schedule = "constant"
optimiser = "sgd"
[arms.baseline]
method = "none"
[arms.wild]
method = "sgtm"
region = "module"
train = {{ {wild} }}
[arms.oracle]
method = "none"
data = "retain only"
[[stage]]
do = "train"
[[stage]]
do = "ablate"
[[stage]]
do = "relearn"
lrs = [1e-2]
steps = 2
batch = 4
[[stage]]
do = "measure"
activity = false
"#
    );
    Written::from_str("diverged.toml", &(common::small("") + &rest)).unwrap()
}

fn go(wild: &str, out: &Path) -> Result<(), LabError> {
    common::go(&recipe(wild), out, 2, false)
}

fn manifest(out: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(out.join("manifest.json")).unwrap()).unwrap()
}

const WILD: &str = "lr = 900.0, weight_decay = 900.0";

#[test]
fn the_others_are_finished_and_what_failed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = go(WILD, dir.path()).unwrap_err();
    let LabError::Partly(failed) = &error else { panic!("{error}") };
    assert_eq!(
        failed.iter().map(|f| (&f.stage[..], &f.arm[..], f.seed)).collect::<Vec<_>>(),
        [("train", "wild", 0), ("train", "wild", 1)]
    );
    assert!(failed.iter().all(|f| (1..=8).contains(&f.step) && !f.reason.is_empty()), "{failed:?}");
    let said = error.to_string();
    for words in ["2 members failed", "train: wild, seed 0: step ", "--set arms.wild.train.lr"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let written = manifest(dir.path());
    assert_eq!(written["state"], "done", "there is nothing left to do");
    let told = &written["failed"][1];
    assert_eq!(
        (&told["arm"], &told["seed"], &told["step"]),
        (&"wild".into(), &1.into(), &failed[1].step.into())
    );
    let status = fs::read_to_string(dir.path().join("stages/train/wild.0/status.json")).unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["state"], &status["failed"]["step"]), (&"failed".into(), &failed[0].step.into()));

    // Others have all their numbers; the failed arm has none, not even from before it failed.
    let csv = results_of(dir.path());
    for arm in ["baseline", "oracle"] {
        assert_eq!(values(&csv, ["train", arm, "forget", "loss"]).len(), 2, "{arm}");
        assert_eq!(values(&csv, ["relearn", arm, "forget", "recovery"]).len(), 2, "{arm}");
    }
    assert!(!csv.contains(",wild,"), "{csv}");
}

#[test]
fn a_retry_does_nothing_again_and_a_mended_arm_runs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let first = go(WILD, dir.path()).unwrap_err().to_string();
    let csv = results_of(dir.path());
    let model = dir.path().join("stages/train/baseline.0/model.safetensors");
    let attack = dir.path().join("stages/relearn/oracle.1/status.json");
    let when = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let before = (when(&model), when(&attack));
    assert_eq!(go(WILD, dir.path()).unwrap_err().to_string(), first, "the same is said again");
    assert_eq!((results_of(dir.path()), (when(&model), when(&attack))), (csv, before));

    go("lr = 1e-2", dir.path()).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    go("lr = 1e-2", fresh.path()).unwrap();
    assert_eq!(results_of(dir.path()), results_of(fresh.path()));
    assert_eq!((when(&model), when(&attack)), before, "what did not fail was not touched");
    assert!(manifest(dir.path()).get("failed").is_none());
}

#[test]
fn a_reference_that_failed_is_missing_and_not_made_up() {
    let dir = tempfile::tempdir().unwrap();
    let text = recipe("lr = 1e-2")
        .text()
        .replace("data = \"retain only\"", &format!("data = \"retain only\"\ntrain = {{ {WILD} }}"));
    let written = Written::from_str("oracle.toml", &text).unwrap();
    assert!(matches!(common::go(&written, dir.path(), 1, false), Err(LabError::Partly(_))));
    let csv = results_of(dir.path());
    assert_eq!(values(&csv, ["relearn", "wild", "forget", "attack_best"]).len(), 2);
    assert!(
        !csv.contains("recovery") && !csv.contains("control_start") && !csv.contains("gap_closed"),
        "{csv}"
    );
    // Once it is mended, what compared with it is made again.
    common::go(&recipe("lr = 1e-2"), dir.path(), 1, false).unwrap();
    let fresh = tempfile::tempdir().unwrap();
    common::go(&recipe("lr = 1e-2"), fresh.path(), 1, false).unwrap();
    assert_eq!(results_of(dir.path()), results_of(fresh.path()));
}
