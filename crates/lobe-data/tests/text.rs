//! Text sources: formats, splits, refusals.

#![cfg(feature = "bpe")]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::Write as _;
use std::path::Path;

use lobe_core::Key;
use lobe_data::{Dataset, Format, Packing, TextConfig, TextSource, TokenizerConfig, WordClass};

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
    std::fs::write(dir.join(name), bytes).unwrap();
}

fn gz(text: &str) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    e.write_all(text.as_bytes()).unwrap();
    e.finish().unwrap()
}

fn stories(word: &str, n: usize) -> String {
    (0..n).fold(String::new(), |text, i| text + &format!("{word} {i}\n<|endoftext|>\n"))
}

fn config(sources: Vec<TextSource>) -> TextConfig {
    TextConfig { sources, packing: Packing::Document, seq: 24, test_fraction: 0.25, ..TextConfig::default() }
}

fn decoded(data: &Dataset, test: bool) -> Vec<String> {
    let x = if test { &data.test } else { &data.train };
    (0..x.len()).map(|i| data.tokenizer.as_ref().unwrap().decode(x.row(i))).collect()
}

#[test]
fn formats_folders_and_classes_load_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    put(d, "a/2.txt.gz", &gz(&stories("two", 2)));
    put(d, "a/1.txt", stories("one", 2).as_bytes());
    put(
        d,
        "a/sub/3.jsonl",
        "{\"text\": \"three\", \"lang\": \"en\"}\n\n{\"text\": [\"thr\", \"ee\"], \"lang\": \"es\"}\n"
            .as_bytes(),
    );
    put(d, "a/skip.bin", b"\xff\xff");
    put(d, "b.tsv", "hello\thola\r\nbye\tadiós\n".as_bytes());
    put(d, "b-test.tsv", "yes\tsí\n".as_bytes());
    let mut en = TextSource { test_path: Some("b-test.tsv".into()), ..TextSource::new("a", "en") };
    let mut es =
        TextSource { column: 1, test_path: Some("b-test.tsv".into()), ..TextSource::new("b.tsv", "es") };
    let data = config(vec![en.clone(), es.clone()]).load(d, Key::root(1)).unwrap();
    assert_eq!(
        decoded(&data, false),
        ["one 0", "one 1", "two 0", "two 1", "three", "thr\nee", "hola", "adiós"]
    );
    assert_eq!(
        (decoded(&data, true), data.classes.clone()),
        (vec!["yes".into(), "sí".into()], vec!["en".into(), "es".into()])
    );
    assert_eq!(data.train.class, [0, 0, 0, 0, 0, 0, 1, 1]);
    en.max_documents = Some(3);
    es.max_chars = Some(5);
    en.only.insert("lang".into(), "es".into());
    let data = config(vec![en.clone(), es.clone()]).load(d, Key::root(1)).unwrap();
    assert_eq!(decoded(&data, false), ["one 0", "one 1", "two 0", "hola", "adiós"]);
    (en.path, es.max_chars) = ("a/sub".into(), Some(4));
    let data = config(vec![en, es]).load(d, Key::root(1)).unwrap();
    assert_eq!(decoded(&data, false), ["thr\nee", "hola", "adió"]);
}

#[test]
fn held_out_documents_are_exact_nested_and_seeded() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "s.txt", stories("s", 40).as_bytes());
    let at = |test_fraction, seed| {
        let c = TextConfig { test_fraction, ..config(vec![TextSource::new("s.txt", "s")]) };
        c.load(dir.path(), Key::root(seed)).unwrap()
    };
    let (small, large) = (at(0.1, 1), at(0.3, 1));
    assert_eq!((small.test.len(), small.train.len(), large.test.len()), (4, 36, 12));
    let inside = decoded(&large, true);
    assert!(decoded(&small, true).iter().all(|t| inside.contains(t)));
    assert_eq!(small.fingerprint, at(0.1, 1).fingerprint);
    assert_ne!(decoded(&small, true), decoded(&at(0.1, 2), true));
}

#[test]
fn a_word_list_can_make_a_class() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "s.txt", format!("{}{}", stories("a Tree", 8), stories("a street", 8)).as_bytes());
    let word_class = Some(WordClass { class: "forest".into(), words: vec!["tree".into()] });
    let c =
        TextConfig { word_class, packing: Packing::Pack, ..config(vec![TextSource::new("s.txt", "other")]) };
    let data = c.load(dir.path(), Key::root(1)).unwrap();
    assert_eq!(data.classes, ["other", "forest"]);
    for (i, text) in decoded(&data, false).iter().enumerate() {
        assert_eq!(text.contains("Tree"), data.train.class[i] == 1, "{text}");
    }
}

#[test]
fn one_long_text_is_cut_in_two_and_packed() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "book.txt", "some words of a book ".repeat(50).as_bytes());
    let c = TextConfig { packing: Packing::Pack, ..config(vec![TextSource::new("book.txt", "b")]) };
    let data = c.load(dir.path(), Key::root(1)).unwrap();
    let targets = |x: &lobe_data::Examples| (0..x.len()).map(|i| x.targets(i)).sum::<usize>();
    // Every byte but the space at the cut and the one at the end, and an end mark each.
    assert_eq!(targets(&data.train) + targets(&data.test), 1050 - 2 + 2);
    assert!((targets(&data.test) as f64 / 1050.0 - 0.25).abs() < 0.02);
}

#[test]
fn a_trained_tokenizer_sees_the_training_split_only() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a.txt", stories("alpha beta", 30).as_bytes());
    put(dir.path(), "t.txt", stories("zyzzyva zyzzyva", 30).as_bytes());
    let source = TextSource { test_path: Some("t.txt".into()), ..TextSource::new("a.txt", "a") };
    let c = TextConfig { tokenizer: TokenizerConfig::Bpe { vocab: 280 }, ..config(vec![source]) };
    let data = c.load(dir.path(), Key::root(1)).unwrap();
    let tok = data.tokenizer.clone().unwrap();
    assert!(tok.encode("alpha beta").unwrap().len() <= 4 && tok.encode("zyzzyva").unwrap().len() == 7);
    let reused = c.load_with(dir.path(), Key::root(1), Some(tok.clone())).unwrap();
    assert_eq!(reused.fingerprint, data.fingerprint);
    put(dir.path(), "tok.json", &tok.to_json());
    let file = TextConfig { tokenizer: TokenizerConfig::File { path: "tok.json".into() }, ..c };
    assert_eq!(file.load(dir.path(), Key::root(1)).unwrap().fingerprint, data.fingerprint);
}

const RECORDS: [&str; 3] =
    [r#"{"text": "one", "id": 1}"#, r#"{"text": ["two", "parts"]}"#, r#"{"text": "three"}"#];

fn loaded(dir: &Path, source: TextSource) -> Vec<String> {
    let held = TextSource { test_path: Some("held.txt".into()), ..source };
    put(dir, "held.txt", b"held out");
    decoded(&config(vec![held]).load(dir, Key::root(1)).unwrap(), false)
}

#[test]
fn json_is_read_as_documents_whatever_it_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    put(d, "lines.jsonl", RECORDS.join("\n").as_bytes());
    put(d, "lines.json", RECORDS.join("\n").as_bytes());
    put(d, "list.json", format!("\n [{}]\n", RECORDS.join(",\n")).as_bytes());
    put(d, "list.json.gz", &gz(&format!("[{}]", RECORDS.join(","))));
    put(d, "spread.json", RECORDS.join("\n\n").replace(", ", ",\n  ").as_bytes());
    put(d, "texts.json", br#"["one", "two\nparts", " ", "three"]"#);
    let want = ["one", "two\nparts", "three"];
    for name in ["lines.jsonl", "lines.json", "list.json", "list.json.gz", "spread.json", "texts.json"] {
        assert_eq!(loaded(d, TextSource::new(name, "c")), want, "{name}");
        let two = TextSource { max_documents: Some(2), ..TextSource::new(name, "c") };
        assert_eq!(loaded(d, two), want[..2], "{name}");
    }
    // The ending does not decide where the recipe says what it is.
    put(d, "list.dat", format!("[{}]", RECORDS.join(",")).as_bytes());
    put(d, "held.dat", br#"["held out"]"#);
    let held = Some("held.dat".into());
    let named = TextSource { format: Format::Json, test_path: held, ..TextSource::new("list.dat", "c") };
    assert_eq!(decoded(&config(vec![named]).load(d, Key::root(1)).unwrap(), false), want);
    let raw = TextSource { format: Format::Txt, ..TextSource::new("texts.json", "c") };
    assert_eq!(loaded(d, TextSource { max_chars: Some(6), ..raw }), [r#"["one""#]);
}

#[test]
fn what_is_no_text_is_refused_by_its_format() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let error = |name: &str, bytes: &[u8], format| {
        put(d, name, bytes);
        let source = TextSource { format, ..TextSource::new(name, "c") };
        config(vec![source]).load(d, Key::root(1)).unwrap_err().to_string()
    };
    let auto = |name: &str, text: &str| error(name, text.as_bytes(), Format::Auto);
    for name in ["table.csv", "table.CSV.gz", "rows.parquet", "pages.pdf", "all.tar.gz"] {
        let e = auto(name, "a,b\n");
        assert!(e.starts_with("text: a .") && e.contains("make it .txt, .jsonl, .json or .tsv"), "{e}");
        assert!(e.ends_with(&format!(": {name}")), "{e}");
    }
    assert_eq!(
        auto("wrapped.json", r#"{"data": [{"text": "a"}]}"#),
        "json: value 1: no field \"text\", only data; field = \"…\" says which: wrapped.json"
    );
    assert_eq!(
        auto("numbers.json", "[\"a\", 3]"),
        "json: item 2: neither an object nor a text: numbers.json"
    );
    assert!(
        auto("cut.json", "[{\"text\": \"a\"},\n{\"te")
            .starts_with("json: EOF while parsing a string at line 2")
    );
    assert!(auto("behind.json", "[\"a\"] x").starts_with("json: trailing characters at line 1"));
    let e = error("list.txt", b"[\"a\"]", Format::Jsonl);
    assert_eq!(e, "jsonl: line 1: a list; format = \"json\" reads lists: list.txt");
}

#[cfg(unix)]
#[test]
fn a_linked_folder_is_read_once_and_what_is_left_out_is_counted() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    put(d, "folder/b.txt", b"b");
    put(d, "folder/z/c.txt", b"c");
    put(d, "outside/x/d.txt", b"d");
    put(d, "outside/blob", b"e");
    let read = || loaded(d, TextSource::new("folder", "c"));
    let notes = || {
        let source = TextSource { test_path: Some("held.txt".into()), ..TextSource::new("folder", "c") };
        config(vec![source]).load(d, Key::root(1)).unwrap().notes
    };
    assert_eq!(read(), ["b", "c"]);
    assert_eq!(notes(), Vec::<String>::new());

    // To a folder elsewhere, twice; to one that is here anyway; back up; to the root of the disk; nowhere.
    for (target, name) in [
        ("../outside", "a-link"),
        ("../../outside/x", "z/again"),
        ("z", "also-z"),
        ("../b.txt", "z/b-too.txt"),
        (".", "here"),
        ("..", "up"),
        ("/", "root"),
        ("nowhere", "nowhere"),
        ("../outside/blob", "e.txt"),
        ("../../folder", "z/loop"),
    ] {
        symlink(target, d.join("folder").join(name)).unwrap();
    }
    symlink("../folder", d.join("outside/back")).unwrap();
    for name in [".git/config.txt", "z/.ipynb_checkpoints/c.txt", "._b.txt", "notes.csv", "a.CSV", "LICENSE"]
    {
        put(d, &format!("folder/{name}"), b"no data");
    }
    assert_eq!(read(), ["d", "b", "e", "c"], "in the order of the names");
    assert_eq!(
        notes(),
        [
            "1 link to folders followed: folder",
            "left out of the folder: .csv (2), hidden (3), links that lead back (5), links that lead nowhere (1), \
             links to files that are read anyway (1), links to folders that are read anyway (2), \
             without an ending (2): folder",
        ]
    );
}

#[test]
fn held_out_text_that_is_trained_on_is_counted_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    put(d, "es.txt", stories("es", 4).as_bytes());
    put(d, "en.txt", stories("en", 4).as_bytes());
    // Two of three are known, whatever white space stands between the words, and from whichever class.
    put(d, "es-test.txt", b"es   0<|endoftext|>en\n3<|endoftext|>new words");
    put(d, "en-test.txt", b"other words");
    let source = |name: &str, test: &str| TextSource {
        test_path: Some(test.into()),
        ..TextSource::new(&format!("{name}.txt"), name)
    };
    let load = |es: &str, en: &str| config(vec![source("es", es), source("en", en)]).load(d, Key::root(1));
    assert_eq!(
        load("es-test.txt", "en-test.txt").unwrap().notes,
        [
            "2 of 3 held-out documents of es stand word for word in the training text; what is measured on them is memory"
        ]
    );
    assert_eq!(load("en-test.txt", "en-test.txt").unwrap().notes, Vec::<String>::new());
    assert!(load("es.txt", "en-test.txt").unwrap().notes[0].starts_with("4 of 4 held-out documents of es "));
    let e = load("es.txt", "en.txt").unwrap_err().to_string();
    assert!(
        e.starts_with("data: text: every held-out document stands word for word in the training text"),
        "{e}"
    );
}

#[test]
fn refusals_are_one_line_with_the_given_name() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    put(d, "empty.txt", b" \n ");
    put(d, "bad.txt", b"fine\nnot \xff fine");
    put(d, "bad.jsonl", b"{\"text\": \"a\"}\n{\"text\": }\n");
    put(d, "field.jsonl", b"{\"body\": \"a\"}\n");
    put(d, "kind.jsonl", b"{\"text\": 3}\n");
    put(d, "one.tsv", b"a\n");
    put(d, "short.txt", b"word");
    put(d, "big.txt", &[b'x'; 5000]);
    let zipped = gz(&stories("x", 100));
    put(d, "cut.txt.gz", &zipped[..zipped.len() / 2]);
    put(d, "none/readme", b"");
    let err = |c: TextConfig| {
        let e = c.load(d, Key::root(1)).unwrap_err().to_string();
        assert!(!e.contains('\n') && !e.contains(d.to_str().unwrap()), "{e}");
        e
    };
    let of = |path: &str| {
        err(TextConfig {
            max_bytes: 4000,
            ..config(vec![TextSource { column: 1, ..TextSource::new(path, "c") }])
        })
    };
    assert!(of("absent.txt").starts_with("cannot read text: ") && of("absent.txt").ends_with(": absent.txt"));
    assert_eq!(of("empty.txt"), "no documents: empty.txt");
    assert_eq!(of("none"), "folder: no text files; left out: without an ending (1): none");
    std::fs::create_dir(d.join("bare")).unwrap();
    assert_eq!(of("bare"), "no text files in the folder: bare");
    assert_eq!(of("bad.txt"), "invalid UTF-8 in line 2: bad.txt");
    assert!(
        of("bad.jsonl").starts_with("jsonl: line 2: expected value")
            && of("bad.jsonl").ends_with(": bad.jsonl")
    );
    assert_eq!(
        of("field.jsonl"),
        "jsonl: line 1: no field \"text\", only body; field = \"…\" says which: field.jsonl"
    );
    assert_eq!(of("kind.jsonl"), "jsonl: line 1: \"text\" is neither text nor a list of texts: kind.jsonl");
    assert_eq!(of("one.tsv"), "tsv: line 1: no column 1 (the first is 0): one.tsv");
    assert_eq!(of("short.txt"), "data: one short document cannot be split into training and test: short.txt");
    assert_eq!(of("big.txt"), "more than max_bytes = 4000 bytes of content: big.txt");
    assert_eq!(of("cut.txt.gz"), "gzip: the file is truncated: cut.txt.gz");
    assert_eq!(err(config(vec![])), "data: text: no sources");
    let fine = || vec![TextSource::new("bad.jsonl", "c")];
    assert!(err(TextConfig { seq: 1, ..config(fine()) }).contains("seq = 1"));
    assert!(err(TextConfig { test_fraction: 1.0, ..config(fine()) }).contains("test_fraction = 1"));
    let word_class = Some(WordClass { class: "forest".into(), words: vec!["rain forest".into()] });
    let e = err(TextConfig { word_class, ..config(fine()) });
    assert!(e.contains("word_class: \"rain forest\" is never found"), "{e}");
}
