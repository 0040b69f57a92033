//! Killed, interrupted, and going on to the same bytes.
#![cfg(unix)]

use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use crate::TINY;
use crate::process::{Place, same};

/// Long enough to be caught in the middle of, with a checkpoint after every step.
const STEPS: &str = "train.steps=40";
const OFTEN: &str = "train.checkpoint_secs=0";

/// What an undisturbed run comes to, and how long it takes.
fn whole() -> &'static (Vec<(String, Vec<u8>)>, Duration) {
    static WHOLE: OnceLock<(Vec<(String, Vec<u8>)>, Duration)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let place = Place::new();
        place.write("tiny.toml", TINY);
        let start = Instant::now();
        place
            .lobe(&["run", "tiny.toml", "--out", "whole", "--quiet", "--set", STEPS, "--set", OFTEN])
            .ends(0);
        (place.outcome("whole"), start.elapsed())
    })
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let (expected, long) = whole();
    let place = Place::new();
    place.write("tiny.toml", TINY);
    let args = ["run", "tiny.toml", "--out", "killed", "--quiet", "--set", STEPS, "--set", OFTEN];
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
    same(expected, &place.outcome("killed"));
}

#[test]
fn an_interrupted_run_saves_and_goes_on_to_the_same_bytes() {
    let (expected, _) = whole();
    let place = Place::new();
    place.write("tiny.toml", TINY);
    let args = ["run", "tiny.toml", "--out", "stopped", "--quiet", "--set", STEPS, "--set", OFTEN];
    let child = place.start(&args);
    place.wait_for("stopped/stages/train/oracle.0/metrics.jsonl");
    std::thread::sleep(Duration::from_millis(30));
    let id = child.id().to_string();
    interrupt(&id);
    let mut child = child;
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let manifest: serde_json::Value = serde_json::from_slice(&place.read("stopped/manifest.json")).unwrap();
    assert_eq!(manifest["state"], "stopped");
    assert!(
        !place.path("stopped/stages/train/sgtm.0/model.safetensors").exists(),
        "it was caught while training"
    );
    // A report of what is there so far.
    place.lobe(&["report", "stopped"]).ends(0);
    place.lobe(&args).ends(0);
    same(expected, &place.outcome("stopped"));
}

#[test]
fn a_second_interrupt_stops_at_once() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    // Steps and checkpoints long enough for the second interrupt to come before they are over.
    let mut args = vec!["run", "tiny.toml", "--out", "twice", "--quiet", "--set", OFTEN];
    for set in ["model.layers=4", "model.width=256", "model.heads=4", "model.mlp=1024", "train.steps=1000"] {
        args.extend(["--set", set]);
    }
    let mut child = place.start(&args);
    place.wait_for("twice/stages/train/oracle.0/metrics.jsonl");
    let id = child.id().to_string();
    interrupt(&id);
    std::thread::sleep(Duration::from_millis(20));
    interrupt(&id);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // Nothing half-written is in the way of a report.
    place.lobe(&["report", "twice"]).ends(0);
}

fn interrupt(id: &str) {
    assert!(Command::new("kill").args(["-INT", id]).status().unwrap().success());
}
