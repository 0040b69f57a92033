//! What is said of a run, and what is not: words that follow the numbers.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod common;

use common::{loaded, words};
use lobe_report::judge::rule::Word;
use lobe_report::judge::{Judged, Measure, Role, judge};
use lobe_report::{Quantity, RunData, Variant};

fn bilingual(seeds: u64) -> RunData {
    loaded(|dir| common::bilingual(dir, seeds))
}

/// The judgement of `arm` after `change`.
fn judged(seeds: u64, arm: &str, change: impl FnOnce(&mut RunData)) -> Judged {
    let mut run = bilingual(seeds);
    change(&mut run);
    judge(&run).arms.iter().find(|a| a.arm == arm).cloned().unwrap()
}

fn sgtm(seeds: u64, change: impl FnOnce(&mut RunData)) -> Judged {
    judged(seeds, "sgtm", change)
}

/// Replaces the steps that `arm` took; a seed that is left out never came back.
fn set_steps(run: &mut RunData, arm: &str, steps: &[(u64, f64)]) {
    let found = run.results.iter_mut().find(|(q, _)| q.metric == "steps_to_baseline").unwrap().1;
    let points = |v: f64| vec![lobe_report::Point { step: None, value: v }];
    found.by_arm.insert(arm.into(), steps.iter().map(|&(seed, v)| (seed, points(v))).collect());
}

/// Sets the share of the gap that an arm's cut closed.
fn set_closed(run: &mut RunData, arm: &str, shares: &[f64]) {
    let found = run.results.iter_mut().find(|(q, _)| q.metric == "gap_closed").unwrap().1;
    let point = |v: f64| vec![lobe_report::Point { step: None, value: v }];
    found.by_arm.insert(arm.into(), (0..).zip(shares).map(|(s, v)| (s, point(*v))).collect());
}

/// Sets the final numbers of `arm` for a quantity of the attack.
fn put(run: &mut RunData, metric: &str, arm: &str, values: &[f64]) {
    let (metric, variant) = metric.split_once('@').map_or((metric, None), |(m, v)| (m, Some(v)));
    let quantity = Quantity { stage: "relearn".into(), metric: metric.into(), label: "forget".into() };
    let point = |v: f64| vec![lobe_report::Point { step: None, value: v }];
    let by_seed = (0..).zip(values).filter(|(_, v)| v.is_finite()).map(|(s, v)| (s, point(*v)));
    let measured = if let Some(variant) = variant {
        let (start, settings) = variant.split_once(',').unwrap_or(("", variant));
        let variant = Variant { start: start.into(), settings: settings.into() };
        run.variants.entry(quantity).or_default().entry(variant).or_default()
    } else {
        run.results.entry(quantity).or_default()
    };
    measured.by_arm.insert(arm.into(), by_seed.collect());
}

/// Moves the final losses of `arm` by `by(seed)`.
fn shift(run: &mut RunData, stage: &str, arm: &str, label: &str, by: impl Fn(u64) -> f64) {
    for (q, m) in &mut run.results {
        if q.stage == stage && q.label == label && q.metric == "loss" {
            for (seed, points) in m.by_arm.get_mut(arm).unwrap() {
                for p in points {
                    p.value += by(*seed);
                }
            }
        }
    }
    run.results.retain(|q, _| q.metric != "gap_closed");
}

const GONE: [f64; 3] = [1.00, 1.01, 0.99];

#[test]
fn a_seed_that_never_came_back_is_a_bound_and_no_number() {
    let never = sgtm(3, |r| set_steps(r, "sgtm", &[]));
    assert_eq!(never.attacks[0].steps.as_deref(), Some("more than 500 steps in all 3 seeds"));
    let against = never.beside("oracle").unwrap();
    assert!(against.bounded && against.measure == Measure::Steps, "{against:?}");
    assert!(never.sentences.join(" ").contains("it holds out at least"), "{:?}", never.sentences);
    let once = sgtm(3, |r| set_steps(r, "sgtm", &[(1, 100.0)]));
    let steps = once.attacks[0].steps.clone().unwrap();
    assert_eq!(steps, "100 steps, and more than 500 steps in 2 of 3 seeds");
    // Where nobody came back nothing says who is sooner.
    let neither = sgtm(3, |r| {
        set_steps(r, "sgtm", &[]);
        set_steps(r, "oracle", &[]);
        set_steps(r, "filter", &[]);
    });
    assert!(neither.versus.is_empty(), "{:?}", neither.versus);
}

#[test]
fn bounds_of_a_file_are_kept_out_of_means() {
    let run = loaded(|dir| {
        common::bilingual(dir, 3);
        let file = dir.join("results.csv");
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter(|l| !l.contains("sgtm,1,forget,steps_to_baseline"));
        let bound = "relearn,sgtm,1,forget,steps_to_baseline,,500,> steps";
        std::fs::write(&file, lines.chain([bound]).collect::<Vec<_>>().join("\n")).unwrap();
    });
    let steps = run.measured("relearn", "steps_to_baseline", "forget").unwrap();
    assert_eq!((steps.unit.as_str(), steps.bounds("sgtm")), ("steps", vec![(1, 500.0)]));
    assert!(steps.finals("sgtm").iter().all(|(seed, _)| *seed != 1));
}

#[test]
fn the_two_questions_are_separate() {
    // Still there without an attack, whatever the attack does.
    let there = sgtm(3, |r| set_closed(r, "sgtm", &[0.30, 0.31, 0.29]));
    assert_eq!(there.word, Word::StillThere);
    assert!(there.sentences[0].contains("still there without any attack"), "{:?}", there.sentences);
    // Gone, and sooner back than the control learns it.
    let hidden = sgtm(3, |r| {
        set_closed(r, "sgtm", &GONE);
        set_steps(r, "sgtm", &[(0, 100.0), (1, 101.0), (2, 99.0)]);
    });
    assert_eq!(hidden.word, Word::Hidden);
    // Gone, and as slow as the control.
    let removed = sgtm(3, |r| {
        set_closed(r, "sgtm", &GONE);
        set_steps(r, "sgtm", &[(0, 440.0), (1, 441.0), (2, 439.0)]);
        set_steps(r, "oracle", &[(0, 440.0), (1, 440.0), (2, 440.0)]);
    });
    assert_eq!(removed.word, Word::Removed);
    assert!(removed.sentences[0].starts_with("Removed at this scale"), "{:?}", removed.sentences);
    // Gone, and the seeds do not say how it comes back.
    let open = sgtm(3, |r| {
        set_closed(r, "sgtm", &GONE);
        set_steps(r, "sgtm", &[(0, 300.0), (1, 500.0), (2, 430.0)]);
    });
    assert_eq!(open.word, Word::GoneUntilAttacked);
}

#[test]
fn doubt_about_the_share_is_not_the_stronger_word() {
    let sooner = [(0, 100.0), (1, 101.0), (2, 99.0)];
    let with = |shares: [f64; 3]| {
        sgtm(3, |r| {
            set_closed(r, "sgtm", &shares);
            set_steps(r, "sgtm", &sooner);
        })
    };
    assert_eq!(with([0.13, 0.14, 0.15]).word, Word::StillThere);
    assert_eq!(with([0.20, 0.28, 0.36]).word, Word::StillThere);
    let unsure = with([0.1, 0.5, 1.2]);
    assert_eq!(unsure.word, Word::NotRemoved);
    assert!(unsure.sentences[0].contains("undecided"), "{:?}", unsure.sentences);
}

#[test]
fn a_model_that_was_never_worse_than_the_control_does_not_hide_it() {
    // Starts nearer to the baseline than the control, and gains less than the control does: what it has more in
    // the end it had before. In losses: 4.532 to 4.217 beside 4.942 to 4.501, the original at 4.104.
    let run = outside(&[(4.532, 4.217), (4.533, 4.218), (4.531, 4.216)], &[(4.942, 4.501); 3], Some(4.104));
    let model = judge(&run).arms.iter().find(|j| j.arm == "model").cloned().unwrap();
    assert_eq!(model.word, Word::StillThere, "{:?}", model.sentences);
    let returned = model.attacks[0].returned.unwrap().mean;
    assert!((returned - 0.315 / (4.942 - 4.104)).abs() < 1e-6, "{returned}");
    let beyond = model.beyond.unwrap().mean;
    assert!((beyond - (0.315 - 0.441)).abs() < 1e-9, "{beyond}");
    let text = model.sentences.join(" ");
    assert!(!text.contains("Hidden") && text.contains("still there without any attack"), "{text}");
}

#[test]
fn repairing_damage_is_no_return() {
    // Far above the control before the attack, at its level afterwards.
    let run = outside(&[(8.0, 4.50), (8.1, 4.51), (7.9, 4.49)], &[(4.942, 4.501); 3], Some(4.104));
    let model = judge(&run).arms.iter().find(|j| j.arm == "model").cloned().unwrap();
    let beyond = model.beyond.unwrap();
    assert!(beyond.mean.abs() < 0.01, "{beyond:?}");
    assert_ne!(model.word, Word::Hidden);
}

#[test]
fn without_the_original_only_more_than_the_control_is_said() {
    let more = outside(&[(5.0, 4.0), (5.0, 4.01), (5.0, 3.99)], &[(5.0, 4.5); 3], None);
    let model = judge(&more).arms.iter().find(|j| j.arm == "model").cloned().unwrap();
    assert_eq!(model.word, Word::NotRemoved);
    let less = outside(&[(5.0, 4.5), (5.0, 4.51), (5.0, 4.49)], &[(5.0, 4.0); 3], None);
    let model = judge(&less).arms.iter().find(|j| j.arm == "model").cloned().unwrap();
    assert_eq!(model.word, Word::NotJudged);
    assert!(model.sentences.join(" ").contains("clearly less"), "{:?}", model.sentences);
}

/// A model from outside under one attack: (start, best) of model and control by seed, and the original.
fn outside(model: &[(f64, f64)], control: &[(f64, f64)], original: Option<f64>) -> RunData {
    loaded(|dir| common::outside(dir, model, control, original))
}

#[test]
fn a_control_that_was_not_attacked_decides_nothing() {
    let untested = sgtm(3, |r| {
        set_closed(r, "sgtm", &GONE);
        for (q, m) in &mut r.results {
            if q.stage == "relearn" {
                m.by_arm.remove("oracle");
            }
        }
    });
    assert_eq!(untested.word, Word::Untested);
    assert!(untested.sentences[0].contains("hidden and removed look the same"), "{:?}", untested.sentences);
}

#[test]
fn a_control_like_the_baseline_leaves_nothing_to_remove() {
    let none = sgtm(3, |r| shift(r, "train", "oracle", "forget", |_| -4.0));
    assert_eq!(none.word, Word::Nothing);
    // The control is worse in two of three seeds.
    let unclear =
        sgtm(3, |r| shift(r, "train", "oracle", "forget", |seed| if seed == 0 { -3.5 } else { 0.0 }));
    assert_eq!(unclear.word, Word::Undecided);
    assert!(unclear.sentences[0].contains("do not show that oracle is worse"), "{:?}", unclear.sentences);
}

#[test]
fn one_seed_and_two_decide_little() {
    assert_eq!(sgtm(1, |_| {}).word, Word::OneSeed);
    let text = words(&bilingual(1));
    assert!(text.contains("One seed: there are no intervals"), "{text}");
    // 70 and 80 % of the gap: the interval of two such shares reaches beyond 100.
    let two = sgtm(2, |r| {
        set_closed(r, "sgtm", &[0.70, 0.80]);
        set_steps(r, "sgtm", &[]);
    });
    assert_eq!(two.word, Word::Undecided);
    assert!(words(&bilingual(2)).contains("only beyond 9 standard deviations"), "{}", words(&bilingual(2)));
    let sure = sgtm(2, |r| set_closed(r, "sgtm", &[0.300, 0.305]));
    assert_eq!(sure.word, Word::StillThere);
}

#[test]
fn a_capability_the_arm_never_had_is_flagged() {
    // Before the cut it is as ignorant as the oracle.
    let late = sgtm(3, |r| shift(r, "train", "sgtm", "forget", |_| 2.5));
    assert!(late.sentences.join(" ").contains("had little to remove"), "{:?}", late.sentences);
    let ordinary = sgtm(3, |_| {});
    assert!(!ordinary.sentences.join(" ").contains("had little to remove"), "{:?}", ordinary.sentences);
}

#[test]
fn how_much_more_than_filtering_is_said_of_every_arm() {
    for arm in ["routing", "sgtm"] {
        let judged = judged(3, arm, |_| {});
        let text = judged.sentences.join(" ");
        assert!(judged.beside("filter").is_some() && text.contains("than filter"), "{text}");
        assert!(judged.beside("oracle").is_some() && text.contains("than oracle"), "{text}");
    }
    let filter = judged(3, "filter", |_| {});
    assert!(filter.role == Role::Judged && filter.beside("oracle").is_some(), "{filter:?}");
    // Pairs by hand: 400 − 380, 430 − 420, 390 − 400.
    let by_hand = sgtm(3, |r| {
        set_steps(r, "sgtm", &[(0, 400.0), (1, 430.0), (2, 390.0)]);
        set_steps(r, "filter", &[(0, 380.0), (1, 420.0), (2, 400.0)]);
    });
    let beside = by_hand.beside("filter").unwrap();
    assert!((beside.by.mean - 20.0 / 3.0).abs() < 1e-9 && beside.by.n == 3, "{beside:?}");
}

#[test]
fn the_scale_is_said() {
    let scale = judge(&bilingual(3)).scale.clone().unwrap();
    assert!(scale.contains("attacks of at most 500 steps"), "{scale}");
    assert!(scale.contains("undo even oracle, which never saw the data"), "{scale}");
    let mut run = bilingual(3);
    set_steps(&mut run, "oracle", &[(0, 400.0)]);
    let scale = judge(&run).scale.clone().unwrap();
    assert!(!scale.contains("undo even"), "a control that does not come back in each seed: {scale}");
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
fn an_arm_that_was_neither_cut_nor_attacked_is_not_judged() {
    let mut run = bilingual(3);
    run.results.retain(|q, _| q.stage == "train");
    let judged: Vec<String> =
        judge(&run).arms.iter().filter(|j| j.role == Role::Judged).map(|j| j.arm.clone()).collect();
    assert_eq!(judged, ["filter"]);
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
    let with = |zero: [f64; 3], reinit: [f64; 3], oracle: [f64; 3]| {
        sgtm(3, |r| {
            set_closed(r, "sgtm", &GONE);
            put_starts(r, &zero, &reinit, &oracle);
        })
    };
    // The better of both starts is sooner than the oracle in every seed; neither start is.
    let both = with([400.0, 460.0, 400.0], [460.0, 400.0, 460.0], [410.0; 3]);
    assert_eq!(both.word, Word::GoneUntilAttacked, "{:?}", both.sentences);
    // One start that is sooner is enough.
    let one = with([500.0; 3], [200.0, 203.0, 201.0], [410.0, 412.0, 409.0]);
    assert_eq!(one.word, Word::Hidden);
    // A start from which nothing came back counts as the whole budget.
    let never = with([f64::NAN; 3], [490.0, 492.0, 491.0], [410.0, 412.0, 409.0]);
    assert_eq!(never.word, Word::Removed, "{:?}", never.sentences);
}

#[test]
fn a_destroyed_model_is_not_called_removed() {
    let broken = |by: f64| {
        sgtm(3, |r| {
            shift(r, "ablate", "sgtm", "retain", |_| by);
            set_steps(r, "sgtm", &[(0, 497.0), (1, 498.0), (2, 499.0)]);
            set_steps(r, "oracle", &[(0, 300.0), (1, 301.0), (2, 299.0)]);
            shift(r, "ablate", "sgtm", "forget", |_| 0.9);
        })
    };
    assert_eq!(broken(9.0).word, Word::Damaged);
    assert_eq!(broken(0.0).word, Word::Removed, "{:?}", broken(0.0).sentences);
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
    // A run is judged once: what is changed later needs a run that nobody asked.
    let before = words(&run.clone());
    assert!(!before.contains("filter-2"), "{before}");
    // Once it is attacked there is something to say of it, and still nothing was cut.
    put(&mut run, "steps_to_baseline", "filter-2", &[100.0; 3]);
    let found = judge(&run).arms.iter().find(|j| j.arm == "filter-2").cloned().unwrap();
    let text = found.sentences.join(" ");
    assert!(text.contains("Without an attack its forget loss is") && text.contains("of the gap"), "{text}");
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
        judge(&run).arms.iter().find(|j| j.arm == "sgtm").cloned().unwrap().returns.unwrap()
    };
    use lobe_report::judge::rule::Returns;
    // The better of both is above the oracle in every seed, neither start is.
    assert_eq!(with([0.66, 0.58, 0.65], [0.58, 0.67, 0.58]), Returns::Undecided);
    // Below from one start only is no proof; above from one is more.
    assert_eq!(with([0.40, 0.41, 0.39], [0.90, 0.91, 0.89]), Returns::More);
    assert_eq!(with([0.40, 0.41, 0.39], [0.30, 0.31, 0.29]), Returns::NoMore);
}
