//! Help, lists, explanations and schemas.

use std::time::Instant;

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
    for item in list {
        let name = item["name"].as_str().unwrap();
        assert!(text.contains(name), "{name}");
        let explained = place.lobe(&["explain", name]).ends(0).out;
        assert!(explained.contains(item["kind"].as_str().unwrap()), "{explained}");
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
    assert!(place.lobe(&["explain", "recall"]).ends(0).out.contains("a key of [rule]"));
    let lanes = place.lobe(&["explain", "lanes", "--json"]).ends(0).json();
    assert!(lanes.as_array().unwrap().iter().any(|k| k["of"] == "[train]"), "{lanes}");
    // Editors get the names that a recipe may use.
    let has = |def: &str, key: &str, name: &str| {
        let names = &schema["$defs"][def]["properties"][key]["enum"];
        names.as_array().unwrap().iter().any(|n| n == name)
    };
    assert!(has("ArmFile", "method", "rmu") && has("StageFile", "do", "relearn"));
}

#[test]
fn unknown_names_get_the_nearest_one() {
    let place = Place::new();
    place.lobe(&["explain", "relern"]).refuses(&["relern", "did you mean \"relearn\""]);
    place.lobe(&["list", "atack"]).refuses(&["did you mean \"attack\""]);
    place.lobe(&["bench", "step", "--method", "sgmt"]).refuses(&["did you mean \"sgtm\""]);
    place.lobe(&["bench", "step", "--label", "forgt"]).refuses(&["did you mean \"forget\""]);
    place.lobe(&["bench", "step", "--method", "filter", "--label", "forget"]).refuses(&["no step"]);
    place.lobe(&["bench", "step", "--method", "npo", "--label", "forget"]).refuses(&["leave --label"]);
    place.lobe(&["bench", "step", "--method", "rmu", "--size", "ae"]).refuses(&["needs a language model"]);
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
