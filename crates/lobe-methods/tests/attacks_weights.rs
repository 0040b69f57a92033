//! Attacks that change weights or fine-tune, on a small model with a cut region.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::needless_pass_by_value, reason = "settings are written where they are used")]

#[allow(dead_code, reason = "this suite uses a part of it")]
mod bench_activations;
mod bench_weights;

use bench_weights::{Rig, gpt2, llama};
use lobe_methods::{ATTACKS, Bench, Loot};
use serde_json::{Value, json};

/// Every attack of this suite, with settings that take a moment.
fn quick() -> Vec<(&'static str, Value)> {
    let tune = |more: Value| {
        let mut all = json!({ "lrs": [0.1, 0.3], "steps": 4, "eval_every": 2, "batch": 4 });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    vec![
        ("relearn", tune(json!({}))),
        ("relearn-lora", tune(json!({ "rank": 2 }))),
        ("relearn-retain", tune(json!({ "examples": [2, 8] }))),
        ("held-out-facts", tune(json!({}))),
        ("few-shot", tune(json!({ "examples": [1, 4] }))),
        ("quantise", json!({})),
        ("prune-magnitude", json!({})),
        ("prune-set-difference", json!({ "forget_top": [0.1, 0.3], "retain_top": [0.2] })),
        ("sparse-graft", graft(json!({}))),
    ]
}

fn graft(more: Value) -> Value {
    let mut all = json!({ "entries": [3, 40], "rows": [1, 2], "ranks": [1], "reaches": [0.1], "lrs": [0.01],
                          "steps": 6, "eval_every": 6, "batch": 4 });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

#[test]
fn every_attack_runs_and_says_what_it_needed() {
    for config in [gpt2(), llama()] {
        for (name, params) in quick() {
            let mut rig = Rig::new(config.clone());
            let trials = rig.run(name, params);
            assert!(!trials.is_empty(), "{name}");
            for (i, t) in trials.iter().enumerate() {
                let what = format!("{name}: {}", t.variant);
                assert!(trials[..i].iter().all(|u| u.variant != t.variant), "{what}: twice");
                assert!(!t.curve.is_empty() && t.curve.is_sorted_by(|a, b| a.0 < b.0), "{what}");
                for (_, losses) in &t.curve {
                    assert!(losses.len() == 3 && losses[0].unwrap().is_finite(), "{what}: {losses:?}");
                }
                assert!(t.budget.parameters > 0, "{what}: costs nothing");
            }
            let share = |x: &f64| (0.0..=1.0).contains(x);
            assert!(rig.desk.progress.is_sorted() && rig.desk.progress.iter().all(share), "{name}");
        }
    }
}

#[test]
fn attacks_are_the_same_every_time() {
    for (name, params) in quick() {
        let (mut a, mut b) = (Rig::new(gpt2()), Rig::new(gpt2()));
        assert_eq!(a.run(name, params.clone()), b.run(name, params), "{name}");
    }
}

#[test]
fn silly_parameters_are_refused_with_their_key() {
    let fails = [
        ("relearn-lora", json!({ "rank": 0 }), "rank"),
        ("relearn-lora", json!({ "lrs": [] }), "lrs"),
        ("relearn-lora", json!({ "ranks": 3 }), "ranks"),
        ("relearn-retain", json!({ "retain_share": 0.5 }), "retain_share"),
        ("relearn-retain", json!({ "examples": [4, 4] }), "examples"),
        ("relearn-retain", json!({ "weight_decay": -1.0 }), "weight_decay"),
        ("held-out-facts", json!({ "steps": 0 }), "steps"),
        ("held-out-facts", json!({ "eval_every": 0 }), "eval_every"),
        ("few-shot", json!({ "examples": [0] }), "examples"),
        ("relearn", json!({ "rank": 5000 }), "rank"),
        ("held-out-facts", json!({ "rank": 2 }), "rank"),
        ("few-shot", json!({ "retain_share": 1.0 }), "retain_share"),
        ("quantise", json!({ "bits": [1] }), "bits"),
        ("quantise", json!({ "bits": [32] }), "bits"),
        ("prune-magnitude", json!({ "fractions": [1.0] }), "fractions"),
        ("prune-magnitude", json!({ "fractions": [] }), "fractions"),
        ("prune-set-difference", json!({ "forget_top": [0.0] }), "forget_top"),
        ("prune-set-difference", json!({ "examples": 0 }), "examples"),
        ("sparse-graft", json!({ "kinds": [] }), "kinds"),
        ("sparse-graft", json!({ "kinds": ["rows", "rows"] }), "kinds"),
        ("sparse-graft", json!({ "entries": [0] }), "entries"),
        ("sparse-graft", json!({ "lambda": 0.0 }), "lambda"),
        ("sparse-graft", json!({ "reaches": [-1.0] }), "reaches"),
        ("sparse-graft", json!({ "batch": 0 }), "batch"),
    ];
    for (name, params, path) in fails {
        let entry = ATTACKS.iter().find(|e| e.about.name == name).unwrap();
        let error = (entry.build)(&params).err().unwrap_or_else(|| panic!("{name} takes {params}"));
        assert_eq!(error.path, path, "{name} {params}: {error}");
    }
}

#[test]
fn variants_say_what_they_train_and_on_what() {
    let asked = |name: &str| {
        let mut rig = Rig::new(gpt2());
        let params = quick().into_iter().find(|(n, _)| *n == name).unwrap().1;
        rig.run(name, params);
        rig.asked
    };
    let lora = asked("relearn-lora");
    assert!(lora.iter().all(|v| v.rank == Some(2) && v.loot == Loot::Forget));
    assert_eq!(lora.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["zero,lr=0.1", "zero,lr=0.3"]);
    assert!(asked("relearn").iter().all(|v| v.rank.is_none()));
    let retain = asked("relearn-retain");
    let sizes: Vec<_> = retain.iter().map(|v| (v.name.as_str(), v.examples, v.batch)).collect();
    let want = [("n=2,zero,lr=0.1", 2, 2), ("n=2,zero,lr=0.3", 2, 2), ("n=8,zero,lr=0.1", 8, 4)];
    assert_eq!(sizes[..3], want.map(|(name, n, batch)| (name, Some(n), batch)));
    assert!(retain.iter().all(|v| v.loot == Loot::Retain && v.retain_share == 0.0));
    let few = asked("few-shot");
    assert_eq!(few.len(), 8, "two sizes, two starts, two rates");
    assert!(few.iter().all(|v| v.batch <= v.examples.unwrap()));
    let facts = asked("held-out-facts");
    assert!(facts.iter().all(|v| v.loot == Loot::FirstHalf && v.watch == Some(Loot::SecondHalf)));
}

#[test]
fn held_out_facts_say_where_the_other_half_stood() {
    let mut rig = Rig::new(gpt2());
    let trials = rig.run("held-out-facts", json!({ "steps": 1, "lrs": [0.1] }));
    let other = rig.examples(Loot::SecondHalf, 100).unwrap();
    let victim = rig.desk.victim.clone();
    let original = rig.desk.original.clone().unwrap();
    for t in trials {
        let of = |name: &str| t.extra.iter().find(|(m, ..)| m == name).unwrap().1;
        assert_eq!(of("watched_loss_before"), rig.loss_on(&victim, &other).unwrap());
        assert_eq!(of("watched_loss_original"), rig.loss_on(&original, &other).unwrap());
        assert_eq!(of("watched_accuracy_before"), f64::from(victim[0]));
        assert_eq!(of("watched_accuracy_original"), f64::from(original[0]));
    }
}

#[test]
fn rounding_and_pruning_leave_vectors_alone_and_the_cut_cut() {
    for (name, params) in quick().into_iter().filter(|(n, _)| n.starts_with("prune") || *n == "quantise") {
        let mut rig = Rig::new(gpt2());
        let trials = rig.run(name, params);
        assert_eq!(trials.len(), rig.seen.len(), "{name}");
        let owned = rig.owned();
        for (t, params) in trials.iter().zip(&rig.seen) {
            let what = format!("{name}: {}", t.variant);
            let moved = params.iter().zip(&rig.desk.victim).filter(|(a, b)| a != b).count();
            assert_eq!(t.budget.parameters, moved as u64, "{what}");
            assert!((0..params.len()).all(|i| !owned[i] || params[i] == 0.0), "{what}: the cut came back");
            for tensor in rig.desk.net.layout().tensors().iter().filter(|t| !t.matrix) {
                assert_eq!(params[tensor.span()], rig.desk.victim[tensor.span()], "{what}: {}", tensor.name);
            }
        }
    }
}

#[test]
fn fine_rounding_changes_next_to_nothing() {
    let mut rig = Rig::new(gpt2());
    let before = rig.desk.loss(&rig.desk.victim, &rig.desk.forget, &rig.desk.plain());
    for t in rig.run("quantise", json!({ "bits": [16], "embeddings": true })) {
        let after = t.curve[0].1[0].unwrap();
        assert!((after - before).abs() < 1e-2, "{}: {after} against {before}", t.variant);
    }
}

#[test]
fn pruned_shares_are_of_live_weights() {
    let mut rig = Rig::new(gpt2());
    let trials = rig.run("prune-magnitude", json!({ "fractions": [0.25] }));
    let matrices = rig.desk.net.layout().tensors().iter().filter(|t| t.matrix && t.joint.is_none());
    let live = |span: std::ops::Range<usize>| rig.desk.victim[span].iter().filter(|x| **x != 0.0).count();
    let want: usize = matrices.map(|t| (0.25 * live(t.span()) as f64).round() as usize).sum();
    assert_eq!(trials[0].curve[0].0, want as u64);
}

#[test]
fn grafts_never_touch_the_cut_and_change_what_they_say() {
    for config in [gpt2(), llama()] {
        let mut rig = Rig::new(config);
        let trials = rig.run("sparse-graft", graft(json!({})));
        let owned = rig.owned();
        assert_eq!(rig.moved(&rig.seen[0]), [0usize; 0], "first the victim as it is");
        assert_eq!(rig.seen.len(), 1 + trials.len(), "then each trial once");
        for (t, params) in trials.iter().zip(&rig.seen[1..]) {
            let moved = rig.moved(params);
            assert!(moved.iter().all(|i| !owned[*i]), "{}: touches the cut", t.variant);
            let changed = t.extra.iter().find(|(m, ..)| m == "changed_parameters").unwrap().1;
            assert!(!moved.is_empty() && moved.len() as f64 <= changed, "{}: {}", t.variant, moved.len());
            let before = rig.desk.loss(&rig.desk.victim, &rig.desk.forget, &rig.desk.plain());
            assert_eq!(t.curve[0], (0, vec![Some(before), t.curve[0].1[1], None]), "{}", t.variant);
        }
    }
}

#[test]
fn k_entries_are_k_entries_and_smaller_grafts_lie_in_larger_ones() {
    let mut rig = Rig::new(gpt2());
    let trials = rig.run("sparse-graft", graft(json!({ "kinds": ["entries"], "entries": [1, 7, 60] })));
    let moved: Vec<_> = rig.seen[1..].iter().map(|p| rig.moved(p)).collect();
    assert_eq!(moved.iter().map(Vec::len).collect::<Vec<_>>(), [1, 7, 60]);
    assert_eq!(trials.iter().map(|t| t.budget.parameters).collect::<Vec<_>>(), [1, 7, 60]);
    assert!(moved.windows(2).all(|w| w[0].iter().all(|i| w[1].contains(i))));
    // Those with the largest gradient, and the forget data is all of ten sequences here.
    let (pool, plan) = (rig.examples(Loot::Forget, 64).unwrap(), rig.desk.plain());
    let victim = rig.desk.victim.clone();
    let (_, g) = rig.gradient(&victim, &pool, &plan).unwrap();
    let owned = rig.owned();
    let least = moved[2].iter().map(|i| g[*i].abs()).fold(f32::INFINITY, f32::min);
    let above = (0..g.len()).filter(|i| !owned[*i] && g[*i].abs() > least).count();
    assert_eq!(above, 59);
}

#[test]
fn a_row_is_a_whole_neuron_outside_of_the_cut() {
    for (config, owns) in [(gpt2(), 2 * 16 + 1), (llama(), 3 * 16)] {
        let mut rig = Rig::new(config);
        let trials = rig.run("sparse-graft", graft(json!({ "kinds": ["rows"], "rows": [1, 3] })));
        assert_eq!(trials.iter().map(|t| t.budget.parameters).collect::<Vec<_>>(), [owns, 3 * owns]);
        assert_eq!(rig.moved(&rig.seen[1]).len() as u64, owns);
    }
}

#[test]
fn grafts_learn() {
    let mut rig = Rig::new(gpt2());
    for t in rig.run("sparse-graft", graft(json!({ "entries": [200], "steps": 20, "eval_every": 20 }))) {
        let (before, after) = (t.curve[0].1[0].unwrap(), t.curve.last().unwrap().1[0].unwrap());
        assert!(after < before, "{}: {before} -> {after}", t.variant);
    }
}

#[test]
fn without_a_cut_everything_may_be_grafted() {
    let mut rig = Rig::new(gpt2());
    rig.cut = None;
    let trials = rig.run("sparse-graft", graft(json!({ "kinds": ["rank", "ridge"] })));
    let matrix = 64.0 * 16.0;
    assert!(trials.iter().all(|t| t.extra[0].1 == matrix), "{:?}", trials.iter().map(|t| &t.extra));
    let names: Vec<_> = trials.iter().map(|t| t.variant.as_str()).collect();
    assert_eq!(names, ["rank,r=1,lr=0.01", "ridge,reach=0.1"]);
    rig.run("few-shot", json!({ "examples": [2], "lrs": [0.1], "steps": 1 }));
    assert_eq!(rig.asked[0].name, "whole,lr=0.1");
}
