//! Real files, where a developer has them beside the checkout; skipped elsewhere.

#![cfg(feature = "bpe")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::Read as _;
use std::path::PathBuf;

use lobe_core::Key;
use lobe_data::{
    Bpe, CifarConfig, IdxConfig, Packing, TextConfig, TextSource, Tokenizer, TokenizerConfig, WordClass,
};

fn folder() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    dir.join("README.md").is_file().then_some(dir)
}

fn unzip(path: PathBuf) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn mnist_has_its_known_counts() {
    let Some(dir) = folder() else { return };
    let text = r#"{"folder": "mnist", "pixels": "signed"}"#;
    let data = serde_json::from_str::<IdxConfig>(text).unwrap().load(&dir).unwrap();
    assert_eq!(
        (data.train.len(), data.test.len(), data.classes.len(), data.width()),
        (60_000, 10_000, 10, 784)
    );
    assert_eq!(data.train.class[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    assert_eq!(data.train.select(|_, c| c == 1).len(), 6742);
    let mean: f64 =
        (0..1000).flat_map(|i| data.test.numbers(i)).map(|&p| f64::from(p)).sum::<f64>() / 784_000.0;
    assert!((mean + 0.75).abs() < 0.03, "{mean}");
}

#[test]
fn cifar_has_its_known_first_pixels() {
    let Some(dir) = folder() else { return };
    let text =
        r#"{"train": ["cifar10/cifar10-next1000.bin.gz"], "test": ["cifar10/cifar10-first3000.bin.gz"]}"#;
    let data = serde_json::from_str::<CifarConfig>(text).unwrap().load(&dir).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (1000, 3000));
    assert_eq!(data.test.class[..10], [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]);
    let x = data.test.numbers(0);
    assert_eq!([x[0], x[1], x[1024], x[2048]].map(|p| (p * 255.0).round()), [59.0, 43.0, 62.0, 63.0]);
}

#[test]
fn gpt2_ids_match_the_reference_file() {
    let Some(dir) = folder() else { return };
    let merges = String::from_utf8(unzip(dir.join("tokenizers/gpt2-vocab.bpe.gz"))).unwrap();
    let vocab = unzip(dir.join("tokenizers/gpt2-encoder.json.gz"));
    let tok = Tokenizer::Bpe(Bpe::from_gpt2(&vocab, &merges, "encoder.json").unwrap());
    assert_eq!((tok.vocab_size(), tok.bos(), tok.eos()), (50_257, Some(50_256), Some(50_256)));
    let bytes = unzip(dir.join("text/tinystories-test.gpt2-u16le.bin.gz"));
    let ids: Vec<u32> = bytes.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect();
    let stories: Vec<&[u32]> = ids.split(|&t| t == 50_256).filter(|s| !s.is_empty()).take(300).collect();
    for story in stories {
        let text = tok.decode(story);
        assert_eq!(tok.encode(&text).unwrap(), story, "{text}");
    }
}

#[test]
fn published_tokenizer_files_load() {
    let Some(dir) = folder() else { return };
    for (name, size) in [("gpt-neox-20b", 50_277), ("tinystories-bpe4096", 4096)] {
        let bytes = unzip(dir.join(format!("tokenizers/{name}-tokenizer.json.gz")));
        let tok = Tokenizer::from_json(&bytes, name).unwrap();
        assert_eq!(tok.vocab_size(), size, "{name}");
        let text = "Once upon a time, there was a little dog.";
        assert_eq!(tok.decode(&tok.encode(text).unwrap()).trim(), text);
    }
}

#[test]
fn english_and_spanish_stories_load_together() {
    let Some(dir) = folder() else { return };
    let most = |n: usize, s: TextSource| TextSource { max_documents: Some(n), ..s };
    let mut children =
        TextSource { field: "pages".into(), ..TextSource::new("text/children-stories-en-es.jsonl.gz", "es") };
    children.only.insert("lang".into(), "es".into());
    let pairs = TextSource { column: 1, ..TextSource::new("text/tatoeba-eng-spa.tsv.gz", "es") };
    let config = TextConfig {
        sources: vec![
            most(300, TextSource::new("text/tinystories-train.txt.gz", "en")),
            children,
            most(2000, pairs),
        ],
        tokenizer: TokenizerConfig::Bpe { vocab: 1024 },
        packing: Packing::Pack,
        seq: 128,
        word_class: Some(WordClass { class: "forest".into(), words: vec!["tree".into(), "forest".into()] }),
        ..TextConfig::default()
    };
    let data = config.load(&dir, Key::root(1)).unwrap();
    assert_eq!(
        (data.classes.as_slice(), data.vocab),
        (["en", "es", "forest"].map(String::from).as_slice(), 1024)
    );
    let share = |c| data.train.select(|_, x| x == c).len() as f64 / data.train.len() as f64;
    assert!(share(0) > 0.3 && share(1) > 0.1 && share(2) > 0.05, "{} {} {}", share(0), share(1), share(2));
}
