use super::*;
use crate::DataError;

fn load(config: &FeaturesConfig) -> Dataset {
    config.load(Key::root(7)).unwrap()
}

fn drawn(data: &Dataset) -> &DrawnRows {
    data.train.drawn().unwrap()
}

fn row(d: &DrawnRows, number: u64, class: u16) -> (Vec<f32>, Vec<f32>) {
    let (mut row, mut wanted) = (vec![0.0; d.width()], vec![0.0; d.width()]);
    d.row_into(number, class, &mut row, &mut wanted);
    (row, wanted)
}

/// Share of active numbers, their mean and their mean square over `rows` rows.
fn statistics<'a>(rows: impl Iterator<Item = &'a [f32]>) -> [f64; 3] {
    let (mut n, mut active, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
    for x in rows.flatten().map(|x| f64::from(*x)) {
        n += 1.0;
        active += f64::from(u8::from(x != 0.0));
        sum += x;
        squares += x * x;
    }
    [active / n, sum / active, squares / active]
}

#[test]
fn a_row_is_a_function_of_key_and_number() {
    let data = load(&FeaturesConfig { probability: 0.2, ..FeaturesConfig::default() });
    let d = drawn(&data);
    assert_eq!(row(d, 5, 0), row(d, 5, 0));
    assert_ne!(row(d, 5, 0), row(d, 6, 0));
    assert_ne!(row(d, 5, 0), row(&d.under(Key::root(1)), 5, 0));
    assert_eq!(row(&d.under(Key::root(1)), 5, 0), row(&d.under(Key::root(1)), 5, 0));
    // Numbers beyond any 32 bits are other rows as well.
    assert_ne!(row(d, 1 << 40, 0), row(d, 0, 0));
}

#[test]
fn drawn_numbers_follow_their_law() {
    for (probability, range) in [(0.01, [-1.0, 1.0]), (0.3, [0.0, 1.0]), (1.0, [0.5, 2.5])] {
        let data = load(&FeaturesConfig { probability, range, ..FeaturesConfig::default() });
        let rows: Vec<Vec<f32>> = (0..20_000).map(|i| row(drawn(&data), i, 0).0).collect();
        let [share, mean, squares] = statistics(rows.iter().map(Vec::as_slice));
        let [low, high] = range.map(f64::from);
        let want = [probability, f64::midpoint(low, high), (low * low + low * high + high * high) / 3.0];
        let spread = 5.0 / (2e6 * probability).sqrt();
        assert!((share / want[0] - 1.0).abs() < spread, "{share} {probability}");
        assert!((mean - want[1]).abs() < spread * (high - low), "{mean} {range:?}");
        assert!((squares - want[2]).abs() < spread * want[2].max(1.0), "{squares} {range:?}");
        // Every place is as likely as another: the first and the last, too.
        for place in [0, 50, 99] {
            let hits = rows.iter().filter(|r| r[place] != 0.0).count() as f64;
            assert!((hits - 2e4 * probability).abs() <= 5.0 * (2e4 * probability).sqrt(), "{place}: {hits}");
        }
    }
}

#[test]
fn exactly_so_many_are_active() {
    let config = FeaturesConfig { count: 7, exactly: 3, held_out: 100, ..FeaturesConfig::default() };
    let data = load(&config);
    let mut hits = [0; 7];
    for i in 0..7000 {
        let (x, _) = row(drawn(&data), i, 0);
        assert_eq!(x.iter().filter(|x| **x != 0.0).count(), 3);
        x.iter().zip(&mut hits).for_each(|(x, n)| *n += usize::from(*x != 0.0));
    }
    assert!(hits.iter().all(|n| (2800..3200).contains(n)), "{hits:?}");
    for i in 0..100 {
        assert_eq!(data.test.numbers(i).iter().filter(|x| **x != 0.0).count(), 3);
    }
    assert_eq!(data.active, Some(3.0 / 7.0));
}

#[test]
fn targets_by_name() {
    for (name, of_half, of_minus) in [("input", 0.5, -0.25), ("relu", 0.5, 0.0), ("input + relu", 1.0, -0.25)]
    {
        let target: Target = serde_json::from_value(name.into()).unwrap();
        assert_eq!((target.of(0.5), target.of(-0.25), target.of(0.0)), (of_half, of_minus, 0.0));
    }
    let data = load(&FeaturesConfig { target: Target::InputPlusRelu, ..FeaturesConfig::default() });
    for i in 0..200 {
        let (x, y) = row(drawn(&data), i, 0);
        assert!(x.iter().zip(y).all(|(x, y)| y == x + x.max(0.0)));
        let (x, y) = (data.test.numbers(i as usize), data.test.wanted(i as usize));
        assert!(x.iter().zip(y).all(|(x, y)| *y == x + x.max(0.0)));
    }
}

fn mixed(count: usize) -> FeaturesConfig {
    let of =
        |name: &str, kind, scale| MixingConfig { name: name.into(), kind, scale, ..MixingConfig::default() };
    let mixing = vec![
        of("clean", MixingKind::None, 1.0),
        of("embedding", MixingKind::Embedding, 1.0),
        of("double", MixingKind::Embedding, 2.0),
        of("symmetric", MixingKind::Symmetric, 1.0),
        of("asymmetric", MixingKind::Asymmetric, 1.0),
    ];
    FeaturesConfig { count, probability: 0.1, mixing, held_out: 50, ..FeaturesConfig::default() }
}

/// The matrix of a class, read off what rows come out as.
fn matrix(data: &Dataset, class: u16, n: usize) -> Vec<f64> {
    // Held-out rows of all classes carry the same numbers; the labels of the clean one are taken away.
    let classes = data.classes.len();
    let mut found = vec![f64::NAN; n * n];
    for first in (0..data.test.len()).step_by(classes) {
        let (clean, own) = (data.test.wanted(first), data.test.wanted(first + usize::from(class)));
        let x = data.test.numbers(first);
        assert_eq!(x, data.test.numbers(first + usize::from(class)));
        let active: Vec<usize> = (0..n).filter(|i| x[*i] != 0.0).collect();
        if let [j] = active[..] {
            (0..n).for_each(|i| found[j * n + i] = f64::from(own[i] - clean[i]) / f64::from(x[j]));
        }
    }
    found
}

#[test]
fn noise_is_what_the_matrix_says() {
    let n = 20;
    let config = FeaturesConfig { exactly: 1, held_out: 200, ..mixed(n) };
    let data = load(&config);
    let names = ["clean", "embedding", "double", "symmetric", "asymmetric"];
    assert_eq!(data.classes, names);
    let of = |class| matrix(&data, class, n);
    let [clean, embedding, double, symmetric, asymmetric] = [0, 1, 2, 3, 4].map(of);
    assert!(clean.iter().all(|x| *x == 0.0));
    let norm = |m: &[f64]| (m.iter().map(|x| x * x).sum::<f64>() / (n * (n - 1)) as f64).sqrt();
    let skew = |m: &[f64]| (0..n * n).map(|at| (m[at] - m[at % n * n + at / n]).abs()).fold(0.0, f64::max);
    for m in [&embedding, &symmetric, &asymmetric] {
        assert!((0..n).all(|i| m[i * n + i].abs() < 1e-6), "nothing on the diagonal");
        // Unit rows of 1000 dimensions overlap by 1/√1000.
        assert!((norm(m) / 0.032 - 1.0).abs() < 0.1, "{}", norm(m));
    }
    assert!(skew(&embedding) < 1e-5 && skew(&symmetric) < 1e-5 && skew(&asymmetric) > 0.03);
    assert!(embedding.iter().zip(&double).all(|(a, b)| (2.0 * a - b).abs() < 1e-5));
    assert_eq!(data.notes.len(), 4);
    assert!(data.notes[0].starts_with("embedding: the matrix that mixes the labels has the norm 0."));
}

#[test]
fn held_out_rows_have_no_chance_in_their_numbers() {
    let config = FeaturesConfig { held_out: 2000, ..FeaturesConfig::default() };
    let data = load(&config);
    assert_eq!(data.active, Some(0.01));
    for feature in 0..100 {
        let values: Vec<f32> =
            (0..2000).map(|i| data.test.numbers(i)[feature]).filter(|x| *x != 0.0).collect();
        let mut strata: Vec<i32> = values.iter().map(|x| ((x + 1.0) * 10.0).floor() as i32).collect();
        strata.sort_unstable();
        assert_eq!(strata, (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn draws_that_differ_have_other_fingerprints() {
    let base = mixed(5);
    let print = |c: &FeaturesConfig| load(c).fingerprint;
    assert_eq!(print(&base), print(&base.clone()));
    let mut others = vec![
        FeaturesConfig { probability: 0.11, ..base.clone() },
        FeaturesConfig { exactly: 1, ..base.clone() },
        FeaturesConfig { range: [0.0, 1.0], ..base.clone() },
        FeaturesConfig { target: Target::Relu, ..base.clone() },
        FeaturesConfig { examples: 1000, ..base.clone() },
    ];
    let mut scaled = base.clone();
    scaled.mixing[1].scale = 1.5;
    others.push(scaled);
    assert!(others.iter().all(|o| print(o) != print(&base)));
    assert_ne!(base.load(Key::root(8)).unwrap().fingerprint, print(&base));
}

#[test]
fn wrong_settings_are_refused() {
    let base = FeaturesConfig::default;
    let named = |name: &str| MixingConfig { name: name.into(), ..MixingConfig::default() };
    let cases = [
        (FeaturesConfig { count: 0, ..base() }, "features: count 0 (1 to 65536)"),
        (FeaturesConfig { probability: 0.0, ..base() }, "features: probability 0 (above 0, at most 1)"),
        (
            FeaturesConfig { probability: f64::NAN, ..base() },
            "features: probability NaN (above 0, at most 1)",
        ),
        (FeaturesConfig { exactly: 101, ..base() }, "features: exactly 101 of 100 numbers"),
        (FeaturesConfig { range: [1.0, 1.0], ..base() }, "features: range [1, 1] (the least value first)"),
        (FeaturesConfig { examples: 0, ..base() }, "features: examples 0 (1 to 67108864)"),
        (
            FeaturesConfig { held_out: 40, ..base() },
            "features: of 40 held-out rows a number is active in none; raise held_out to 100",
        ),
        (
            FeaturesConfig { mixing: vec![named("a"), named("a")], ..base() },
            "features: mixing: the name \"a\" is empty or used twice",
        ),
        (
            FeaturesConfig { mixing: vec![MixingConfig { width: 0, ..named("a") }], ..base() },
            "features: mixing: width 0 of \"a\" (1 to 65536)",
        ),
        (
            FeaturesConfig { mixing: vec![MixingConfig { sigma: -1.0, ..named("a") }], ..base() },
            "features: mixing: sigma -1 (0 to 1000) or scale 1 (-1000 to 1000) of \"a\"",
        ),
    ];
    for (config, want) in cases {
        let got: DataError = config.load(Key::root(0)).unwrap_err();
        assert_eq!(got.to_string(), format!("data: {want}"));
    }
    let vast = FeaturesConfig { held_out: usize::MAX, ..base() };
    assert!(vast.load(Key::root(0)).unwrap_err().to_string().contains("lower held_out"));
}
