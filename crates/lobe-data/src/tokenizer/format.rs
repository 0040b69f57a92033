//! Bytes and words in the `tokenizers` format, so that every tool that reads `tokenizer.json` opens
//! them; and recognised again by what they are.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::words::{CLOSING, END, OPENING, UNKNOWN, Words};

/// The id of the mark after the 256 bytes.
pub(super) const BYTE_MARK: u32 = 256;

/// The mark `id` before every text, as Lobe puts it.
pub(super) fn begins_with(id: u32) -> Value {
    let (mark, a, b) = (
        json!({"SpecialToken": {"id": END, "type_id": 0}}),
        json!({"Sequence": {"id": "A", "type_id": 0}}),
        json!({"Sequence": {"id": "B", "type_id": 1}}),
    );
    json!({
        "type": "TemplateProcessing",
        "single": [mark, a], "pair": [mark, a, b],
        "special_tokens": {END: {"id": END, "ids": [id], "tokens": [END]}},
    })
}

fn file(mark: u32, pre_tokenizer: &Value, decoder: &Value, model: &Value) -> Value {
    let added = json!({"id": mark, "content": END, "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [added],
        "normalizer": null, "pre_tokenizer": pre_tokenizer, "post_processor": begins_with(mark),
        "decoder": decoder, "model": model,
    })
}

/// The letter that byte-level tokenizers write for every byte: itself where it prints, else one from
/// 256 on (Radford et al. 2019, `encoder.py`).
fn letters() -> Vec<char> {
    let prints = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut spare = 256..;
    let letter = |b: u32| if prints(b) { Some(b) } else { spare.next() };
    (0..256).filter_map(letter).filter_map(char::from_u32).collect()
}

/// One id per byte and the mark: byte-level pairs without any merge.
pub(super) fn bytes() -> Value {
    let mut vocab: Map<String, Value> =
        letters().into_iter().zip(0..).map(|(c, id): (char, u32)| (c.to_string(), json!(id))).collect();
    vocab.insert(END.into(), json!(BYTE_MARK));
    let plain =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let model = json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
        "vocab": vocab, "merges": []});
    file(BYTE_MARK, &plain, &plain, &model)
}

/// A closed vocabulary: split at white space, then opening marks from the front and closing marks
/// from the back of each piece.
pub(super) fn words(list: &[String]) -> Value {
    let escape = |mark: &&str| mark.replace('.', r"\.").replace('?', r"\?");
    let any = |marks: &[&str]| format!("(?:{})", marks.iter().map(escape).collect::<Vec<_>>().join("|"));
    let (opening, closing) = (any(&OPENING), any(&CLOSING));
    let split = |pattern: String| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let replace = |pattern: String, content: &str| json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": content});
    let before = json!({"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"},
        split(format!(r"\G{opening}")),
        split(format!("{closing}(?={closing}*$)")),
    ]});
    let after = json!({"type": "Sequence", "decoders": [
        replace(format!("^(?!{closing}$)"), " "),
        {"type": "Fuse"},
        replace(format!("(?<={opening}) "), ""),
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ]});
    let vocab: Map<String, Value> =
        list.iter().zip(0..).map(|(w, id): (_, u32)| (w.clone(), json!(id))).collect();
    let model = json!({"type": "WordLevel", "vocab": vocab, "unk_token": UNKNOWN});
    file(0, &before, &after, &model)
}

/// Whether a file is [`bytes`].
pub(super) fn is_bytes(value: &Value) -> bool {
    // The vocabulary's size first: files of a hundred thousand tokens are not compared in full.
    let size = value.get("model").and_then(|m| m.get("vocab")).and_then(Value::as_object).map(Map::len);
    size == Some(BYTE_MARK as usize + 1) && *value == bytes()
}

/// The words of a file that [`words`] made, in order.
pub(super) fn listed(value: &Value) -> Option<Vec<String>> {
    let model = value.get("model").filter(|m| m.get("type").and_then(Value::as_str) == Some("WordLevel"))?;
    let vocab = model.get("vocab")?.as_object()?;
    let by_id: BTreeMap<u64, &String> = vocab.iter().filter_map(|(w, id)| Some((id.as_u64()?, w))).collect();
    let list: Vec<String> = by_id.into_values().cloned().collect();
    (words(&list) == *value).then_some(list)
}

/// `tokenizer_config.json` for a `tokenizer.json` with these marks.
pub(super) fn config(marks: Option<(&str, &str)>, words: Option<&Words>) -> Vec<u8> {
    let mut map = Map::new();
    map.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    map.insert("clean_up_tokenization_spaces".into(), json!(false));
    if let Some((begin, end)) = marks {
        map.insert("bos_token".into(), json!(begin));
        map.insert("eos_token".into(), json!(end));
    }
    if words.is_some() {
        map.insert("unk_token".into(), json!(UNKNOWN));
    }
    format!("{:#}\n", Value::Object(map)).into_bytes()
}
