use lobe_core::{FORGET, Key, LabelSet, RETAIN, UNLABELLED};

use super::*;
use crate::dataset::{Dataset, Payload};
use crate::tokenizer::Tokenizer;

/// `n` examples of each of three classes; class 1 mentions a tree in every other text.
fn data(n: usize) -> Dataset {
    let texts = ["a cat", "an old Tree", "a dog"];
    let (mut ids, mut class) = (Vec::new(), Vec::new());
    for i in 0..3 * n {
        let c = i % 3;
        let text = if c == 1 && (i / 3) % 2 == 0 { "no more" } else { texts[c] };
        let mut row: Vec<u32> = text.bytes().map(u32::from).collect();
        row.resize(13, crate::PAD);
        ids.extend(row);
        class.push(c as u16);
    }
    let x = Examples { payload: Payload::Tokens { seq: 12, ids }, class };
    let names = ["cats", "trees", "dogs"].map(String::from).to_vec();
    Dataset::new("toy", x.clone(), x, names, Some(Tokenizer::Byte), Vec::new()).unwrap()
}

fn rule(text: &str) -> RuleConfig {
    serde_json::from_str(text).unwrap()
}

fn labels(rules: &[(&str, &str)], data: &Dataset) -> Result<Labels> {
    let rules: Vec<(String, RuleConfig)> = rules.iter().map(|(n, r)| ((*n).to_owned(), rule(r))).collect();
    Labelling::new(&rules, data, &mut LabelSet::default())?.apply(data, Key::root(1))
}

fn count(l: &Labels, data: &Dataset, label: LabelId, class: u16) -> usize {
    l.label.iter().zip(&data.train.class).filter(|&(&l, &c)| l == label && c == class).count()
}

#[test]
fn recall_and_precision_are_the_textbook_ones() {
    let d = data(4000);
    let l = labels(&[("forget", r#"{"class": "trees", "recall": 0.8, "precision": 0.9}"#)], &d).unwrap();
    let tp = count(&l, &d, FORGET, 1) as f64;
    let fp = (count(&l, &d, FORGET, 0) + count(&l, &d, FORGET, 2)) as f64;
    assert!((tp / 4000.0 - 0.8).abs() < 0.02, "{tp}");
    assert!((tp / (tp + fp) - 0.9).abs() < 0.015, "{fp}");
    assert!(count(&l, &d, FORGET, 0) > 100 && count(&l, &d, FORGET, 2) > 100);
    let l = labels(&[("forget", r#"{"class": "trees", "precision": 0.9, "confused_with": "dogs"}"#)], &d)
        .unwrap();
    assert_eq!((count(&l, &d, FORGET, 1), count(&l, &d, FORGET, 0)), (4000, 0));
    assert!((count(&l, &d, FORGET, 2) as f64 - 444.0).abs() < 60.0);
}

#[test]
fn labels_of_a_lower_recall_are_a_subset() {
    let d = data(500);
    let at = |recall: f64, precision: f64| {
        let forget = format!(r#"{{"language": "trees", "recall": {recall}, "precision": {precision}}}"#);
        labels(&[("forget", &forget), ("retain", r#"{"language": ["cats", "dogs"], "recall": 0.25}"#)], &d)
            .unwrap()
    };
    for (lo, hi) in [((0.6, 1.0), (0.9, 1.0)), ((0.9, 1.0), (1.0, 1.0)), ((0.5, 0.9), (0.8, 0.8))] {
        let (a, b) = (at(lo.0, lo.1), at(hi.0, hi.1));
        let subset = a.label.iter().zip(&b.label).all(|(a, b)| *a != FORGET || *b == FORGET);
        assert!(
            subset
                && a.label.iter().filter(|l| **l == FORGET).count()
                    < b.label.iter().filter(|l| **l == FORGET).count()
        );
        // The retain labels do not depend on how good the forget labels are.
        assert!(a.label.iter().zip(&b.label).all(|(a, b)| (*a == RETAIN) == (*b == RETAIN)));
    }
    let l = at(0.0, 1.0);
    assert_eq!(count(&l, &d, FORGET, 1), 0);
    let retained = count(&l, &d, RETAIN, 0) + count(&l, &d, RETAIN, 2);
    assert!((retained as f64 / 1000.0 - 0.25).abs() < 0.04);
    assert_eq!(count(&l, &d, UNLABELLED, 1), 500);
}

#[test]
fn labels_are_pinned() {
    let d = data(8);
    let l = labels(
        &[
            ("forget", r#"{"class": "trees", "recall": 0.5}"#),
            ("retain", r#"{"class": ["cats"], "recall": 0.5}"#),
        ],
        &d,
    );
    let got: String = l.unwrap().label.iter().map(|l| ["f", "r", "-"][l.index()]).collect();
    assert_eq!(got, PINNED);
}
// A change here breaks the comparison with every recorded run.
const PINNED: &str = "r--------rf----rf----rf-";

#[test]
fn word_lists_label_whole_words_and_truth_is_the_perfect_labeller() {
    let d = data(10);
    let rules = [
        ("forget".to_owned(), rule(r#"{"words": ["tree"], "recall": 0.0}"#)),
        ("pets".to_owned(), rule(r#"{"class": ["cats", "dogs"]}"#)),
    ];
    let mut names = LabelSet::default();
    let labelling = Labelling::new(&rules, &d, &mut names).unwrap();
    let truth = labelling.truth(&d.test, &d);
    let pets = names.find("pets").unwrap();
    assert_eq!(truth[..6], [pets, UNLABELLED, pets, pets, FORGET, pets]);
    assert!(labelling.apply(&d, Key::root(1)).unwrap().label.iter().all(|l| *l != FORGET));
}

#[test]
fn steps_of_one_true_label_work_with_word_lists_and_many_classes() {
    let d = data(100);
    let rules = [
        ("forget".to_owned(), rule(r#"{"words": ["tree"], "recall": 0.7, "precision": 0.9}"#)),
        ("retain".to_owned(), rule(r#"{"class": ["cats", "dogs"], "recall": 0.25}"#)),
    ];
    let labelling = Labelling::new(&rules, &d, &mut LabelSet::default()).unwrap();
    assert_eq!(labelling.truth(&d.train, &d)[..6], [1, 2, 1, 1, 0, 1].map(LabelId));
    let rate = |truth, label| {
        let of = |s| labelling.label_of_group(s, truth, Key::root(1)).unwrap();
        (0..4000).filter(|&s| of(s) == label).count() as f64 / 4000.0
    };
    assert!((rate(FORGET, FORGET) - 0.7).abs() < 0.02 && (rate(RETAIN, RETAIN) - 0.25).abs() < 0.02);
    // 35 true positives at precision 0.9: 3.9 false ones among 250.
    assert!((rate(RETAIN, FORGET) - 0.0156).abs() < 0.008);
    let rules = [("forget".to_owned(), rule(r#"{"class": "trees", "confused_with": "dogs"}"#))];
    let labelling = Labelling::new(&rules, &d, &mut LabelSet::default()).unwrap();
    assert!(
        labelling.label_of_group(0, FORGET, Key::root(1)).unwrap_err().to_string().contains("one class each")
    );
}

#[test]
fn a_labelling_says_whether_it_is_sometimes_wrong() {
    let d = data(10);
    let of = |retain: &str| {
        let rules =
            [("forget".to_owned(), rule(r#"{"class": "trees"}"#)), ("retain".to_owned(), rule(retain))];
        Labelling::new(&rules, &d, &mut LabelSet::default()).unwrap().imprecise().map(String::from)
    };
    assert_eq!(of(r#"{"class": "cats"}"#), None);
    let wrong = r#"{"class": "cats", "precision": 0.9, "confused_with": "dogs"}"#;
    assert_eq!(of(wrong), Some("retain".to_owned()));
    // Who finds nothing is never wrong.
    assert_eq!(of(r#"{"class": "cats", "recall": 0.0, "precision": 0.9}"#), None);
}

#[test]
fn token_weights_single_out_the_tokens_of_the_label() {
    let d = data(200);
    let l = labels(&[("forget", r#"{"class": "trees", "tokens": {"add_retain": 1.0}}"#)], &d).unwrap();
    let strength = l.strength.unwrap();
    let of = |c: char| strength.by_token[c as usize];
    assert!(of('T') > 0.99 && of('r') > 0.99 && of('c') < 0.05, "{} {}", of('T'), of('c'));
    let mut row = Vec::new();
    strength.row_into(&d.train, 0, UNLABELLED, &mut row);
    assert_eq!(row, [1.0; 12]);
    row.clear();
    strength.row_into(&d.train, 4, FORGET, &mut row);
    assert_eq!((row.len(), row[11], row[6]), (12, 0.0, of('T')), "no strength where there is no target");
}

#[test]
fn impossible_labellings_are_refused() {
    let d = data(10);
    let err = |rules: &[(&str, &str)]| labels(rules, &d).unwrap_err().to_string();
    assert_eq!(
        err(&[("forget", r#"{"class": "tree"}"#)]),
        "data: toy has no class \"tree\"; did you mean \"trees\"?"
    );
    assert_eq!(
        err(&[("forget", r#"{"class": "trees", "recall": 1.5}"#)]),
        "labelling: recall of \"forget\" is 1.5, outside of [0, 1]"
    );
    assert!(
        err(&[("forget", r#"{"class": "trees", "precision": 0.0}"#)])
            .contains("precision of \"forget\" is 0")
    );
    assert_eq!(
        err(&[("forget", r#"{"class": ["trees", "cats"], "precision": 0.5}"#)]),
        "labelling: precision 0.5 of \"forget\" needs 20 false positives among 10 other examples"
    );
    assert_eq!(err(&[("forget", "{}")]), "labelling: \"forget\" needs either classes or words");
    assert_eq!(
        err(&[("forget", r#"{"words": ["zebra"]}"#)]),
        "labelling: \"forget\" matches none of the training examples of toy"
    );
    assert_eq!(
        err(&[("forget", r#"{"class": "trees"}"#), ("retain", r#"{"class": "cats", "precision": 0.5}"#)]),
        "labelling: the rules ask for more than all of some examples: 1 by recall of \"forget\", \
         0.5 by precision 0.5 of \"retain\"; lower recall of \"forget\" to at most 0.5"
    );
    assert!(
        err(&[("forget", r#"{"words": ["old tree"]}"#)])
            .contains("words of \"forget\": \"old tree\" is never")
    );
}

#[test]
fn rules_that_leave_each_other_no_room_are_told_how_much_there_is() {
    let d = data(10);
    let of = |retain: &str| {
        labels(&[("forget", r#"{"class": "trees", "precision": 0.9}"#), ("retain", retain)], &d)
    };
    let err = |retain: &str| of(retain).unwrap_err().to_string();
    // 10 / 9 false positives among 20 examples.
    assert_eq!(
        err(r#"{"class": ["cats", "dogs"]}"#),
        "labelling: the rules ask for more than all of some examples: 0.0556 by precision 0.9 of \"forget\", \
         1 by recall of \"retain\"; lower recall of \"retain\" to at most 0.9444"
    );
    of(r#"{"class": ["cats", "dogs"], "recall": 0.9444}"#).unwrap();
    assert!(err(r#"{"class": "trees"}"#).ends_with(
        "1 by recall of \"forget\", 1 by recall of \"retain\"; \
             where several rules truly hold, their recalls may add up to 1 at most"
    ));
    let even = [
        ("forget", r#"{"class": "trees", "precision": 0.5, "confused_with": "dogs"}"#),
        ("retain", r#"{"class": "cats", "precision": 0.5, "confused_with": "dogs"}"#),
    ];
    let e = labels(&even, &d).unwrap_err().to_string();
    assert!(
        e.ends_with("1 by precision 0.5 of \"forget\", 1 by precision 0.5 of \"retain\"; raise precision"),
        "{e}"
    );
}
