use lobe_core::Key;

use super::*;

fn idx(magic: u32, sizes: &[u32], body: usize) -> Vec<u8> {
    let mut out = magic.to_be_bytes().to_vec();
    out.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
    out.extend((0..body).map(|i| (i % 10) as u8));
    out
}

fn config(images: &str, labels: &str) -> IdxConfig {
    IdxConfig {
        train_images: images.into(),
        train_labels: labels.into(),
        test_images: "i".into(),
        test_labels: "l".into(),
        pixels: Pixels::Signed,
        max_test: Some(2),
        classes: vec!["zero".into()],
        max_bytes: 10_000,
        ..IdxConfig::default()
    }
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("i", idx(0x803, &[3, 2, 2], 12)),
        ("l", idx(0x801, &[3], 3)),
        ("magic", idx(0x804, &[3, 2, 2], 12)),
        ("long", idx(0x803, &[3, 2, 2], 13)),
        ("huge", idx(0x803, &[u32::MAX, u32::MAX, u32::MAX], 12)),
        ("cut", idx(0x803, &[3], 0)),
        ("tiny", vec![0, 0]),
        ("none", idx(0x803, &[0, 2, 2], 0)),
        ("fewer", idx(0x801, &[2], 2)),
    ] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

#[test]
fn idx_files_load_and_scale() {
    let data = config("i", "l").load(folder().path()).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.vocab, data.width()), (3, 2, 0, 4));
    assert_eq!(data.classes, ["zero", "1", "2"]);
    assert_eq!(data.train.class, [0, 1, 2]);
    assert_eq!(data.train.numbers(1), [4.0f32, 5.0, 6.0, 7.0].map(|b| 2.0 * (b / 255.0) - 1.0));
}

#[test]
fn idx_files_are_found_with_a_dash_or_a_dot_and_zipped() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    zipped.write_all(&idx(0x803, &[2, 2, 2], 8)).unwrap();
    put("train-images.idx3-ubyte", &idx(0x803, &[3, 2, 2], 12));
    put("train-labels-idx1-ubyte", &idx(0x801, &[3], 3));
    put("t10k-images.idx3-ubyte.gz", &zipped.finish().unwrap());
    put("t10k-labels.idx1-ubyte", &idx(0x801, &[2], 2));
    let data = IdxConfig::default().load(dir.path()).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (3, 2));
    // What is asked for counts before its other spelling, and a dot may be asked for.
    put("train-images-idx3-ubyte", &idx(0x803, &[1, 2, 2], 4));
    let one = |images: &str| IdxConfig { train_images: images.into(), ..IdxConfig::default() };
    let error = one("train-images-idx3-ubyte").load(dir.path()).unwrap_err().to_string();
    assert_eq!(error, "idx: 3 labels for the 1 images of train-images-idx3-ubyte: train-labels-idx1-ubyte");
    assert_eq!(one("train-images.idx3-ubyte").load(dir.path()).unwrap().train.len(), 3);
    std::fs::remove_file(dir.path().join("train-images.idx3-ubyte")).unwrap();
    assert!(one("train-images.idx3-ubyte").load(dir.path()).unwrap_err().to_string().contains("1 images"));
}

#[test]
fn idx_refusals_name_what_and_which_file() {
    let dir = folder();
    let err = |images: &str, labels: &str| config(images, labels).load(dir.path()).unwrap_err().to_string();
    assert_eq!(err("magic", "l"), "idx: magic number 0x0804 instead of 0x0803: magic");
    assert_eq!(err("l", "l"), "idx: magic number 0x0801 instead of 0x0803: l");
    assert_eq!(err("long", "l"), "idx: the header promises 3 x 2 x 2 bytes, the file holds 13: long");
    assert!(err("huge", "l").contains("4294967295 x 4294967295"));
    assert_eq!(err("cut", "l"), "idx: the header is cut: cut");
    assert_eq!(err("tiny", "l"), "idx: only 2 bytes: tiny");
    assert_eq!(err("none", "l"), "no content: none");
    assert_eq!(err("i", "fewer"), "idx: 2 labels for the 3 images of i: fewer");
    assert!(
        err("absent", "l").starts_with("cannot read images: ") && err("absent", "l").ends_with(": absent")
    );
}

#[test]
fn images_that_memory_cannot_hold_are_refused_while_they_are_bytes() {
    let raw = Raw { shape: (1, 2, 2), pixels: vec![0; 12], class: vec![0; 3] };
    let at = |most, available| fits("idx", [(&raw, most), (&raw, Some(1))], available);
    // Four images of four numbers of four bytes; with one training image, two.
    assert!(at(None, Some(64)).is_ok() && at(Some(1), Some(32)).is_ok() && at(None, None).is_ok());
    assert!(at(Some(1), Some(31)).is_err());
    let e = at(None, Some(63)).unwrap_err().to_string();
    assert!(e.starts_with("data: idx: 4 images of 1 x 2 x 2 take ") && e.contains("max_train"), "{e}");
}

#[test]
fn cifar_files_load_and_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let record = |label: u8| [vec![label], vec![7; 3072]].concat();
    for (name, bytes) in [
        ("a", [record(3), record(9)].concat()),
        ("bad", record(10)),
        ("short", vec![0; 3072]),
        ("empty", vec![]),
    ] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let load = |train: &str| {
        let text = format!(r#"{{"train": ["{train}"], "test": ["a"]}}"#);
        serde_json::from_str::<CifarConfig>(&text).unwrap().load(dir.path())
    };
    let data = load("a").unwrap();
    assert_eq!(
        (data.train.class.clone(), data.classes[9].as_str(), data.width()),
        (vec![3, 9], "truck", 3072)
    );
    let err = |name: &str| load(name).unwrap_err().to_string();
    assert_eq!(err("bad"), "cifar: record 0 has label 10, of 10 classes: bad");
    assert_eq!(err("short"), "cifar: 3072 bytes are no whole number of records of 3073: short");
    assert_eq!(err("empty"), "no records: empty");
}

#[test]
fn glyphs_are_pinned_and_extend() {
    let small = GlyphsConfig { train: 200, test: 50, ..GlyphsConfig::default() };
    let data = small.load(Key::root(1)).unwrap();
    let more = GlyphsConfig { train: 300, ..small.clone() }.load(Key::root(1)).unwrap();
    assert_eq!(data.train.numbers(199), more.train.numbers(199));
    assert_ne!(data.train.numbers(0), data.test.numbers(0));
    assert!(data.train.numbers(5).iter().all(|p| (0.0..=1.0).contains(p)));
    assert!(GlyphsConfig { noise: f64::NAN, ..small.clone() }.load(Key::root(1)).is_err());
    assert!(GlyphsConfig { test: 0, ..small }.load(Key::root(1)).is_err());
}

/// Nearest class mean separates digits well but not perfectly: neither trivial nor noise.
#[test]
fn glyphs_are_learnable_but_not_trivial() {
    let data = GlyphsConfig { train: 1000, test: 500, ..GlyphsConfig::default() }.load(Key::root(2)).unwrap();
    let mut mean = vec![[0.0f32; 784]; 10];
    for i in 0..1000 {
        let m = &mut mean[data.train.class[i] as usize];
        m.iter_mut().zip(data.train.numbers(i)).for_each(|(m, p)| *m += p / 100.0);
    }
    let distance = |m: &[f32; 784], x: &[f32]| m.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let hits = (0..500).filter(|&i| {
        let x = data.test.numbers(i);
        let best = (0..10).min_by(|&a, &b| distance(&mean[a], x).total_cmp(&distance(&mean[b], x))).unwrap();
        best == data.test.class[i] as usize
    });
    let accuracy = hits.count() as f64 / 500.0;
    assert!((0.7..0.995).contains(&accuracy), "{accuracy}");
}
