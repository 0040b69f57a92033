//! Whole runs of small recipes, and reading numbers out of what they wrote.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use lobe_lab::LabError;
use lobe_lab::graph::{Options, Silent};
use lobe_lab::recipe::Written;
use lobe_lab::schedule::{resolve, run};

/// Stories in two languages and a network that learns a little of them in seconds; `labels` goes into
/// the forget rule.
pub(crate) fn small(labels: &str) -> String {
    format!(
        r#"
name = "small"
seeds = 2
[data]
kind = "bilingual"
stories = 160
test_stories = 8
probes = 8
seq = 48
packing = "pack"
forget = {{ language = "es"{labels} }}
retain = {{ language = "en" }}
[model]
kind = "gpt"
layers = 2
width = 16
heads = 2
mlp = 32
[regions]
module = "blocks.*.mlp.post[-8..]"
"#
    )
}

/// Runs a recipe on so many threads; with `stop` it is interrupted before the first stage.
pub(crate) fn go(written: &Written, out: &Path, threads: usize, stop: bool) -> Result<(), LabError> {
    let (recipe, derived) = resolve(written).unwrap();
    let stop = AtomicBool::new(stop);
    let options =
        Options { threads, stop: &stop, progress: &Silent, command: String::new(), build: String::new() };
    run(written, &recipe, &derived, out, &options)
}

/// The text of `results.csv` in a run directory.
pub(crate) fn results_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("results.csv")).unwrap()
}

/// Values of (stage, arm, label, metric) without a step, one per seed.
pub(crate) fn values(csv: &str, what: [&str; 4]) -> Vec<f64> {
    let of = csv.lines().filter_map(|l| {
        let f: Vec<&str> = l.split(',').collect();
        ([f[0], f[1], f[3], f[4]] == what && f[5].is_empty()).then(|| f[6].parse().unwrap())
    });
    of.collect()
}
