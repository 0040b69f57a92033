//! Byte-pair encoding through the `tokenizers` crate: trained, or loaded from a
//! `tokenizer.json` or GPT-2's two files.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, PostProcessorWrapper, Tokenizer as Hub};

use super::cuts;
use super::format::begins_with;
use super::marks::{self, Marks, Vocabulary};
use super::words::END;
use crate::error::{DataError, Result, one_line};
use crate::memory;

/// Largest id accepted from a file: an embedding of more rows than this is surely an attack.
const MAX_ID: u64 = 1 << 22;
/// Texts of more than twice this many bytes are encoded in parts, where that gives the same ids.
const PART: usize = 1 << 16;
/// Bytes of text that the library is given at a time.
const BATCH: usize = 4 << 20;
/// Numbers of four bytes that the library keeps per byte of text while it works, measured and rounded up.
const NUMBERS_PER_BYTE: u64 = 100;

/// A byte-pair tokenizer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bpe {
    hub: Arc<Hub>,
    vocab: usize,
    marks: Option<Marks>,
    /// Whether a long text may be encoded in parts.
    parts: bool,
}

fn fail<T>(what: impl Into<String>, path: &str) -> Result<T> {
    Err(DataError::Tokenizer { what: what.into(), path: path.into() })
}

impl Bpe {
    /// Trains a byte-level BPE of `vocab` ids on `texts`. Equal input gives an equal tokenizer.
    ///
    /// # Errors
    /// If `vocab` is below 257 (all bytes and the end mark).
    pub fn train<'a>(texts: impl IntoIterator<Item = &'a str>, vocab: usize) -> Result<Bpe> {
        const PATH: &str = "training";
        if vocab < 257 {
            return fail(format!("vocab = {vocab}, but bytes and the end mark take 257"), PATH);
        }
        let mut hub = byte_level(BPE::default());
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab)
            .show_progress(false)
            .min_frequency(2)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(vec![AddedToken::from(END, true)])
            .build();
        let owned: Vec<String> =
            texts.into_iter().flat_map(|t| cuts::parts(t, PART)).map(str::to_owned).collect();
        hub.train(&mut TrainerWrapper::from(trainer), owned.into_iter())
            .map_err(|e| DataError::Tokenizer { what: one_line(&e), path: PATH.into() })?;
        // Training puts the mark before every text, and so does whoever opens the saved file.
        let template: Option<PostProcessorWrapper> =
            hub.token_to_id(END).and_then(|id| serde_json::from_value(begins_with(id)).ok());
        hub.with_post_processor(template);
        Ok(Bpe::finish(hub, &Value::Null, &[]))
    }

    /// From GPT-2's `encoder.json` (or `vocab.json`) and `vocab.bpe` (or `merges.txt`).
    ///
    /// # Errors
    /// If the two do not make a tokenizer.
    pub fn from_gpt2(vocab: &[u8], merges: &str, path: &str) -> Result<Bpe> {
        let Ok(vocab) = serde_json::from_slice::<Value>(vocab) else {
            return fail("the vocabulary is not JSON", path);
        };
        let merges: Vec<&str> =
            merges.lines().filter(|l| !l.starts_with("#version") && !l.is_empty()).collect();
        let plain = serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        let mut value = serde_json::json!({
            "version": "1.0", "pre_tokenizer": plain, "decoder": plain, "added_tokens": [],
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                      "end_of_word_suffix": "", "fuse_unk": false, "vocab": vocab, "merges": merges},
        });
        if let Some(id) = value["model"]["vocab"].get(END).cloned() {
            value["added_tokens"] = serde_json::json!([{"id": id, "content": END, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false, "special": true}]);
        }
        Bpe::from_value(value, path, &[])
    }

    /// From the content of a `tokenizer.json` and of the files beside it.
    pub(crate) fn from_value(mut value: Value, path: &str, beside: &[(&'static str, Value)]) -> Result<Bpe> {
        check(&value, path)?;
        // These would make encoding random or cut texts silently.
        value["truncation"] = Value::Null;
        value["padding"] = Value::Null;
        value["model"]["dropout"] = Value::Null;
        let text = value.to_string();
        match guard(|| text.parse::<Hub>()) {
            Err(DataError::Tokenizer { what, .. }) => fail(what, path),
            hub => Ok(Bpe::finish(hub?, &value, beside)),
        }
    }

    fn finish(hub: Hub, own: &Value, beside: &[(&'static str, Value)]) -> Bpe {
        let marks = marks::find(&hub, own, beside);
        // Ids may have gaps, so the count of tokens is not the size of the embedding.
        let vocab = hub.get_vocab(true).values().max().map_or(0, |&m| m as usize + 1);
        let parts = cuts::allowed(&hub);
        Bpe { hub: Arc::new(hub), vocab, marks, parts }
    }

    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode_all(&[text])?.concat())
    }

    pub(crate) fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>> {
        let mut out: Vec<Vec<u32>> = texts.iter().map(|_| Vec::new()).collect();
        let (mut batch, mut owners, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (i, text) in texts.iter().enumerate() {
            let parts = if self.parts { cuts::parts(text, PART) } else { vec![*text] };
            for part in parts {
                if bytes > 0 && bytes + part.len() > BATCH {
                    self.encode_batch(std::mem::take(&mut batch), &std::mem::take(&mut owners), &mut out)?;
                    bytes = 0;
                }
                bytes += part.len();
                batch.push(part);
                owners.push(i);
            }
        }
        self.encode_batch(batch, &owners, &mut out)?;
        Ok(out)
    }

    /// Appends the ids of each part to those of the text that owns it.
    fn encode_batch(&self, parts: Vec<&str>, owners: &[usize], out: &mut [Vec<u32>]) -> Result<()> {
        if let Some(longest) = parts.iter().map(|p| p.len()).max().filter(|n| *n > BATCH) {
            let what = format!("text: {longest} bytes without a place where this tokenizer can stop");
            let numbers = (longest as u64).saturating_mul(NUMBERS_PER_BYTE);
            let help = "lower max_chars, or put a separator between documents";
            memory::fits(&what, numbers, memory::available(), help)?;
        }
        let encoded = guard(|| self.hub.encode_batch_fast(parts, false))?;
        encoded.iter().zip(owners).for_each(|(e, owner)| out[*owner].extend_from_slice(e.get_ids()));
        Ok(())
    }

    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        guard(|| self.hub.decode(ids, true)).unwrap_or_default()
    }

    pub(crate) fn vocab_size(&self) -> usize {
        self.vocab
    }

    pub(crate) fn marks(&self) -> Option<&Marks> {
        self.marks.as_ref()
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        // The library orders its maps by id, so the text is the same each time.
        self.hub.to_string(false).unwrap_or_default().into_bytes()
    }
}

impl Vocabulary for Hub {
    fn id(&self, text: &str) -> Option<u32> {
        self.token_to_id(text)
    }

    fn special(&self, id: u32) -> Option<String> {
        self.get_added_tokens_decoder().get(&id).filter(|t| t.special).map(|t| t.content.clone())
    }
}

/// Runs the library on content that a stranger may have made. [`check`] refuses what is known to
/// break it; this turns what is not known from a panic into an error.
fn guard<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(out)) => Ok(out),
        Ok(Err(e)) => fail(one_line(&e), "in use"),
        Err(_) => fail("the tokenizer's file is inconsistent", "in use"),
    }
}

fn byte_level(model: BPE) -> Hub {
    let mut hub = Hub::new(model);
    let plain = ByteLevel::new(false, true, true);
    hub.with_pre_tokenizer(Some(plain));
    hub.with_decoder(Some(plain));
    hub
}

/// Refuses what is not a consistent BPE file.
fn check(value: &Value, path: &str) -> Result<()> {
    let Some(model) = value.get("model").filter(|m| m.is_object()) else { return fail("no \"model\"", path) };
    // Old files name no type; then vocabulary and merges must be there, which is checked below.
    if let Some(kind) = model.get("type").and_then(Value::as_str).filter(|&k| k != "BPE") {
        return fail(format!("model {kind:?} is not supported, only \"BPE\""), path);
    }
    // Its table is trusted by the library, which panics on a wrong one.
    if value.get("normalizer").is_some_and(|n| n.to_string().contains("\"Precompiled\"")) {
        return fail("a \"Precompiled\" normalizer is not supported", path);
    }
    let Some(vocab) = model.get("vocab").and_then(Value::as_object) else {
        return fail("the model has no \"vocab\" map", path);
    };
    if vocab.is_empty() {
        return fail("the vocabulary is empty", path);
    }
    let mut seen = BTreeSet::new();
    for (token, id) in vocab {
        match id.as_u64() {
            Some(id) if id < MAX_ID && seen.insert(id) => {}
            Some(id) if id < MAX_ID => return fail(format!("id {id} occurs twice"), path),
            _ => {
                return fail(
                    format!("token {:?} has id {id}", token.chars().take(40).collect::<String>()),
                    path,
                );
            }
        }
    }
    let Some(merges) = model.get("merges").and_then(Value::as_array) else {
        return fail("the model has no \"merges\" list", path);
    };
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or("");
    for (i, merge) in merges.iter().enumerate() {
        let pair = match merge {
            Value::String(s) => s.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())),
            Value::Array(p) => match p.as_slice() {
                [Value::String(a), Value::String(b)] => Some((a.clone(), b.clone())),
                _ => None,
            },
            _ => None,
        };
        let known = |t: &str| vocab.contains_key(t);
        if !pair.is_some_and(|(a, b)| known(&a) && known(&b) && b.starts_with(prefix)) {
            return fail(format!("merge {i} is not a pair of known tokens"), path);
        }
    }
    let added = value.get("added_tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match added.iter().find(|t| t.get("id").and_then(Value::as_u64).is_none_or(|id| id >= MAX_ID)) {
        Some(_) => fail("an added token has no valid id", path),
        None => Ok(()),
    }
}
