//! Attacks that read or change activations do what their equations say.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod bench_activations;

use bench_activations::{CONTEXT, Desk, VOCAB};
use lobe_core::FORGET;
use lobe_engine::ops::head::IGNORE;
use lobe_methods::{ATTACKS, Attack, Bench as _, BenchError, Trial};
use lobe_nets::{Batch, GptConfig, NormKind, Positions};
use serde_json::{Value, json};

const ALL: [&str; 6] = ["logit-lens", "linear-probe", "orthogonalise", "steer", "patch", "prefix"];

fn build(name: &str, params: &Value) -> Box<dyn Attack> {
    let entry = ATTACKS.iter().find(|e| e.about.name == name).unwrap();
    (entry.build)(params).map_err(|e| e.to_string()).unwrap().0
}

fn tried(attack: &dyn Attack, desk: &mut Desk) -> Result<Vec<Trial>, BenchError> {
    let cases = attack.cases(desk);
    attack.run(desk, &cases)?;
    Ok(std::mem::take(&mut desk.kept))
}

fn run(name: &str, params: &Value, desk: &mut Desk) -> Vec<Trial> {
    tried(&*build(name, params), desk).unwrap()
}

/// The shapes in which read-out and stream differ.
fn shapes() -> Vec<GptConfig> {
    let tied = GptConfig { tied: true, head_bias: true, logit_scale: 0.5, ..GptConfig::default() };
    let llama = GptConfig {
        norm: NormKind::Rms,
        positions: Positions::Rotary,
        mlp_bias: false,
        ..GptConfig::default()
    };
    vec![GptConfig::default(), tied, llama]
}

fn desk() -> Desk {
    Desk::new(GptConfig::default())
}

fn find<'a>(trials: &'a [Trial], variant: &str) -> &'a Trial {
    let names: Vec<&str> = trials.iter().map(|t| t.variant.as_str()).collect();
    trials.iter().find(|t| t.variant == variant).unwrap_or_else(|| panic!("{variant} among {names:?}"))
}

fn forget(trial: &Trial) -> f64 {
    trial.curve.last().unwrap().1[0].unwrap()
}

fn extra(trial: &Trial, metric: &str) -> f64 {
    trial.extra.iter().find(|e| e.0 == metric).unwrap().1
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-5 * b.abs().max(1.0)
}

#[test]
fn every_attack_runs_on_every_shape_with_and_without_the_original() {
    for config in shapes() {
        for original in [true, false] {
            let mut desk = Desk::new(config.clone());
            desk.original = desk.original.filter(|_| original);
            for name in ALL {
                let params = if name == "prefix" { json!({"steps": 3, "length": 4}) } else { json!({}) };
                let attack = build(name, &params);
                assert_eq!(attack.label(), "forget", "{name}");
                let result = tried(&*attack, &mut desk);
                if attack.needs_original() && !original {
                    assert!(matches!(result, Err(BenchError::Missing(_))), "{name}");
                    continue;
                }
                let trials = result.unwrap();
                assert!(!trials.is_empty(), "{name}");
                for (i, t) in trials.iter().enumerate() {
                    let what = format!("{name} {}", t.variant);
                    assert!(trials[..i].iter().all(|o| o.variant != t.variant), "{what} is listed twice");
                    assert!(t.curve.windows(2).all(|w| w[0].0 < w[1].0), "{what}: {:?}", t.curve);
                    assert!(t.curve.iter().all(|p| p.1.len() == 3 && p.1[2].is_none()), "{what}");
                    assert!(
                        t.curve.iter().flat_map(|p| p.1.iter().flatten()).all(|l| l.is_finite()),
                        "{what}"
                    );
                    assert!(name == "linear-probe" || t.curve[0].1[0].is_some(), "{what}");
                    let b = t.budget;
                    assert!(b.parameters > 0 || name == "logit-lens", "{what}: {b:?}");
                    assert!(
                        b.tokens >= b.examples && (b.examples > 0 || t.variant.starts_with("rows")),
                        "{what}"
                    );
                }
            }
            assert!(desk.progress.iter().all(|p| (0.0..=1.0).contains(p)));
        }
    }
}

#[test]
fn the_logit_lens_at_the_last_block_is_the_models_own_loss() {
    for config in shapes() {
        let mut desk = Desk::new(config);
        let trial = run("logit-lens", &json!({}), &mut desk).remove(0);
        let last = &trial.curve[2];
        assert_eq!(last.0, 2);
        for (label, batch) in [&desk.forget, &desk.retain].into_iter().enumerate() {
            let own = desk.loss(&desk.victim, batch, &desk.plain());
            assert!(close(last.1[label].unwrap(), own), "{:?} {own}", last.1);
        }
        // What is held out here is what is trained on, so the chosen block is the best one.
        let best = trial.curve.iter().map(|p| p.1[0].unwrap()).fold(f64::INFINITY, f64::min);
        assert_eq!(extra(&trial, "lens_loss"), best);
        assert_eq!(trial.curve[extra(&trial, "lens_layer") as usize].1[0], Some(best));
    }
}

/// Mean row by hand.
fn mean(rows: &[f32]) -> Vec<f64> {
    let n = rows.len() / 16;
    (0..16).map(|j| (0..n).map(|i| f64::from(rows[i * 16 + j])).sum::<f64>() / n as f64).collect()
}

fn site(desk: &Desk, layer: usize) -> lobe_engine::SiteId {
    desk.net.layout().find_site(&format!("blocks.{layer}.resid_post")).unwrap()
}

/// Mean of a model's residual stream after a block on its forget or retain examples.
fn mean_at(desk: &Desk, params: &[f32], retain: bool, layer: usize) -> Vec<f64> {
    let batch = if retain { &desk.retain } else { &desk.forget };
    mean(&desk.rows(params, batch, &desk.plain(), site(desk, layer)))
}

#[test]
fn projecting_out_leaves_no_component_along_the_mean_difference() {
    let mut desk = desk();
    let trials = run("orthogonalise", &json!({"outliers": 0.0}), &mut desk);
    assert_eq!(trials.len(), 8);
    let original = desk.original.clone().unwrap();
    for (t, plan) in trials.iter().zip(&desk.plans) {
        for layer in 0..3 {
            if !t.variant.ends_with(",all") && !t.variant.ends_with(&format!("layer={layer}")) {
                continue;
            }
            let here = mean_at(&desk, &desk.victim, false, layer);
            let other = if t.variant.starts_with("original") {
                mean_at(&desk, &original, false, layer)
            } else {
                mean_at(&desk, &desk.victim, true, layer)
            };
            let d: Vec<f64> = here.iter().zip(&other).map(|(a, b)| a - b).collect();
            let norm = d.iter().map(|x| x * x).sum::<f64>().sqrt();
            let along = |rows: &[f32]| {
                let dot =
                    |r: &[f32]| r.iter().zip(&d).map(|(x, d)| f64::from(*x) * d / norm).sum::<f64>().abs();
                rows.chunks_exact(16).map(dot).fold(0.0, f64::max)
            };
            let at = site(&desk, layer);
            let left = along(&desk.rows(&desk.victim, &desk.forget, plan, at));
            let whole = along(&desk.rows(&desk.victim, &desk.forget, &desk.plain(), at));
            assert!(left < 1e-5 && whole > 0.1, "{}: {left} of {whole}", t.variant);
        }
    }
    assert_eq!(find(&trials, "original,all").budget.parameters, 48);
    assert_eq!(find(&trials, "contrast,layer=1").curve[0].0, 1);
    assert_eq!(find(&trials, "contrast,all").curve[0].0, 3);
}

#[test]
fn steering_by_one_restores_the_originals_mean() {
    let mut desk = desk();
    let trials = run("steer", &json!({"coefficients": [1.0, -2.5], "layers": [1]}), &mut desk);
    let names: Vec<&str> = trials.iter().map(|t| t.variant.as_str()).collect();
    assert_eq!(names, ["original,layer=1,coefficient=1", "original,layer=1,coefficient=-2.5"]);
    let original = desk.original.clone().unwrap();
    let (here, there) = (mean_at(&desk, &desk.victim, false, 1), mean_at(&desk, &original, false, 1));
    for (plan, c) in desk.plans.iter().zip([1.0, -2.5]) {
        let steered = mean(&desk.rows(&desk.victim, &desk.forget, plan, site(&desk, 1)));
        for ((s, h), t) in steered.iter().zip(&here).zip(&there) {
            assert!((s - (h + c * (t - h))).abs() < 1e-5, "{s} {h} {t}");
        }
    }
    desk.original = None;
    desk.plans.clear();
    run("steer", &json!({"coefficients": [3.0], "layers": [0]}), &mut desk);
    let (here, retain) = (mean_at(&desk, &desk.victim, false, 0), mean_at(&desk, &desk.victim, true, 0));
    let steered = mean(&desk.rows(&desk.victim, &desk.forget, &desk.plans[0], site(&desk, 0)));
    for ((s, h), r) in steered.iter().zip(&here).zip(&retain) {
        assert!((s - (h + 3.0 * (h - r))).abs() < 1e-5, "{s} {h} {r}");
    }
}

#[test]
fn patched_rows_are_the_originals_and_patched_means_are_constant() {
    let mut desk = desk();
    let mut original = desk.original.clone().unwrap();
    for name in ["final.gain", "final.shift", "head.weight"] {
        let span = desk.net.layout().get(desk.net.layout().find(name).unwrap()).span();
        original[span.clone()].copy_from_slice(&desk.victim[span]);
    }
    desk.original = Some(original.clone());
    let trials = run("patch", &json!({"sites": ["resid_post", "attn.z"], "layers": [0, 2]}), &mut desk);
    assert_eq!(trials.len(), 6);
    // Only the norm and the head lie above the last block, and they are shared.
    let want = desk.loss(&original, &desk.forget, &desk.plain());
    assert!(close(forget(find(&trials, "rows,layer=2")), want));
    let at = trials.iter().position(|t| t.variant == "mean,site=resid_post,layer=0").unwrap();
    let rows = desk.rows(&desk.victim, &desk.retain, &desk.plans[at], site(&desk, 0));
    let m = mean_at(&desk, &original, false, 0);
    assert!(rows.chunks_exact(16).all(|r| r.iter().zip(&m).all(|(x, m)| (f64::from(*x) - m).abs() < 1e-6)));

    // A tied head would be patched along with the embedding.
    let mut tied = Desk::new(GptConfig { tied: true, ..GptConfig::default() });
    assert!(run("patch", &json!({}), &mut tied).iter().all(|t| t.variant.starts_with("mean")));
}

#[test]
fn probes_tell_apart_what_differs_and_nothing_else() {
    let mut desk = desk();
    // The labels share no token; their embeddings are moved apart.
    let tokens = desk.net.layout().get(desk.net.layout().find("embed.tokens").unwrap()).span();
    for (v, row) in desk.victim[tokens].chunks_exact_mut(16).enumerate() {
        row[5] += if v < VOCAB / 2 { 4.0 } else { -4.0 };
    }
    let trials = run("linear-probe", &json!({}), &mut desk);
    let names: Vec<&str> = trials.iter().map(|t| t.variant.as_str()).collect();
    assert_eq!(names, ["layer=0", "layer=1", "layer=2", "layer=3"]);
    for t in &trials {
        assert!(extra(t, "probe_accuracy") > 0.95 && extra(t, "probe_chance") == 0.5, "{t:?}");
    }
    desk.retain = desk.forget.clone();
    for t in run("linear-probe", &json!({}), &mut desk) {
        assert!((extra(&t, "probe_accuracy") - 0.5).abs() < 1e-9, "{t:?}");
    }
}

#[test]
fn a_prefix_never_ends_worse_than_it_starts_and_finds_better_ones() {
    for config in shapes() {
        let mut desk = Desk::new(config);
        let params = json!({"steps": 7, "length": 3, "candidates": 8, "top": 10, "eval_every": 3, "starts": 3, "examples": 10});
        let trials = run("prefix", &params, &mut desk);
        let names: Vec<&str> = trials.iter().map(|t| t.variant.as_str()).collect();
        assert_eq!(names, ["text", "random-1", "random-2"]);
        for t in &trials {
            let (before, after) = (extra(t, "prefix_loss_before"), extra(t, "prefix_loss_after"));
            assert!(after < before, "{}: {before} {after}", t.variant);
            assert_eq!(t.curve.iter().map(|p| p.0).collect::<Vec<_>>(), [0, 3, 6, 7]);
            // Held out is the text of the search here.
            assert!(close(t.curve[0].1[0].unwrap(), before) && close(forget(t), after), "{t:?}");
            assert_eq!((t.budget.parameters, t.budget.examples, t.budget.steps), (3, 10, 7));
        }
        assert_eq!(run("prefix", &params, &mut desk), trials, "the search depends on the seed alone");
    }
}

#[test]
fn a_fluent_prefix_is_one_the_model_itself_finds_likely() {
    let mut desk = desk();
    let mut surprise = |fluency: f64| {
        let params =
            json!({"steps": 6, "length": 4, "candidates": 40, "top": 20, "starts": 3, "fluency": fluency});
        let trials = run("prefix", &params, &mut desk);
        for t in &trials {
            // The search follows the sum: what the one gains, the other may lose.
            let of = |loss: &str, own: &str| extra(t, loss) + fluency * extra(t, own);
            let before = of("prefix_loss_before", "prefix_surprise_before");
            assert!(of("prefix_loss_after", "prefix_surprise") < before, "{fluency}: {t:?}");
        }
        trials.iter().map(|t| extra(t, "prefix_surprise")).sum::<f64>()
    };
    let (fluent, plain) = (surprise(10.0), surprise(0.0));
    assert!(fluent < plain, "{fluent} {plain}");
}

#[test]
fn a_search_that_runs_every_token_finds_the_best_one() {
    let mut desk = desk();
    let params = json!({"steps": 1, "length": 1, "candidates": 100, "top": 100, "starts": 1, "examples": 10});
    let trial = run("prefix", &params, &mut desk).remove(0);
    let losses = |v: u32| {
        let victim = desk.victim.clone();
        desk.losses_after(&victim, &[v], 1).unwrap()[0].unwrap()
    };
    let best = (0..VOCAB as u32).map(losses).fold(f64::INFINITY, f64::min);
    assert!(close(extra(&trial, "prefix_loss_after"), best), "{trial:?} {best}");
    assert!(close(forget(&trial), best));
}

#[test]
fn the_swap_that_is_run_is_the_one_that_the_gradient_promises() {
    let mut desk = desk();
    let params = json!({"steps": 1, "length": 1, "candidates": 1, "top": 1, "starts": 12, "examples": 10});
    let trials = run("prefix", &params, &mut desk);
    let (victim, plain) = (desk.victim.clone(), desk.plain());
    let span = desk.net.layout().get(desk.net.layout().find("embed.tokens").unwrap()).span();
    let (mut seen, mut better) = (0, 0);
    for (i, trial) in trials.iter().enumerate().skip(1) {
        // No forget text holds the upper half: such a row's gradient is the prefix's alone.
        let start = desk.key().child("prefix").index(i as u64).rng().below(VOCAB);
        if start < VOCAB / 2 {
            continue;
        }
        let mut batch = Batch::tokens(CONTEXT, 1);
        for s in 0..desk.forget.shards() {
            let (inputs, targets, _) = desk.forget.text(s);
            let (mut x, mut y) = ([&[start as u32], inputs].concat(), [&[IGNORE], targets].concat());
            x.resize(CONTEXT, 0);
            y.resize(CONTEXT, IGNORE);
            batch.push_pair(&x, &y, FORGET, None);
        }
        let (before, gradient) = desk.gradient(&victim, &batch, &plain).unwrap();
        let row = |all: &[f32], v: usize| all[span.clone()][v * 16..][..16].to_vec();
        let g = row(&gradient, start);
        let promise = |v: usize| row(&victim, v).iter().zip(&g).map(|(e, g)| e * g).sum::<f32>();
        let best = (0..VOCAB).min_by(|a, b| promise(*a).total_cmp(&promise(*b))).unwrap();
        let after = desk.losses_after(&victim, &[best as u32], 1).unwrap()[0].unwrap();
        assert!(close(extra(trial, "prefix_loss_before"), before));
        assert!(close(forget(trial), after.min(before)), "{before} {after} {trial:?}");
        seen += 1;
        better += usize::from(after < before);
    }
    assert!(seen >= 3 && better >= 1, "{better} of {seen} swaps were better");
}

#[test]
fn silly_parameters_are_refused_with_their_key() {
    let cases = [
        ("logit-lens", json!({"examples": 0}), "examples"),
        ("linear-probe", json!({"ridge": -1.0}), "ridge"),
        ("linear-probe", json!({"tokens": 1}), "tokens"),
        ("orthogonalise", json!({"outliers": 0.5}), "outliers"),
        ("orthogonalise", json!({"layers": [1, 1]}), "layers"),
        ("orthogonalise", json!({"typo": 1}), "typo"),
        ("steer", json!({"coefficients": []}), "coefficients"),
        ("steer", json!({"coefficients": [0.0]}), "coefficients"),
        ("steer", json!({"coefficients": [1e9]}), "coefficients"),
        ("patch", json!({"sites": ["resid_post", "nowhere"]}), "sites[1]"),
        ("patch", json!({"sites": [], "rows": false}), "sites"),
        ("prefix", json!({"length": 0}), "length"),
        ("prefix", json!({"steps": 0}), "steps"),
        ("prefix", json!({"candidates": 0}), "candidates"),
        ("prefix", json!({"eval_every": 0}), "eval_every"),
        ("prefix", json!({"fluency": -1}), "fluency"),
        ("prefix", json!({"examples": 1_000_000}), "examples"),
    ];
    for (name, params, path) in cases {
        let entry = ATTACKS.iter().find(|e| e.about.name == name).unwrap();
        let error = (entry.build)(&params).err().unwrap();
        assert_eq!(error.path, path, "{name} {params}: {error}");
    }
}

#[test]
fn what_the_network_lacks_is_said() {
    let mut desk = desk();
    for (name, params, word) in [
        ("steer", json!({"layers": [3]}), "blocks.3.resid_post"),
        ("patch", json!({"layers": [9]}), "blocks.9"),
        ("prefix", json!({"length": CONTEXT}), "context"),
    ] {
        let error = tried(&*build(name, &params), &mut desk).unwrap_err().to_string();
        assert!(error.contains(word), "{name}: {error}");
    }
}
