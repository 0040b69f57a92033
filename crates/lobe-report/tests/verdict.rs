//! What is said of a run, and what is not: words that follow the numbers.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod common;

use common::{loaded, words};
use lobe_report::{Quantity, RunData, verdict};

fn bilingual(seeds: u64) -> RunData {
    loaded(|dir| common::bilingual(dir, seeds))
}

/// The words about sgtm after `change`.
fn sgtm(seeds: u64, change: impl FnOnce(&mut RunData)) -> String {
    let mut run = bilingual(seeds);
    change(&mut run);
    let v = verdict::verdict(&run);
    let arm = v.arms.iter().find(|a| a.arm == "sgtm").unwrap();
    format!("{} => {}", arm.sentences.last().unwrap(), arm.conclusion)
}

/// Replaces the steps that `arm` took; an empty list means it never came back.
fn set_steps(run: &mut RunData, arm: &str, steps: &[(u64, f64)]) {
    let found = run.results.iter_mut().find(|(q, _)| q.metric == "steps_to_baseline").unwrap().1;
    let points = |v: f64| vec![lobe_report::Point { step: None, value: v }];
    found.by_arm.insert(arm.into(), steps.iter().map(|&(seed, v)| (seed, points(v))).collect());
}

#[test]
fn missing_steps_are_said_and_never_counted_as_numbers() {
    let never = sgtm(3, |r| set_steps(r, "sgtm", &[]));
    let head = "Attack relearn: the baseline's loss was not reached within 500 steps in 3 of 3 seeds; oracle: 447 [420, \
                480] steps. Against oracle, sooner in 0 of 3 seeds, paired difference +53 [";
    assert!(never.starts_with(head), "{never}");
    assert!(never.contains("a seed that was not reached counting as the whole budget: this run"), "{never}");
    // Of three differences of 20, 60 and 80 steps nobody can say that they are not chance; of six one can.
    assert!(never.ends_with("no proof that it is gone."), "{never}");
    let six: Vec<(u64, f64)> = (0..6).map(|s| (s, 440.0 + 10.0 * s as f64)).collect();
    let never = sgtm(6, |r| {
        set_steps(r, "sgtm", &[]);
        set_steps(r, "oracle", &six);
    });
    assert!(never.contains("that is later than oracle."), "{never}");
    assert!(never.ends_with("it was removed: it comes back later than oracle learns it."), "{never}");
    let once = sgtm(3, |r| set_steps(r, "sgtm", &[(1, 100.0)]));
    assert!(once.contains("100 steps where reached; not reached within 500 steps in 2 of 3 seeds"), "{once}");
    assert!(once.contains("sooner in 1 of 3 seeds"), "{once}");
    let neither = sgtm(3, |r| {
        set_steps(r, "sgtm", &[]);
        set_steps(r, "oracle", &[]);
    });
    assert!(neither.contains("neither came back: this run does not tell them apart"), "{neither}");
}

#[test]
fn differences_around_0_are_not_called_different() {
    let text = sgtm(3, |r| set_steps(r, "sgtm", &[(0, 400.0), (1, 450.0), (2, 430.0)]));
    assert!(text.contains("this run does not tell them apart"), "{text}");
    assert!(text.ends_with("no sign that it is only hidden, and no proof that it is gone."), "{text}");
}

#[test]
fn a_control_that_was_not_attacked_decides_nothing() {
    let text = sgtm(3, |r| {
        for (q, m) in &mut r.results {
            if q.stage == "relearn" {
                m.by_arm.remove("oracle");
            }
        }
    });
    assert!(
        text.contains("not compared with oracle") && text.ends_with("nothing tells removed from hidden."),
        "{text}"
    );
}

/// Moves the final losses of `arm` by `by(seed)`.
fn shift(run: &mut RunData, stage: &str, arm: &str, by: impl Fn(u64) -> f64) {
    for (q, m) in &mut run.results {
        if q.stage == stage && q.label == "forget" && q.metric == "loss" {
            let seeds = m.by_arm.get_mut(arm).unwrap();
            for (seed, points) in seeds.iter_mut() {
                for p in points.iter_mut() {
                    p.value += by(*seed);
                }
            }
        }
    }
    run.results.retain(|q, _| q.metric != "gap_closed");
}

#[test]
fn a_control_like_the_baseline_leaves_no_gap() {
    let text = sgtm(3, |r| shift(r, "train", "oracle", |_| -4.0));
    assert!(
        text.ends_with("oracle is no worse at it than the baseline, so there was nothing to be removed."),
        "{text}"
    );
}

#[test]
fn a_gap_whose_interval_reaches_0_is_not_called_none() {
    // The control is worse in two of three seeds.
    let text = sgtm(3, |r| shift(r, "train", "oracle", |seed| if seed == 0 { -3.5 } else { 0.0 }));
    assert!(text.contains("oracle cannot be told to be worse at it than the baseline"), "{text}");
}

#[test]
fn a_seed_that_ran_out_of_budget_does_not_excuse_an_overlap() {
    let text = sgtm(3, |r| {
        set_steps(r, "sgtm", &[(0, 100.0), (1, 300.0)]);
        set_steps(r, "oracle", &[(0, 110.0), (1, 310.0)]);
    });
    assert!(text.contains("sooner in 2 of 3 seeds"), "{text}");
    assert!(!text.contains("hidden rather than removed"), "{text}");
}

#[test]
fn one_seed_and_an_unknown_target_are_not_judged() {
    let text = sgtm(1, |_| {});
    assert!(
        text.contains("One seed: this is not judged.") && text.ends_with("tells removed from hidden."),
        "{text}"
    );
    // A run that stopped before the baseline was measured: nobody knows what was to be reached.
    let mut run = bilingual(3);
    run.results.retain(|q, _| q.metric != "steps_target" && q.metric != "steps_to_baseline");
    let text = words(&run);
    assert!(!text.contains("not reached"), "{text}");
}

#[test]
fn the_share_of_the_gap_is_that_of_the_last_model() {
    // Coherence training after the cut brings half of it back: the measured share is the cut's.
    let mut run = bilingual(3);
    let cut: Vec<_> = run.results.iter().filter(|(q, _)| q.stage == "ablate" && q.metric == "loss").collect();
    let mut after: Vec<_> = cut.into_iter().map(|(q, m)| (q.clone(), m.clone())).collect();
    for (q, m) in &mut after {
        q.stage = "cohere".into();
        if q.label == "forget" {
            for p in m.by_arm.get_mut("sgtm").unwrap().values_mut().flatten() {
                p.value -= 1.5;
            }
        }
    }
    run.results.extend(after);
    let at = run.manifest.stages.iter().position(|s| s.name == "ablate").unwrap();
    let mut cohere = run.manifest.stages[at].clone();
    (cohere.name, cohere.does) = ("cohere".into(), "cohere".into());
    run.manifest.stages.insert(at + 1, cohere);
    let share = |r: &RunData| r.gap_closed("sgtm").iter().map(|(_, v)| v).sum::<f64>() / 3.0;
    assert!(share(&run) < share(&bilingual(3)) - 0.2, "{} {}", share(&run), share(&bilingual(3)));
}

#[test]
fn an_uncertain_share_is_not_called_removed() {
    let text = sgtm(3, |r| {
        shift(r, "ablate", "sgtm", |seed| if seed == 0 { -2.0 } else { 0.3 });
        set_steps(r, "sgtm", &[]);
    });
    assert!(text.ends_with("too uncertain a share to say whether it was removed."), "{text}");
}

#[test]
fn an_arm_that_was_not_cut_has_no_verdict() {
    let mut run = bilingual(3);
    run.results.retain(|q, _| q.stage != "ablate");
    assert!(words(&run).starts_with("No arm was measured after a cut"), "{}", words(&run));
}

/// Sets the final numbers of `arm` for a quantity of the attack.
fn put(run: &mut RunData, metric: &str, arm: &str, values: &[f64]) {
    let quantity = Quantity { stage: "relearn".into(), metric: metric.into(), label: "forget".into() };
    let point = |v: f64| vec![lobe_report::Point { step: None, value: v }];
    let by_seed = (0..).zip(values).filter(|(_, v)| v.is_finite()).map(|(s, v)| (s, point(*v)));
    run.results.entry(quantity).or_default().by_arm.insert(arm.into(), by_seed.collect());
}

/// Gives sgtm two starts and the oracle one, with the steps each took.
fn put_starts(run: &mut RunData, zero: &[f64; 3], reinit: &[f64; 3], oracle: &[f64; 3]) {
    for (arm, variant, steps) in [
        ("sgtm", "zero,lr=0.01", zero),
        ("sgtm", "reinit,lr=0.01", reinit),
        ("oracle", "whole,lr=0.01", oracle),
    ] {
        put(run, &format!("steps_to_baseline@{variant}"), arm, steps);
        put(run, &format!("attack_best@{variant}"), arm, &[1.0; 3]);
    }
    let best: Vec<f64> = zero.iter().zip(reinit).map(|(a, b)| a.min(*b)).collect();
    put(run, "steps_to_baseline", "sgtm", &best);
    put(run, "steps_to_baseline", "oracle", oracle);
}

#[test]
fn a_second_start_is_no_second_try() {
    // The better of both starts is sooner than the oracle in every seed and always by about as much;
    // neither start is.
    let text = sgtm(3, |r| put_starts(r, &[400.0, 460.0, 400.0], &[460.0, 400.0, 460.0], &[410.0; 3]));
    assert!(text.contains("brought it back to the baseline's loss: 400 steps;"), "{text}");
    assert!(text.contains("from the model as it is: sooner in 2 of 3 seeds"), "{text}");
    assert!(text.contains("from the region drawn again: sooner in 1 of 3 seeds"), "{text}");
    assert!(text.ends_with("no sign that it is only hidden, and no proof that it is gone."), "{text}");
    // One start that is sooner is enough.
    let text = sgtm(3, |r| put_starts(r, &[500.0; 3], &[200.0, 203.0, 201.0], &[410.0, 412.0, 409.0]));
    assert!(
        text.contains("that is sooner than oracle") && text.contains("hidden rather than removed"),
        "{text}"
    );
    // A start from which nothing came back counts as the whole budget.
    let never = [f64::NAN; 3];
    let text = sgtm(3, |r| put_starts(r, &never, &[490.0, 492.0, 491.0], &[410.0, 412.0, 409.0]));
    assert!(text.contains("that is later than oracle"), "{text}");
}

#[test]
fn a_destroyed_model_is_not_called_removed() {
    let later = |r: &mut RunData| set_steps(r, "sgtm", &[(0, 497.0), (1, 498.0), (2, 499.0)]);
    let text = sgtm(3, |r| {
        later(r);
        set_steps(r, "oracle", &[(0, 300.0), (1, 301.0), (2, 299.0)]);
        put(r, "recovery", "sgtm", &[0.5; 3]);
        for (q, m) in &mut r.results {
            if q.stage == "ablate" && q.label == "retain" && q.metric == "loss" {
                m.by_arm.get_mut("sgtm").unwrap().values_mut().flatten().for_each(|p| p.value += 9.0);
            }
        }
    });
    assert!(
        text.contains("later than oracle") && text.ends_with("a broken model rather than a removal."),
        "{text}"
    );
}

#[test]
fn an_arm_that_was_only_measured_again_was_not_cut() {
    // A second filter is no reference; the stage that cuts others measures it, too.
    let mut run = bilingual(3);
    let mut second = run.manifest.arms[1].clone();
    second.name = "filter-2".into();
    run.manifest.arms.push(second);
    let trained: Vec<_> =
        run.results.iter().filter(|(q, _)| q.stage == "train" && q.metric == "loss").collect();
    let trained: Vec<_> = trained.into_iter().map(|(q, m)| (q.clone(), m.by_arm["filter"].clone())).collect();
    for (q, seeds) in trained {
        for stage in ["train", "ablate"] {
            let q = Quantity { stage: stage.into(), ..q.clone() };
            run.results.entry(q).or_default().by_arm.insert("filter-2".into(), seeds.clone());
        }
    }
    assert!(!words(&run).contains("filter-2"), "{}", words(&run));
    // Once it is attacked there is something to say of it, and still nothing was cut.
    put(&mut run, "steps_to_baseline", "filter-2", &[100.0; 3]);
    let text = words(&run);
    assert!(text.contains("filter-2\n  As trained its forget loss is"), "{text}");
    assert!(text.contains("of the gap") && text.contains("Against oracle, sooner in 3 of 3 seeds"), "{text}");
}

#[test]
fn a_matrix_judges_start_by_start() {
    let with = |zero: [f64; 3], reinit: [f64; 3]| {
        let mut run = loaded(|dir| common::matrix(dir, 6, 2, 3));
        for (variant, values) in [("zero,lr=0.01", zero), ("reinit,lr=0.01", reinit)] {
            put(&mut run, &format!("recovery@{variant}"), "sgtm", &values);
        }
        put(&mut run, "recovery@lr=0.001", "sgtm", &[f64::NAN; 3]);
        put(&mut run, "recovery@lr=0.01", "sgtm", &[f64::NAN; 3]);
        let best: Vec<f64> = zero.iter().zip(&reinit).map(|(a, b)| a.max(*b)).collect();
        put(&mut run, "recovery", "sgtm", &best);
        for metric in ["recovery", "recovery@lr=0.001", "recovery@lr=0.01"] {
            put(&mut run, metric, "oracle", &[0.6, 0.61, 0.59]);
        }
        let v = verdict::verdict(&run);
        let arm = v.arms.iter().find(|a| a.arm == "sgtm").unwrap();
        format!("{} => {}", arm.sentences.last().unwrap(), arm.conclusion)
    };
    // The better of both is above the oracle in every seed, neither start is.
    let text = with([0.66, 0.58, 0.65], [0.58, 0.67, 0.58]);
    assert!(
        text.contains("from the model as it is, ") && text.contains("from the region drawn again: this run"),
        "{text}"
    );
    // Below from one start only is no proof; above from one is.
    let text = with([0.40, 0.41, 0.39], [0.62, 0.55, 0.58]);
    assert!(text.contains("this run does not tell them apart"), "{text}");
    let text = with([0.40, 0.41, 0.39], [0.80, 0.81, 0.79]);
    assert!(text.contains("That is more") && text.contains("hidden rather than removed"), "{text}");
    let text = with([0.40, 0.41, 0.39], [0.30, 0.31, 0.29]);
    assert!(text.contains("That is less"), "{text}");
}

#[test]
fn two_seeds_do_not_say_that_something_stayed() {
    // 70 and 80 % of the gap: Student's t interval of two such shares reaches beyond 100.
    let text = sgtm(2, |r| put_gap(r, &[0.70, 0.80]));
    assert!(!text.contains("survived the cut") && text.contains("too uncertain a share"), "{text}");
    let text = sgtm(2, |r| put_gap(r, &[0.300, 0.305]));
    assert!(text.contains("Part of the capability survived the cut"), "{text}");
}

/// Sets the share of the gap that sgtm's cut closed; it never came back.
fn put_gap(run: &mut RunData, shares: &[f64]) {
    let found = run.results.iter_mut().find(|(q, _)| q.metric == "gap_closed").unwrap().1;
    let point = |v: f64| vec![lobe_report::Point { step: None, value: v }];
    found.by_arm.insert("sgtm".into(), (0..).zip(shares).map(|(s, v)| (s, point(*v))).collect());
    set_steps(run, "sgtm", &[]);
    set_steps(run, "oracle", &[]);
}
