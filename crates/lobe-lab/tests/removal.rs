//! Post-hoc removal and attacks through whole runs: what is refused before anything is trained, what is
//! written, and that a second run finds everything done.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{results_of, values};
use lobe_lab::plan::Experiment;
use lobe_lab::recipe::Written;
use lobe_lab::schedule::resolve;

fn recipe(arms: &str, stages: &str) -> Written {
    let rest = format!(
        r#"
[train]
steps = 40
batch = 4
lr = 1e-2
[unlearn]
steps = 6
batch = 4
lr = 1e-2
warmup = 0
schedule = "constant"
eval_every = 3
[arms.baseline]
method = "none"
{arms}
[[stage]]
do = "train"
{stages}
"#
    );
    let text = common::small("") + &rest;
    Written::from_str("removal.toml", &text).unwrap()
}

const ORACLE: &str = "[arms.oracle]\nmethod = \"none\"\ndata = \"retain only\"\n";

/// The refusal of a recipe, from reading it or from holding it against data and network.
fn refusal(arms: &str, stages: &str) -> String {
    match resolve(&recipe(arms, stages)) {
        Err(e) => e.to_string(),
        Ok((r, _)) => Experiment::open(&r).err().map_or_else(String::new, |e| e.to_string()),
    }
}

fn go(written: &Written, out: &Path, threads: usize) -> String {
    common::go(written, out, threads, false).unwrap();
    results_of(out)
}

#[test]
fn wrong_combinations_are_refused_before_training() {
    let cases = [
        ("[arms.npo]\nmethod = \"npo\"", "[[stage]]\ndo = \"unlearn\"", "starts from a trained model"),
        (
            "[arms.npo]\nmethod = \"npo\"\nfrom = \"basline\"",
            "[[stage]]\ndo = \"unlearn\"",
            "did you mean \"baseline\"",
        ),
        (
            "[arms.b]\nmethod = \"filter\"\nfrom = \"baseline\"",
            "",
            "goes on training another arm's model: a later stage has to do it",
        ),
        ("", "[[stage]]\ndo = \"unlearn\"", "no arm has a post-hoc method"),
        (
            "[arms.rmu]\nmethod = \"rmu\"\nfrom = \"baseline\"\nlayer = 7",
            "[[stage]]\ndo = \"unlearn\"",
            "layer",
        ),
        (
            "[arms.npo]\nmethod = \"npo\"\nfrom = \"baseline\"\nregion = \"module\"",
            "[[stage]]\ndo = \"unlearn\"",
            "takes no region",
        ),
        (
            "[arms.npo]\nmethod = \"npo\"\nfrom = \"baseline\"",
            "[[stage]]\ndo = \"quantise\"\narms = [\"npo\"]",
            "has no model at this point",
        ),
        (
            "[arms.npo]\nmethod = \"npo\"\nbeta = -1.0\nfrom = \"baseline\"",
            "[[stage]]\ndo = \"unlearn\"",
            "beta",
        ),
        ("", "[[stage]]\ndo = \"quantise\"\nbits = [1]", "bits"),
        // What nothing would read.
        (
            "[arms.npo]\nmethod = \"npo\"\nfrom = \"baseline\"\nloss_weight = { forget = 2.0 }",
            "[[stage]]\ndo = \"unlearn\"",
            "takes no loss_weight",
        ),
        (
            "[arms.npo]\nmethod = \"npo\"\nfrom = \"baseline\"\ndata = \"retain only\"",
            "[[stage]]\ndo = \"unlearn\"",
            "takes no data",
        ),
        ("[arms.npo]\nmethod = \"npo\"\nfrom = \"baseline\"", "", "needs a stage that makes its model"),
        ("[arms.f]\nmethod = \"filter\"\nlabels = { forget = 0.5 }", "", "expected a table"),
        (
            "[arms.f]\nmethod = \"filter\"\nlabels = { forget = { tokens = {} }, retain = { tokens = {} } }",
            "",
            "both have \"tokens\"",
        ),
        ("", "[[stage]]\ndo = \"steer\"\nlayers = [7]", "blocks are 0 to 1"),
        ("", "[[stage]]\ndo = \"cohere\"\nlr = 0", "above 0"),
        ("[arms.big]\nmethod = \"none\"\ntrain = { batch = 4000 }", "", "4000"),
    ];
    for (arms, stages, part) in cases {
        let said = refusal(arms, stages);
        assert!(said.contains(part), "{arms}{stages}: {said:?} lacks {part:?}");
    }
    // Without an arm that trains plainly on everything there is nothing to patch from.
    let lone = recipe(ORACLE, "[[stage]]\ndo = \"patch\"")
        .text()
        .replace("method = \"none\"\n[arms.oracle]", "method = \"filter\"\n[arms.oracle]");
    let (r, _) = resolve(&Written::from_str("lone.toml", &lone).unwrap()).unwrap();
    let said = Experiment::open(&r).err().unwrap().to_string();
    assert!(said.contains("needs an arm that trains plainly"), "{said}");
}

const ARMS: &str = r#"
[arms.cut]
method = "sgtm"
region = "module"
[arms.diff]
method = "grad-diff"
from = "baseline"
[arms.wrapped]
method = "sam"
from = "baseline"
around = "maxent"
[arms.adversary]
method = "lat"
from = "baseline"
around = "maxent"
steps = 2
[arms.tamper]
method = "tar"
from = "baseline"
steps = 4
every = 2
[arms.undo]
method = "undo"
from = "diff"
[arms.turning-away]
method = "deep-augmentation"
from = "baseline"
most = 8
[arms.on-cut]
method = "maxent"
from = "cut"
"#;

const STAGES: &str = r#"
[[stage]]
do = "ablate"
[[stage]]
do = "cohere"
arms = ["cut"]
steps = 3
batch = 4
[[stage]]
do = "unlearn"
forget_examples = 16
retain_examples = 16
[[stage]]
do = "relearn"
lrs = [1e-2]
steps = 6
batch = 4
eval_every = 3
[[stage]]
do = "relearn-lora"
lrs = [1e-2]
rank = 2
steps = 4
batch = 4
eval_every = 4
[[stage]]
do = "quantise"
[[stage]]
do = "quantise"
name = "alone"
arms = ["cut"]
[[stage]]
do = "measure"
activity = false
"#;

#[test]
fn every_arm_meets_every_attack_and_a_second_run_finds_all_done() {
    let written = recipe(&format!("{ORACLE}{ARMS}"), STAGES);
    let dir = tempfile::tempdir().unwrap();
    let csv = go(&written, dir.path(), 2);
    let arms = [
        "baseline",
        "oracle",
        "cut",
        "diff",
        "wrapped",
        "adversary",
        "tamper",
        "undo",
        "turning-away",
        "on-cut",
    ];
    for arm in arms {
        for attack in ["relearn", "relearn-lora", "quantise"] {
            assert_eq!(values(&csv, [attack, arm, "forget", "attack_best"]).len(), 2, "{attack} on {arm}");
            assert_eq!(values(&csv, [attack, arm, "retain", "attack_retain"]).len(), 2, "{attack} on {arm}");
            assert_eq!(values(&csv, [attack, arm, "forget", "budget_parameters"]).len(), 2);
            // Recovery is a number where control and baseline differ, and absent elsewhere.
            let start = |a: &str| values(&csv, [attack, a, "forget", "attack_start"]);
            for (seed, (low, high)) in start("baseline").iter().zip(start("oracle")).enumerate() {
                let got = values(&csv, [attack, arm, "forget", "recovery"]);
                if high > low + 1e-9 {
                    let best = values(&csv, [attack, arm, "forget", "attack_best"])[seed];
                    assert!((got[seed] - (high - best) / (high - low)).abs() < 1e-9, "{attack} on {arm}");
                }
            }
        }
    }
    // References count on the attack's own tokens, whether they are attacked there or not.
    for (metric, arm) in [("baseline_start", "baseline"), ("control_start", "oracle")] {
        let alone = values(&csv, ["alone", "cut", "forget", metric]);
        assert_eq!(alone, values(&csv, ["quantise", arm, "forget", "attack_start"]));
    }
    let recovery = |stage| values(&csv, [stage, "cut", "forget", "recovery"]);
    assert_eq!((recovery("alone").len(), recovery("alone")), (2, recovery("quantise")));
    // What trained nothing has no steps; what did says how many.
    assert!(values(&csv, ["quantise", "cut", "forget", "steps_budget"]).is_empty());
    assert_eq!(values(&csv, ["relearn", "cut", "forget", "steps_budget"]), [6.0, 6.0]);
    // Ascent on forget data raises its loss above the model it went on from.
    let loss = |stage: &str, arm: &str| values(&csv, [stage, arm, "forget", "loss"]);
    for (after, before) in loss("unlearn", "diff").iter().zip(loss("train", "baseline")) {
        assert!(*after > before, "{after} against {before}");
    }
    // An arm that goes on from a cut one starts from the model as the last stage left it.
    let starts = csv.lines().filter(|l| l.starts_with("unlearn,on-cut,") && l.contains(",forget,loss,0,"));
    let starts: Vec<f64> = starts.map(|l| l.split(',').nth(6).unwrap().parse().unwrap()).collect();
    assert_eq!(starts.len(), 2);
    for ((start, left), whole) in starts.iter().zip(loss("cohere", "cut")).zip(loss("train", "cut")) {
        assert!((start - left).abs() < 1e-9 && (start - whole).abs() > 1e-3, "{start} {left} {whole}");
    }
    let status = |stage: &str, arm: &str| {
        let path = dir.path().join(format!("stages/{stage}/{arm}.0"));
        std::fs::metadata(path.join("model.safetensors")).unwrap().modified().unwrap()
    };
    let before = status("unlearn", "undo");
    assert_eq!(go(&written, dir.path(), 1), csv, "a second run changes nothing");
    assert_eq!(status("unlearn", "undo"), before, "and does nothing again");
    // A finished log that somebody shortened is done again.
    let log = dir.path().join("stages/quantise/cut.1/metrics.jsonl");
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, &whole[..100]).unwrap();
    assert_eq!(go(&written, dir.path(), 2), csv);
    assert_eq!(std::fs::read(&log).unwrap(), whole);
    // One thread gives the same numbers as two.
    let other = tempfile::tempdir().unwrap();
    let alone = go(&written.with_set("seeds=1").unwrap(), other.path(), 1);
    let differs: Vec<&str> = alone.lines().filter(|row| !csv.lines().any(|l| l == *row)).collect();
    assert_eq!(differs, [""; 0], "threads change nothing, and seeds nothing of each other");
}
