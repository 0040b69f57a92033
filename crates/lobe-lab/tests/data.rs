//! Text on its way into a run: how much of it an attack takes, and what a recipe may say about it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "these recipes bring their own text")]
mod common;

use std::path::Path;

use common::{go, results_of, values};
use lobe_lab::plan::Experiment;
use lobe_lab::recipe::Written;
use lobe_lab::schedule::resolve;

/// Three documents of 11, 14 and 22 targets (bytes and an end mark) are what may be relearned.
const FORGET: &str = "doce palos<|endoftext|>catorce peces<|endoftext|>veinte y pocas letras";

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("forget.txt", FORGET);
    let retain: Vec<String> = (0..40).map(|i| format!("line {i} of what stays")).collect();
    put("retain.txt", &retain.join("<|endoftext|>"));
    put("held.txt", "other words");
    dir
}

fn recipe(dir: &Path, tokenizer: &str, stages: &str) -> Written {
    let dir = dir.display();
    let text = format!(
        r#"
name = "data"
[data]
kind = "text"
dir = "{dir}"
seq = 32
packing = "document"
sources = [
  {{ path = "forget.txt", test_path = "held.txt", class = "forget" }},
  {{ path = "retain.txt", test_path = "held.txt", class = "retain" }},
]
forget = {{ class = "forget" }}
retain = {{ class = "retain" }}
{tokenizer}
[model]
kind = "gpt"
layers = 1
width = 16
heads = 2
mlp = 16
[train]
steps = 1
batch = 2
[arms.baseline]
method = "none"
[[stage]]
do = "train"
{stages}
"#
    );
    Written::from_str("data.toml", &text).unwrap()
}

fn relearn(name: &str, does: &str, batch: usize, share: f64) -> String {
    format!(
        "[[stage]]\ndo = \"{does}\"\nname = \"{name}\"\nlrs = [1e-3]\nwarmup = 0\nsteps = 5\nbatch = {batch}\n\
         retain_share = {share}\neval_every = 5\n"
    )
}

#[test]
fn a_batch_takes_all_examples_once_where_there_are_no_more() {
    let dir = place();
    let stages = [
        relearn("as-many", "relearn", 3, 0.0),
        relearn("more", "relearn", 64, 0.0),
        relearn("low-rank", "relearn-lora", 64, 0.0),
        relearn("mixed", "relearn", 8, 0.25),
        relearn("fewer", "relearn", 2, 0.0),
    ];
    let out = dir.path().join("run");
    go(&recipe(dir.path(), "", &stages.concat()), &out, 1, false).unwrap();
    let csv = results_of(&out);
    let budget = |stage: &str, of: &str| {
        let all = values(&csv, [stage, "baseline", "forget", &format!("budget_{of}")]);
        let [one] = all.as_slice() else { panic!("{stage} {of}: {all:?} in\n{csv}") };
        *one
    };
    for stage in ["as-many", "more", "low-rank"] {
        assert_eq!((budget(stage, "tokens"), budget(stage, "examples")), (235.0, 3.0), "{stage}");
    }
    // Both train on the very same steps.
    let curve = |stage: &str| -> Vec<String> {
        csv.lines().filter_map(|l| l.strip_prefix(&format!("{stage},"))).map(str::to_owned).collect()
    };
    assert_eq!(curve("as-many"), curve("more"));
    // Two of eight places are for retain data; of the six others, three can be filled.
    assert_eq!(budget("mixed", "examples"), 13.0);
    let retain = budget("mixed", "tokens") - 235.0;
    assert!((10.0 * 21.0..=10.0 * 22.0).contains(&retain), "{retain} retain targets in five steps of two");
    // Where there are more than a batch takes, some of them are drawn.
    assert!((10.0 * 11.0..=10.0 * 22.0).contains(&budget("fewer", "tokens")));
}

#[test]
fn a_tokenizer_is_named_or_described_and_a_wrong_one_is_told_the_kinds() {
    let dir = place();
    let open = |tokenizer: &str| {
        let (recipe, _) = resolve(&recipe(dir.path(), tokenizer, "")).map_err(|e| e.to_string())?;
        let x = Experiment::open(&recipe).map_err(|e| e.to_string())?;
        Ok::<_, String>((x.data.vocab, recipe.to_toml()))
    };
    let (vocab, resolved) = open("tokenizer = \"byte\"").unwrap();
    assert_eq!(vocab, 257);
    assert!(resolved.contains("kind = \"byte\""), "{resolved}");
    let (_, resolved) = open("tokenizer = \"bpe\"").unwrap();
    assert!(resolved.contains("kind = \"bpe\"") && resolved.contains("vocab = 1024"), "{resolved}");

    let refused = |tokenizer: &str, words: &[&str]| {
        let e = open(tokenizer).unwrap_err();
        assert!(e.starts_with("data.toml:14: data.tokenizer"), "{e}");
        assert!(words.iter().all(|w| e.contains(w)), "{e}");
        assert!(!e.contains("enum") && !e.contains("TokenizerConfig"), "{e}");
    };
    let kinds = ["{ kind = \"byte\" }", "kind = \"bpe\"", "kind = \"file\"", "kind = \"gpt2\""];
    refused("tokenizer = \"words\"", &kinds);
    refused("tokenizer = 7", &kinds);
    refused("tokenizer = { vocab = 300 }", &kinds);
    let files = ["\"gpt2\" needs two files", "vocab = \"vocab.json\"", "merges = \"merges.txt\""];
    refused("tokenizer = { kind = \"gpt2\" }", &files);
    refused("tokenizer = \"gpt2\"", &files);
    refused(
        "tokenizer = { kind = \"bpe\", vocabs = 300 }",
        &["vocabs: unknown key; did you mean \"vocab\"?"],
    );
}

/// The files that this was found with, where a developer has them beside the checkout.
#[test]
fn the_budgets_of_three_short_texts_are_equal() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let faults = root.join("../shared/faults");
    if !faults.join("README.md").is_file() {
        return;
    }
    for name in ["batch-3", "batch-64"] {
        let path = faults.join("batch-larger-than-data").join(format!("{name}.toml"));
        let text = std::fs::read_to_string(path).unwrap();
        let text = text.replace("../shared/faults", &faults.canonicalize().unwrap().display().to_string());
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let written = Written::from_str("batch.toml", &text).unwrap();
        go(&written, &out, 1, false).unwrap();
        let csv = results_of(&out);
        let (recipe, _) = resolve(&written).unwrap();
        let all = &Experiment::open(&recipe).unwrap().data.census().classes;
        let forget = all.iter().find(|c| c.class == "forget").unwrap();
        let tokens = 5.0 * forget.train.targets as f64;
        assert_eq!(values(&csv, ["relearn", "model", "forget", "budget_tokens"]), [tokens], "{name}");
    }
}
