//! The objective of the split autoencoder (Cloud et al. 2024, appendix B): by hand, by finite differences, and
//! the row of its table that trains one half on everything.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Bench, assert_close, autoencoder};
use lobe_core::{FORGET, LabelId, RETAIN, Route, RouteTable, Target, UNLABELLED};
use lobe_engine::{Buf, Member, Plan, Runner};
use lobe_methods::objective::{
    Correlation, Distance, L1, Minimise, Reads, Reconstruct, Term, Whole, ordinary,
};
use lobe_nets::{Autoencoder, AutoencoderConfig, Batch, Input, Network};

fn width(net: &dyn Network) -> usize {
    match net.input() {
        Input::Rows { width } => width,
        Input::Tokens { .. } => unreachable!(),
    }
}

/// Images of equal pixels, two to a shard.
fn images(net: &dyn Network, of: &[(f32, LabelId)]) -> Batch {
    let dim = width(net);
    let mut out = Batch::rows_of(dim, 0, 2);
    for (v, l) in of {
        out.push_row(&vec![*v; dim], &[], *l);
    }
    out
}

/// The main decoder's loss with a weight per label; either certificate counts all rows alike.
fn terms(net: &dyn Network, kind: Distance, weights: &[f32], sum_of_means: bool) -> Vec<Term> {
    let (label_weight, width) = (weights.to_vec(), width(net));
    let mut out = ordinary(net, kind);
    out[0] = Term::new(Reconstruct { output: 0, width, kind, label_weight, sum_of_means });
    out
}

#[test]
fn a_silent_network_pays_what_the_formula_says() {
    let mut bench = autoencoder();
    bench.params.fill(0.0);
    let net = &*bench.net;
    let batch = images(net, &[(0.2, FORGET), (-0.4, FORGET), (0.9, RETAIN)]);
    let plan = Plan::plain(bench.layout());
    let pays = |distance, weights: &[f32; 4], sum_of_means| {
        bench.follow(&plan, &batch, &terms(net, distance, weights, sum_of_means)).0
    };
    // All outputs are 0. Either certificate pays the mean over images; the first decoder does so, too, or it pays
    // the sum of the labels' means, each times its label's weight.
    let twice = [2.0, 1.0, 1.0, 1.0];
    let each = (0.2 + 0.4 + 0.9) / 3.0;
    for (weights, sum, main) in [
        ([1.0; 4], false, each),
        (twice, false, (1.2 + 0.9) / 3.0),
        ([1.0; 4], true, 0.3 + 0.9),
        (twice, true, 1.5),
    ] {
        let found = pays(Distance::Absolute, &weights, sum);
        assert!((found - (main + 2.0 * each)).abs() < 1e-6, "{weights:?} {sum}: {found}");
    }
    let squared = (0.04 + 0.16 + 0.81) / 3.0;
    assert!((pays(Distance::Squared, &[1.0; 4], false) - 3.0 * squared).abs() < 1e-6);
}

#[test]
fn its_gradient_is_that_of_finite_differences() {
    let config = AutoencoderConfig { hidden: vec![9], latent: 6, ..AutoencoderConfig::default() };
    let net = Autoencoder::new(config.resolve(12).unwrap());
    let mut rng = lobe_core::Key::root(5).rng();
    let mut batch = Batch::rows_of(12, 0, 2);
    for label in [FORGET, RETAIN, FORGET, UNLABELLED, RETAIN] {
        let pixels: Vec<f32> = (0..12).map(|_| rng.normal() as f32).collect();
        batch.push_row(&pixels, &[], label);
    }
    let params: Vec<f32> = (0..net.layout.len()).map(|_| 0.4 * rng.normal() as f32).collect();
    let mut terms = terms(&net, Distance::Squared, &[2.0, 1.0, 0.5], true);
    let site = net.cuts()[0];
    terms.push(Term::new(L1 { reads: Reads::Site { site, columns: 0..4, unrouted: true }, weight: 0.3 }));
    terms.push(Term::new(Correlation { site, columns: 6, left: 0..3, right: 3..6, weight: 0.7 }));
    let program = Minimise::new(&net, &terms, Whole::new(&batch, 3));
    let at = |params: &[f32]| {
        let mut m = Member::new(Buf::from_slice(params), Plan::plain(&net.layout), 2).unwrap();
        let report = Runner::new(1).unwrap().gradients(&net.layout, &mut m, &program).unwrap();
        (report.objective, m.gradient())
    };
    let gradient = at(&params).1;
    let mut seen = 0;
    for i in (0..params.len()).step_by(3) {
        let moved = |by: f32| {
            let mut p = params.clone();
            p[i] += by;
            at(&p).0
        };
        let (step, g) = (1e-3, f64::from(gradient[i]));
        let found = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
        // A correlation or a code that changes its sign within the step has no derivative there.
        let half = (moved(step / 2.0) - moved(-step / 2.0)) / f64::from(step);
        if (found - half).abs() < 2e-3 * (1.0 + found.abs()) {
            assert!((found - g).abs() < 1e-2 * (1.0 + g.abs()), "{i}: {g} against {found}");
            seen += 1;
        }
    }
    assert!(seen > params.len() / 4, "{seen} of {}", params.len() / 3);
}

/// Gradient of the main loss with one mean per label under a table of backward factors.
fn under(bench: &Bench, weights: [f32; 4], table: &[(LabelId, u8, f32)]) -> Vec<f32> {
    let net = &*bench.net;
    let halves = ["latent[..8]", "latent[8..]"].map(|r| common::resolve(net, r));
    let table = table.iter().fold(RouteTable::plain(), |t, (label, half, backward)| {
        t.with(*label, Target::Region(*half), Route::new(1.0, *backward, 1.0))
    });
    let plan = Plan::new(bench.layout(), &bench.labels, &halves, &table).unwrap();
    let batch = images(net, &[(0.3, FORGET), (-0.6, FORGET), (0.8, RETAIN), (0.1, RETAIN)]);
    bench.follow(&plan, &batch, &terms(net, Distance::Squared, &weights, true)).1
}

#[test]
fn training_one_half_on_everything_is_the_sum_of_two_views() {
    let bench = autoencoder();
    let (top, bottom) = (0, 1);
    // Twice the loss with half the gradient into either half …
    let row =
        under(&bench, [2.0, 1.0, 1.0, 1.0], &[(FORGET, top, 0.5), (FORGET, bottom, 0.5), (RETAIN, top, 0.0)]);
    // … is the digits through the top half only, and once more through the bottom half only.
    let first = under(&bench, [1.0; 4], &[(FORGET, bottom, 0.0), (RETAIN, top, 0.0)]);
    let second = under(&bench, [1.0, 0.0, 1.0, 1.0], &[(FORGET, top, 0.0)]);
    // The certificates train on every pass; with all weights 0 nothing else does.
    let certificates = under(&bench, [0.0; 4], &[]);
    let views: Vec<f32> = first.iter().zip(&second).zip(&certificates).map(|((a, b), c)| a + b - c).collect();
    assert_close("the two views", &row, &views, 1e-5);
}
