//! Text from models, and files that lie.

use crate::TINY;
use crate::process::Place;

fn run() -> Place {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    place.lobe(&["run", "tiny.toml", "--out", "run", "--preset", "less", "--quiet"]).ends(0);
    place
}

#[test]
fn a_model_speaks_with_and_without_a_region() {
    let place = run();
    let args = ["sample", "run", "--arm", "sgtm", "--tokens", "20", "--without", "spanish"];
    let said = place.lobe(&args).ends(0);
    assert!(
        said.out.starts_with("sgtm, seed 0, after train\n") && said.out.contains("without spanish"),
        "{}",
        said.out
    );
    assert_eq!(place.lobe(&args).ends(0).out, said.out, "the same arguments give the same text");
    let value = |extra: &[&str]| place.lobe(&[&args[..], &["--json"], extra].concat()).ends(0).json();
    assert_ne!(value(&[])["whole"], value(&["--sample-seed", "1"])["whole"]);
    let model = "run/stages/train/sgtm.0/model.safetensors";
    let file = ["sample", "--model", model, "--tokenizer", "run/tokenizer.json", "--tokens", "20", "--json"];
    assert_eq!(place.lobe(&file).ends(0).json()["whole"], value(&[])["whole"]);
    // Cutting the region again from a model that has lost it changes nothing.
    let cut = value(&["--stage", "ablate"]);
    assert_eq!(cut["whole"], cut["without"]);
}

#[test]
fn the_next_tokens_can_be_held_against_other_tools() {
    let place = run();
    let args = ["sample", "run", "--arm", "sgtm", "--prompt", "la casa", "--logits"];
    let said = place.lobe(&args).ends(0);
    let head = "sgtm, seed 0, after train\nbegins with the mark \"<|endoftext|>\" (id 0, before the words); ids [0, ";
    assert!(said.out.starts_with(head), "{}", said.out);
    let value = place.lobe(&[&args[..], &["1000000", "--json"]].concat()).ends(0).json();
    assert_eq!((&value["begin_mark"]["id"], &value["ids"][0]), (&0.into(), &0.into()));
    let all = value["whole"].as_array().unwrap();
    let number = |i: usize, key: &str| all[i][key].as_f64().unwrap();
    assert!((1..all.len()).all(|i| number(i - 1, "logit") >= number(i, "logit")));
    assert!(((0..all.len()).map(|i| number(i, "probability")).sum::<f64>() - 1.0).abs() < 1e-9);
    // Greedy text goes on with the first of them.
    let greedy = [
        "sample",
        "run",
        "--arm",
        "sgtm",
        "--prompt",
        "la casa",
        "--tokens",
        "1",
        "--temperature",
        "0",
        "--json",
    ];
    let text = place.lobe(&greedy).ends(0).json();
    let next = text["whole"].as_str().unwrap().strip_prefix("la casa").unwrap().trim().to_owned();
    assert_eq!(all[0]["token"], next.as_str());
    assert_eq!(text["begin_mark"], value["begin_mark"]);
    // Ten lines without a number, and both models where a region is cut.
    assert_eq!(said.out.lines().count(), 4 + 10, "{}", said.out);
    let both = place.lobe(&[&args[..], &["2", "--without", "spanish"]].concat()).ends(0);
    assert!(both.out.contains("without spanish"), "{}", both.out);
}

#[test]
fn models_that_are_not_read_say_what_they_are_and_what_helps() {
    let place = run();
    let model = place.read("run/stages/train/sgtm.0/model.safetensors");
    std::fs::create_dir(place.path("hf")).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(place.path(name), bytes).unwrap();
    let tokenizer = ["--tokenizer", "run/tokenizer.json"];
    let refused = |name: &str, words: &[&str]| {
        let said = place.lobe(&[&["sample", "--model", name], &tokenizer[..]].concat()).refuses(words);
        assert!(said.err.trim_end().ends_with(name), "the path stands last: {}", said.err);
        place.lobe(&["export", name, "--out", "x"]).refuses(words);
    };
    refused("gpt2", &["no such file or folder", "hf download gpt2 --local-dir DIR"]);
    put("a.safetensors.gz", &[0x1f, 0x8b, 8, 0, 0, 0]);
    refused("a.safetensors.gz", &["is gzipped", "gunzip"]);
    put("a.gguf", b"GGUF\x03\0\0\0\x10\0\0\0");
    refused("a.gguf", &["GGUF", "gguf_file=FILE"]);
    put("a.pt", b"PK\x03\x04\0\0\x08\x08\0\0\0\0");
    refused("a.pt", &["PyTorch", "save_pretrained(DIR)"]);
    put("old.bin", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8");
    refused("old.bin", &["PyTorch"]);
    put("a.json", b"{\"weights\": []}");
    refused("a.json", &["is JSON", "folder"]);
    let sizes = [64i32, 172, 5, 8, 4, 512, 512];
    put("stories.bin", &sizes.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>());
    refused("stories.bin", &["llama2.c", "export.py OUT --version -1"]);
    // A header of 640 bytes begins like a pickle: what it is decides.
    let plain = |tensor: &str| {
        let header = format!(r#"{{"{tensor}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#);
        let header = format!("{header:640}");
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
    };
    put("lens.safetensors", &plain("blocks.0.attn.W_Q"));
    refused("lens.safetensors", &["TransformerLens"]);
    put("hf/model.safetensors", &plain("transformer.wte.weight"));
    let said = place.lobe(&["export", "hf", "--out", "x"]);
    said.refuses(&["no config.json lies beside it", "hf/model.safetensors"]);
    put("hf/config.json", b"{}");
    let said = place.lobe(&["export", "hf/model.safetensors", "--out", "x"]);
    said.refuses(&["one file of a Hugging Face model; give its folder, hf"]);
    // Shards.
    std::fs::remove_file(place.path("hf/model.safetensors")).unwrap();
    put("hf/model-00001-of-00002.safetensors", &plain("transformer.wte.weight"));
    let said = place.lobe(&["export", "hf/model-00001-of-00002.safetensors", "--out", "x"]);
    said.refuses(&["give its folder, hf"]);
    let config = r#"{"model_type": "gpt2", "vocab_size": 7, "n_positions": 5, "n_embd": 4, "n_layer": 1, "n_head": 1}"#;
    put("hf/config.json", config.as_bytes());
    put("hf/model.safetensors.index.json", b"{}");
    place.lobe(&["export", "hf", "--out", "x"]).refuses(&["split into several files", "max_shard_size"]);
    std::fs::remove_file(place.path("hf/model.safetensors.index.json")).unwrap();
    put("hf/pytorch_model.bin", b"PK");
    place.lobe(&["export", "hf", "--out", "x"]).refuses(&["pytorch_model.bin is not read"]);
    // And a file of Lobe's opens under any name.
    put("mine.bin", &model);
    place.lobe(&[&["sample", "--model", "mine.bin", "--tokens", "2"], &tokenizer[..]].concat()).ends(0);
}

#[test]
fn wrong_names_and_hostile_files_are_refused_in_one_line() {
    let place = run();
    place.lobe(&["sample", "run", "--arm", "sgmt"]).refuses(&["did you mean \"sgtm\""]);
    place.lobe(&["sample", "run", "--arm", "../sgtm"]).refuses(&["../sgtm"]);
    place.lobe(&["sample", "run", "--seed", "9"]).refuses(&["seed", "9"]);
    place.lobe(&["sample", "run", "--stage", "relearn"]).refuses(&["relearn"]);
    place.lobe(&["sample", "run", "--without", "spansh"]).refuses(&["did you mean \"spanish\""]);
    place.lobe(&["sample", "run", "--without", "blocks.*.mlp.post[99999]"]).refuses(&["99999"]);
    place.lobe(&["sample", "run", "--temperature", "nan"]).refuses(&["temperature"]);
    let model = "run/stages/train/baseline.0/model.safetensors";
    let whole = place.read(model);
    let mut header = whole.clone();
    header[..8].fill(0xff);
    let garbage: Vec<u8> = (0..5000u32).map(|i| (i * 7919 % 251) as u8).collect();
    for bytes in [&whole[..whole.len() - 4], &header, &garbage, &[]] {
        std::fs::write(place.path(model), bytes).unwrap();
        place.lobe(&["sample", "run"]).refuses(&["model.safetensors"]);
    }
    std::fs::write(place.path(model), &whole).unwrap();
    place.write("run/tokenizer.json", "[[[[");
    place.lobe(&["sample", "run"]).refuses(&["tokenizer.json"]);
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_a_run() {
    let place = run();
    place.write("elsewhere.json", "{\"lobe\": \"byte\"}");
    std::fs::remove_file(place.path("run/tokenizer.json")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere.json"), place.path("run/tokenizer.json")).unwrap();
    place.lobe(&["sample", "run"]).refuses(&["out of the run directory"]);
}
