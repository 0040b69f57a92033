//! What a batch says of its columns, its shards and its labels.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use lobe_core::{FORGET, LabelId, RETAIN, UNLABELLED};
use lobe_engine::ops::head::IGNORE;
use lobe_engine::{Buf, Layout, Plan, RowLabels, ShardRows, Tape, Workspace};
use lobe_nets::{Batch, Column, Fed, INPUT, NEXT, WANTED};

const LABELS: [LabelId; 5] = [FORGET, FORGET, RETAIN, FORGET, UNLABELLED];

/// Five rows of two numbers, `10 i` and `10 i + 1`, two to a shard; each wants `-i` if it wants anything.
fn rows(wanted: usize) -> Batch {
    let mut out = Batch::rows_of(2, wanted, 2);
    for (i, label) in LABELS.iter().enumerate() {
        out.push_row(&[10.0 * i as f32, 10.0 * i as f32 + 1.0], &vec![-(i as f32); wanted], *label);
    }
    out
}

fn counts(batch: &Batch) -> [usize; 4] {
    let mut out = [0; 4];
    batch.count_labels(&mut out);
    out
}

#[test]
fn rows_of_numbers_are_input_and_target() {
    let batch = rows(0);
    assert_eq!((batch.len(), batch.targets(), batch.shards()), (5, 5, 3));
    assert_eq!(counts(&batch), [3, 1, 1, 0]);
    let values: [&[f32]; 3] = [&[0.0, 1.0, 10.0, 11.0], &[20.0, 21.0, 30.0, 31.0], &[40.0, 41.0]];
    for (s, want) in values.into_iter().enumerate() {
        let n = want.len() / 2;
        assert!(matches!(batch.fed(s), Fed::Rows { width: 2, values, noise: &[] } if values == want), "{s}");
        assert_eq!(batch.target(s, INPUT), Some(Column::Numbers { width: 2, values: want }));
        // It holds no token, and wants nothing but what goes in.
        assert_eq!((batch.target(s, NEXT), batch.target(s, WANTED)), (None, batch.target(s, INPUT)));
        assert_eq!(batch.text(s), (&[][..], &[][..], 1));
        assert_eq!((batch.seq(s), batch.examples(s)), (1, 2 * s..2 * s + n));
        assert_eq!(batch.counted(s).collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
        assert!((0..n).all(|r| batch.counts(s, r) && batch.row_label(s, r) == LABELS[2 * s + r]));
        assert_eq!(batch.rows(s).rows, n);
    }
    assert!(matches!(batch.rows(0).labels, RowLabels::One(l) if l == FORGET));
    assert!(matches!(batch.rows(1).labels, RowLabels::Each(l) if *l == [RETAIN, FORGET]));
    assert!(matches!(batch.rows(2).labels, RowLabels::One(l) if l == UNLABELLED));
}

#[test]
fn drawn_rows_are_written_over_zeros() {
    let mut drawn = Batch::rows_of(2, 3, 2);
    for (i, label) in LABELS.iter().enumerate() {
        drawn.push_drawn(*label, |row, out| {
            assert_eq!((&*row, &*out), (&[0.0; 2][..], &[0.0; 3][..]));
            row.copy_from_slice(&[10.0 * i as f32, 10.0 * i as f32 + 1.0]);
            out.fill(-(i as f32));
        });
    }
    assert_eq!(format!("{drawn:?}"), format!("{:?}", rows(3)));
}

#[test]
fn every_row_has_its_own_noise_whatever_the_shard() {
    let mut batch = Batch::rows_of(2, 0, 2);
    for round in 0..2 {
        batch.clear();
        for i in 0..3 {
            batch.push_row(&[0.0, 1.0], &[], FORGET);
            batch.push_noise(&[i as f32, 0.5 + round as f32, 7.0]);
        }
    }
    let noise = |s: usize| match batch.fed(s) {
        Fed::Rows { noise, .. } => noise.to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!((noise(0), noise(1)), (vec![0.0, 1.5, 7.0, 1.0, 1.5, 7.0], vec![2.0, 1.5, 7.0]));
    let (mut ws, layout) = (Workspace::default(), Layout::default());
    let plan = Plan::plain(&layout);
    let mut tape = Tape::new(&mut ws, &layout, &[], None, &plan, ShardRows::uniform(2, FORGET));
    let there = batch.fed(0).noise(&mut tape, 3).unwrap().unwrap();
    assert_eq!((tape.shape(there), tape.value(there)), ((2, 3), &[0.0, 1.5, 7.0, 1.0, 1.5, 7.0][..]));
    let wrong = batch.fed(0).noise(&mut tape, 2).unwrap_err().to_string();
    assert!(wrong.contains("6 numbers of noise for 2 rows of 2"), "{wrong}");
    assert!(rows(0).fed(0).noise(&mut tape, 3).unwrap().is_none());
}

#[test]
#[should_panic(expected = "numbers of noise per row")]
fn a_row_without_noise_among_others_is_refused() {
    let mut batch = Batch::rows_of(2, 0, 2);
    batch.push_row(&[0.0, 1.0], &[], FORGET);
    batch.push_row(&[0.0, 1.0], &[], FORGET);
    batch.push_noise(&[1.0]);
}

#[test]
fn rows_may_want_other_numbers() {
    let batch = rows(3);
    assert_eq!(
        batch.target(1, WANTED),
        Some(Column::Numbers { width: 3, values: &[-2., -2., -2., -3., -3., -3.] })
    );
    assert_eq!(batch.target(2, WANTED), Some(Column::Numbers { width: 3, values: &[-4.0; 3] }));
    assert_eq!(batch.target(2, INPUT), Some(Column::Numbers { width: 2, values: &[40.0, 41.0] }));
}

#[test]
fn rows_can_be_filled_again() {
    let mut batch = rows(1);
    batch.clear();
    assert!(batch.is_empty() && batch.targets() == 0 && batch.shards() == 0);
    assert_eq!(counts(&batch), [0; 4]);
    batch.push_row(&[5.0, 6.0], &[7.0], RETAIN);
    assert_eq!(batch.target(0, INPUT), Some(Column::Numbers { width: 2, values: &[5.0, 6.0] }));
    assert_eq!(batch.target(0, WANTED), Some(Column::Numbers { width: 1, values: &[7.0] }));
    assert_eq!(counts(&batch), [0, 1, 0, 0]);
}

#[test]
fn text_counts_what_it_asks_for() {
    let mut batch = Batch::tokens(40, 1);
    let (mut ids, mut next) = (vec![3; 40], vec![IGNORE; 40]);
    (ids[7], next[2], next[5]) = (IGNORE, 8, 9);
    batch.push_pair(&ids, &next, RETAIN, None);
    next[35] = 1;
    batch.push_pair(&[4; 40], &next, FORGET, None);
    assert_eq!((batch.targets(), counts(&batch)), (5, [3, 2, 0, 0]));
    // The first is trimmed to 32 positions; what stands for nothing is fed as token 0.
    let (inputs, targets, seq) = batch.text(0);
    assert_eq!((inputs.len(), targets.len(), seq, batch.seq(0)), (32, 32, 32, 32));
    assert_eq!((inputs[6], inputs[7], targets[2], targets[3]), (3, 0, 8, IGNORE));
    assert!(matches!(batch.fed(0), Fed::Tokens { ids, seq: 32 } if ids == inputs));
    assert_eq!(batch.target(0, NEXT), Some(Column::Ids(targets)));
    assert_eq!((batch.target(0, INPUT), batch.target(0, WANTED)), (None, None));
    assert_eq!(batch.text(1).2, 40);
    assert_eq!(batch.counted(0).collect::<Vec<_>>(), [2, 5]);
    assert_eq!(batch.counted(1).collect::<Vec<_>>(), [2, 5, 35]);
    assert!(batch.counts(1, 35) && !batch.counts(1, 34));
    assert_eq!((batch.row_label(0, 31), batch.row_label(1, 0)), (RETAIN, FORGET));
}

#[test]
fn what_is_fed_becomes_rows_on_the_tape() {
    let (layout, batch) = (Layout::default(), rows(0));
    let (mut ws, plan, params) = (Workspace::default(), Plan::plain(&layout), Buf::zeros(0));
    let mut tape = Tape::new(&mut ws, &layout, &params, None, &plan, ShardRows::uniform(2, UNLABELLED));
    let x = batch.fed(1).rows(&mut tape).unwrap();
    assert_eq!((tape.shape(x), tape.value(x)), ((2, 2), &[20.0, 21.0, 30.0, 31.0][..]));
    assert_eq!(Fed::Ready(x).rows(&mut tape), Some(x));
    assert_eq!(Fed::Tokens { ids: &[1], seq: 1 }.rows(&mut tape), None);
}

#[test]
#[should_panic(expected = "a batch of rows holds no tokens")]
fn rows_are_no_tokens() {
    rows(0).push_pair(&[1], &[2], FORGET, None);
}

#[test]
#[should_panic(expected = "a batch of tokens holds no rows")]
fn tokens_are_no_rows() {
    Batch::tokens(2, 1).push_row(&[1.0, 2.0], &[], FORGET);
}

#[test]
#[should_panic(expected = "numbers per row")]
fn rows_are_of_one_width() {
    rows(0).push_row(&[1.0], &[], FORGET);
}
