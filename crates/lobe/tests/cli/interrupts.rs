//! Killed, interrupted, and going on to the same bytes.
#![cfg(unix)]

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use crate::TINY;
use crate::process::{Place, same};

/// Long enough to be caught in the middle of.
const STEPS: &str = "train.steps=300";

fn whole(place: &Place) -> Vec<(String, Vec<u8>)> {
    place.write("tiny.toml", TINY);
    place.lobe(&["run", "tiny.toml", "--out", "whole", "--quiet", "--set", STEPS]).ends(0);
    place.outcome("whole")
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let start = Instant::now();
    let expected = whole(&place);
    let long = start.elapsed();
    let args = ["run", "tiny.toml", "--out", "killed", "--quiet", "--set", STEPS];
    let mut now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    let mut moments = Vec::new();
    for _ in 0..3 {
        let mut child = place.start(&args);
        now = now.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = long.mul_f64(f64::from(now) / f64::from(u32::MAX) * 0.6);
        moments.push(moment);
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.lobe(&args).ends(0);
    eprintln!("killed after {moments:?} of {long:?}");
    same(&expected, &place.outcome("killed"));
}

#[test]
fn an_interrupted_run_saves_and_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let expected = whole(&place);
    let args = ["run", "tiny.toml", "--out", "stopped", "--quiet", "--set", STEPS];
    let child = place.start(&args);
    place.wait_for("stopped/stages/train/oracle.0/metrics.jsonl");
    std::thread::sleep(Duration::from_millis(30));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let mut child = child;
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let manifest: serde_json::Value = serde_json::from_slice(&place.read("stopped/manifest.json")).unwrap();
    assert_eq!(manifest["state"], "stopped");
    assert!(!place.path("stopped/stages/train/sgtm.0/model.safetensors").exists(), "it was caught while training");
    // A report of what is there so far.
    place.lobe(&["report", "stopped"]).ends(0);
    place.lobe(&args).ends(0);
    same(&expected, &place.outcome("stopped"));
}
