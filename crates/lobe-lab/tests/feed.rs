//! What arms see: kinds of steps in exact counts, and filtering by document and by token.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::AtomicBool;

use lobe_core::{FORGET, LabelId, RETAIN};
use lobe_lab::graph::{Options, Silent};
use lobe_lab::plan::{Experiment, Feed};
use lobe_lab::recipe::Written;
use lobe_lab::schedule::{resolve, run};

const STEPS: u64 = 60;

fn recipe(data: &str, arms: &str) -> Written {
    let text = format!(
        r#"
name = "feed"
seeds = 1
[data]
kind = "bilingual"
stories = 120
test_stories = 8
{data}
[model]
kind = "gpt"
layers = 2
width = 16
heads = 2
[regions]
module = "blocks.*.mlp.post[-8..]"
[train]
steps = {STEPS}
batch = 4
{arms}
[[stage]]
do = "train"
"#
    );
    Written::from_str("feed.toml", &text).unwrap()
}

fn open(written: &Written) -> Experiment {
    Experiment::open(&resolve(written).unwrap().0).unwrap()
}

fn feed<'a>(x: &'a Experiment, arm: &str) -> Feed<'a> {
    let n = x.arms.iter().position(|a| a.arm.name == arm).unwrap();
    Feed::new(x, n, 0).unwrap()
}

/// (label of the first row, sequences, targets) of a step.
fn step(feed: &mut Feed<'_>, step: u64) -> (LabelId, usize, usize) {
    feed.fill(step).unwrap();
    let batch = &feed.batch;
    let label = if batch.is_empty() { FORGET } else { batch.row_label(0, 0) };
    (label, batch.len(), batch.targets())
}

const ONE_CLASS: &str = r#"
batches = "one-class"
class_weights = [0.5, 0.5]
forget = { language = "es" }
retain = { language = "en" }"#;

#[test]
fn kinds_of_steps_come_in_exact_counts_and_in_any_order() {
    let x = open(&recipe(
        ONE_CLASS,
        "[arms.plain]\nmethod = \"none\"\n[arms.modular]\nmethod = \"modular\"\nregion = \"module\"",
    ));
    let (spread, robust) = (x.labels.find("forget:spread").unwrap(), x.labels.find("retain:robust").unwrap());
    let (mut plain, mut modular) = (feed(&x, "plain"), feed(&x, "modular"));
    let labels: Vec<LabelId> = (0..STEPS).map(|s| step(&mut modular, s).0).collect();
    let truth: Vec<LabelId> = (0..STEPS).map(|s| step(&mut plain, s).0).collect();
    let count = |all: &[LabelId], l| all.iter().filter(|x| **x == l).count();
    let (forget, retain) = (count(&truth, FORGET), count(&truth, RETAIN));
    assert_eq!(forget + retain, STEPS as usize);
    assert_eq!(count(&labels, spread), (0.5 * forget as f64).round() as usize);
    assert_eq!(count(&labels, robust), (0.2 * retain as f64).round() as usize);
    for (kind, truth) in labels.iter().zip(&truth) {
        assert_eq!([FORGET, spread].contains(kind), *truth == FORGET, "a kind keeps its label's data");
    }
    let mut again = feed(&x, "modular");
    for s in [40, 3, 59] {
        assert_eq!(step(&mut again, s).0, labels[s as usize], "step {s}");
    }
}

/// Why a recipe is refused before anything is trained; empty if it is not.
fn refusal(data: &str, arms: &str) -> String {
    let (r, _) = resolve(&recipe(data, arms)).unwrap();
    Experiment::open(&r).err().map_or_else(String::new, |e| e.to_string())
}

#[test]
fn freezing_that_freezes_nothing_is_refused() {
    let arm = |method: &str, more: &str| {
        format!(
            "[arms.plain]\nmethod = \"none\"\n[arms.a]\nmethod = \"{method}\"\nregion = \"module\"\n{more}"
        )
    };
    let freeze = "masked = \"freeze\"";
    assert_eq!(refusal(ONE_CLASS, &arm("sgtm", freeze)), "");
    let said = refusal(ONE_CLASS, &arm("gradient-routing", freeze));
    assert!(said.contains("arms.a.masked") && said.contains("turns no update off"), "{said}");
    let mixed = format!("{MIXED}\nforget = {{ language = \"es\" }}");
    let said = refusal(&mixed, &arm("sgtm", freeze));
    assert!(said.contains("arms.a.masked") && said.contains("one-class"), "{said}");
    // Rows for every label that there can be freeze whole batches.
    let row = |label: &str| format!("{{ label = \"{label}\", region = \"module\", update = 0 }}");
    let table = ["forget", "retain", "unlabelled"].map(row).join(", ");
    assert_eq!(refusal(&mixed, &arm("routes", &format!("{freeze}\ntable = [{table}]"))), "");
    // In [train] it acts on those that it can act on, if there are any.
    let train = |arms: &str| {
        let text = recipe(ONE_CLASS, arms).text().replace("batch = 4", "batch = 4\nmasked = \"freeze\"");
        let (r, _) = resolve(&Written::from_str("feed.toml", &text).unwrap()).unwrap();
        Experiment::open(&r).err().map_or_else(String::new, |e| e.to_string())
    };
    let two = arm("gradient-routing", "[arms.b]\nmethod = \"sgtm\"\nregion = \"module\"");
    assert_eq!(train(&two), "");
    assert!(
        train(&arm("gradient-routing", "")).contains("train.masked"),
        "{}",
        train(&arm("gradient-routing", ""))
    );
}

#[test]
fn labels_that_whole_steps_cannot_have_are_refused_before_training() {
    let plain = "[arms.plain]\nmethod = \"none\"";
    let of = |forget: &str, more: &str| {
        let data = format!(
            "batches = \"one-class\"\n{more}\nforget = {{ language = \"es\"{forget} }}\nretain = {{ language = \"en\", recall = 0.5 }}"
        );
        refusal(&data, plain)
    };
    assert_eq!(of(", precision = 0.9", ""), "");
    let said = of(", precision = 0.9", "class_weights = [0.5, 0.5]");
    assert!(said.contains("arms.plain.labels") && said.contains("class_weights"), "{said}");
    let said = of(", precision = 0.9, confused_with = \"en\"", "");
    assert!(said.contains("confused_with"), "{said}");
}

const MIXED: &str = r#"
retain = { language = "en" }"#;
const FILTERS: &str = r#"
[arms.plain]
method = "none"
[arms.document]
method = "filter"
[arms.token]
method = "filter"
level = "token""#;

#[test]
fn without_token_weights_both_levels_of_filtering_are_one() {
    let data = format!("{MIXED}\nforget = {{ language = \"es\" }}");
    let x = open(&recipe(&data, FILTERS));
    let (mut document, mut token) = (feed(&x, "document"), feed(&x, "token"));
    for s in 0..STEPS {
        assert_eq!(step(&mut document, s), step(&mut token, s), "step {s}");
    }
}

#[test]
fn filtered_tokens_stay_as_context_and_weak_ones_as_targets() {
    // Names and full stops are in both languages.
    let data = format!("{MIXED}\nforget = {{ language = \"es\", tokens = {{}} }}");
    let x = open(&recipe(&data, FILTERS));
    let [mut plain, mut document, mut token] = ["plain", "document", "token"].map(|a| feed(&x, a));
    let mut sums = [0; 3];
    for s in 0..STEPS {
        let all = [&mut plain, &mut document, &mut token].map(|f| step(f, s));
        assert_eq!(all[0].1, all[2].1, "every story is there, at least for its names");
        sums.iter_mut().zip(all).for_each(|(sum, step)| *sum += step.2);
    }
    assert!(sums[1] < sums[2] && sums[2] < sums[0], "{sums:?}");
    // What is counted without batches is what the batches hold.
    let counted = ["plain", "document", "token"].map(|a| feed(&x, a).exposure(STEPS).unwrap().targets);
    assert_eq!(counted, sums.map(|n| n as u64));
    feedback(&mut token);
}

/// Inputs are whole where targets are not.
fn feedback(feed: &mut Feed<'_>) {
    for s in 0..STEPS {
        feed.fill(s).unwrap();
        let batch = &feed.batch;
        for shard in 0..batch.shards() {
            let (inputs, targets, _) = batch.text(shard);
            if batch.row_label(shard, 0) != FORGET {
                continue;
            }
            for (next, target) in inputs[1..].iter().zip(targets) {
                assert!(*target == lobe_engine::ops::head::IGNORE || next == target);
            }
            let ignored = targets.iter().filter(|t| **t == lobe_engine::ops::head::IGNORE).count();
            assert!(ignored > 0 && inputs.iter().any(|t| *t != 0));
            return;
        }
    }
    unreachable!("no forget data");
}

#[test]
fn exposure_counts_forget_targets_and_those_no_label_gave_away() {
    let arms = r#"
[arms.plain]
method = "none"
[arms.document]
method = "filter"
[arms.perfect]
method = "filter"
labels = { forget = { recall = 1.0 } }
[arms.oracle]
method = "none"
data = "retain only""#;
    let x = open(&recipe(&format!("{MIXED}\nforget = {{ language = \"es\", recall = 0.7 }}"), arms));
    let shown = |arm: &str| feed(&x, arm).exposure(STEPS).unwrap();
    let [plain, document, perfect, oracle] = ["plain", "document", "perfect", "oracle"].map(shown);
    let mut by_hand = feed(&x, "plain");
    let targets: usize = (0..STEPS).map(|s| step(&mut by_hand, s).2).sum();
    assert_eq!(plain.targets, targets as u64);
    assert_eq!(document.forget, document.undiscovered, "a document filter drops what a label gave away");
    assert_eq!(plain.undiscovered, document.undiscovered, "the labels are the same");
    assert!(0 < document.forget && document.forget < plain.forget, "{document:?} {plain:?}");
    assert_eq!((perfect.forget, oracle.forget), (0, 0));
    assert_eq!(plain.targets - plain.forget, oracle.targets, "only what is to be forgotten is left out");
}

#[test]
fn modular_profiles_and_era_train() {
    let arms = r#"
[arms.modular]
method = "modular"
region = "module"
train = { steps = 8 }
[arms.era]
method = "era"
region = "module"
train = { steps = 4 }"#;
    let written = recipe(ONE_CLASS, arms);
    let (recipe, derived) = resolve(&written).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let options =
        Options { threads: 1, stop: &stop, progress: &Silent, command: String::new(), build: String::new() };
    let out = dir.path().join("run");
    run(&written, &recipe, &derived, &out, &options).unwrap();
    let results = std::fs::read_to_string(out.join("results.csv")).unwrap();
    assert!(results.contains("forget:spread") || results.contains("retain:robust"), "{results}");
}
