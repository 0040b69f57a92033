//! Objectives on real networks: what `Minimise` gives as the gradient is the slope of what it gives as the
//! objective, for every objective of training and every term of every post-hoc method.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use common::{Bench, Items, SEQ, assert_same, autoencoder, drawn, small};
use lobe_core::{FORGET, Key, LabelId, RETAIN, Route, RouteTable, Target, UNLABELLED};
use lobe_engine::{Plan, Program, SiteId};
use lobe_methods::UNLEARN;
use lobe_methods::objective::{
    Correlation, Counts, CrossEntropy, Distance, Examples, L1, Minimise, Part, ReadOut, Reads, Recalled,
    Reconstruct, Side, Term, Variational, sparse,
};
use lobe_methods::unlearn::Shape;
use lobe_nets::{Autoencoder, AutoencoderConfig, Batch, DecoderConfig, Fed};
use serde_json::json;

const MIXED: [(usize, LabelId); 5] = [(0, FORGET), (1, RETAIN), (2, UNLABELLED), (3, FORGET), (4, RETAIN)];

/// Two decoders, neither of them detached: what is detached has no gradient to compare with a slope.
fn open() -> Bench {
    let part = |name: &str, from, to| DecoderConfig { name: name.into(), from, to, detach: false };
    let config = AutoencoderConfig {
        hidden: vec![14, 12],
        latent: 16,
        decoders: vec![part("decoder", 0, 0), part("low", 0, 10)],
        latent_bias: true,
        ..AutoencoderConfig::default()
    };
    let net = Autoencoder::new(config.resolve(10).unwrap());
    Bench::new("open autoencoder", Arc::new(net), "latent[-8..]")
}

/// Tensor by tensor, along the gradient and a random direction together, slope and gradient are the same.
/// Returns the tensors that were moved.
fn check(what: &str, bench: &mut Bench, step: f32, program: &dyn Program) -> Vec<String> {
    let plan = Plan::plain(bench.layout());
    let gradient = bench.run(&plan, program).1;
    let start = bench.params.clone();
    let mut rng = Key::root(11).rng();
    let (mut moved, mut kinks) = (Vec::new(), 0);
    for t in bench.layout().tensors().to_vec() {
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let g: Vec<f64> = gradient[t.span()].iter().map(|g| f64::from(*g)).collect();
        let random: Vec<f64> = g.iter().map(|_| rng.normal()).collect();
        let (size, length) = (norm(&g), norm(&random));
        let along: Vec<f64> = g
            .iter()
            .zip(&random)
            .map(|(g, r)| if size > 0.0 { g / size } else { 0.0 } + r / length)
            .collect();
        let mut at = |by: f32| {
            bench.params.copy_from_slice(&start);
            let here = &mut bench.params[t.span()];
            here.iter_mut().zip(&along).for_each(|(p, a)| *p += by * *a as f32);
            bench.run(&plan, program).0
        };
        let mut slope = |h: f32| (at(h) - at(-h)) / f64::from(2.0 * h);
        let (whole, half) = (slope(step), slope(step / 2.0));
        bench.params.copy_from_slice(&start);
        if size == 0.0 {
            assert_eq!((whole, half), (0.0, 0.0), "{what}: {} has no gradient", t.name);
            continue;
        }
        moved.push(t.name.clone());
        // Where a ReLU, an absolute value or a correlation changes its sign on the way, there is no slope.
        if (whole - half).abs() > 2e-3 * size {
            kinks += 1;
            continue;
        }
        let expected: f64 = g.iter().zip(&along).map(|(g, a)| g * a).sum();
        assert!((half - expected).abs() < 5e-3 * size, "{what}: {}: {half}, gradient {expected}", t.name);
    }
    assert!(!moved.is_empty(), "{what}: nothing has a gradient");
    assert!(3 * kinks <= moved.len(), "{what}: {kinks} kinks in {moved:?}");
    moved
}

fn site(reads: Range<usize>, unrouted: bool) -> Reads {
    Reads::Site { site: open().net.cuts()[0], columns: reads, unrouted }
}

fn l1(reads: Reads) -> Term {
    Term::new(L1 { reads, weight: 0.3 })
}

fn correlation() -> Term {
    let site = open().net.cuts()[0];
    Term::new(Correlation { site, columns: 16, left: 0..5, right: 9..16, weight: 0.7 })
}

fn reconstruct(output: usize, kind: Distance, sum_of_means: bool) -> Term {
    Term::new(Reconstruct { output, width: 10, kind, label_weight: vec![2.0, 0.5], sum_of_means })
}

fn cross_entropy() -> Term {
    Term::new(CrossEntropy { label_weight: vec![2.0, 0.5] })
}

/// All examples of a batch, on one side or another.
struct Sided<'a> {
    batch: &'a Batch,
    side: fn(usize) -> Side,
    recalled: Vec<Recalled>,
    by_label: Vec<usize>,
}

impl Sided<'_> {
    fn new(batch: &Batch, recalled: Vec<Recalled>) -> Sided<'_> {
        let mut by_label = vec![0; 4];
        batch.count_labels(&mut by_label);
        Sided { batch, side: |_| Side::All, recalled, by_label }
    }

    fn of(&self, side: Side) -> impl Iterator<Item = usize> {
        (0..self.batch.shards()).filter(move |s| side == Side::All || (self.side)(*s) == side)
    }
}

impl Examples for Sided<'_> {
    fn shards(&self) -> usize {
        self.batch.shards()
    }
    fn part(&self, shard: usize) -> Part<'_> {
        Part { batch: self.batch, shard, side: (self.side)(shard), recalled: self.recalled.get(shard) }
    }
    fn counts(&self, side: Side) -> Counts<'_> {
        let rows = self.of(side).map(|s| self.batch.counted(s).count()).sum();
        let sequences = self.of(side).map(|s| self.batch.examples(s).len()).sum();
        Counts { rows, by_label: &self.by_label, sequences }
    }
    fn progress(&self) -> f64 {
        0.25
    }
}

/// Every objective of training alone, and all that fit together with weights of their own.
fn of_training(bench: &Bench) -> Vec<(String, Vec<Term>)> {
    if bench.net.language().is_some() {
        let mut both = sparse(&*bench.net, &bench.region, 0.3);
        both.push(cross_entropy());
        return vec![
            ("cross-entropy".into(), vec![cross_entropy()]),
            ("L1 of what leaves a region".into(), sparse(&*bench.net, &bench.region, 0.3)),
            ("both, weighted".into(), weighted(both)),
        ];
    }
    let mut out = vec![
        ("L1 of what leaves the latent".into(), vec![l1(site(2..9, false))]),
        ("L1 of what enters the latent".into(), vec![l1(site(2..9, true))]),
        ("correlation".into(), vec![correlation()]),
    ];
    for kind in [Distance::Squared, Distance::Absolute] {
        for sum in [false, true] {
            let name = format!("{kind:?} distance, sum of means: {sum}");
            out.push((name, vec![reconstruct(0, kind, sum), reconstruct(1, kind, !sum)]));
        }
    }
    let all = vec![
        reconstruct(0, Distance::Squared, true),
        l1(site(0..16, true)),
        l1(site(3..7, false)),
        correlation(),
        reconstruct(1, Distance::Squared, false),
    ];
    out.push(("all, weighted".into(), weighted(all)));
    out
}

/// The terms with weights of their own, none of them 1.
fn weighted(mut terms: Vec<Term>) -> Vec<Term> {
    terms.iter_mut().enumerate().for_each(|(i, t)| t.weight = 0.6 + 0.3 * i as f32);
    terms
}

#[test]
fn the_gradient_of_training_is_the_slope_of_its_objective() {
    for mut bench in [small(), open()] {
        for per_shard in [1, 2, 5] {
            let batch = bench.batch(&Items { items: &MIXED, per_shard });
            for (name, terms) in of_training(&bench) {
                let net = bench.net.clone();
                let program = Minimise::new(&*net, &terms, Sided::new(&batch, Vec::new()));
                let what = format!("{}: {name}, {per_shard} to a shard", bench.name);
                // Rectifiers leave less room for a step.
                let step = if bench.net.language().is_some() { 4e-3 } else { 1e-3 };
                let moved = check(&what, &mut bench, step, &program);
                // A penalty on a site changes nothing behind it.
                let behind = moved.iter().any(|t| t.starts_with("decoder") || t.starts_with("head"));
                let reads = |r: &Reads| matches!(r, Reads::Site { .. });
                assert_eq!(behind, !terms.iter().all(|t| reads(&t.objective.reads())), "{what}: {moved:?}");
            }
        }
    }
}

/// The same for a latent that is drawn: through the noise into means and scales.
#[test]
fn the_gradient_reaches_means_and_scales_through_the_noise() {
    let mut bench = drawn();
    let net = bench.net.clone();
    let site = net.layout().find_site("heads").unwrap();
    let terms = |penalty: f32, distance: f32| {
        let reads = Reads::Site { site, columns: 0..16, unrouted: false };
        let of = Term::new(Variational { reads, weight: 1.0 });
        let mut out = vec![Term { weight: penalty, ..of }];
        out.push(Term { weight: distance, ..reconstruct(0, Distance::Squared, false) });
        out
    };
    for per_shard in [1, 2, 5] {
        let batch = bench.batch(&Items { items: &MIXED, per_shard });
        for (name, terms) in [("both", terms(0.7, 3.0)), ("the distance", terms(0.0, 3.0))] {
            let program = Minimise::new(&*net, &terms, Sided::new(&batch, Vec::new()));
            let moved = check(&format!("{name}, {per_shard} to a shard"), &mut bench, 4e-3, &program);
            assert!(
                moved.iter().any(|t| t == "heads.weight") && moved.iter().any(|t| t == "decoder.2.weight")
            );
        }
    }
    // Scales move by the distance only where there is noise.
    let (plan, terms) = (Plan::plain(net.layout()), terms(0.0, 1.0));
    let t = net.layout().get(net.layout().find("heads.bias").unwrap()).span();
    let scales = t.start + 8..t.end;
    let noisy = bench.batch(&Items { items: &MIXED, per_shard: 5 });
    let mut still = Batch::rows_of(10, 0, 5);
    for row in 0..MIXED.len() {
        let Fed::Rows { values, .. } = noisy.fed(0) else { panic!("rows") };
        still.push_row(&values[10 * row..][..10], &[], FORGET);
    }
    let moves =
        |batch: &Batch| bench.follow(&plan, batch, &terms).1[scales.clone()].iter().any(|g| *g != 0.0);
    assert!(moves(&noisy) && !moves(&still));
}

/// What a made-up reference says of every example: numbers near those of a model, which is all that is asked.
fn recalled(bench: &Bench, batch: &Batch) -> Vec<Recalled> {
    let (vocab, spec) = bench.net.language().unwrap();
    let width = bench.net.width_at(0);
    let draw = |key: &str, s: usize, n: usize, low: f32| -> Vec<f32> {
        let mut rng = Key::root(21).child(key).index(s as u64).rng();
        (0..n).map(|_| low.max(rng.normal() as f32)).collect()
    };
    let weight = draw("head", 0, width * vocab, -9.0);
    let head = Arc::new(ReadOut { spec, size: (width, vocab), weight, bias: None });
    let one = |s: usize| {
        let rows = batch.rows(s).rows;
        let hidden = |layer: usize| (layer, draw("hidden", 10 * s + layer, rows * width, -9.0));
        Recalled {
            nll: draw("nll", s, rows, 0.0).iter().map(|x| 2.5 + x).collect(),
            hidden: (0..bench.net.blocks()).map(hidden).collect::<BTreeMap<_, _>>(),
            last: draw("last", s, rows * width, -9.0),
            head: Some(head.clone()),
        }
    };
    (0..batch.shards()).map(one).collect()
}

#[test]
fn the_gradient_of_every_unlearning_method_is_the_slope_of_its_objective() {
    let mut bench = small();
    let (net, batch) = (bench.net.clone(), bench.batch(&Items { items: &MIXED, per_shard: 1 }));
    let (vocab, _) = net.language().unwrap();
    let shape = Shape { layers: net.blocks(), width: net.width_at(0), vocab };
    let mut seen = 0;
    for entry in &UNLEARN {
        let name = entry.about.name;
        let params = match name {
            // The weight of a token, and without a width of its own the kernel's, are held constant.
            "wga" | "satimp" => continue,
            "repnoise" => json!({ "bandwidth": 6.0 }),
            "npo" => json!({ "likelihood": "mean", "beta": 2.0, "retain": "kl" }),
            _ => json!({}),
        };
        let terms = (entry.build)(&params).unwrap().0.terms(shape, Key::root(7)).unwrap();
        let side = |s: usize| if s.is_multiple_of(2) { Side::Forget } else { Side::Retain };
        let examples = Sided { side, ..Sided::new(&batch, recalled(&bench, &batch)) };
        let terms = weighted(terms);
        let program = Minimise::new(&*net, &terms, examples);
        check(name, &mut bench, 4e-3, &program);
        seen += 1;
    }
    assert_eq!(seen, UNLEARN.len() - 2);
}

/// A penalty on what leaves a site is routed with the rest of its gradient; one on what enters is not.
#[test]
fn a_route_scales_a_penalty_behind_it_and_none_before_it() {
    let bench = autoencoder();
    let routes = [FORGET, RETAIN, UNLABELLED]
        .iter()
        .fold(RouteTable::plain(), |t, label| t.with(*label, Target::Region(0), Route::new(1.0, 0.0, 1.0)));
    let (plain, routed) = (Plan::plain(bench.layout()), bench.plan(&routes));
    let batch = bench.batch(&Items { items: &MIXED, per_shard: 2 });
    // The region is the upper half of the latent.
    let under = |plan: &Plan, unrouted| bench.follow(plan, &batch, &[l1(site(8..16, unrouted))]);
    let (want, gradient) = under(&plain, true);
    assert!(want > 0.0 && gradient.iter().any(|g| *g != 0.0));
    for (plan, unrouted, zero) in [(&plain, false, false), (&routed, true, false), (&routed, false, true)] {
        let (objective, found) = under(plan, unrouted);
        assert_eq!(objective, want);
        if zero {
            assert!(found.iter().all(|g| *g == 0.0), "all of the penalty passes the route");
        } else {
            assert_same("as without a route", &found, &gradient);
        }
    }
}

/// What is logged is the loss itself, by output and label, whatever the weights.
#[test]
fn records_are_losses_by_output_and_label() {
    let bench = open();
    let batch = bench.batch(&Items { items: &MIXED, per_shard: 2 });
    let logged =
        |terms: &[Term]| bench.records(&Minimise::new(&*bench.net, terms, Sided::new(&batch, Vec::new())));
    let with = |kind| logged(&weighted(vec![reconstruct(0, kind, true), reconstruct(1, kind, false)]));
    let records = with(Distance::Absolute);
    assert_eq!(records, with(Distance::Squared), "the absolute distance is logged, whatever is minimised");
    let counts: Vec<f64> = records.iter().map(|r| r.1).collect();
    // Two outputs of four labels; nothing has the last.
    assert_eq!(counts, [2.0, 2.0, 1.0, 0.0, 2.0, 2.0, 1.0]);
    // The mean over all rows is what an even mean absolute distance pays.
    for output in [0, 1] {
        let even = Reconstruct {
            output,
            width: 10,
            kind: Distance::Absolute,
            label_weight: Vec::new(),
            sum_of_means: false,
        };
        let paid = bench.follow(&Plan::plain(bench.layout()), &batch, &[Term::new(even)]).0;
        let mean = records.iter().skip(4 * output).take(4).map(|r| r.0).sum::<f64>() / 5.0;
        assert!((paid - mean).abs() < 1e-6 * mean, "{output}: {paid} against {mean}");
    }
    let text = small();
    let batch = text.batch(&Items { items: &MIXED, per_shard: 1 });
    let program = |terms| Minimise::new(&*text.net, terms, Sided::new(&batch, Vec::new()));
    let (terms, even) = (weighted(vec![cross_entropy()]), vec![Term::new(CrossEntropy::default())]);
    let records = text.records(&program(&terms));
    assert_eq!(records, text.records(&program(&even)));
    assert_eq!(records.iter().map(|r| r.1).collect::<Vec<_>>(), [2, 2, 1].map(|n| (n * SEQ) as f64));
}

/// What cannot be read is said; a term that is left out without a word would be a wrong objective.
#[test]
fn a_term_that_reads_nothing_is_refused() {
    let refused = |bench: &Bench, terms: Vec<Term>| {
        let batch = bench.batch(&Items { items: &MIXED, per_shard: 2 });
        let program = Minimise::new(&*bench.net, &terms, Sided::new(&batch, Vec::new()));
        bench.try_run(&Plan::plain(bench.layout()), &program).unwrap_err().to_string()
    };
    let (text, rows) = (small(), open());
    let first = |unrouted| l1(Reads::Site { site: SiteId(0), columns: 0..2, unrouted });
    let message = refused(&text, vec![cross_entropy(), first(true)]);
    assert!(message.contains("nothing can be read before the routes of site \"embed\""), "{message}");
    assert!(refused(&text, vec![reconstruct(0, Distance::Squared, false)]).contains("no numbers called"));
    assert!(refused(&rows, vec![cross_entropy()]).contains("predicts no token"));
    assert!(refused(&rows, vec![reconstruct(2, Distance::Squared, false)]).contains("output 2"));
    assert!(refused(&rows, vec![correlation(), correlation()]).contains("one objective at most"));
    let wide = Correlation { site: open().net.cuts()[0], columns: 16, left: 0..5, right: 9..17, weight: 0.7 };
    assert!(refused(&rows, vec![Term::new(wide)]).contains("the coupled objective"));
}
