//! A sweep of an attack: every variant is computed once, whatever else is asked for.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{results_of, values};
use lobe_lab::recipe::Written;

fn recipe(stages: &str) -> Written {
    let rest = format!(
        r#"
[train]
steps = 6
batch = 4
lr = 1e-2
[arms.baseline]
method = "none"
[arms.cut]
method = "sgtm"
region = "module"
[[stage]]
do = "train"
[[stage]]
do = "ablate"
{stages}
"#
    );
    let text = common::small("").replace("seeds = 2", "seeds = 1") + &rest;
    Written::from_str("variants.toml", &text).unwrap()
}

fn stages(lrs: &str, bits: &str, sizes: &str) -> Written {
    let tune = "steps = 4\nbatch = 4\neval_every = 2\nwarmup = 0";
    recipe(&format!(
        "[[stage]]\ndo = \"relearn\"\n{tune}\nlrs = {lrs}\n[[stage]]\ndo = \"few-shot\"\n{tune}\nlrs = [1e-2]\n\
         examples = {sizes}\n[[stage]]\ndo = \"quantise\"\nbits = {bits}\n"
    ))
}

fn go(written: &Written, out: &Path) -> String {
    common::go(written, out, 2, false).unwrap();
    results_of(out)
}

/// Records of the variants of a stage and when they were written.
fn records(run: &Path, stage: &str, arm: &str) -> BTreeSet<(String, std::time::SystemTime)> {
    let folder = run.join(format!("stages/{stage}/{arm}.0/variants"));
    let of =
        |e: fs::DirEntry| (e.file_name().into_string().unwrap(), e.metadata().unwrap().modified().unwrap());
    fs::read_dir(folder).unwrap().map(|e| of(e.unwrap())).collect()
}

#[test]
fn one_more_or_one_fewer_variant_computes_only_what_is_new_and_ends_like_a_fresh_run() {
    let (dir, fresh, less) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let small = stages("[1e-2]", "[8]", "[4]");
    let first = go(&small, dir.path());
    let all = ["relearn", "few-shot", "quantise"];
    let before: Vec<_> = all.iter().map(|s| records(dir.path(), s, "cut")).collect();
    // Two starts, two starts, two scales.
    assert_eq!(before.iter().map(BTreeSet::len).collect::<Vec<_>>(), [2, 2, 2]);

    let large = stages("[3e-2, 1e-2]", "[4, 8]", "[4, 8]");
    let grown = go(&large, dir.path());
    for (stage, old) in all.iter().zip(&before) {
        let now = records(dir.path(), stage, "cut");
        assert!(old.is_subset(&now), "{stage}: what was known was written again");
        assert_eq!(now.len(), 4, "{stage}: only what is new was added");
    }
    assert_eq!(grown, go(&large, fresh.path()), "results do not show how they came about");
    assert!(grown.contains("few-shot_loss@n=4,zero,lr=0.01") && first.contains("few-shot_loss@zero,lr=0.01"));

    // Dropping variants computes nothing and takes their numbers away.
    assert_eq!(go(&small, dir.path()), first);
    assert_eq!(records(dir.path(), "relearn", "cut").len(), 4, "the others stay for later");
    assert_eq!(first, go(&small, less.path()));
    assert!(!dir.path().join("kept").exists(), "nothing was moved away");
}

#[test]
fn another_setting_of_all_variants_is_another_result() {
    let dir = tempfile::tempdir().unwrap();
    let attack = |steps: u64| {
        recipe(&format!(
            "[[stage]]\ndo = \"relearn\"\nlrs = [1e-2]\nsteps = {steps}\nbatch = 4\neval_every = 2"
        ))
    };
    let steps = |csv: &str| values(csv, ["relearn", "cut", "forget", "budget_steps"]);
    assert_eq!(steps(&go(&attack(2), dir.path())), [2.0]);
    let two = results_of(dir.path());
    assert_eq!(steps(&go(&attack(4), dir.path())), [4.0]);
    // And back: its records are still there.
    let known = records(dir.path(), "relearn", "cut");
    assert_eq!((go(&attack(2), dir.path()), known.len()), (two, 4));
    assert_eq!(records(dir.path(), "relearn", "cut"), known);
}

#[test]
fn a_damaged_record_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let small = stages("[1e-2]", "[8]", "[4]");
    let csv = go(&small, dir.path());
    let member = dir.path().join("stages/quantise/cut.0");
    for (name, _) in records(dir.path(), "quantise", "cut") {
        fs::write(member.join("variants").join(name), "{\"key\":").unwrap();
    }
    // What is finished is not looked into; without the finished log the records count.
    assert_eq!(go(&small, dir.path()), csv);
    fs::remove_file(member.join("status.json")).unwrap();
    assert_eq!(go(&small, dir.path()), csv);
    let whole =
        |(name, _): &(String, _)| fs::read(member.join("variants").join(name)).unwrap().ends_with(b"}\n");
    assert!(records(dir.path(), "quantise", "cut").iter().all(whole));
}

#[test]
fn attacks_csv_tells_variants_apart_in_columns() {
    let dir = tempfile::tempdir().unwrap();
    let results = go(&stages("[1e-2]", "[8]", "[4, 8]"), dir.path());
    let text = fs::read_to_string(dir.path().join("attacks.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("stage,arm,seed,attack,start,settings,label,metric,step,value,unit"));
    let rows: Vec<Vec<&str>> = lines.map(|l| l.split(',').collect()).collect();
    let of = |what: &[&str]| {
        let fits = |r: &&Vec<&str>| what.iter().all(|w| r.contains(w));
        rows.iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    let best = of(&["few-shot", "cut", "reinit", "lr=0.01;n=8", "attack_best", "forget"]);
    assert_eq!(best.len(), 1, "{text}");
    // The same number as in results.csv, under the variant's name.
    let want = format!("few-shot,cut,0,forget,\"attack_best@n=8,reinit,lr=0.01\",,{},nat", best[0][9]);
    assert!(results.contains(&want), "{want} is not in\n{results}");
    assert_eq!(
        of(&["quantise", "bits=8;scale=per-tensor", "quantise_loss", "8", "forget"]).len(),
        2,
        "{text}"
    );
    // Every number of a variant is there, once.
    let of_variants = results.lines().filter(|l| l.split(',').nth(4).is_some_and(|m| m.contains('@')));
    assert_eq!(rows.len(), of_variants.count());
    // A second run writes the same.
    go(&stages("[1e-2]", "[8]", "[4, 8]"), dir.path());
    assert_eq!(fs::read_to_string(dir.path().join("attacks.csv")).unwrap(), text);
}

#[test]
fn the_prefix_that_was_found_is_kept_as_text() {
    let dir = tempfile::tempdir().unwrap();
    let search = "[[stage]]\ndo = \"prefix\"\narms = [\"cut\"]\nsteps = 2\nlength = 3\ncandidates = 2\ntop = 4\nstarts = ";
    go(&recipe(&format!("{search}1")), dir.path());
    go(&recipe(&format!("{search}2")), dir.path());
    let text = fs::read_to_string(dir.path().join("prefixes.json")).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = found["prefixes"].as_array().unwrap();
    assert_eq!(
        found.iter().map(|f| f["variant"].as_str().unwrap()).collect::<Vec<_>>(),
        ["text", "random-1"]
    );
    let tokenizer = fs::read(dir.path().join("tokenizer.json")).unwrap();
    let tokenizer = lobe_data::Tokenizer::from_json(&tokenizer, "tokenizer.json").unwrap();
    for f in found {
        let tokens: Vec<u32> = serde_json::from_value(f["tokens"].clone()).unwrap();
        let text = f["text"].as_str().unwrap();
        assert_eq!((tokens.len(), text), (3, &tokenizer.decode(&tokens)[..]));
        assert_eq!(f["survives"], tokenizer.encode(text).unwrap() == tokens);
    }
    let own = fs::read_to_string(dir.path().join("stages/prefix/cut.0/prefixes.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&own).unwrap()["prefixes"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn the_manifest_names_the_axis_of_an_attack() {
    let dir = tempfile::tempdir().unwrap();
    go(&stages("[1e-2]", "[8]", "[4]"), dir.path());
    let manifest = fs::read_to_string(dir.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let axis = |i: usize| manifest["stages"][i]["axis"]["unit"].as_str();
    assert_eq!([axis(0), axis(2), axis(4)], [None, Some("steps"), Some("bits")]);
    assert!(manifest.get("failed").is_none());
}
