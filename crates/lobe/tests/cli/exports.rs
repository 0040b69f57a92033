//! Models without a region, and refusals that leave nothing behind.

use crate::TINY;
use crate::process::Place;

/// A run of a second with two regions, cut into in different blocks.
fn run() -> Place {
    let place = Place::new();
    let names = "numbers = \"blocks.1.mlp.post[..8]\"\n\n[train]";
    let recipe = TINY.replace("layers = 1", "layers = 2").replacen("[train]", names, 1);
    place.write("tiny.toml", &recipe);
    place.lobe(&["run", "tiny.toml", "--out", "run", "--preset", "less", "--quiet"]).ends(0);
    place
}

fn export(place: &Place, more: &[&str]) -> serde_json::Value {
    let args = [&["export", "run", "--arm", "sgtm", "--json"], more].concat();
    place.lobe(&args).ends(0).json()
}

#[test]
fn a_model_leaves_without_its_regions() {
    let place = run();
    // 16 of 64 neurons and one of two heads in both blocks.
    let value = export(&place, &["--without", "spanish", "--format", "lobe", "--out", "small"]);
    assert_eq!((&value["shape"]["mlp"], &value["shape"]["heads"]), (&48.into(), &1.into()));
    assert_eq!(value["units"]["left_as_zeros"], 0);
    let (before, after) = (&value["parameters"]["before"], &value["parameters"]["after"]);
    assert!(after.as_u64().unwrap() < before.as_u64().unwrap(), "{value}");
    assert!(value["check"]["difference"].as_f64().unwrap() <= 1e-5);
    let written: serde_json::Value = serde_json::from_slice(&place.read("small/export.json")).unwrap();
    assert_eq!(written, value);

    // What is written speaks as the masked model does.
    let speak = |args: &[&str]| {
        let more = ["--tokens", "30", "--temperature", "0", "--json"];
        place.lobe(&[&["sample"], args, &more].concat()).ends(0).json()
    };
    let masked = speak(&["run", "--arm", "sgtm", "--without", "spanish"]);
    let small = speak(&["--model", "small/model.safetensors", "--tokenizer", "small/tokenizer.json"]);
    assert_eq!(small["whole"], masked["without"]);

    // A file can be exported again: with nothing cut it stays what it is.
    place.lobe(&["export", "small/model.safetensors", "--out", "again", "--format", "lobe"]).ends(0);
    assert!(place.read("small/model.safetensors") == place.read("again/model.safetensors"));
}

#[test]
fn profiles_name_the_regions_that_stay() {
    let place = run();
    let cut = |profile: &str, out: &str| {
        export(&place, &["--profile", profile, "--format", "lobe", "--out", out])["removed"].clone()
    };
    assert_eq!(cut("full", "full"), "(nothing)");
    let spanish =
        "blocks.0.attn.z[1] + blocks.0.mlp.post[48..64] + blocks.1.attn.z[1] + blocks.1.mlp.post[48..64]";
    assert_eq!(cut("numbers", "one"), spanish);
    assert_eq!(cut("spanish", "other"), "blocks.1.mlp.post[0..8]");
    assert_eq!(cut("spanish+numbers", "both"), "(nothing)");
    let core = export(&place, &["--profile", "core", "--format", "lobe", "--out", "core"]);
    assert_eq!(
        core["removed"],
        spanish.replace("post[48..64]", "post[0..8,48..64]").replacen("0..8,", "", 1)
    );
    // Block 1 lost eight neurons more than block 0: there they stay as zeros.
    assert_eq!(core["units"]["left_as_zeros"], 8);
    assert_eq!(core["units"]["zeros_in_blocks"], serde_json::json!([1]));
    let said =
        place.lobe(&["export", "run", "--profile", "core", "--format", "lobe", "--out", "said"]).ends(0);
    assert!(said.out.contains("8 cut units stay as zeros, in blocks 1"), "{}", said.out);
    place
        .lobe(&["export", "run", "--profile", "spansh", "--out", "x"])
        .refuses(&["did you mean \"spanish\""]);
    place.lobe(&["export", "run", "--profile", "cor", "--out", "x"]).refuses(&["did you mean \"core\""]);
    assert!(!place.path("x").exists());
}

#[test]
fn hugging_face_files_keep_cut_heads_as_zeros_and_say_so() {
    let place = run();
    let args = ["export", "run", "--arm", "sgtm", "--without", "spanish", "--out", "hf"];
    let said = place.lobe(&args).ends(0);
    assert!(
        said.out.contains("(gpt2)")
            && said.out.contains("gpt2 files only with all heads; --format lobe drops them"),
        "{}",
        said.out
    );
    assert!(said.out.contains("check       as transformers asks for it; read back"), "{}", said.out);
    let config: serde_json::Value = serde_json::from_slice(&place.read("hf/config.json")).unwrap();
    assert_eq!((&config["n_inner"], &config["n_head"]), (&48.into(), &2.into()));
    // The directory is a source, too.
    let again = place.lobe(&["export", "hf", "--region", "blocks.*.mlp.post[..4]", "--out", "hf2", "--json"]);
    assert_eq!(again.ends(0).json()["shape"]["mlp"], 44);
}

#[test]
fn what_cannot_be_exported_is_refused_and_leaves_nothing() {
    let place = run();
    let refused = |args: &[&str], words: &[&str]| {
        place.lobe(&[&["export"], args, &["--out", "x"]].concat()).refuses(words);
        assert!(!place.path("x").exists());
    };
    refused(&["run", "--format", "llama"], &["llama", "norm"]);
    refused(&["run", "--without", "spansh"], &["did you mean \"spanish\""]);
    refused(&["run", "--region", "blocks.*.resid_post[3]"], &["resid_post", "own no parameters"]);
    refused(&["run", "--arm", "sgmt"], &["did you mean \"sgtm\""]);
    refused(&["nowhere"], &["nowhere"]);
    let file = "run/stages/train/sgtm.0/model.safetensors";
    refused(&[file, "--profile", "core"], &["--region"]);
    refused(&[file, "--arm", "sgtm"], &["--arm"]);
    // Somebody's directory stays as it is.
    std::fs::create_dir(place.path("mine")).unwrap();
    place.write("mine/thesis.txt", "years of work");
    place.lobe(&["export", "run", "--out", "mine"]).refuses(&["not empty", "mine"]);
    let inside = "mine/thesis.txt/model";
    place.lobe(&["export", "run", "--out", inside]).refuses(&["cannot be made", inside]);
    assert_eq!(place.read("mine/thesis.txt"), b"years of work");
    let here = std::fs::read_dir(place.path(".")).unwrap();
    let left = here.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| n.contains("partial"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_run_with_post_hoc_arms_gives_its_models_like_any_other() {
    let place = Place::new();
    let removal = "[unlearn]\nsteps = 2\nbatch = 4\n[arms.npo]\nmethod = \"npo\"\nfrom = \"baseline\"\n\
        [[stage]]\ndo = \"unlearn\"\n";
    place.write("tiny.toml", &format!("{TINY}\n{removal}"));
    place.lobe(&["run", "tiny.toml", "--out", "run", "--quiet", "--set", "train.steps=2"]).ends(0);
    for arm in ["npo", "sgtm"] {
        place.lobe(&["export", "run", "--arm", arm, "--format", "lobe", "--out", arm]).ends(0);
        place.lobe(&["sample", "run", "--arm", arm, "--tokens", "4"]).ends(0);
    }
}

/// A Llama with eight heads on a width of 64, of which a region has the last.
fn llama() -> Place {
    let place = Place::new();
    let shape = "layers = 1\nwidth = 64\nheads = 8\nactivation = \"swiglu\"\nnorm = \"rms\"\npositions = \"rotary\"\n\
        qkv_bias = false\nout_bias = false\nmlp_bias = false\n";
    let recipe = TINY.replacen("layers = 1\nwidth = 32\nheads = 2\n", shape, 1);
    place.write("tiny.toml", &recipe);
    let more = ["--set", "train.steps=2", "--quiet"];
    place.lobe(&[&["run", "tiny.toml", "--out", "run"], &more[..]].concat()).ends(0);
    place
}

#[test]
fn a_llama_keeps_a_number_of_heads_that_transformers_opens() {
    let place = llama();
    let said = place.lobe(&["export", "run", "--arm", "sgtm", "--profile", "core", "--out", "core"]).ends(0);
    for words in
        ["48 neurons, 8 → 8 heads", "divides the width, 64; --format lobe drops them", "1 cut unit stays"]
    {
        assert!(said.out.contains(words), "{words:?} is missing in: {}", said.out);
    }
    assert!(said.out.contains("the logits are those of the masked model"), "{}", said.out);
    let json = |file: &str| -> serde_json::Value { serde_json::from_slice(&place.read(file)).unwrap() };
    let config = json("core/config.json");
    assert_eq!((&config["hidden_size"], &config["num_attention_heads"]), (&64.into(), &8.into()));
    // The head is there and does nothing: it is the last of eight.
    let small =
        place.lobe(&["export", "core", "--region", "blocks.*.attn.z[-1]", "--out", "again", "--json"]);
    assert_eq!(small.ends(0).json()["check"]["difference"], 0.0);
    assert!(place.read("core/model.safetensors") == place.read("again/model.safetensors"));
    // Four heads divide 64, and Lobe's own files lose any number.
    let four = ["--region", "blocks.*.attn.z[-4..]", "--json"];
    let four = place.lobe(&[&["export", "run", "--arm", "sgtm", "--out", "four"], &four[..]].concat());
    assert_eq!(four.ends(0).json()["shape"]["heads"], 4);
    let own = export(&place, &["--profile", "core", "--format", "lobe", "--out", "own"]);
    assert_eq!(own["shape"]["heads"], 7);
}

#[test]
fn an_export_holds_a_tokenizer_and_marks_that_other_tools_open() {
    let place = run();
    place.lobe(&["export", "run", "--arm", "sgtm", "--out", "hf"]).ends(0);
    let json = |file: &str| -> serde_json::Value { serde_json::from_slice(&place.read(file)).unwrap() };
    for file in ["hf/config.json", "hf/generation_config.json"] {
        assert_eq!(
            (&json(file)["bos_token_id"], &json(file)["eos_token_id"]),
            (&0.into(), &0.into()),
            "{file}"
        );
    }
    let names = json("hf/tokenizer_config.json");
    assert_eq!((&names["bos_token"], &names["unk_token"]), (&"<|endoftext|>".into(), &"<|unknown|>".into()));
    let tokenizer = json("hf/tokenizer.json");
    assert_eq!(tokenizer["model"]["type"], "WordLevel");
    assert_eq!(tokenizer["post_processor"]["single"][0]["SpecialToken"]["id"], "<|endoftext|>");
    assert!(place.read("run/tokenizer.json") == place.read("hf/tokenizer.json"));
    // A run of an earlier version holds words in a form of Lobe's: it leaves in the common one.
    let words: serde_json::Map<String, serde_json::Value> =
        serde_json::from_value(tokenizer["model"]["vocab"].clone()).unwrap();
    let list: Vec<&String> = words.keys().collect();
    place.write("run/tokenizer.json", &serde_json::json!({ "lobe": "words", "words": list }).to_string());
    place.lobe(&["export", "run", "--arm", "sgtm", "--out", "old"]).ends(0);
    assert!(place.read("old/tokenizer.json") == place.read("hf/tokenizer.json"));
    // What lies beside somebody's model goes along, unless its ids are of another vocabulary.
    place.write("hf/generation_config.json", r#"{"eos_token_id": [0, 1], "temperature": 0.6}"#);
    place.write("hf/chat_template.jinja", "{{ messages }}");
    place.lobe(&["export", "hf", "--out", "along"]).ends(0);
    assert_eq!(place.read("along/generation_config.json"), place.read("hf/generation_config.json"));
    assert_eq!(place.read("along/chat_template.jinja"), b"{{ messages }}");
    place.write("hf/generation_config.json", r#"{"eos_token_id": 50256}"#);
    place.lobe(&["export", "hf", "--out", "other"]).ends(0);
    assert_eq!(json("other/generation_config.json")["eos_token_id"], 0);
    // Without a tokenizer none is written, and that is said.
    std::fs::remove_file(place.path("hf/tokenizer.json")).unwrap();
    let said = place.lobe(&["export", "hf", "--out", "none"]).ends(0);
    assert!(said.out.contains("none lies beside the model"), "{}", said.out);
    assert!(!place.path("none/tokenizer_config.json").exists());
}

#[test]
fn a_head_that_the_flag_hides_is_seen_by_every_command() {
    let place = run();
    place.lobe(&["export", "run", "--arm", "sgtm", "--out", "own"]).ends(0);
    place.lobe(&["export", "own", "--out", "flag"]).ends(0);
    let config = String::from_utf8(place.read("flag/config.json")).unwrap();
    let (no, yes) = ("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    assert!(config.contains(no));
    place.write("flag/config.json", &config.replace(no, yes));
    let speak = |model: &str| {
        place.lobe(&["sample", "--model", model, "--tokens", "20", "--temperature", "0", "--json"]).ends(0)
    };
    let (own, flag) = (speak("own"), speak("flag"));
    assert_eq!(own.json()["whole"], flag.json()["whole"]);
    let note = "lm_head.weight differs from it: read as a head of its own: flag";
    assert!(own.err.is_empty() && flag.err.contains(note), "{}", flag.err);
    let again = place.lobe(&["export", "flag", "--out", "again"]).ends(0);
    assert!(again.err.contains(note), "{}", again.err);
    assert!(place.read("own/model.safetensors") == place.read("again/model.safetensors"));
    assert!(String::from_utf8(place.read("again/config.json")).unwrap().contains(no));
    // A recipe that believes the flag is told.
    let loading = TINY.replace("layers = 1", "layers = 2\ntied = true");
    let stage = "do = \"load\"\narms = [\"baseline\"]\npath = \"flag\"\n[[stage]]\ndo = \"train\"\narms = [\"sgtm\", \"oracle\"]";
    place.write("load.toml", &loading.replacen("do = \"train\"", stage, 1));
    place.lobe(&["run", "load.toml", "--out", "x"]).refuses(&["\"head.weight\"", "lm_head.weight differs"]);
}
