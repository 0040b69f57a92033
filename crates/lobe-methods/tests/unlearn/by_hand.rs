//! Values and gradients of each method against numbers worked out by hand.

use super::*;

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
fn means_and_scales_of_a_drawn_latent_are_penalised_literally() {
    let reads = Reads::Site { site: SiteId(0), columns: 0..4, unrouted: false };
    let penalty = Variational { reads, weight: 3.0 };
    // Two rows of two means and two scales.
    let values = [1.0, -2.0, 0.0, 1.0, 0.0, 0.5, -1.0, 0.0];
    let sheet = Sheet::new(4, &[0, 0], &values, &[]).into_numbers();
    let (value, grad) = sheet.at(&penalty);
    let e = std::f64::consts::E;
    let squares = 1.0 + 4.0 + 0.25;
    // exp(c) − c of 0, 1, −1, 0.
    let rest = 1.0 + (e - 1.0) + (1.0 / e + 1.0) + 1.0;
    close(value, 3.0 / 4.0 * (squares + rest));
    let each = 3.0 / 4.0;
    let want = [2.0, -4.0, 0.0, e - 1.0, 0.0, 1.0, 1.0 / e - 1.0, 0.0].map(|x| each * x);
    all_close(&grad, &want);
}
