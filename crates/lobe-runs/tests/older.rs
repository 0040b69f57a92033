//! A run directory that a version of Lobe wrote before the format had a number, and one of a format to come.

use std::fs;
use std::path::{Path, PathBuf};

use lobe_runs::{FORMAT, Files, Makes, Manifest, RunDir, RunState, Starts, read_attacks, read_results};

fn version_1() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/version-1")
}

#[test]
fn a_run_without_a_format_number_is_brought_up_to_this_one() {
    let files = Files::open(&version_1()).unwrap();
    let text = files.read("manifest.json").unwrap().unwrap();
    assert!(
        !text.contains("\"format\"") && !text.contains("\"makes\""),
        "the fixture is of the version before"
    );
    let manifest = Manifest::parse("manifest.json", &text).unwrap();
    assert_eq!((manifest.format, manifest.state), (FORMAT, RunState::Done));
    let stages: Vec<_> =
        manifest.stages.iter().map(|s| (s.name.as_str(), s.makes.unwrap(), s.starts)).collect();
    assert_eq!(
        stages,
        [
            ("train", Makes::Model, Starts::Drawn),
            ("ablate", Makes::Model, Starts::Models),
            ("measure", Makes::Numbers, Starts::Models),
            ("relearn", Makes::Attack, Starts::Models),
            ("quantise", Makes::Attack, Starts::Models),
        ]
    );
    assert_eq!(manifest.stage("quantise").unwrap().curve.as_deref(), Some("quantise_loss"));
    let (mut losses, mut starts) = (0, Vec::new());
    read_results(&files.read("results.csv").unwrap().unwrap(), |_, row| {
        losses += usize::from(row.metric == "loss" && row.stage == "ablate" && row.value.is_finite());
        Ok(())
    })
    .unwrap();
    read_attacks(&files.read("attacks.csv").unwrap().unwrap(), |_, row| {
        if row.attack == "relearn" && !starts.contains(&row.start) {
            starts.push(row.start);
        }
        Ok(())
    })
    .unwrap();
    // Three arms, two seeds, two labels for what was cut, and one arm that was.
    assert!(losses >= 4, "{losses}");
    assert_eq!(starts, ["whole", "zero", "reinit"]);
}

#[test]
fn a_writer_opens_it_and_refuses_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(version_1().join("manifest.json")).unwrap();
    fs::write(dir.path().join("manifest.json"), &text).unwrap();
    let run = RunDir::create_or_open(dir.path()).unwrap();
    let manifest = run.manifest().unwrap().unwrap();
    assert_eq!((manifest.name.as_str(), manifest.arms.len()), ("version-1", 3));
    // What it writes has a number, and reads back the same.
    run.write_manifest(&manifest).unwrap();
    assert_eq!(run.manifest().unwrap(), Some(manifest));
    drop(run);
    let newer = format!("{{\"format\": {}, \"build\": \"7.0\", \"arms\": 3}}", FORMAT + 1);
    fs::write(dir.path().join("manifest.json"), newer).unwrap();
    let refused = RunDir::create_or_open(dir.path()).unwrap_err().to_string();
    let said = format!(
        "manifest.json: a run of format {}, and this Lobe reads formats up to {FORMAT}; it was made by 7.0",
        FORMAT + 1
    );
    assert!(refused.starts_with(&said), "{refused}");
}
