use std::collections::BTreeSet;

use super::*;
use crate::dataset::PAD;

fn small() -> ArithmeticConfig {
    ArithmeticConfig { documents: 600, test_documents: 60, ..ArithmeticConfig::default() }
}

fn texts(data: &Dataset, examples: &Examples) -> Vec<(u16, String)> {
    let tokenizer = data.tokenizer.as_ref().unwrap();
    (0..examples.len()).map(|i| (examples.class[i], tokenizer.decode(examples.row(i)))).collect()
}

/// `(a, sign, b, result)` if the text is an equation.
fn parsed(text: &str) -> Option<(usize, &str, usize, usize)> {
    let parts: Vec<&str> = text.split(' ').collect();
    let [a, sign, b, "=", c] = parts[..] else { return None };
    Some((a.parse().unwrap(), sign, b.parse().unwrap(), c.parse().unwrap()))
}

fn equations(texts: &[(u16, String)]) -> Vec<(usize, &str, usize, usize)> {
    texts.iter().filter_map(|(_, t)| parsed(t)).collect()
}

#[test]
fn data_are_pinned() {
    let data = small().load(Key::root(1)).unwrap();
    let told = texts(&data, &data.train).into_iter().find(|(c, t)| *c == 3 && t.contains('?')).unwrap().1;
    assert_eq!((data.vocab, data.fingerprint, told.as_str()), PINNED);
    assert_eq!(data.fingerprint, small().load(Key::root(1)).unwrap().fingerprint);
    assert_ne!(data.fingerprint, small().load(Key::root(2)).unwrap().fingerprint);
}
// A change here breaks the comparison with every recorded run.
const PINNED: (usize, u128, &str) = (
    698,
    130898392875964848047068023934674497247,
    "Milo deals 30 flags to 6 players. How many flags has each player? 5",
);

#[test]
fn classes_are_equal_in_number_and_take_turns() {
    let data = small().load(Key::root(1)).unwrap();
    assert_eq!(data.classes, ["add", "sub", "mul", "div"]);
    assert!(data.counts().iter().all(|(_, n)| (n[0], n[2]) == (600, 60)), "{:?}", data.counts());
    assert_eq!(data.test.class[..8], [0, 1, 2, 3, 0, 1, 2, 3]);
    let more = ArithmeticConfig { documents: 700, ..small() }.load(Key::root(1)).unwrap();
    assert_eq!(more.train.row(2399), data.train.row(2399));
    assert_eq!((more.test, more.probes), (data.test, data.probes));
}

#[test]
fn equations_are_right_and_within_the_operands() {
    let data = ArithmeticConfig { word_problems: 0.0, seq: 6, ..small() }.load(Key::root(3)).unwrap();
    let all = [texts(&data, &data.train), texts(&data, &data.test)].concat();
    assert_eq!(equations(&all).len(), all.len());
    for (a, sign, b, c) in equations(&all) {
        let (x, y, right) = match sign {
            "+" => (a, b, a + b == c),
            "-" => (a, b, a >= b && a - b == c),
            "*" => (a, b, a * b == c),
            _ => (c, b, a.is_multiple_of(b) && a / b == c),
        };
        let most = if ["+", "-"].contains(&sign) { 50 } else { 20 };
        assert!(right && (1..=most).contains(&x) && (1..=most).contains(&y), "{a} {sign} {b} = {c}");
    }
}

#[test]
fn held_out_problems_never_occur_in_training() {
    let data = ArithmeticConfig { documents: 4000, ..small() }.load(Key::root(3)).unwrap();
    let train = texts(&data, &data.train);
    let (train, test) = (equations(&train), texts(&data, &data.test));
    let held_out = equations(&test);
    assert!(train.len() > 7000 && held_out.len() > 80);
    assert!(held_out.iter().all(|e| !train.contains(e)));
    // By construction the same holds for word problems: both are drawn from the same two lists.
    for op in Op::ALL {
        let p = Problems::new(op, 20, 0.1, Key::root(1));
        let all = if op == Op::Sub { 210 } else { 400 };
        assert_eq!((p.train.len(), p.held_out.len()), (all - all / 10, all / 10));
        assert!(p.held_out.iter().all(|h| !p.train.contains(h)));
    }
    let words: Vec<&Vec<u32>> = data.probes.iter().map(|p| &p.prompt).collect();
    assert!(words.iter().all(|w| !(0..data.train.len()).any(|i| data.train.row(i).starts_with(w))));
}

#[test]
fn the_vocabulary_is_closed_and_every_document_complete() {
    for packing in [Packing::Document, Packing::Pack] {
        let data = ArithmeticConfig { packing, ..small() }.load(Key::root(4)).unwrap();
        for x in [&data.train, &data.test] {
            for i in 0..x.len() {
                let row: Vec<u32> = x.row(i).iter().copied().filter(|t| *t != PAD).collect();
                assert!(!row.contains(&1), "{row:?}");
                if packing == Packing::Document {
                    assert_eq!((row[0], row.last()), (0, Some(&0)));
                    let tokenizer = data.tokenizer.as_ref().unwrap();
                    assert_eq!(tokenizer.encode(&tokenizer.decode(&row)).unwrap(), row[1..row.len() - 1]);
                }
            }
        }
        assert!(data.probes.iter().all(|p| !p.prompt.contains(&1) && !p.choices.concat().contains(&1)));
    }
    let plain = ArithmeticConfig { word_problems: 0.0, seq: 6, ..small() }.load(Key::root(4)).unwrap();
    assert_eq!(plain.vocab, 2 + 401 + 5);
}

#[test]
fn templates_are_as_many_as_promised_and_held_out_ones_bring_no_new_word() {
    let all = embedded();
    let known: BTreeSet<String> = all.iter().flat_map(|t| &t.train).flat_map(Template::words).collect();
    for (t, op) in all.iter().zip(Op::ALL) {
        assert_eq!((t.train.len(), t.held_out.len()), (20, 10), "{op:?}");
        for held_out in &t.held_out {
            assert!(!t.train.contains(held_out), "{held_out:?}");
            let new: Vec<String> = held_out.words().filter(|w| !known.contains(w)).collect();
            assert!(new.is_empty(), "{new:?}");
        }
        let problem = Problem { op, a: 17, b: 1, result: 0 };
        for template in t.train.iter().chain(&t.held_out) {
            let words = template.render(problem, &mut Key::root(7).rng());
            assert_eq!(words.len(), template.len());
            let text = words.join(" ");
            assert!(text.ends_with(" ?") && !text.contains(['{', '}']), "{text}");
            assert!(words.contains(&"17".into()) && words.contains(&"1".into()), "{text}");
            assert!(!text.contains("1 balls") && !text.contains("17 ball "), "{text}");
        }
    }
}

#[test]
fn questions_offer_neighbouring_results() {
    let data = ArithmeticConfig { probes: 80, ..small() }.load(Key::root(1)).unwrap();
    let tokenizer = data.tokenizer.as_ref().unwrap();
    let mut ranks = [0usize; 4];
    for class in 0..4 {
        let of: Vec<&Probe> = data.probes.iter().filter(|p| p.class == class).collect();
        assert_eq!(of.iter().filter(|p| p.kind == "equation").count(), 40);
        assert_eq!(of.len(), 80);
    }
    for p in &data.probes {
        let values: Vec<usize> = p.choices.iter().map(|c| tokenizer.decode(c).parse().unwrap()).collect();
        let right = values[p.answer];
        let rank = values.iter().filter(|v| **v < right).count();
        ranks[rank] += 1;
        assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), 4);
        assert!(p.choices.iter().all(|c| c.len() == 1) && p.told_in.is_empty());
        let text = tokenizer.decode(&p.prompt);
        if p.kind == "equation" {
            assert!(parsed(&format!("{text} {right}")).is_some(), "{text}");
        }
        if p.class != 2 {
            assert!(values.iter().all(|v| v.abs_diff(right) < 4), "{values:?}");
        }
    }
    assert!(ranks.iter().all(|n| *n > 40), "{ranks:?}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let err = |c: ArithmeticConfig| c.load(Key::root(0)).unwrap_err().to_string();
    assert_eq!(
        err(ArithmeticConfig { seq: 22, ..small() }),
        "data: arithmetic: seq = 22, outside of 23 to 4096"
    );
    assert!(ArithmeticConfig { seq: 23, ..small() }.load(Key::root(0)).is_ok());
    assert!(err(ArithmeticConfig { word_problems: 0.0, seq: 5, ..small() }).contains("outside of 6"));
    assert!(err(ArithmeticConfig { word_problems: f64::NAN, ..small() }).contains("word_problems = NaN"));
    assert!(err(ArithmeticConfig { held_out: 0.0, ..small() }).contains("held_out = 0"));
    assert!(err(ArithmeticConfig { held_out: 0.95, ..small() }).contains("held_out = 0.95"));
    assert!(err(ArithmeticConfig { documents: 0, ..small() }).contains("documents = 0"));
    assert!(err(ArithmeticConfig { largest_term: 501, ..small() }).contains("largest_term = 501"));
    assert!(err(ArithmeticConfig { largest_factor: 3, ..small() }).contains("largest_factor = 3"));
}
