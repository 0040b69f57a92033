use super::*;
use crate::recipe::Written;
use crate::schedule;

/// A recipe that every example fits into.
const BASE: &str = r#"
name = "base"
[data]
kind = "bilingual"
batches = "one-class"
forget = { language = "es" }
retain = { language = "en" }
[model]
kind = "gpt"
[regions]
spanish = "blocks.*.mlp.post[-32..]"
french = "blocks.*.mlp.post[-64..-32]"
[arms.baseline]
method = "none"
[arms.npo]
method = "npo"
from = "baseline"
[[stage]]
do = "train"
[[stage]]
do = "unlearn"
"#;

/// Whether the recipe with the lines of an example in it resolves.
fn fits(example: &str) -> Result<(), String> {
    let mut base: toml::Table = BASE.parse().unwrap();
    let more: toml::Table = example.parse().map_err(|e: toml::de::Error| e.to_string())?;
    for (key, value) in more {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) if key == "arms" => old.extend(new),
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) if key == "data" => {
                if new.get("kind").is_some_and(|k| k.as_str() != Some("bilingual")) {
                    old.clear();
                }
                old.extend(new);
            }
            (Some(toml::Value::Array(old)), toml::Value::Array(new)) => {
                // The first stage of the example may be named by the key that it shows.
                old.extend(new);
            }
            (_, value) => drop(base.insert(key, value)),
        }
    }
    let text = toml::to_string(&base).map_err(|e| e.to_string())?;
    let written = Written::from_str("example", &text).map_err(|e| e.to_string())?;
    schedule::resolve(&written).map(drop).map_err(|e| format!("{e}\n{example}"))
}

#[test]
fn every_key_has_an_example_that_a_recipe_accepts() {
    let keys = recipe_keys();
    let mut wrong = Vec::new();
    let all = every_key(&keys);
    assert!(all.len() > 300, "{}", all.len());
    for found in &all {
        match example_of(found) {
            None => wrong.push(format!("{}: no example; {}", found.path(), found.key.kind)),
            Some(example) => wrong.extend(fits(&example).err().map(|e| format!("{}: {e}", found.path()))),
        }
    }
    assert!(wrong.is_empty(), "{} keys\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_word_has_an_example_that_a_recipe_accepts() {
    for w in words() {
        assert!(!w.summary.is_empty() && !w.summary.contains('\n'), "{}", w.name);
        assert!(KINDS.iter().any(|k| k.0 == w.kind), "{}", w.kind);
        match w.kind {
            "measure" | "column" | "metric" => assert!(w.example.is_empty()),
            _ => {
                assert!(w.example.contains(&w.name), "{}", w.name);
                fits(&w.example).unwrap_or_else(|e| panic!("{}: {e}", w.name));
            }
        }
    }
}

#[test]
fn no_name_stands_twice_in_one_kind() {
    let words = words();
    for (n, w) in words.iter().enumerate() {
        assert!(words[..n].iter().all(|o| (o.kind, &o.name) != (w.kind, &w.name)), "{}", w.name);
    }
}

#[test]
fn dotted_keys_are_found_through_kinds_and_given_names() {
    let keys = recipe_keys();
    let paths = |dotted: &str| find(&keys, dotted).iter().map(Found::path).collect::<Vec<_>>();
    assert_eq!(paths("train.lr"), ["train.lr"]);
    assert_eq!(paths("train.amsgrad"), [r#"train (optimiser = "adamw").amsgrad"#]);
    assert_eq!(paths("arms.labels"), ["arms.labels"]);
    assert_eq!(paths("data.tokenizer.kind"), [r#"data (kind = "text").tokenizer"#]);
    assert_eq!(paths("data.tokenizer.merges"), [r#"data (kind = "text").tokenizer (kind = "gpt2").merges"#]);
    assert_eq!(paths("data.sources.format"), [r#"data (kind = "text").sources.format"#]);
    assert_eq!(paths("data.labels.virology.recall"), ["data.labels.recall"]);
    assert_eq!(paths("arms.mine.mask_head"), [r#"arms (method = "sgtm").mask_head"#]);
    assert_eq!(paths("stage.relearn.lrs"), [r#"stage (do = "relearn").lrs"#]);
    assert_eq!(paths("presets.tiny.train.lr"), ["train.lr"]);
    assert_eq!(paths("stage.do"), ["stage.do"]);
    assert!(paths("train.learning_rate").is_empty() && paths("nothing.at.all").is_empty());
    assert!(find_anywhere(&keys, "recall").len() >= 3);
}

#[test]
fn the_schema_goes_down_to_the_last_key() {
    let schema = schema();
    let at = |pointer: &str| schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
    let then = |of: &str, kind: &str| {
        let list = at(&format!("{of}/allOf")).as_array().unwrap();
        let tag = |v: &serde_json::Value| v.pointer("/if/properties").unwrap().to_string();
        list.iter().find(|v| tag(v).contains(&format!("{kind:?}"))).unwrap().get("then").unwrap().clone()
    };
    let text = then("/properties/data", "text");
    let tokenizer = text.pointer("/properties/tokenizer").unwrap().to_string();
    assert!(tokenizer.contains("\"bpe\"") && tokenizer.contains("\"vocab\""), "{tokenizer}");
    assert!(text.pointer("/properties/sources/items/properties/max_documents/description").is_some());
    let sgtm = then("/properties/arms/additionalProperties", "sgtm");
    assert!(sgtm.pointer("/properties/mask_embeddings/examples/0").is_some(), "{sgtm}");
    let relearn = then("/properties/stage/items", "relearn");
    assert!(relearn.pointer("/properties/lrs/examples/0/0").is_some(), "{relearn}");
    assert_eq!(at("/properties/train/properties/lr/examples/0"), 0.001);
    assert!(!schema.to_string().contains("$ref"));
}

#[test]
fn metrics_are_known_with_and_without_what_they_are_of() {
    assert_eq!(metric("loss").unwrap().unit, "nat");
    assert_eq!(metric("recovery@zero,lr=0.001").unwrap().name, "recovery");
    assert!(metric("relearn-lora_loss@rank=4").unwrap().about.contains("relearn-lora"));
    assert_eq!(metric("made_up_loss"), None);
}
