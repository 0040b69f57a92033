//! How sequences are cut into shards must not show in what is learned.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use lobe_core::{FORGET, Key, LabelId, LabelSet, RETAIN, Region, Route, RouteTable, Target, UNLABELLED};
use lobe_engine::ops::head::IGNORE;
use lobe_engine::{Buf, Member, Plan, Runner, StepReport};
use lobe_methods::objective::{CrossEntropy, Minimise, Term, Whole, sparse};
use lobe_nets::{Batch, Gpt, GptConfig, Positions};

const SEQ: usize = 100;
const VOCAB: usize = 13;
/// Forget, retain and unlabelled.
const LABELS: usize = 3;

fn net(config: &GptConfig) -> (Gpt, Buf) {
    let config = GptConfig { layers: 2, width: 8, heads: 2, init_std: 0.3, ..config.clone() };
    let net = Gpt::new(config.resolve(VOCAB, SEQ).unwrap());
    let params = net.layout.init(Key::root(1));
    (net, params)
}

/// `(length, label, strength)` of every sequence; what follows the length is padding.
fn batch(items: &[(usize, LabelId, bool)], per_shard: usize) -> Batch {
    let mut out = Batch::tokens(SEQ, per_shard);
    for (n, (length, label, weighted)) in items.iter().enumerate() {
        let mut rng = Key::root(2).index(n as u64).rng();
        let mut tokens: Vec<u32> = (0..=SEQ).map(|_| rng.below(VOCAB) as u32).collect();
        tokens[length + 1..].fill(IGNORE);
        let strength: Vec<f32> = (0..SEQ).map(|_| rng.uniform() as f32).collect();
        out.push(&tokens, *label, weighted.then_some(&strength));
    }
    out
}

fn gradient(net: &Gpt, params: &Buf, plan: &Plan, batch: &Batch) -> (StepReport, Vec<f32>) {
    run(net, params, plan, batch, &[Term::new(CrossEntropy::default())])
}

fn run(net: &Gpt, params: &Buf, plan: &Plan, batch: &Batch, terms: &[Term]) -> (StepReport, Vec<f32>) {
    let program = Minimise::new(net, terms, Whole::new(batch, LABELS));
    let mut member = Member::new(params.clone(), plan.clone(), 2).unwrap();
    let report = Runner::new(1).unwrap().gradients(&net.layout, &mut member, &program).unwrap();
    (report, member.gradient())
}

#[test]
fn trimming_changes_neither_loss_nor_gradient() {
    let items = [
        (5, FORGET, false),
        (32, RETAIN, false),
        (33, FORGET, true),
        (SEQ, UNLABELLED, false),
        (0, RETAIN, false),
        (1, FORGET, true),
    ];
    let rotary = GptConfig { positions: Positions::Rotary, window: 7, ..GptConfig::default() };
    for config in [GptConfig::default(), rotary] {
        let (net, params) = net(&config);
        let region: Region = "blocks.*.mlp.post[-8..] + blocks.*.attn.z[-1]".parse().unwrap();
        let region = region.resolve(net.layout.sites()).unwrap();
        let routes = RouteTable::plain().with(FORGET, Target::Elsewhere, Route::new(1.0, -0.5, 1.0)).with(
            RETAIN,
            Target::Region(0),
            Route::ABSENT,
        );
        let routed = Plan::new(&net.layout, &LabelSet::default(), &[region], &routes).unwrap();
        for plan in [Plan::plain(&net.layout), routed] {
            let trimmed = batch(&items, 1);
            assert_eq!((0..6).map(|s| trimmed.text(s).2).collect::<Vec<_>>(), [32, 32, 64, 100, 32, 32]);
            let (want, grads) = gradient(&net, &params, &plan, &trimmed);
            // Two or more sequences to a shard are never trimmed.
            for per_shard in [2, 3, 6] {
                let (got, other) = gradient(&net, &params, &plan, &batch(&items, per_shard));
                assert!((got.objective - want.objective).abs() < 1e-6 * want.objective);
                for (a, b) in got.records.iter().zip(&want.records) {
                    assert!((a.0 - b.0).abs() <= 1e-6 * b.0.abs() && a.1 == b.1, "{a:?} {b:?}");
                }
                let top = grads.iter().fold(0f32, |a, x| a.max(x.abs()));
                let far = grads.iter().zip(&other).position(|(a, b)| (a - b).abs() > 1e-5 * top);
                assert_eq!(far, None, "{per_shard} to a shard");
            }
        }
    }
}

fn close(what: &str, got: &[f32], want: impl Iterator<Item = f32>) {
    let want: Vec<f32> = want.collect();
    let top = want.iter().fold(0f32, |a, x| a.max(x.abs()));
    let far = got.iter().zip(&want).position(|(a, b)| (a - b).abs() > 1e-5 * top);
    assert_eq!(far, None, "{what}");
}

#[test]
fn a_label_weighs_what_it_is_given() {
    let (net, params) = net(&GptConfig::default());
    let plan = Plan::plain(&net.layout);
    let items = [(5, FORGET, false), (32, RETAIN, false), (7, FORGET, false), (9, UNLABELLED, false)];
    for per_shard in [1, 4] {
        let batch = batch(&items, per_shard);
        let under = |label_weight: &[f32]| {
            let weighted = CrossEntropy { label_weight: label_weight.to_vec() };
            run(&net, &params, &plan, &batch, &[Term::new(weighted)])
        };
        let ((forget, f), (rest, r)) = (under(&[1.0, 0.0, 0.0]), under(&[0.0, 1.0, 1.0]));
        let (both, all) = under(&[2.0, 0.5, 0.5]);
        assert!((both.objective - 2.0 * forget.objective - 0.5 * rest.objective).abs() < 1e-5);
        close("2 forget + ½ rest", &all, f.iter().zip(&r).map(|(f, r)| 2.0 * f + 0.5 * r));
        // What is recorded is the loss itself.
        assert_eq!(both.records, rest.records);
        close("one each", &under(&[]).1, f.iter().zip(&r).map(|(f, r)| f + r));
    }
}

#[test]
fn padding_is_not_penalised() {
    let (net, params) = net(&GptConfig::default());
    let plan = Plan::plain(&net.layout);
    let units: Region = "blocks.*.mlp.post".parse().unwrap();
    let units = units.resolve(net.layout.sites()).unwrap();
    let items = [(5, FORGET, false), (33, RETAIN, false), (SEQ, FORGET, false)];
    let under = |per_shard| {
        let mut terms = sparse(&net, &units, 0.3);
        terms.push(Term::new(CrossEntropy::default()));
        run(&net, &params, &plan, &batch(&items, per_shard), &terms)
    };
    let (one, apart) = under(1);
    let (three, together) = under(3);
    assert!((one.objective - three.objective).abs() < 1e-5 * one.objective);
    close("padded and trimmed", &together, apart.iter().copied());
    let (plain, _) = gradient(&net, &params, &plan, &batch(&items, 1));
    assert!(one.objective > plain.objective + 0.01, "a penalty is paid");
}

#[test]
fn records_count_targets_per_label() {
    let (net, params) = net(&GptConfig::default());
    let batch = batch(&[(5, FORGET, false), (32, RETAIN, false), (7, FORGET, false)], 1);
    assert_eq!((batch.len(), batch.targets(), batch.shards()), (3, 44, 3));
    let (report, _) = gradient(&net, &params, &Plan::plain(&net.layout), &batch);
    assert_eq!(report.records.iter().map(|r| r.1).collect::<Vec<_>>(), [12.0, 32.0]);
    let mean = report.records.iter().map(|r| r.0).sum::<f64>() / 44.0;
    assert!((mean - report.objective).abs() < 1e-6 * mean);
}

#[test]
fn nothing_to_learn_is_no_step() {
    let (net, params) = net(&GptConfig::default());
    let empty = batch(&[(0, FORGET, false), (0, FORGET, false)], 1);
    let (report, grads) = gradient(&net, &params, &Plan::plain(&net.layout), &empty);
    assert_eq!(report.objective, 0.0);
    assert!(grads.iter().all(|g| *g == 0.0));
}

#[test]
fn a_batch_can_be_filled_again() {
    let mut b = batch(&[(5, FORGET, true), (6, RETAIN, false)], 2);
    b.clear();
    assert!(b.is_empty() && b.targets() == 0 && b.shards() == 0);
    b.push(&[1; SEQ + 1], UNLABELLED, None);
    assert_eq!((b.len(), b.targets(), b.rows(0).rows), (1, SEQ, SEQ));
    assert!(b.rows(0).strength.is_none());
}
