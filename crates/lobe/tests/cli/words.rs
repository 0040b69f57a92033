//! Help, lists, explanations and schemas.

use std::time::Instant;

use crate::TINY;
use crate::process::Place;

#[test]
fn every_command_helps_with_examples() {
    let place = Place::new();
    let commands: [&[&str]; 16] = [
        &["run"],
        &["check"],
        &["report"],
        &["list"],
        &["explain"],
        &["new"],
        &["sample"],
        &["attack"],
        &["export"],
        &["record"],
        &["penalty"],
        &["schema"],
        &["completions"],
        &["bench", "step"],
        &["bench", "gemm"],
        &["bench", "ops"],
    ];
    for command in commands {
        let said = place.lobe(&[command, &["--help"]].concat()).ends(0);
        assert!(
            said.out.contains("Examples:") && said.out.contains("Usage: lobe"),
            "{command:?}\n{}",
            said.out
        );
        assert!(said.err.is_empty());
    }
    let said = place.lobe(&["--help"]).ends(0);
    assert!(said.out.contains("Exit codes"));
    assert!(place.lobe(&["--version"]).ends(0).out.starts_with("lobe 0."));
}

#[test]
fn help_comes_at_once() {
    let place = Place::new();
    let best = (0..5).map(|_| {
        let start = Instant::now();
        place.lobe(&["--help"]).ends(0);
        start.elapsed().as_millis()
    });
    // 20 ms is the promise; the test leaves room for a busy machine.
    assert!(best.min().unwrap() < 100);
}

#[test]
fn wrong_arguments_are_bad_input() {
    let place = Place::new();
    place.lobe(&[]).ends(2);
    let said = place.lobe(&["repot", "x"]).ends(2);
    assert!(said.err.contains("'report'"), "{}", said.err);
    // What other tools call it.
    for (theirs, ours) in [("train", "'run'"), ("validate", "'check'"), ("init", "'new'")] {
        let said = place.lobe(&[theirs, "x"]).ends(2);
        assert!(said.err.contains(ours), "{theirs}: {}", said.err);
    }
    // A file in the place of a run is named as what it is.
    place.write("m.toml", "name = \"m\"");
    place.lobe(&["report", "m.toml"]).refuses(&["a recipe, not a run directory", "lobe run m.toml"]);
    place.lobe(&["record", "m.toml"]).refuses(&["a recipe, not a run directory"]);
    place.lobe(&["run"]).ends(2);
    place.lobe(&["run", "x.toml", "--threads", "-1"]).ends(2);
}

#[test]
fn benches_refuse_what_the_engine_cannot_run() {
    let place = Place::new();
    for lanes in ["0", "65"] {
        place.lobe(&["bench", "step", "--lanes", lanes]).refuses(&["--lanes", lanes, "1 to 64"]);
    }
    for bench in ["step", "gemm"] {
        place.lobe(&["bench", bench, "--threads", "100000"]).ends(2);
    }
}

#[test]
fn lists_and_explains_for_people_and_programs() {
    let place = Place::new();
    let text = place.lobe(&["list"]).ends(0).out;
    let list = place.lobe(&["list", "--json"]).ends(0).json();
    let list = list.as_array().unwrap();
    assert!(list.len() > 20);
    for (n, item) in list.iter().enumerate() {
        let name = item["name"].as_str().unwrap();
        assert!(text.contains(name), "{name}");
        // A process each: every third word is asked about, the first of each kind among them.
        let kind = item["kind"].as_str().unwrap();
        if n % 3 != 0 && n > 0 && list[n - 1]["kind"] == item["kind"] {
            continue;
        }
        let explained = place.lobe(&["explain", name]).ends(0).out;
        assert!(explained.contains(kind), "{explained}");
        place.lobe(&["explain", name, "--json"]).ends(0).json();
    }
    assert!(place.lobe(&["list", "attacks"]).ends(0).out.contains("relearn"));
}

#[test]
fn a_method_is_explained_by_its_table() {
    let place = Place::new();
    let said = place.lobe(&["explain", "sgtm"]).ends(0).out;
    let row = |label: &str| {
        let line = said.lines().find(|l| l.starts_with(label)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("  forget "), "forget 1 1 1 1 1 0 – – 0");
    assert_eq!(row("  retain "), "retain 0 - - 1 1 1 – – 1");
    for heading in ["Reference", "Unusual here", "When it fails", "Parameters", "mask_embeddings"] {
        assert!(said.contains(heading), "{heading}");
    }
}

#[test]
fn sections_are_explained_from_the_schema() {
    let place = Place::new();
    let schema = place.lobe(&["schema"]).ends(0).json();
    for name in schema["properties"].as_object().unwrap().keys() {
        assert!(!place.lobe(&["explain", name]).ends(0).out.trim().is_empty());
    }
    assert!(place.lobe(&["explain", "[train]"]).ends(0).out.contains("checkpoint_secs"));
    assert!(place.lobe(&["explain", "arms"]).ends(0).out.contains("loss_weight"));
    assert!(place.lobe(&["explain", "data"]).ends(0).out.contains("class_weights"));
    // A key, wherever it stands.
    let recall = place.lobe(&["explain", "recall"]).ends(0).out;
    assert!(recall.contains("data.forget.recall") && recall.contains("Example"), "{recall}");
    let lanes = place.lobe(&["explain", "lanes", "--json"]).ends(0).json();
    assert!(lanes[0]["of"].as_array().unwrap().iter().any(|k| k == "train.lanes"), "{lanes}");
    // Editors get the names that a recipe may use.
    let has = |pointer: &str, name: &str| {
        let names = schema.pointer(pointer).and_then(|v| v["enum"].as_array());
        names.is_some_and(|n| n.iter().any(|n| n == name))
    };
    assert!(has("/properties/arms/additionalProperties/properties/method", "rmu"));
    assert!(has("/properties/stage/items/properties/do", "relearn"));
}

#[test]
fn every_word_of_a_recipe_and_of_results_is_explained() {
    let place = Place::new();
    for (name, parts) in [
        ("bpe", &["tokenizer", "vocab", "kind = \"bpe\", vocab = 2048"][..]),
        ("text", &["kind = \"bpe\": Byte-pair encoding", "max_documents"]),
        ("data.tokenizer.kind", &["byte", "gpt2", "data (kind = \"text\").tokenizer"]),
        ("train.lr", &["Peak learning rate", "[train]", "lr = 0.001", "default"]),
        ("arms.labels", &["labelling rules", "recall"]),
        ("labels", &["data.labels", "arms.labels"]),
        ("tokenizer", &["data (kind = \"text\").tokenizer"]),
        ("sources", &["path", "max_documents", "test_path"]),
        ("adamw", &["(optimiser)", "Loshchilov", "amsgrad", "[0.9,0.999]", "optimiser = \"adamw\""]),
        ("train.optimiser", &["\"sgd\" | \"adam\" | \"adamw\" | \"muon\"", "made orthogonal"]),
        ("train.momentum", &["train (optimiser = \"sgd\").momentum", "momentum = 0.9"]),
        ("train.schedule", &["\"cosine\"", "half a cosine"]),
        ("stage.relearn.lrs", &["stage (do = \"relearn\").lrs"]),
        ("metric", &["column"]),
        ("steps_to_baseline", &["metric", "Unit: steps"]),
        ("relearn_loss@zero,lr=0.001", &["relearn", "nat"]),
    ] {
        let said = place.lobe(&["explain", name]).ends(0).out;
        for part in parts {
            assert!(said.contains(part), "{name}: {part}\n{said}");
        }
        assert!(!said.contains("table | table"), "{said}");
    }
}

#[test]
fn unknown_names_get_the_nearest_one() {
    let place = Place::new();
    place.lobe(&["explain", "relern"]).refuses(&["relern", "did you mean", "\"relearn\""]);
    place.lobe(&["explain", "quantize"]).refuses(&["\"quantise\""]);
    place.lobe(&["explain", "optimizer"]).refuses(&["\"optimiser\""]);
    place.lobe(&["explain", "train.optimizer"]).refuses(&["\"train.optimiser\""]);
    place.lobe(&["list", "atack"]).refuses(&["did you mean \"attack\""]);
    place.lobe(&["bench", "step", "--method", "sgmt"]).refuses(&["did you mean \"sgtm\""]);
    place.lobe(&["bench", "step", "--label", "forgt"]).refuses(&["did you mean \"forget\""]);
    place.lobe(&["bench", "step", "--method", "filter", "--label", "forget"]).refuses(&["no step"]);
    place.lobe(&["bench", "step", "--method", "npo", "--label", "forget"]).refuses(&["leave --label"]);
    place.lobe(&["bench", "step", "--method", "rmu", "--size", "ae"]).refuses(&["needs a language model"]);
}

#[test]
fn colour_is_for_terminals_and_for_those_who_force_it() {
    let place = Place::new();
    let plain = place.lobe(&["explain", "sgtm"]).ends(0).out;
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let wrong = place.lobe(&["explain", "nothing-like-it"]).ends(2).err;
    assert!(wrong.starts_with("error: ") && !wrong.contains('\u{1b}'), "{wrong:?}");
    let forced = place.lobe_with(&["explain", "nothing-like-it"], &[("CLICOLOR_FORCE", "1")]).ends(2).err;
    assert!(forced.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m"), "{forced:?}");
    let off = [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")];
    let none = place.lobe_with(&["explain", "nothing-like-it"], &[("NO_COLOR", "1")]).ends(2).err;
    assert!(!none.contains('\u{1b}'), "{none:?}");
    // Who wants none gets none, whatever else is set.
    assert_eq!(place.lobe_with(&["explain", "nothing-like-it"], &off).ends(2).err, none);
}

#[test]
fn every_column_and_metric_of_a_run_is_a_known_word() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    place.lobe(&["run", "tiny.toml", "--quiet"]).ends(0);
    let csv = String::from_utf8(place.read("runs/tiny/results.csv")).unwrap();
    let mut lines = csv.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let metric = columns.iter().position(|c| *c == "metric").unwrap();
    // A variant may hold commas and is then quoted; what stands before its @ does not.
    let names = lines.map(|l| l.split(',').nth(metric).unwrap().trim_matches('"').split('@').next().unwrap());
    let names: std::collections::BTreeSet<&str> = names.chain(columns.iter().copied()).collect();
    assert!(names.len() > 15, "{names:?}");
    let list = place.lobe(&["list", "--json"]).ends(0).json();
    let known: Vec<&str> = list.as_array().unwrap().iter().filter_map(|w| w["name"].as_str()).collect();
    // An attack's curve is named after the attack: it is explained, and not listed.
    for name in names.iter().filter(|name| !known.contains(name)) {
        place.lobe(&["explain", name]).ends(0);
    }
}

#[test]
fn completions_name_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = place.lobe(&["completions", shell]).ends(0);
        assert!(said.out.contains("explain") && said.out.contains("sample"), "{shell}");
    }
}

#[test]
fn a_bench_speaks_json() {
    let place = Place::new();
    let args = ["bench", "step", "--size", "s", "--steps", "1", "--warmup", "0", "--method", "sgtm"];
    let value =
        place.lobe(&[&args[..], &["--label", "retain", "--against-plain", "--json"]].concat()).ends(0).json();
    assert!(value["median_ms"].as_f64().unwrap() > 0.0 && value["ratio_to_plain"].as_f64().unwrap() > 0.0);
    assert_eq!(value["parameters"], 1_350_400);
    assert_eq!(value["peak_memory_bytes"].is_u64(), cfg!(target_os = "linux"));
    let post_hoc = ["bench", "step", "--steps", "1", "--warmup", "0", "--method", "rmu", "--against-plain"];
    let value = place.lobe(&[&post_hoc[..], &["--json"]].concat()).ends(0).json();
    assert!(value["first_loss"].as_f64().unwrap() > 0.0 && value["ratio_to_plain"].as_f64().unwrap() > 0.0);
    assert_eq!(value["label"], "forget, retain");
}
