//! Tokenizers: round trips, files, hostile files.

#![cfg(feature = "bpe")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use lobe_core::Key;
use lobe_data::{Bpe, Tokenizer, Words};
use tokenizers::Tokenizer as Hub;

const TEXT: &str = "The old dog lived in a small house. El perro viejo vivía en una casa pequeña. ¿Sí? 🐕";

fn texts() -> Vec<String> {
    (0..40).map(|i| format!("{TEXT} Number {i} of the house and the dog.")).collect()
}

fn trained() -> Tokenizer {
    Tokenizer::Bpe(Bpe::train(texts().iter().map(String::as_str), 320).unwrap())
}

fn check_saved(t: &Tokenizer, text: &str) {
    let ids = t.encode(text).unwrap();
    assert_eq!(t.decode(&ids), text);
    assert!(ids.iter().all(|&i| (i as usize) < t.vocab_size()));
    let json = t.to_json();
    let again = Tokenizer::from_json(&json, "saved").unwrap();
    assert_eq!(again.encode(text).unwrap(), ids);
    assert_eq!((again.vocab_size(), again.bos(), again.eos()), (t.vocab_size(), t.bos(), t.eos()));
    assert_eq!(again.to_json(), json, "saving is stable");
    assert!([t.eos(), t.bos()].iter().all(|id| (id.unwrap() as usize) < t.vocab_size()));
}

#[test]
fn texts_and_files_round_trip() {
    check_saved(&Tokenizer::Byte, TEXT);
    check_saved(&trained(), TEXT);
    let words = ["The", "dog", "ran", ".", ",", "«", "»", "'s", "¿", "?", "Ana"].map(String::from);
    check_saved(&Tokenizer::Words(Words::new(words)), "The dog, Ana's dog ran. «¿Ana?»");
}

/// What every tool with the `tokenizers` library makes of a saved file: the begin mark, then Lobe's ids.
fn opens_elsewhere(t: &Tokenizer, text: &str) {
    let hub: Hub = String::from_utf8(t.to_json()).unwrap().parse().unwrap();
    let ids = hub.encode(text, true).unwrap().get_ids().to_vec();
    assert_eq!(ids[0], t.bos().unwrap(), "{text}");
    assert_eq!(ids[1..], t.encode(text).unwrap(), "{text}");
    assert_eq!(hub.get_vocab_size(true), t.vocab_size());
    let config: serde_json::Value = serde_json::from_slice(&t.config_json()).unwrap();
    assert_eq!(hub.token_to_id(config["bos_token"].as_str().unwrap()), t.bos());
    assert_eq!(hub.token_to_id(config["eos_token"].as_str().unwrap()), t.eos());
    assert_eq!(hub.decode(&ids, true).unwrap(), t.decode(&ids), "{text}");
}

#[test]
fn saved_tokenizers_open_in_other_tools() {
    for t in [Tokenizer::Byte, trained()] {
        opens_elsewhere(&t, TEXT);
        opens_elsewhere(&t, "tab\tline\n\u{0}\u{7f}\u{ad} end");
    }
    let words = ["The", "dog", "ran", ".", ",", "«", "»", "'s", "¿", "?", "¡", "!", "Ana", "“", "”"];
    let words = Tokenizer::Words(Words::new(words.map(String::from)));
    for text in ["The dog, Ana's dog ran. «¿Ana?»", "¿¡The!? “«Ana's.»”", "'s", "a¿b The .dog", ".¿.", ""]
    {
        opens_elsewhere(&words, text);
    }
    // Read again, they are what they were and not merely alike.
    let again = |t: &Tokenizer| Tokenizer::from_json(&t.to_json(), "saved").unwrap();
    assert!(matches!(again(&Tokenizer::Byte), Tokenizer::Byte));
    assert!(matches!(again(&words), Tokenizer::Words(_)));
    // And so are the kinds of earlier versions.
    let old = |text: &str| Tokenizer::from_json(text.as_bytes(), "old").unwrap();
    assert!(matches!(old(r#"{"lobe": "byte"}"#), Tokenizer::Byte));
    let list = r#"{"lobe": "words", "words": ["<|endoftext|>", "<|unknown|>", "dog"]}"#;
    assert_eq!(old(list).encode("dog cat").unwrap(), [2, 1]);
}

/// A tokenizer of somebody's: letters, and special tokens under names of their own.
fn foreign(special: &[(&str, u32)], processor: &str) -> String {
    let added: Vec<String> = special
        .iter()
        .map(|(text, id)| {
            format!(
                r#"{{"id": {id}, "content": "{text}", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true}}"#
            )
        })
        .collect();
    let vocab: Vec<String> = special.iter().map(|(t, id)| format!(r#""{t}": {id}"#)).collect();
    format!(
        r#"{{"version": "1.0", "added_tokens": [{}], "post_processor": {processor},
        "model": {{"type": "BPE", "vocab": {{{}, "a": 10, "b": 11}}, "merges": []}}}}"#,
        added.join(", "),
        vocab.join(", ")
    )
}

#[test]
fn marks_are_those_the_files_name_and_nothing_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let open = |name: &str| {
        let t = Tokenizer::open(&dir.path().join(name)).unwrap();
        assert_eq!(t.vocab_size(), 12, "nothing is added");
        t.marks().map(|m| (m.begin.id, m.begin.from, m.end.id, m.end.from))
    };
    let names = [("<start>", 0), ("<stop>", 1), ("<pad>", 2)];
    put("tokenizer.json", &foreign(&names, "null"));
    assert_eq!(open("tokenizer.json"), None, "no file names one, and no name is usual");
    assert_eq!(Tokenizer::open(&dir.path().join("tokenizer.json")).unwrap().encode("ab").unwrap(), [10, 11]);
    // By id in the model's configuration, if it is a special token there.
    put("generation_config.json", r#"{"bos_token_id": 0, "eos_token_id": [7000, 1]}"#);
    assert_eq!(open("tokenizer.json"), Some((0, "generation_config.json", 1, "generation_config.json")));
    put("config.json", r#"{"bos_token_id": 10, "eos_token_id": 2}"#);
    assert_eq!(open("tokenizer.json"), Some((0, "generation_config.json", 2, "config.json")));
    // By name in the tokenizer's own, as text or as a table.
    let own = r#"{"bos_token": {"content": "<start>", "lstrip": false}, "eos_token": "<stop>"}"#;
    put("tokenizer_config.json", own);
    let both = Some((0, "tokenizer_config.json", 1, "tokenizer_config.json"));
    assert_eq!(open("tokenizer.json"), both);
    let said = Tokenizer::open(&dir.path().join("tokenizer.json")).unwrap().marks().unwrap().to_string();
    let want = "texts begin with \"<start>\" (id 0, tokenizer_config.json) and end with \"<stop>\" (id 1, \
        tokenizer_config.json)";
    assert_eq!(said, want);
    // What is damaged or unknown says nothing; a mark that is missing is the other one.
    put("tokenizer_config.json", r#"{"bos_token": "<nowhere>", "eos_token": null}"#);
    put("config.json", "[[[");
    put("generation_config.json", r#"{"eos_token_id": 1}"#);
    assert_eq!(open("tokenizer.json"), Some((1, "generation_config.json", 1, "generation_config.json")));
    // A file of another name is not one of this model.
    put("mine.json", &foreign(&names, "null"));
    put("tokenizer_config.json", own);
    assert_eq!(open("mine.json"), None);
    // The template that the tokenizer itself puts around a text.
    let template = r#"{"type": "Sequence", "processors": [{"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<stop>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<stop>": {"id": "<stop>", "ids": [1], "tokens": ["<stop>"]}}}]}"#;
    put("mine.json", &foreign(&names, template));
    assert_eq!(open("mine.json"), Some((1, "tokenizer.json", 1, "tokenizer.json")));
    // And last a name that many have.
    put("mine.json", &foreign(&[("</s>", 3), ("<s>", 4)], "null"));
    assert_eq!(open("mine.json"), Some((4, "by its name", 3, "by its name")));
}

#[test]
fn training_is_deterministic_and_of_the_wanted_size() {
    let (a, b) = (trained(), trained());
    assert_eq!(a.to_json(), b.to_json());
    assert_eq!(a.vocab_size(), 320);
    assert!(a.encode(TEXT).unwrap().len() < TEXT.len() / 2);
    assert!(Bpe::train(["a"], 100).unwrap_err().to_string().contains("bytes and the end mark take 257"));
    let all = texts();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let one_by_one: Vec<_> = all.iter().map(|t| a.encode(t).unwrap()).collect();
    assert_eq!(a.encode_all(&all).unwrap(), one_by_one);
}

#[test]
fn padding_marks_and_unknown_ids_decode_to_nothing() {
    for t in [Tokenizer::Byte, trained()] {
        let mut ids = t.encode("dog").unwrap();
        ids.extend([u32::MAX, 1 << 21, t.eos().unwrap()]);
        assert_eq!(t.decode(&ids), "dog");
    }
    let w = Tokenizer::Words(Words::new(["dog".to_owned()]));
    assert_eq!(w.decode(&[0, 2, u32::MAX, 77, 0]), "dog");
    assert_eq!(w.encode("dog cat").unwrap(), [2, 1]);
}

#[test]
fn wrong_files_are_refused_in_one_line() {
    let err = |text: &str| {
        let e = Tokenizer::from_json(text.as_bytes(), "tok.json").unwrap_err().to_string();
        assert!(!e.contains('\n') && e.starts_with("tokenizer: ") && e.ends_with(": tok.json"), "{e}");
        e
    };
    assert!(err("{").contains("not JSON"));
    assert!(err("[]").contains("no \"model\""));
    assert!(err(r#"{"lobe": "runes"}"#).contains("unknown kind \"runes\""));
    assert!(err(r#"{"lobe": "words", "words": [1]}"#).contains("not a list of words"));
    assert!(err(r#"{"lobe": "words", "words": ["a", "b"]}"#).contains("two marks"));
    assert!(err(r#"{"model": {"type": "Unigram", "vocab": []}}"#).contains("\"Unigram\" is not supported"));
    let bpe = |vocab: &str, merges: &str| {
        format!(r#"{{"model": {{"type": "BPE", "vocab": {vocab}, "merges": {merges}}}}}"#)
    };
    assert!(err(&bpe("{}", "[]")).contains("vocabulary is empty"));
    assert!(err(&bpe(r#"{"a": 0, "b": 0}"#, "[]")).contains("id 0 occurs twice"));
    assert!(err(&bpe(r#"{"a": 4294967295}"#, "[]")).contains("has id 4294967295"));
    assert!(err(&bpe(r#"{"a": -1}"#, "[]")).contains("has id -1"));
    assert!(err(&bpe(r#"{"a": 0}"#, r#"["a b"]"#)).contains("merge 0 is not a pair"));
    assert!(err(&"[".repeat(100_000)).contains("not JSON"));
}

/// Long texts are encoded in pieces; nothing of that shows.
#[test]
fn long_texts_encode_like_short_ones() {
    let t = trained();
    let line = "The old dog lived in\n a small house.\n\nEl perro\nviejo vivía 🐕\n";
    let long = line.repeat(4000);
    let ids = t.encode(&long).unwrap();
    assert_eq!(t.decode(&ids), long);
    // Lines do not interact, so the ids repeat with the lines.
    let per_line = ids.len() / 4000;
    assert_eq!(ids.len() % 4000, 0);
    assert!(ids.chunks(per_line).all(|c| c == &ids[..per_line]));
    assert_eq!(t.encode(&"x".repeat(300_000)).unwrap().len(), 300_000);
}

/// A tokenizer of the given parts whose vocabulary is all bytes as characters, and these merges.
fn with(normalizer: &str, pre: &str, merges: &[&str]) -> Tokenizer {
    let bytes: Bpe = Bpe::train(["a"], 257).unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&Tokenizer::Bpe(bytes).to_json()).unwrap();
    value["normalizer"] = serde_json::from_str(normalizer).unwrap();
    value["pre_tokenizer"] = serde_json::from_str(pre).unwrap();
    let model = &mut value["model"];
    for extra in ["▁"].into_iter().map(String::from).chain(merges.iter().map(|m| m.replace(' ', ""))) {
        let vocab = model["vocab"].as_object_mut().unwrap();
        let next = serde_json::json!(vocab.len());
        vocab.entry(extra).or_insert(next);
    }
    model["merges"] = serde_json::json!(merges);
    Tokenizer::from_json(value.to_string().as_bytes(), "made").unwrap()
}

/// What a cut between lines takes apart: a Llama 3 tokenizer has tokens of a mark and a line break.
#[test]
fn long_documents_have_the_ids_of_the_whole() {
    const LLAMA3: &str = r#"{"type": "Sequence", "pretokenizers": [{"type": "Split", "behavior": "Isolated", "invert": false,
        "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}"#;
    let line = "Ana's dog ran, and ran.\nIt is 1024 m.\n\n";
    let whole = line.repeat(9000);
    let llama3 = with("null", LLAMA3, &[". Ċ", "Ġ d", ".Ċ Ċ"]);
    let per_line = llama3.encode(line).unwrap();
    assert_eq!(llama3.encode(&whole).unwrap(), per_line.repeat(9000));

    // Words are not taken apart here at all, and a merge reaches over the space.
    let joined = with("null", "null", &["a n", "an d", "▁ and", "o ▁", "o▁ and"]);
    let text = "so▁and▁so ".repeat(20_000);
    let once = joined.encode("so▁and▁so ").unwrap();
    assert_eq!(joined.encode(&text).unwrap(), once.repeat(20_000));

    // A mark in front of the text stands there once, not once a part.
    let prepend = r#"{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}"#;
    let llama2 = with(prepend, "null", &["▁ d", "o g"]);
    let dogs = llama2.encode(&"dog ".repeat(60_000)).unwrap();
    let of = |text: &str| llama2.encode(text).unwrap();
    let (first, last) = (of("dog dog dog"), of("dog dog"));
    let each = first.len() - last.len();
    assert_eq!(dogs.len(), of("dog ").len() + 59_999 * each);
    assert!(dogs.ends_with(&of("▁")[of("▁").len() - 1..]), "the space at the end");

    // Bytes and a list of words have no parts.
    assert_eq!(Tokenizer::Byte.encode(&whole).unwrap().len(), whole.len());
    let words = Tokenizer::Words(Words::new(["dog".to_owned()]));
    assert_eq!(words.encode(&"dog\n".repeat(60_000)).unwrap(), [2].repeat(60_000));
}

/// The files that this was found with, where a developer has them beside the checkout.
#[test]
fn a_long_document_of_another_tool_has_the_ids_it_gives() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/faults/long-document");
    let Ok(json) = std::fs::read(dir.join("llama3-style/tokenizer.json")) else { return };
    let text = std::fs::read_to_string(dir.join("lines.test.txt")).unwrap();
    let tokenizer = Tokenizer::from_json(&json, "tokenizer.json").unwrap();
    // Of `transformers` 5.24.
    assert_eq!(tokenizer.encode(&text).unwrap().len(), 87_093);
}

/// Consistent at first sight, but made to break the library.
#[test]
fn malicious_parts_are_errors() {
    let with = |part: &str| {
        format!(
            r#"{{"model": {{"type": "BPE", "vocab": {{"a": 0, "ab": 1, "b": 2}}, "merges": []}}, {part}}}"#
        )
    };
    for part in [
        r#""normalizer": {"type": "Precompiled", "precompiled_charsmap": "//////8="}"#,
        r#""normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "aaaa"}"#,
        r#""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a*)*$"}, "behavior": "Isolated", "invert": false}"#,
        r#""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": false}"#,
        r#""decoder": {"type": "Strip", "content": "a", "start": 9999999, "stop": 9999999}"#,
        r#""decoder": {"type": "Nonsense"}"#,
        r#""truncation": {"max_length": 0, "strategy": "LongestFirst", "stride": 5, "direction": "Right"}"#,
        r#""added_tokens": [{"id": 4194303, "content": "", "special": true}]"#,
        r#""added_tokens": [{"id": 99999999999, "content": "z", "special": true}]"#,
    ] {
        if let Ok(t) = Tokenizer::from_json(with(part).as_bytes(), "x") {
            let ids = t.encode("ab aaaa b").unwrap_or_default();
            t.decode(&ids);
            assert!(t.vocab_size() <= 1 << 22, "{part}");
        }
    }
    let prefix = r#"{"model": {"type": "BPE", "continuing_subword_prefix": "~~~~", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}"#;
    assert!(Tokenizer::from_json(prefix.as_bytes(), "x").is_err());
}

/// Random damage to a good file gives an error or a tokenizer, never a panic.
#[test]
fn hostile_files_never_panic() {
    let good = trained().to_json();
    let mut rng = Key::root(9).rng();
    let mut loaded = 0;
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len());
            match rng.below(3) {
                0 => bytes[at] = b"0123456789\"{}[]:,-tfn"[rng.below(21)],
                1 => drop(bytes.drain(at..bytes.len().min(at + 1 + rng.below(20)))),
                _ => bytes.insert(at, b"09\"{}[],-"[rng.below(9)]),
            }
        }
        if let Ok(t) = Tokenizer::from_json(&bytes, "x") {
            loaded += 1;
            let ids = t.encode(TEXT).unwrap_or_default();
            t.decode(&ids);
        }
    }
    assert!(loaded > 0);
}
