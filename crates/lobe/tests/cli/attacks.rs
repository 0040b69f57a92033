//! Models from outside under attack, without a recipe.

use crate::process::Place;

/// A byte-level model of a second, trained on everything, and one that never saw the forget text.
const MODELS: &str = r#"
name = "bytes"
seeds = 1
[data]
kind = "text"
seq = 32
sources = [{ path = "es.txt", class = "es" }, { path = "en.txt", class = "en" }]
forget = { class = "es" }
retain = { class = "en" }
[model]
kind = "gpt"
layers = 1
width = 16
heads = 2
[train]
steps = 4
batch = 4
[arms.baseline]
method = "none"
[arms.oracle]
method = "none"
data = "retain only"
[[stage]]
do = "train"
"#;

const BASELINE: &str = "run/stages/train/baseline.0/model.safetensors";
const ORACLE: &str = "run/stages/train/oracle.0/model.safetensors";

fn models() -> Place {
    let place = Place::new();
    let text = |words: [&str; 4]| -> String {
        let line =
            |i: usize| format!("{} {} {} {}.", words[i % 4], words[(i / 4) % 4], words[(i / 16) % 4], i);
        (0..40).map(line).collect::<Vec<_>>().join("<|endoftext|>")
    };
    place.write("es.txt", &text(["la casa", "el perro", "vive en", "un río"]));
    place.write("en.txt", &text(["the house", "a dog", "lives in", "some river"]));
    place.write("bytes.toml", MODELS);
    place.lobe(&["run", "bytes.toml", "--out", "run", "--quiet"]).ends(0);
    place
}

fn attack<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let short = ["--attacks", "relearn,quantise", "--steps", "4", "--lrs", "1e-2", "--seq", "24"];
    [&["attack", model, "--forget", "es.txt", "--retain", "en.txt"], &short[..], more].concat()
}

/// The value of a row of `results.csv`, `stage,arm,seed,label,metric`.
#[track_caller]
fn row(place: &Place, run: &str, head: &str) -> f64 {
    let text = String::from_utf8(place.read(&format!("{run}/results.csv"))).unwrap();
    let line = text.lines().find(|l| l.starts_with(&format!("{head},")));
    let line = line.unwrap_or_else(|| panic!("no row {head} in\n{text}"));
    line.split(',').nth(6).unwrap().parse().unwrap()
}

#[test]
fn a_hugging_face_model_is_attacked_without_a_control_and_nothing_is_claimed() {
    let place = models();
    place.lobe(&["export", "run", "--arm", "baseline", "--out", "hf", "--format", "gpt2"]).ends(0);
    let more = ["--tokenizer", "run/tokenizer.json", "--out", "a"];
    let said = place.lobe(&attack("hf", &more)).ends(0);
    for words in [
        "hf: not judged (2 attacks, 1 seed)",
        "best attack",
        "its budget",
        "Not judged: without a control arm",
        "random weights",
    ] {
        // Lines are wrapped.
        let out = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(out.contains(words), "{words:?} is missing in\n{}", said.out);
    }
    assert!(place.path("a/report.html").exists());
    let (start, best) = ("attack_start", "attack_best");
    assert!(
        row(&place, "a", &format!("relearn,model,0,forget,{best}"))
            < row(&place, "a", &format!("relearn,model,0,forget,{start}"))
    );
    row(&place, "a", "quantise,fresh,0,forget,attack_best");
    // The loaded model is no baseline: nothing is measured against itself.
    let text = String::from_utf8(place.read("a/results.csv")).unwrap();
    assert!(!text.contains(",recovery") && !text.contains("steps_to_baseline"), "{text}");

    // The same command again does nothing and says the same; so does the same model in another format.
    let again = place.lobe(&attack("hf", &more)).ends(0);
    assert_eq!(again.out, said.out);
    assert!(again.err.contains("relearn: done in 0 s (2 cached)"), "{}", again.err);
    std::fs::copy(place.path(BASELINE), place.path("hf.safetensors")).unwrap();
    let other = place.lobe(&attack("hf.safetensors", &more)).ends(0);
    assert!(other.err.contains("relearn: done in 0 s (2 cached)"), "{}", other.err);
    // Another model would write over this run.
    place.lobe(&attack(BASELINE, &more)).refuses(&["attack-hf", "--out"]);
}

#[test]
fn a_control_and_the_original_give_the_loss_a_scale() {
    let place = models();
    let more = ["--control", ORACLE, "--original", BASELINE, "--seeds", "2", "--out", "a", "--json"];
    let value = place.lobe(&attack(ORACLE, &more)).ends(0).json();
    // The control under the same attacks is the same model.
    assert_eq!(value["judgement"]["beyond_control"]["mean"], 0.0);
    assert_ne!(value["judgement"]["word"], "not removed");
    assert_eq!(value["attacks"].as_array().unwrap().len(), 2);
    let best = &value["best"];
    assert_eq!((best["attack"].as_str(), best["budget"]["steps"].as_f64()), (Some("relearn"), Some(4.0)));
    assert_eq!(best["variant"], "whole,lr=0.01");
    assert!(best["recovery"].is_number() && value["original_loss"].is_number(), "{value}");
    row(&place, "a", "relearn,oracle,1,forget,recovery");

    // Patching needs the original's activations.
    let args =
        ["attack", ORACLE, "--forget", "es.txt", "--retain", "en.txt", "--seq", "24", "--attacks", "patch"];
    place.lobe(&[&args[..], &["--out", "b"]].concat()).refuses(&["patch", "--original"]);
    let said = place.lobe(&[&args[..], &["--original", BASELINE, "--out", "b", "--quiet"]].concat()).ends(0);
    assert!(said.out.contains("not judged"), "{}", said.out);
}

/// The same models and one with a region, which leaves without it: 16 of its 64 neurons are gone.
fn narrower() -> Place {
    let place = models();
    let routed = MODELS.replace("[train]", "[regions]\nes = \"blocks.*.mlp.post[-16..]\"\n[train]")
        + "[arms.sgtm]\nmethod = \"sgtm\"\nregion = \"es\"\n";
    let routed = routed.replace("seq = 32\n", "seq = 32\nbatches = \"one-class\"\n");
    let (stage, arm) = routed.split_once("[[stage]]\ndo = \"train\"\n").unwrap();
    place.write("routed.toml", &format!("{stage}{arm}[[stage]]\ndo = \"train\"\n"));
    place.lobe(&["run", "routed.toml", "--out", "routed", "--quiet"]).ends(0);
    place.lobe(&["export", "routed", "--arm", "sgtm", "--profile", "core", "--out", "core"]).ends(0);
    place
}

#[test]
fn an_export_without_its_region_is_attacked_beside_the_full_control() {
    let place = narrower();
    let (oracle, whole) = (ORACLE.replacen("run", "routed", 1), BASELINE.replacen("run", "routed", 1));
    let args = |model: &'static str, out: &'static str| -> Vec<String> {
        let more =
            ["--control", &oracle, "--original", &whole, "--out", out, "--steps", "4", "--lrs", "1e-2"];
        let head = ["attack", model, "--forget", "es.txt", "--retain", "en.txt", "--seq", "24"];
        let attacks = ["--tokenizer", "routed/tokenizer.json", "--attacks", "relearn,quantise,steer,patch"];
        [&head[..], &attacks, &more].concat().into_iter().map(str::to_owned).collect()
    };
    let made = |args: Vec<String>| place.lobe(&args.iter().map(String::as_str).collect::<Vec<_>>()).ends(0);
    let said = made(args("core", "a"));
    for words in [
        "oracle has heads = 2, kv_heads = 2, mlp = 64 and [model] heads = 2, kv_heads = 2, mlp = 48",
        "patch is left out for model, fresh: the original's tensors have another width",
        "steer does without the original for model, fresh",
    ] {
        assert!(said.err.contains(words), "{words:?} is missing in\n{}", said.err);
    }
    let text = String::from_utf8(place.read("a/results.csv")).unwrap();
    assert!(
        !text.contains("patch,model,") && text.contains("patch,oracle,"),
        "only equal tensors are patched"
    );
    row(&place, "a", "relearn,model,0,forget,recovery");
    row(&place, "a", "load,model,0,forget,control_kl");
    // The control's numbers are its own, whatever stands beside it.
    made(args("core", "a"));
    let full = |out: &'static str, model: &'static str| {
        let mut args = args(model, out);
        args.extend(["--quiet".to_owned()]);
        made(args);
    };
    full("b", "routed/stages/train/sgtm.0/model.safetensors");
    for head in [
        "relearn,oracle,0,forget,attack_best",
        "quantise,oracle,0,forget,attack_best",
        "patch,oracle,0,forget,attack_best",
    ] {
        assert_eq!(row(&place, "a", head), row(&place, "b", head), "{head}");
    }
    for metric in ["baseline_start", "control_start"] {
        let of = |run: &str| row(&place, run, &format!("relearn,model,0,forget,{metric}"));
        assert_eq!(of("a"), of("b"), "{metric}");
    }
}

#[test]
fn the_recipe_behind_it_is_one_that_runs() {
    let place = models();
    let said = place.lobe(&attack(BASELINE, &["--control", ORACLE, "--print-recipe"])).ends(0);
    assert!(!place.path("runs").exists());
    place.write("mine.toml", &said.out);
    place.lobe(&["check", "mine.toml", "--quiet"]).ends(0);
    // A load stage stands for training, and only for the recipe's own network.
    place.write("wide.toml", &said.out.replace("width = 16", "width = 32"));
    place.lobe(&["check", "wide.toml"]).refuses(&["load", "\"embed.tokens\"", "[257, 16]", "[257, 32]"]);
    place.write("other.toml", &said.out.replace("scale_attention = true", "scale_attention = false"));
    place.lobe(&["check", "other.toml"]).refuses(&["scale_attention"]);
}

#[test]
fn text_is_read_in_the_format_that_is_said() {
    let place = models();
    let records = |words: &str| -> String {
        (0..20).map(|i| serde_json::json!({ "body": format!("{words} {i}.") }).to_string() + "\n").collect()
    };
    place.write("es.json", &records("vive en la casa"));
    place.write("en.data", &records("lives in the house"));
    let args = |more: &[&'static str]| {
        [
            &[
                "attack",
                BASELINE,
                "--forget",
                "es.json",
                "--retain",
                "en.data",
                "--seq",
                "24",
                "--print-recipe",
            ],
            more,
        ]
        .concat()
    };
    place
        .lobe(&args(&["--format", "json"]))
        .refuses(&["json: value 1: no field \"text\", only body", "es.json"]);
    let said = place.lobe(&args(&["--format", "json", "--field", "body"])).ends(0);
    assert!(said.out.contains(r#"class = "forget", format = "json", field = "body" }"#), "{}", said.out);
    place.write("mine.toml", &said.out);
    place.lobe(&["check", "mine.toml", "--quiet"]).ends(0);
    // The parser of arguments has its own form, of several lines.
    let said = place.lobe(&args(&["--format", "csv"])).ends(2);
    assert!(said.err.contains("possible values: auto, txt, jsonl, json, tsv"), "{}", said.err);
}

#[test]
fn the_same_text_cannot_be_forgotten_and_kept() {
    let place = models();
    let refused = |forget: &str, retain: &str, words: &[&str]| {
        place
            .lobe(&["attack", BASELINE, "--forget", forget, "--retain", retain, "--out", "x"])
            .refuses(words);
        assert!(!place.path("x").exists());
    };
    refused("es.txt", "./es.txt", &["--forget and --retain name the same text", "./es.txt"]);
    refused(".", "en.txt", &["--retain en.txt is part of --forget"]);
    refused("es.txt", ".", &["--forget es.txt is part of --retain"]);
    // A copy under another name cannot be told from its path; what is held out of it can.
    place.write("copy.txt", &String::from_utf8(place.read("es.txt")).unwrap());
    let args =
        ["attack", BASELINE, "--forget", "es.txt", "--retain", "copy.txt", "--seq", "24", "--print-recipe"];
    place.write("copy.toml", &place.lobe(&args).ends(0).out);
    let said = place.lobe(&["check", "copy.toml"]).ends(0);
    assert!(
        said.out.contains("held-out documents of forget stand word for word in the training text"),
        "{}",
        said.out
    );
}

#[test]
fn what_cannot_be_attacked_is_refused() {
    let place = models();
    let refused = |model: &str, more: &[&str], words: &[&str]| {
        place.lobe(&attack(model, &[&["--out", "x"], more].concat())).refuses(words);
        assert!(!place.path("x").exists());
    };
    refused("nowhere", &[], &["nowhere"]);
    refused("run", &[], &["is a run", "model.safetensors"]);
    refused(BASELINE, &["--control", "nowhere"], &["nowhere"]);
    refused(BASELINE, &["--lrs", "0"], &["--lrs 0"]);
    let args = ["attack", BASELINE, "--forget", "es.txt", "--retain", "en.txt", "--seq", "33"];
    place.lobe(&args).refuses(&["context", "33"]);
    let args = ["attack", BASELINE, "--forget", "es.txt", "--retain", "en.txt", "--attacks", "relern"];
    place.lobe(&args).refuses(&["relern", "did you mean \"relearn\""]);
    let args = ["attack", BASELINE, "--forget", "no.txt", "--retain", "en.txt", "--out", "x"];
    place.lobe(&args).refuses(&["no.txt"]);
    let marks = ["<|endoftext|>", "<|unknown|>"].map(String::from);
    let words: Vec<String> = marks.into_iter().chain((0..298).map(|i| format!("w{i}"))).collect();
    place.write("words.json", &serde_json::json!({ "lobe": "words", "words": words }).to_string());
    refused(BASELINE, &["--tokenizer", "words.json"], &["300 ids", "257", "words.json"]);
    // Without a tokenizer only a vocabulary of bytes explains itself.
    place.lobe(&["run", "bytes.toml", "--out", "padded", "--quiet", "--set", "model.vocab=260"]).ends(0);
    for (from, to) in
        [(BASELINE, "bytes.safetensors"), (&BASELINE.replacen("run", "padded", 1), "padded.safetensors")]
    {
        std::fs::copy(place.path(from), place.path(to)).unwrap();
    }
    refused("padded.safetensors", &[], &["260", "--tokenizer"]);
    place.lobe(&attack("bytes.safetensors", &["--print-recipe"])).ends(0);
}
