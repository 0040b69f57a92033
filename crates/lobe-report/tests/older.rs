//! A run of the format before reads like one of today; one of a format to come is refused.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use lobe_report::judge::{Role, judge};
use lobe_report::terminal::{self, Style};
use lobe_report::{RunData, Variant, html};

fn version_1() -> RunData {
    RunData::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../lobe-runs/tests/version-1")).unwrap()
}

#[test]
fn a_run_of_the_format_before_is_reported() {
    let run = version_1();
    assert_eq!(run.warnings, Vec::<String>::new());
    assert_eq!(run.attack_stages(), ["relearn", "quantise"]);
    assert_eq!(run.before_after("routing", "loss"), Some(("train", "ablate")));
    let (_, variants) = run.variants.iter().find(|(q, _)| q.metric == "attack_best").unwrap();
    assert!(variants.len() >= 2);
    let all: Vec<&Variant> = run.variants.values().flat_map(|v| v.keys()).collect();
    assert!(all.iter().any(|v| v.start == "reinit" && v.settings == "lr=0.01"), "{all:?}");
    let judged = judge(&run).arms.iter().find(|j| j.role == Role::Judged).unwrap();
    // The same as the version that wrote it said.
    assert_eq!((judged.arm.as_str(), judged.word.text()), ("routing", "not removed"));
    let page = html::render(&run);
    assert!(page.contains("precision") || page.contains("bits"), "the axis of quantise");
    assert!(terminal::render(&run, 100, Style::Ascii).contains("not removed"));
}

#[test]
fn a_newer_format_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("manifest.json"), r#"{"format": 99, "build": "7.0 (abc)"}"#).unwrap();
    let e = RunData::load(dir.path()).unwrap_err().to_string();
    assert_eq!(
        e,
        "manifest.json: a run of format 99, and this Lobe reads formats up to 2; it was made by 7.0 (abc)"
    );
}
