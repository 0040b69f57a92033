//! Where a long text may be cut so that the ids of the parts are the ids of the whole.
//!
//! The library keeps some hundred bytes per character while it works, so a book at once would take gigabytes.
//! A cut is made before a space that follows a letter or a digit. That changes nothing if, for this tokenizer,
//!
//! * the normalizer works character by character there (none, a Unicode form, lower case);
//! * no added token reaches over a space or takes the space beside it;
//! * some pre-tokenizer always ends a word there and starts the next one at the space, looking neither back
//!   beyond the space nor, from the left, at what follows it; and every other pre-tokenizer looks at single
//!   characters only. Byte-pair merges never leave a word.
//!
//! Where one of these cannot be shown from the tokenizer's own description, it is encoded whole.

use serde::Serialize;
use serde_json::Value;
use tokenizers::Tokenizer as Hub;

/// Parts of a splitting pattern that never match a letter or digit and the space behind it together, and
/// look ahead only after white space. GPT-2, GPT-4, Llama 3 and Qwen are made of these.
const KNOWN: [&str; 27] = [
    r"'s",
    r"'t",
    r"'re",
    r"'ve",
    r"'m",
    r"'ll",
    r"'d",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"'(?i:[sdmt]|ll|ve|re)",
    r"'(?:[sdmt]|ll|ve|re)",
    r" ?\p{L}+",
    r" ?\p{N}+",
    r" ?[^\s\p{L}\p{N}]+",
    r"\s+(?!\S)",
    WHITE,
    r"[^\r\n\p{L}\p{N}]?\p{L}+",
    r"[^\r\n\p{L}\p{N}]?+\p{L}+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}",
    r"\p{N}+",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*",
    r" ?[^\s\p{L}\p{N}]++[\r\n]*",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s*[\r\n]",
];
/// Without this one a space could belong to no match, and to what stands before it.
const WHITE: &str = r"\s+";

/// Whether a text may be cut before a space that follows a letter or a digit.
pub(super) fn allowed(hub: &Hub) -> bool {
    let added = hub.get_added_tokens_decoder();
    let plain =
        |t: &tokenizers::AddedToken| !t.lstrip && !t.rstrip && !t.content.contains(char::is_whitespace);
    added.values().all(plain)
        && described(hub.get_normalizer()).is_none_or(|n| by_character(&n))
        && described(hub.get_pre_tokenizer()).is_some_and(|p| splits(&p) == Some(true))
}

fn described<T: Serialize>(part: Option<&T>) -> Option<Value> {
    part.map(|p| serde_json::to_value(p).unwrap_or(Value::Bool(false)))
}

fn kind(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn by_character(normalizer: &Value) -> bool {
    match kind(normalizer) {
        "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase" => true,
        "Sequence" => match normalizer.get("normalizers").and_then(Value::as_array) {
            Some(all) => all.iter().all(by_character),
            None => false,
        },
        _ => false,
    }
}

/// Whether a pre-tokenizer ends a word at such a place. `None` where that cannot be said, or where it may
/// join what stands on both sides.
fn splits(pre: &Value) -> Option<bool> {
    let is = |key: &str| pre.get(key).and_then(Value::as_bool);
    match kind(pre) {
        // A space put in front of a part would be one too many, if the part did not start with one.
        "ByteLevel" => is("use_regex"),
        "Metaspace" => is("split"),
        "BertPreTokenizer" | "Whitespace" | "WhitespaceSplit" => Some(true),
        "Digits" | "Punctuation" => Some(false),
        "Split" => {
            let inverted = is("invert")?;
            let behaviour = pre.get("behavior").and_then(Value::as_str)?;
            let text = |name: &str| pre.pointer(&format!("/pattern/{name}")).and_then(Value::as_str);
            let kept =
                (behaviour, inverted) == ("Isolated", false) || (behaviour, inverted) == ("Removed", true);
            let known = text("Regex").is_some_and(|regex| kept && made_of_known_parts(regex));
            let before = ["Isolated", "Removed", "MergedWithNext", "Contiguous"].contains(&behaviour);
            let space = text("String") == Some(" ") && !inverted && before;
            (known || space).then_some(true)
        }
        "Sequence" => {
            let all = pre.get("pretokenizers").and_then(Value::as_array)?;
            all.iter().try_fold(false, |any, one| Some(splits(one)? || any))
        }
        _ => None,
    }
}

fn made_of_known_parts(regex: &str) -> bool {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (i, c) in regex.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            '|' if depth == 0 => {
                parts.push(&regex[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&regex[start..]);
    parts.contains(&WHITE) && parts.iter().all(|p| KNOWN.contains(p))
}

/// The parts of a text, each at least `least` bytes long where there is a place to cut.
pub(super) fn parts(text: &str, least: usize) -> Vec<&str> {
    let (mut out, mut start) = (Vec::new(), 0);
    while text.len() - start > 2 * least {
        let mut from = start + least;
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let letter = |at: usize| text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let Some(cut) = text[from..].match_indices(' ').map(|(i, _)| from + i).find(|at| letter(*at)) else {
            break;
        };
        out.push(&text[start..cut]);
        start = cut;
    }
    out.push(&text[start..]);
    out
}

#[cfg(test)]
mod tests {
    use lobe_core::Key;
    use serde_json::json;

    use super::*;

    /// Three-quarters of the text are made of what tokenizers treat in a way of its own.
    const BITS: [&str; 34] = [
        " ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\u{a0}", "\u{3000}", ".", ".\n", "!?", "'s", "'S",
        "'", "a", "word", "The", "é", "e\u{301}", "\u{345}", "ſ", "ß", "½", "7", "2048", "中文", "。", "ﷺ",
        "🐕", "▁", "<|end|>", "_",
    ];

    fn text(rng: &mut lobe_core::Rng, pieces: usize) -> String {
        (0..pieces).map(|_| *rng.choose(&BITS)).collect()
    }

    /// A byte-pair tokenizer with these parts, its merges counted from texts like those it is tried on.
    fn tokenizer(normalizer: &Value, pre: &Value) -> Hub {
        use tokenizers::models::TrainerWrapper;
        use tokenizers::models::bpe::{BPE, BpeTrainer};
        let value = json!({"version": "1.0", "normalizer": normalizer, "pre_tokenizer": pre, "added_tokens": [],
            "model": {"type": "BPE", "vocab": {}, "merges": []}});
        let mut hub: Hub = value.to_string().parse().unwrap();
        let _: &BPE = match hub.get_model() {
            tokenizers::ModelWrapper::BPE(bpe) => bpe,
            _ => panic!("BPE"),
        };
        let trainer = BpeTrainer::builder()
            .vocab_size(900)
            .show_progress(false)
            .initial_alphabet(BITS.concat().chars().collect())
            .special_tokens(vec![tokenizers::AddedToken::from("<|end|>", true)])
            .build();
        let mut rng = Key::root(3).rng();
        let texts: Vec<String> = (0..200).map(|_| text(&mut rng, 40)).collect();
        hub.train(&mut TrainerWrapper::from(trainer), texts.into_iter()).unwrap();
        hub
    }

    fn ids(hub: &Hub, text: &str) -> Vec<u32> {
        hub.encode_fast(text, false).unwrap().get_ids().to_vec()
    }

    fn byte_level(prefix: bool, regex: bool) -> Value {
        json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": regex})
    }

    fn split(regex: &str) -> Value {
        json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false})
    }

    fn metaspace(scheme: &str, split: bool) -> Value {
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split})
    }

    fn sequence(parts: &[Value]) -> Value {
        json!({"type": "Sequence", "pretokenizers": parts})
    }

    const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    #[test]
    fn where_a_cut_is_allowed_the_parts_give_the_ids_of_the_whole() {
        let bytes = || byte_level(false, false);
        let digits = |each: bool| json!({"type": "Digits", "individual_digits": each});
        let marks = json!({"type": "Punctuation", "behavior": "MergedWithNext"});
        let space = json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext", "invert": false});
        let form = |name: &str| json!({"type": name});
        let two = json!({"type": "Sequence", "normalizers": [form("NFKC"), form("Lowercase")]});
        let tried = [
            (Value::Null, byte_level(false, true)),
            (Value::Null, byte_level(true, true)),
            (form("NFC"), sequence(&[split(LLAMA3), bytes()])),
            (form("NFD"), sequence(&[split(O200K), bytes()])),
            (two, sequence(&[digits(true), byte_level(true, true)])),
            (form("NFKD"), sequence(&[marks, digits(false), byte_level(false, true)])),
            (Value::Null, metaspace("always", true)),
            (Value::Null, metaspace("first", true)),
            (Value::Null, metaspace("never", true)),
            (Value::Null, sequence(&[form("WhitespaceSplit"), metaspace("first", true)])),
            (Value::Null, sequence(&[form("Whitespace"), byte_level(true, false)])),
            (Value::Null, form("BertPreTokenizer")),
            (Value::Null, space),
        ];
        for (normalizer, pre) in tried {
            let hub = tokenizer(&normalizer, &pre);
            assert!(allowed(&hub), "{normalizer} {pre}");
            let mut rng = Key::root(5).rng();
            let mut cuts = 0;
            for _ in 0..300 {
                let text = text(&mut rng, 60);
                let parts = parts(&text, 1 + rng.below(30));
                cuts += parts.len() - 1;
                assert_eq!(parts.concat(), text);
                let joined: Vec<u32> = parts.iter().flat_map(|p| ids(&hub, p)).collect();
                assert_eq!(joined, ids(&hub, &text), "{pre}: {parts:?}");
            }
            assert!(cuts > 300, "{cuts} cuts");
        }
    }

    #[test]
    fn a_tokenizer_that_may_join_what_a_cut_takes_apart_is_not_cut() {
        let no = |normalizer: Value, pre: Value| {
            assert!(!allowed(&tokenizer(&normalizer, &pre)), "{normalizer} {pre}");
        };
        no(Value::Null, Value::Null);
        no(Value::Null, byte_level(false, false));
        no(Value::Null, metaspace("first", false));
        no(Value::Null, split(r"\p{L}+ \p{L}+|\s+"));
        no(Value::Null, split(r" ?\p{L}+| ?\p{N}+"));
        no(
            Value::Null,
            sequence(&[split(LLAMA3), json!({"type": "UnicodeScripts"}), byte_level(false, true)]),
        );
        let merged = json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
        no(Value::Null, merged);
        no(json!({"type": "Prepend", "prepend": "▁"}), byte_level(false, true));
        no(json!({"type": "Strip", "strip_left": true, "strip_right": true}), byte_level(false, true));

        let mut hub = tokenizer(&Value::Null, &byte_level(false, true));
        assert!(allowed(&hub));
        hub.add_tokens([tokenizers::AddedToken::from("two words", false)]).unwrap();
        assert!(!allowed(&hub));
        let mut hub = tokenizer(&Value::Null, &byte_level(false, true));
        hub.add_tokens([tokenizers::AddedToken::from("greedy", false).rstrip(true)]).unwrap();
        assert!(!allowed(&hub));
    }

    #[test]
    fn parts_are_long_enough_and_start_at_a_space() {
        assert_eq!(parts("one two three four", 4), ["one two", " three", " four"]);
        assert_eq!(parts("é é é", 1), ["é", " é", " é"]);
        assert_eq!(parts("one, two, three", 2), ["one, two, three"]);
        assert_eq!(parts("", 4), [""]);
    }
}
