//! Weights by name: what a text means in a network, set laws, and members of which only entries move.

mod common;

use std::collections::BTreeMap;

use common::steps::{ADAMW, Sequences, member, optimiser};
use common::{Batch, HEAD, Net, SHAPES, Shape, assert_close, assert_same, uniform};
use lobe_core::{FORGET, RETAIN, Region, Weights};
use lobe_engine::optim::{Muon, Sgd};
use lobe_engine::{Entries, Layout, Masked, Optimiser, ParamId, Plan, Runner};
use proptest::prelude::*;

fn resolved(net: &Net, text: &str) -> Entries {
    found(net, text, &BTreeMap::new()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn found(net: &Net, text: &str, names: &BTreeMap<String, Entries>) -> Result<Entries, String> {
    let weights: Weights = text.parse().map_err(|e| format!("{e}"))?;
    Entries::resolve(&weights, &net.layout, names).map_err(|e| e.to_string())
}

#[test]
fn texts_mean_entries() {
    let net = Net::new(Shape::GPT);
    let (up, down) = (net.p("up"), net.p("down"));
    let one = resolved(&net, "down[3,-1]");
    assert_eq!((one.count(), one.contains(down, 3, 7), one.contains(down, 7, 3)), (1, true, false));
    for (text, count) in [
        ("down", 12 * 8),
        ("* + *.*", net.layout.len()),
        ("*.*", net.layout.len() - 8 * 11 - 5 * 8 - 8 * 24 - 8 * 8 - 8 * 12 - 12 * 8 - 8 * 11),
        ("down[*,2]", 12),
        ("down[..4,-2..]", 8),
        ("row(down[3,1])", 8),
        ("column(down[3,1])", 12),
        ("row(down[3,1]) + column(down[3,1])", 19),
        ("down - row(down[3..5,0]) - down[0,0]", 79),
        // A neuron: a column of `up`, an entry of its bias, a row of `down`.
        ("owned(mlp.post[5])", 8 + 1 + 8),
        ("in(mlp.post[5])", 8 + 1),
        ("out(mlp.post[5])", 8),
        ("in(mlp.post) + out(mlp.post) - owned(mlp.post[0..11])", 17),
        ("owned(attn.z[0])", 3 * HEAD * 9 + HEAD * 8),
    ] {
        let entries = resolved(&net, text);
        assert_eq!(entries.count(), count, "{text}");
        assert_eq!(resolved(&net, &entries.describe(&net.layout)), entries, "{text}");
        let mut flat = 0;
        let mut last = 0;
        entries.for_ranges(&net.layout, |p, r| {
            assert!(net.layout.get(p).span().start <= r.start && r.end <= net.layout.get(p).span().end);
            assert!(last <= r.start && r.start < r.end, "{text}: ascending");
            (last, flat) = (r.end, flat + r.len());
        });
        assert_eq!(flat, count, "{text}");
    }
    // Units' weights are those that the layout says they own.
    let region: Region = "mlp.post[2..7] + attn.z[1,3]".parse().expect("a region");
    let selection = region.resolve(net.layout.sites()).expect("units");
    let mut owned = vec![0; net.layout.len()];
    net.layout.for_owned(&selection, |_, r| owned[r].iter_mut().for_each(|x| *x += 1));
    let mut named = vec![0; net.layout.len()];
    resolved(&net, &format!("owned({region})"))
        .for_ranges(&net.layout, |_, r| named[r].iter_mut().for_each(|x| *x += 1));
    assert_eq!(named, owned);
    // Names.
    let names = BTreeMap::from([("outliers".to_owned(), resolved(&net, "up[0,0] + down[1,1]"))]);
    assert_eq!(found(&net, "outliers - up", &names).map(|e| e.count()), Ok(1));
    assert_eq!(found(&net, "column(outliers)", &names).map(|e| e.count()), Ok(8 + 12));
    let mut params = net.params.clone();
    names["outliers"].zero(&net.layout, &mut params);
    let zeros: Vec<usize> = (0..params.len()).filter(|i| params[*i] != net.params[*i]).collect();
    assert_eq!(zeros, [net.layout.get(up).offset, net.layout.get(down).offset + 9]);
    assert!(zeros.iter().all(|i| params[*i] == 0.0));
}

#[test]
fn wrong_texts_say_what_is_there() {
    let net = Net::new(Shape::GPT);
    let names = BTreeMap::from(["outliers", "down"].map(|n| (n.to_owned(), resolved(&net, "up"))));
    for (text, error) in [
        ("dwn[0,0]", "weights: no tensor matches \"dwn\"; did you mean \"down\"?"),
        ("outlier", "weights: no tensor matches \"outlier\"; did you mean \"outliers\"?"),
        ("down[12,0]", "weights: row 12 is outside of \"down\", which has 12 rows"),
        ("down[0,-9]", "weights: column -9 is outside of \"down\", which has 8 columns"),
        ("in(mlp.pst)", "region: no site matches \"mlp.pst\"; did you mean \"mlp.post\"?"),
        ("up - up", "weights: \"up - up\" names no weight"),
        ("out(resid_post)", "weights: \"out(resid_post)\" names no weight"),
        (
            "down",
            "weights: \"down\" is a tensor and also the name of weights that were found; rename the latter",
        ),
    ] {
        assert_eq!(found(&net, text, &names), Err(error.to_owned()), "{text}");
    }
}

/// Entries of one 6 × 5 tensor as the set of their places.
fn places(entries: &Entries) -> Vec<bool> {
    (0..30).map(|i| entries.contains(ParamId(0), i / 5, i % 5)).collect()
}

fn rectangles() -> impl Strategy<Value = Vec<(ParamId, lobe_engine::Rectangle)>> {
    let side = |n: usize| (0..=n, 0..=n).prop_map(|(a, b)| a.min(b)..a.max(b));
    prop::collection::vec((side(6), side(5)).prop_map(|r| (ParamId(0), r)), 0..6)
}

proptest! {
    #[test]
    fn set_laws(a in rectangles(), b in rectangles()) {
        let mut layout = Layout::default();
        layout.tensor("before", 1, 3).add();
        let (x, y) = (Entries::of(a.clone()), Entries::of(b));
        let inside = |i: usize| a.iter().any(|(_, (r, c))| r.contains(&(i / 5)) && c.contains(&(i % 5)));
        prop_assert_eq!(places(&x), (0..30).map(inside).collect::<Vec<_>>());
        let (px, py) = (places(&x), places(&y));
        type Law = fn(bool, bool) -> bool;
        let laws: [(Entries, Law); 3] = [
            (x.clone().union(&y), |a, b| a || b),
            (x.clone().intersection(&y), |a, b| a && b),
            (x.clone().difference(&y), |a, b| a && !b),
        ];
        for (got, law) in laws {
            let want: Vec<bool> = px.iter().zip(&py).map(|(a, b)| law(*a, *b)).collect();
            prop_assert_eq!(places(&got), want.clone());
            prop_assert_eq!(got.count(), want.iter().filter(|w| **w).count());
            prop_assert_eq!(got.is_empty(), got.count() == 0);
            // The same entries are the same value, however they came about.
            let one = |i: usize| (ParamId(0), (i / 5..i / 5 + 1, i % 5..i % 5 + 1));
            prop_assert_eq!(&Entries::of((0..30).rev().filter(|i| want[*i]).map(one)), &got);
            let again = got.rectangles(ParamId(0)).map(|r| (ParamId(0), r));
            prop_assert_eq!(&Entries::of(again), &got);
        }
        prop_assert_eq!(x.clone().union(&y), y.clone().union(&x));
        prop_assert_eq!(x.clone().difference(&y).union(&x.clone().intersection(&y)), x);
    }
}

/// Some entries of every tensor: few rectangles, many rectangles, whole tensors, one number.
const PARTS: [&str; 4] = [
    "down[3,5]",
    "in(mlp.post[2..5]) + column(proj[0,1]) + embed[3..6,*] + head[..3,1] + ln1.gain[0,2..4] + head.bias[0,1]",
    "positions + qkv[*,0] + qkv[1,*] + down[1..9,2..5] + owned(attn.z[1]) + ln2.gain + up.bias[0,3]",
    "up[0,0] + up[0,2] + up[0,4] + up[0,6] + up[0,8] + up[0,10] + up[2,0] + up[2,2] + up[2,4] + up[2,6] \
     + up[2,8] + up[2,10] + up[4,1] + up[4,3] + up[4,5] + up[4,7] + up[4,9] + up[6,1] + up[6,3] + embed[0,0]",
];

/// 1 for each number among the entries.
fn mask(layout: &Layout, entries: &Entries) -> Vec<bool> {
    let mut out = vec![false; layout.len()];
    entries.for_ranges(layout, |_, r| out[r].fill(true));
    out
}

#[test]
fn the_gradient_of_what_moves_is_that_of_full_training() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("parts", 3);
        let full = net.run(&Plan::plain(&net.layout), uniform(15), &batch, None);
        let top = full.grads.iter().fold(0.0, |a: f32, g| a.max(g.abs()));
        for text in PARTS {
            if shape.tied && text.contains("head[") {
                continue;
            }
            let entries = resolved(&net, text);
            let inside = mask(&net.layout, &entries);
            let plain = Plan::plain(&net.layout);
            let keep = |moves: bool| -> Vec<f32> {
                let of = |(g, i): (&f32, &bool)| if *i == moves { *g } else { 0.0 };
                full.grads.iter().zip(&inside).map(of).collect()
            };
            for (plan, moves) in
                [(plain.clone().moving(&entries), true), (plain.clone().still(&entries), false)]
            {
                let got = net.run(&plan, uniform(15), &batch, None);
                assert_same("output", &got.out, &full.out);
                let want = keep(moves);
                assert_close(&format!("{name}, {text}, {moves}"), &got.grads, &want, 1e-4, 1e-6 * top);
                let quiet = got.grads.iter().zip(&inside).filter(|(_, i)| **i != moves);
                assert!(quiet.into_iter().all(|(g, _)| *g == 0.0), "{name}, {text}");
                for p in (0..net.layout.tensors().len()).map(ParamId) {
                    let span = net.layout.get(p).span();
                    let any = inside[span].contains(&moves);
                    assert_eq!(plan.trainable(p), any, "{name}, {text}");
                }
            }
        }
    }
}

/// What moves takes the steps of a full training that is set back everywhere else after each of them.
#[test]
fn what_moves_takes_the_steps_of_full_training() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(1).expect("a runner");
    let plain = Plan::plain(&net.layout);
    for text in PARTS {
        let entries = resolved(&net, text);
        let inside = mask(&net.layout, &entries);
        let mut part = member(&net, plain.clone().moving(&entries), 2);
        let mut full = member(&net, plain.clone(), 2);
        let o = optimiser(ADAMW, Masked::ZeroGrad);
        for step in 0..3 {
            let program = Sequences::new(&net, &format!("steps {step}"), &[RETAIN; 3]);
            let mut jobs: [(&mut lobe_engine::Member, &dyn lobe_engine::Program, &Optimiser); 2] =
                [(&mut part, &program, &o), (&mut full, &program, &o)];
            runner.step(&net.layout, &mut jobs, step).expect("a step");
            for i in (0..inside.len()).filter(|i| !inside[*i]) {
                full.params[i] = net.params[i];
            }
        }
        assert_close(text, &part.params, &full.params, 1e-4, 1e-5);
    }
}

/// Whatever the optimiser and the routes do, the others stay bit for bit.
#[test]
fn what_does_not_move_stays_bit_for_bit() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(2).expect("a runner");
    let plain = Plan::plain(&net.layout);
    let rules: [fn(Masked) -> Optimiser; 3] = [
        |masked| optimiser(ADAMW, masked),
        |masked| optimiser(Sgd { momentum: 0.9 }, masked),
        |masked| optimiser(Muon::default(), masked),
    ];
    for rule in rules {
        for masked in [Masked::ZeroGrad, Masked::Freeze] {
            for text in PARTS {
                let entries = resolved(&net, text);
                let mut o = rule(masked);
                (o.clip, o.decay_matrices_only) = (Some(0.5), false);
                let routed = common::steps::mask_update(&net).1;
                for plan in
                    [plain.clone().moving(&entries), plain.clone().still(&entries), routed.moving(&entries)]
                {
                    let mut m = member(&net, plan.clone(), 2);
                    for step in 0..4 {
                        let program = Sequences::new(&net, &format!("{step}"), &[FORGET, RETAIN, RETAIN]);
                        let before = m.params.to_vec();
                        runner.step(&net.layout, &mut [(&mut m, &program, &o)], step).expect("a step");
                        let any = m.params.iter().zip(&before).any(|(a, b)| a.to_bits() != b.to_bits());
                        assert!(any, "{text}: something moves");
                        assert!(m.gradient().iter().all(|g| *g == 0.0), "{text}: nothing is left behind");
                    }
                    for (i, t) in net.layout.tensors().iter().enumerate() {
                        for at in t.span() {
                            let rectangles = plan.movable(ParamId(i));
                            let (row, col) = ((at - t.offset) / t.cols, (at - t.offset) % t.cols);
                            let moves = rectangles
                                .is_none_or(|r| r.iter().any(|(r, c)| r.contains(&row) && c.contains(&col)));
                            if !moves {
                                assert_eq!(m.params[at].to_bits(), net.params[at].to_bits(), "{text}");
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_deleted_weight_stays_deleted() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(1).expect("a runner");
    let deleted = resolved(&net, "down[3,5] + column(up[0,2]) + up.bias[0,2] + embed[4,*] + ln1.gain[0,1]");
    for masked in [Masked::ZeroGrad, Masked::Freeze] {
        let mut m = member(&net, Plan::plain(&net.layout).still(&deleted), 2);
        deleted.zero(&net.layout, &mut m.params);
        let o = Optimiser { decay_matrices_only: false, ..optimiser(ADAMW, masked) };
        for step in 0..5 {
            let program = Sequences::new(&net, &format!("deleted {step}"), &[RETAIN; 3]);
            runner.step(&net.layout, &mut [(&mut m, &program, &o)], step).expect("a step");
        }
        let inside = mask(&net.layout, &deleted);
        for (i, inside) in inside.into_iter().enumerate() {
            assert_eq!(m.params[i].to_bits() == 0, inside, "{i}");
        }
    }
}

/// Parts and `train_only` say the same where both can.
#[test]
fn moving_whole_tensors_is_train_only() {
    let net = Net::new(Shape::GPT);
    let batch = Batch::new("whole", 2);
    let own = [net.p("up"), net.p("ln.gain"), net.p("head.bias")];
    let plain = Plan::plain(&net.layout);
    let want = net.run(&plain.clone().train_only(|p| own.contains(&p)), uniform(10), &batch, None);
    let whole = Entries::whole(&net.layout, own);
    let got = net.run(&plain.clone().moving(&whole), uniform(10), &batch, None);
    assert_same("gradients", &got.grads, &want.grads);
    let rest = Entries::whole(&net.layout, (0..net.layout.tensors().len()).map(ParamId)).difference(&whole);
    assert_eq!(plain.clone().still(&rest), plain.clone().moving(&whole));
    // One after the other: first what moves, then what of it stays.
    let (a, b) = (resolved(&net, "up[1..5,*]"), resolved(&net, "up[3..8,2]"));
    assert_eq!(plain.clone().moving(&a).still(&b), plain.clone().moving(&a.clone().difference(&b)));
    assert_eq!(plain.clone().moving(&a).moving(&b), plain.moving(&a.intersection(&b)));
}
