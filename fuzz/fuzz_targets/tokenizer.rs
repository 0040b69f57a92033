//! Any bytes as a tokenizer file: never a panic, ids stay below the vocabulary's size, and what
//! was written reads again as the same tokenizer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lobe_data::Tokenizer;

const TEXT: &str = "La niña vio un perro. The dog saw a girl!\n 1234";

fuzz_target!(|bytes: &[u8]| {
    let Ok(tokenizer) = Tokenizer::from_json(bytes, "fuzz.json") else { return };
    let size = tokenizer.vocab_size() as u32;
    assert!([tokenizer.bos(), tokenizer.eos()].iter().all(|id| id.is_none_or(|id| id < size)));
    let Ok(ids) = tokenizer.encode(TEXT) else { return };
    assert!(ids.iter().all(|id| *id < size));
    drop(tokenizer.decode(&ids));
    let again =
        Tokenizer::from_json(&tokenizer.to_json(), "again.json").expect("what was written reads again");
    assert_eq!(again.encode(TEXT).ok(), Some(ids));
});
