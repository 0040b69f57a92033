//! The list of kernels: what the processor computes against the formulas in f64, kernel by kernel, on drawn
//! shapes. A kernel without a case here fails, and so does one that the architecture page does not name.

#[path = "kernels/cases.rs"]
mod cases;
mod common;
#[path = "kernels/draw.rs"]
mod draw;
#[path = "kernels/ends.rs"]
mod ends;

use std::collections::BTreeSet;

use cases::{CASES, Case};
use common::differs;
use draw::Draw;

/// Drawn inputs per kernel: each number of rows comes up several times.
const ROUNDS: usize = 48;

/// Fails where two results differ by more than the case allows.
fn compare(case: &Case, round: usize) {
    let [got, want] = [case.cpu, case.naive].map(|f| f(&mut Draw::new(case.kernel, round)));
    assert_eq!(got.len(), want.len(), "{} {round}", case.kernel);
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        if let Some(e) = differs(got, want, case.relative, case.absolute) {
            panic!("{} {round}, result {i}: {e}", case.kernel);
        }
    }
}

#[test]
fn every_kernel_agrees_with_its_formula() {
    for case in CASES {
        (0..ROUNDS).for_each(|round| compare(case, round));
    }
}

/// Not every round of a kernel may be empty, and some have to be.
#[test]
fn the_drawn_inputs_have_no_one_and_many_rows() {
    for case in CASES {
        let sizes: Vec<usize> = (0..ROUNDS)
            .map(|round| (case.cpu)(&mut Draw::new(case.kernel, round)).iter().map(Vec::len).sum())
            .collect();
        assert!(sizes.iter().any(|n| *n > 10), "{}: {sizes:?}", case.kernel);
        let different: BTreeSet<&usize> = sizes.iter().collect();
        assert!(different.len() > 5, "{}: {sizes:?}", case.kernel);
    }
    let rows: BTreeSet<usize> = (0..ROUNDS).map(|round| Draw::new("rows", round).rows()).collect();
    assert!(rows.contains(&0) && rows.contains(&1) && rows.len() > 4);
}

#[test]
fn kernels_give_the_same_bits_again_and_on_every_thread() {
    let all = || -> Vec<u32> {
        let results = CASES.iter().flat_map(|case| {
            (0..ROUNDS / 4).flat_map(|round| (case.cpu)(&mut Draw::new(case.kernel, round)))
        });
        results.flatten().map(f32::to_bits).collect()
    };
    let first = all();
    assert_eq!(first, all());
    let others: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(all)).collect();
        threads.into_iter().map(|t| t.join().expect("a thread")).collect()
    });
    assert!(others.iter().all(|other| *other == first));
}

/// Names of the functions in the trait, read from its source.
fn listed() -> BTreeSet<&'static str> {
    let source = include_str!("../src/kernels/mod.rs");
    let body = source.split("pub trait Kernels {").nth(1).expect("the trait");
    let body = body.split("\n}\n").next().expect("its end");
    body.lines().filter_map(|line| line.strip_prefix("    fn ")?.split('(').next()).collect()
}

#[test]
fn every_kernel_on_the_list_has_a_case() {
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.kernel).collect();
    // How much room attention needs is each device's own; the two attention kernels ask for it.
    let wanted: BTreeSet<&str> = listed().into_iter().filter(|name| *name != "attention_room").collect();
    assert_eq!(cases, wanted);
}

#[test]
fn the_architecture_page_names_every_kernel_and_no_other() {
    let page = include_str!("../../../ARCHITECTURE.md");
    let section = page.split("## The list of kernels").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its end");
    let rows = section.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    // The first column names kernels in backticks.
    let named: BTreeSet<&str> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert_eq!(named, listed());
}
