//! Post-hoc objectives against values computed by hand and finite differences, and methods that go
//! around others.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use lobe_core::{Key, Rng};
use lobe_engine::ops::head::IGNORE;
use lobe_methods::unlearn::{Drive, Moves, Objective, Reads, Shape, Side, Term, View, npo};
use lobe_methods::{UNLEARN, Unlearn};
use serde_json::{Value, json};

const SHAPE: Shape = Shape { layers: 6, width: 4, vocab: 5 };

fn entry(name: &str, params: &Value) -> Result<(Box<dyn Unlearn>, Value), (String, String)> {
    let entry = UNLEARN.iter().find(|e| e.about.name == name).unwrap();
    (entry.build)(params).map_err(|e| (e.path, e.message))
}

fn method(name: &str, params: &Value) -> Box<dyn Unlearn> {
    entry(name, params).unwrap().0
}

fn terms_in(shape: Shape, name: &str, params: &Value) -> Vec<Term> {
    method(name, params).terms(shape, Key::root(7)).unwrap()
}

/// The first objective of a side in a network of `width` numbers per row.
fn one(width: usize, name: &str, params: &Value, side: Side) -> Box<dyn Objective> {
    let terms = terms_in(Shape { width, ..SHAPE }, name, params);
    terms.into_iter().find(|t| t.side == side).unwrap().objective
}

/// What a [`View`] borrows.
#[derive(Clone)]
struct Sheet {
    values: Vec<f32>,
    reference: Vec<f32>,
    cols: usize,
    targets: Vec<u32>,
    seq: usize,
    rows: usize,
    sequences: usize,
    progress: f64,
}

impl Sheet {
    /// One sequence.
    fn new(cols: usize, targets: &[u32], values: &[f32], reference: &[f32]) -> Sheet {
        let (values, reference, targets) = (values.to_vec(), reference.to_vec(), targets.to_vec());
        let (seq, rows) = (targets.len(), targets.iter().filter(|t| **t != IGNORE).count());
        Sheet { values, reference, cols, targets, seq, rows, sequences: 1, progress: 0.0 }
    }

    fn at(&self, objective: &dyn Objective) -> (f64, Vec<f32>) {
        let view = View {
            values: &self.values,
            reference: if objective.needs_reference() { &self.reference } else { &[] },
            cols: self.cols,
            targets: &self.targets,
            seq: self.seq,
            rows: self.rows,
            sequences: self.sequences,
            progress: self.progress,
        };
        let mut grad = vec![0.0; self.values.len()];
        let value = objective.value(&view, &mut grad);
        (value, grad)
    }

    /// Three sequences of four rows, some of them not counted, as `reads` would give them.
    fn random(reads: &Reads, rng: &mut Rng) -> Sheet {
        let cols = match reads {
            Reads::MeanLoss | Reads::TokenNll => 1,
            Reads::Logits => SHAPE.vocab,
            Reads::Hidden { .. } => SHAPE.width,
        };
        let mut targets: Vec<u32> = (0..12).map(|_| rng.below(SHAPE.vocab) as u32).collect();
        for r in [3, 6, 7, 11] {
            targets[r] = IGNORE;
        }
        let mut draw = || -> Vec<f32> {
            let one = |x: f64| if cols == 1 { 0.1 + x.abs() } else { x };
            (0..12 * cols).map(|_| one(rng.normal()) as f32).collect()
        };
        let (values, reference) = (draw(), draw());
        Sheet { values, reference, cols, targets, seq: 4, rows: 8, sequences: 3, progress: 0.25 }
    }

    /// One of its sequences as a shard of the same batch.
    fn shard(&self, s: usize) -> Sheet {
        let rows = s * self.seq..(s + 1) * self.seq;
        let cells = rows.start * self.cols..rows.end * self.cols;
        Sheet {
            values: self.values[cells.clone()].to_vec(),
            reference: self.reference[cells].to_vec(),
            targets: self.targets[rows].to_vec(),
            ..self.clone()
        }
    }
}

#[track_caller]
fn close(found: f64, expected: f64) {
    let off = (found - expected).abs();
    assert!(off <= 1e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
}

#[track_caller]
fn all_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(f, e)| close(f64::from(*f), *e));
}

/// Every term of every method, with parameters at which its gradient is that of its value.
fn every_objective() -> Vec<(String, Side, Box<dyn Objective>)> {
    let mut out = Vec::new();
    for e in UNLEARN {
        let params = match e.about.name {
            // Without a width of its own the kernel's is held constant.
            "repnoise" => json!({ "bandwidth": 6.0 }),
            "npo" => json!({ "likelihood": "mean", "beta": 2.0, "retain": "kl" }),
            _ => json!({}),
        };
        for t in terms_in(SHAPE, e.about.name, &params) {
            out.push((e.about.name.to_owned(), t.side, t.objective));
        }
    }
    for t in terms_in(SHAPE, "npo", &json!({ "likelihood": "sum", "beta": 0.7 })) {
        out.push(("npo with sums".to_owned(), t.side, t.objective));
    }
    out
}

#[test]
fn gradients_are_those_of_the_values() {
    let mut rng = Key::root(3).rng();
    let mut checked = 0;
    for (name, side, objective) in every_objective() {
        let held_constant = ["wga", "satimp"].contains(&name.as_str()) && side == Side::Forget;
        let sheet = Sheet::random(&objective.reads(), &mut rng);
        let (_, grad) = sheet.at(objective.as_ref());
        for (i, g) in grad.iter().enumerate() {
            if sheet.targets[i / sheet.cols] == IGNORE {
                assert_eq!(*g, 0.0, "{name}: a row that does not count has a gradient");
            }
            let moved = |by: f32| {
                let mut sheet = sheet.clone();
                sheet.values[i] += by;
                (f64::from(sheet.values[i]), sheet.at(objective.as_ref()).0)
            };
            let ((x0, y0), (x1, y1)) = (moved(-1e-3), moved(1e-3));
            let slope = (y1 - y0) / (x1 - x0);
            let off = (f64::from(*g) - slope).abs();
            assert!(held_constant || off < 1e-6 + 1e-4 * slope.abs(), "{name} {side:?} {i}: {g}, {slope}");
        }
        assert!(grad.iter().any(|g| *g != 0.0), "{name} {side:?}");
        checked += 1;
    }
    assert!(checked > 2 * UNLEARN.len(), "{checked}");
}

#[test]
fn mean_losses_have_a_gradient_that_does_not_depend_on_them() {
    let mut rng = Key::root(4).rng();
    for (name, _, objective) in every_objective().iter().filter(|(_, _, o)| o.reads() == Reads::MeanLoss) {
        let mut sheet = Sheet::random(&Reads::MeanLoss, &mut rng);
        let (value, grad) = sheet.at(objective.as_ref());
        sheet.values.iter_mut().for_each(|v| *v *= 3.0);
        let (tripled, same) = sheet.at(objective.as_ref());
        assert_eq!(grad, same, "{name}");
        close(tripled, 3.0 * value);
    }
}

#[test]
fn a_batch_is_the_sum_of_its_shards() {
    let mut rng = Key::root(5).rng();
    for (name, side, objective) in every_objective() {
        if name == "repnoise" && side == Side::Forget {
            continue; // the one that says it is not
        }
        let sheet = Sheet::random(&objective.reads(), &mut rng);
        let (value, grad) = sheet.at(objective.as_ref());
        let parts: Vec<_> = (0..3).map(|s| sheet.shard(s).at(objective.as_ref())).collect();
        close(parts.iter().map(|p| p.0).sum(), value);
        assert_eq!(parts.into_iter().flat_map(|p| p.1).collect::<Vec<_>>(), grad, "{name} {side:?}");
    }
}

#[test]
fn ascent_turns_the_mean_loss_around() {
    let sheet = Sheet::new(1, &[0, 1, IGNORE, 2], &[1.0, 2.0, 9.0, 3.0], &[]);
    let (value, grad) = sheet.at(one(4, "gradient-ascent", &json!({}), Side::Forget).as_ref());
    close(value, -2.0);
    all_close(&grad, &[-1.0 / 3.0, -1.0 / 3.0, 0.0, -1.0 / 3.0]);
    let (value, _) = sheet.at(one(4, "grad-diff", &json!({}), Side::Retain).as_ref());
    close(value, 2.0);
}

#[test]
fn weights_of_zero_leave_a_side_out_and_negative_ones_are_refused() {
    let sides = |params| terms_in(SHAPE, "grad-diff", &params).iter().map(|t| t.side).collect::<Vec<_>>();
    assert_eq!(sides(json!({})), [Side::Forget, Side::Retain]);
    assert_eq!(sides(json!({ "alpha": 0 })), [Side::Forget]);
    let weights: Vec<f32> =
        terms_in(SHAPE, "grad-diff", &json!({ "gamma": 2, "alpha": 3 })).iter().map(|t| t.weight).collect();
    assert_eq!(weights, [2.0, 3.0]);
    let refused = method("grad-diff", &json!({ "alpha": -1 })).terms(SHAPE, Key::root(0));
    assert_eq!(refused.err().unwrap().path, "alpha");
    let refused = method("npo", &json!({ "beta": 0 })).terms(SHAPE, Key::root(0));
    assert_eq!(refused.err().unwrap().to_string(), "beta: 0 is not greater than 0");
}

#[test]
fn npo_sums_or_averages_the_tokens_of_a_sequence() {
    // Before 1.5 nats, now 3.
    let sheet = Sheet::new(1, &[0, 1], &[1.0, 2.0], &[0.5, 1.0]);
    let sum = one(4, "npo", &json!({ "beta": 0.5 }), Side::Forget);
    let (value, grad) = sheet.at(sum.as_ref());
    close(value, 4.0 * (1.0 + (-0.75f64).exp()).ln());
    let w = 2.0 / (1.0 + 0.75f64.exp());
    all_close(&grad, &[-w, -w]);
    let mean = one(4, "npo", &json!({ "beta": 0.5, "likelihood": "mean" }), Side::Forget);
    let (value, grad) = sheet.at(mean.as_ref());
    close(value, 4.0 * (1.0 + (-0.375f64).exp()).ln());
    let w = 1.0 / (1.0 + 0.375f64.exp());
    all_close(&grad, &[-w, -w]);
}

#[test]
fn npo_is_ascent_times_the_adaptive_weight() {
    for (p, p_ref, beta) in [(0.3f64, 0.7f64, 0.1), (0.9, 0.2, 1.0), (1e-4, 0.5, 0.5), (0.4, 0.4, 3.0)] {
        let (l, l_ref) = (-(p as f32).ln(), -(p_ref as f32).ln());
        let sheet = Sheet::new(1, &[0], &[l], &[l_ref]);
        let (_, grad) = sheet.at(one(4, "npo", &json!({ "beta": beta }), Side::Forget).as_ref());
        let (_, ascent) = sheet.at(one(4, "gradient-ascent", &json!({}), Side::Forget).as_ref());
        let w = 2.0 * p.powf(beta) / (p.powf(beta) + p_ref.powf(beta));
        close(f64::from(grad[0]), w * f64::from(ascent[0]));
        close(npo::adaptive_weight(-p.ln(), -p_ref.ln(), beta), w);
        if p == p_ref {
            assert_eq!(grad, ascent);
        }
    }
}

#[test]
fn npo_becomes_ascent_as_beta_falls() {
    let mut rng = Key::root(6).rng();
    let sheet = Sheet::random(&Reads::TokenNll, &mut rng);
    let off = |beta: f64| {
        let (_, grad) = sheet.at(one(4, "npo", &json!({ "beta": beta }), Side::Forget).as_ref());
        let counted = sheet.targets.iter().zip(grad).filter(|(t, _)| **t != IGNORE);
        counted.map(|(_, g)| (f64::from(g) + 1.0 / 3.0).abs()).fold(0.0, f64::max)
    };
    assert!(off(1.0) > 0.05 && off(0.1) < off(1.0) && off(1e-3) < 1e-3 && off(1e-6) < 1e-6);
}

#[test]
fn simnpo_takes_the_mean_and_a_margin() {
    let sheet = Sheet::new(1, &[0, 1], &[1.0, 2.0], &[]);
    let objective = one(4, "simnpo", &json!({ "beta": 2, "margin": 0.5 }), Side::Forget);
    let (value, grad) = sheet.at(objective.as_ref());
    close(value, (1.0 + (-2.5f64).exp()).ln());
    let g = -1.0 / (1.0 + 2.5f64.exp());
    all_close(&grad, &[g, g]);
}

#[test]
fn weighted_ascent_holds_its_weight_constant() {
    let l = 2f32.ln();
    let sheet = Sheet::new(1, &[0, 1], &[l, 2.0 * l], &[]);
    let (value, grad) = sheet.at(one(4, "wga", &json!({}), Side::Forget).as_ref());
    close(value, -f64::from(l) * (0.5 + 0.25 * 2.0) / 2.0);
    all_close(&grad, &[-0.25, -0.125]);
    let params = json!({ "beta1": 2, "beta2": 1 });
    let (_, grad) = sheet.at(one(4, "satimp", &params, Side::Forget).as_ref());
    all_close(&grad, &[-0.125 / 2.0, -0.75 / 16.0 / 2.0]);
}

#[test]
fn maxent_is_the_divergence_from_uniform() {
    let log3 = 3f32.ln();
    let sheet = Sheet::new(2, &[1, 1], &[0.0, log3, 4.0, 4.0], &[]);
    let (value, grad) = sheet.at(one(4, "maxent", &json!({}), Side::Forget).as_ref());
    close(value, -(2f64.ln() + 0.5 * (0.25f64.ln() + 0.75f64.ln())) / 2.0);
    all_close(&grad, &[-0.125, 0.125, 0.0, 0.0]);
}

#[test]
fn undial_lowers_the_true_token_and_at_zero_is_the_model_before() {
    let sheet = Sheet::new(2, &[0], &[0.0, 0.0], &[0.0, 0.0]);
    let params = json!({ "beta": 3f64.ln() });
    let (value, grad) = sheet.at(one(4, "undial", &params, Side::Forget).as_ref());
    close(value, 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln());
    all_close(&grad, &[0.25, -0.25]);
    let mut sheet = Sheet::random(&Reads::Logits, &mut Key::root(8).rng());
    let still = one(4, "undial", &json!({ "beta": 0 }), Side::Forget);
    let keep = one(4, "maxent", &json!({ "retain": "kl" }), Side::Retain);
    assert_eq!(sheet.at(still.as_ref()), sheet.at(keep.as_ref()));
    sheet.values.clone_from(&sheet.reference);
    let (value, grad) = sheet.at(still.as_ref());
    close(value, 0.0);
    assert!(grad.iter().all(|g| *g == 0.0));
}

#[test]
fn rmu_aims_at_a_direction_of_norm_c() {
    let forget = one(4, "rmu", &json!({ "c": 6.5 }), Side::Forget);
    let mut sheet = Sheet::new(4, &[0, 1], &[0.0; 8], &[0.0; 8]);
    let (value, grad) = sheet.at(forget.as_ref());
    close((4.0 * value).sqrt(), 6.5);
    // At 0 the gradient is −2 · target / (rows · width).
    let target: Vec<f32> = grad.iter().map(|g| -g * 4.0).collect();
    assert!(target.iter().all(|x| *x > 0.0) && target[..4] == target[4..]);
    sheet.values.clone_from(&target);
    close(sheet.at(forget.as_ref()).0, 0.0);
    let other = method("rmu", &json!({})).terms(SHAPE, Key::root(8)).unwrap();
    assert_ne!(Sheet::new(4, &[0], &[0.0; 4], &[0.0; 4]).at(other[0].objective.as_ref()).1[..], grad[..4]);
    let (value, grad) =
        Sheet::new(2, &[0], &[3.0, 1.0], &[1.0, 1.0]).at(one(2, "rmu", &json!({}), Side::Retain).as_ref());
    close(value, 2.0);
    all_close(&grad, &[2.0, 0.0]);
}

#[test]
fn adaptive_rmu_measures_each_row_by_its_own_norm() {
    let forget = one(2, "adaptive-rmu", &json!({ "scale": 2 }), Side::Forget);
    let norm =
        |reference: [f32; 2]| (2.0 * Sheet::new(2, &[0], &[0.0; 2], &reference).at(forget.as_ref()).0).sqrt();
    close(norm([3.0, 4.0]), 10.0);
    close(norm([0.0, -1.0]), 2.0);
}

#[test]
fn rmu_moves_three_down_projections_around_blocks_that_exist() {
    let moves = |name, params: Value, layers| method(name, &params).moves(Shape { layers, ..SHAPE });
    assert_eq!(moves("rmu", json!({}), 32), Moves::MlpOut(14..=16));
    assert_eq!(moves("rmu", json!({}), 1), Moves::MlpOut(0..=0));
    assert_eq!(moves("adaptive-rmu", json!({ "layer": 7 }), 32), Moves::MlpOut(5..=7));
    assert_eq!(moves("sam", json!({ "around": "rmu", "inner": { "layer": 1 } }), 4), Moves::MlpOut(0..=1));
    assert_eq!(moves("npo", json!({}), 4), Moves::All);
    let refused = method("rmu", &json!({ "layer": 6 })).terms(SHAPE, Key::root(0)).err().unwrap();
    assert_eq!(refused.to_string(), "layer: no block 6: the network has 6, counted from 0");
}

#[test]
fn circuit_breakers_turn_away_less_and_hold_more_as_they_go() {
    let mut sheet =
        Sheet::new(2, &[0, 0, 0], &[1.0, 0.0, -1.0, 0.0, 5.0, 5.0], &[1.0, 1.0, 1.0, 1.0, 2.0, 2.0]);
    let away = one(2, "circuit-breakers", &json!({}), Side::Forget);
    let cos = 0.5f64.sqrt();
    // 45°, 135° and the same direction.
    for (progress, weight) in [(0.0, 10.0), (0.5, 7.5), (1.0, 5.0)] {
        sheet.progress = progress;
        let (value, grad) = sheet.at(away.as_ref());
        close(value, weight * (cos + 1.0) / 3.0);
        all_close(&grad, &[0.0, weight * cos / 3.0, 0.0, 0.0, 0.0, 0.0]);
    }
    let hold = one(2, "circuit-breakers", &json!({}), Side::Retain);
    let mut sheet = Sheet::new(2, &[0, 0], &[4.0, 5.0, 1.0, 1.0], &[1.0, 1.0, 1.0, 1.0]);
    assert_eq!(sheet.at(hold.as_ref()).0, 0.0);
    sheet.progress = 1.0;
    let (value, grad) = sheet.at(hold.as_ref());
    close(value, 5.0 * 5.0 / 2.0);
    all_close(&grad, &[1.5, 2.0, 0.0, 0.0]);
    let sides: Vec<_> =
        terms_in(SHAPE, "circuit-breakers", &json!({})).iter().map(|t| t.objective.reads()).collect();
    let read = |layer| Reads::Hidden { layer };
    assert_eq!(sides, [2, 4, 0, 1, 2, 3, 4, 5].map(read));
}

#[test]
fn repnoise_takes_the_logarithm_and_draws_noise_from_the_step() {
    let terms = terms_in(SHAPE, "repnoise", &json!({ "a": 2 }));
    let log = terms.last().unwrap();
    assert_eq!((log.side, log.weight), (Side::Forget, 2.0));
    let (value, grad) = Sheet::new(1, &[0, 1], &[1.0, 3.0], &[]).at(log.objective.as_ref());
    close(value, -2f64.ln());
    all_close(&grad, &[-0.25, -0.25]);
    let noise = terms[1].objective.as_ref();
    let mut sheet = Sheet::random(&noise.reads(), &mut Key::root(9).rng());
    let first = sheet.at(noise);
    assert_eq!(first, sheet.at(noise));
    sheet.progress = 0.5;
    assert_ne!(first, sheet.at(noise));
}

#[test]
fn constrained_tuning_fades_as_a_token_gains() {
    // Tokens 1, 2 and 3 of a sequence have gained, lost and kept their probability.
    let sheet = Sheet::new(1, &[0, IGNORE, 1, 2], &[1.0, 0.0, 3.0, 2.0], &[2.0, 0.0, 2.0, 2.0]);
    let params = json!({ "beta": 0.1, "early": 2 });
    let (value, grad) = sheet.at(one(4, "constrained-tuning", &params, Side::Forget).as_ref());
    let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
    let token = |beta: f64, gain: f64| -(2.0 / beta) * sigma(beta * gain).ln();
    close(value, (token(0.5, 1.0) + token(2.0, -1.0) + token(0.1, 0.0)) / 3.0);
    let w = |beta: f64, gain: f64| 2.0 * (1.0 - sigma(beta * gain)) / 3.0;
    all_close(&grad, &[w(0.5, 1.0), 0.0, w(2.0, -1.0), 1.0 / 3.0]);
}

#[test]
fn tar_flattens_by_itself_or_goes_around_another_method() {
    let log3 = 3f32.ln();
    let own = terms_in(SHAPE, "tar", &json!({}));
    let (value, grad) = Sheet::new(2, &[0], &[0.0, log3], &[]).at(own[0].objective.as_ref());
    let s = 0.25 * 0.25f64.ln() + 0.75 * 0.75f64.ln();
    close(value, s);
    all_close(&grad, &[0.25 * (0.25f64.ln() - s), 0.75 * (0.75f64.ln() - s)]);
    assert_eq!((own.len(), own[0].weight), (7, 4.0));
    let (tar, full) = entry("tar", &json!({ "around": "maxent", "steps": 8, "every": 2 })).unwrap();
    let lrs = vec![3e-4, 1e-3, 3e-3];
    assert_eq!(tar.drive(), Drive::Tar { steps: 8, lrs, every: 2, decay: 0.0625 });
    assert_eq!(full["inner"], json!({ "gamma": 1.0, "alpha": 1.0, "retain": "loss" }));
    let refused = |params: Value| entry("tar", &params).err().unwrap().0;
    assert_eq!(refused(json!({ "every": 0 })), "every");
    assert_eq!(refused(json!({ "inner": { "alpha": 1 } })), "inner");
}

#[test]
fn wrappers_complete_what_is_inside_and_refuse_each_other() {
    let (sam, full) = entry("sam", &json!({ "inner": { "beta": 0.5 } })).unwrap();
    assert_eq!(sam.drive(), Drive::Sam { rho: 0.1 });
    let inner = json!({ "beta": 0.5, "likelihood": "sum", "gamma": 1.0, "alpha": 1.0, "retain": "loss" });
    assert_eq!(full, json!({ "around": "npo", "inner": inner, "rho": 0.1 }));
    assert_eq!(entry("sam", &full).unwrap().1, full);
    assert_eq!(sam.terms(SHAPE, Key::root(0)).unwrap().len(), 2);

    let refused = |name: &str, params: Value| entry(name, &params).err().unwrap();
    let (path, message) = refused("sam", json!({ "around": "maxnet" }));
    assert_eq!(
        (path.as_str(), message.as_str()),
        ("around", "no post-hoc method \"maxnet\"; did you mean \"maxent\"?")
    );
    for inside in ["sam", "lat", "tar"] {
        assert_eq!(refused("lat", json!({ "around": inside })).0, "around");
    }
    let (path, message) = refused("sam", json!({ "inner": { "retain": "los" } }));
    assert!(path == "inner.retain" && message.contains("unknown variant"), "{path}: {message}");
    assert_eq!(refused("sam", json!({ "rho": 0 })).0, "rho");
    let below = method("sam", &json!({ "inner": { "beta": -1 } })).terms(SHAPE, Key::root(0));
    assert_eq!(below.err().unwrap().path, "inner.beta");
}

#[test]
fn a_perturbation_comes_before_what_is_read() {
    let lat = |layer: usize| method("lat", &json!({ "around": "rmu", "layer": layer }));
    assert_eq!(lat(2).drive(), Drive::Lat { layer: 2, eps: 2.0, steps: 16, lr: 0.05 });
    assert!(lat(2).terms(SHAPE, Key::root(0)).is_ok());
    let refused = lat(3).terms(SHAPE, Key::root(0)).err().unwrap();
    assert_eq!(refused.path, "layer");
    assert!(method("lat", &json!({ "layer": 6 })).terms(SHAPE, Key::root(0)).is_err());
}

#[test]
fn every_method_documents_itself_and_its_parameters() {
    for e in UNLEARN {
        let a = e.about;
        let said = [a.name, a.summary, a.reference, a.unusual, a.fails];
        assert!(said.iter().all(|s| !s.is_empty() && !s.ends_with('.')), "{}", a.name);
        assert_eq!(UNLEARN.iter().filter(|b| b.about.name == a.name).count(), 1);
        assert!((e.params)().iter().all(|p| !p.doc.is_empty()), "{}", a.name);
        let (_, full) = (e.build)(&json!({})).map_err(|e| e.to_string()).unwrap();
        let again = (e.build)(&full).map_err(|e| e.to_string()).unwrap().1;
        assert_eq!(full, again, "{}", a.name);
    }
}
