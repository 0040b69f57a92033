//! Guests at doors, against the same thing said without a guest.
#![allow(clippy::single_range_in_vec_init, reason = "regions are lists of ranges, also of one")]

mod common;

use std::sync::Arc;

use common::differences::{check, check_net};
use common::steps::{ADAMW, Sequences, member, optimiser};
use common::{
    Batch, D, MLP, Net, Pass, SHAPES, Shape, assert_close, assert_same, close, forget, normals, pass,
    try_pass, uniform,
};
use lobe_core::{LabelSet, RETAIN, Route, Selection};
use lobe_engine::ops::binary::Pair;
use lobe_engine::ops::head::RowWeights;
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::ops::unary::Function;
use lobe_engine::{
    Door, Edit, EngineError, Guest, Layout, Masked, Owner, ParamId, Plan, Runner, SiteEdit, SiteId, Tape, Var,
};

type Answer = dyn Fn(&mut Tape<'_>, Var) -> Result<Var, EngineError> + Send + Sync;

/// A guest that is a function.
struct By(Box<Answer>);

impl Guest for By {
    fn pass(&self, tape: &mut Tape<'_>, _: Door, x: Var) -> Result<Var, EngineError> {
        (self.0)(tape, x)
    }
}

fn by(f: impl Fn(&mut Tape<'_>, Var) -> Result<Var, EngineError> + Send + Sync + 'static) -> Arc<dyn Guest> {
    Arc::new(By(Box::new(f)))
}

fn with(plan: Plan, door: Door, guest: &Arc<dyn Guest>) -> Plan {
    plan.with_guest(door, Arc::clone(guest)).expect("the door is there")
}

/// Forward, backward and update as they come, with everything and nothing absent.
const ROUTES: [Route; 6] = [
    Route::PLAIN,
    Route::ABSENT,
    Route::new(0.0, 1.0, 1.0),
    Route::new(1.0, 0.0, 1.0),
    Route::new(0.5, -1.0, 0.5),
    Route::new(1.0, 1.0, 0.0),
];

fn cols(net: &Net, site: SiteId) -> usize {
    if site == net.post { MLP } else { D }
}

/// A network with a square matrix that a guest may use.
fn with_own(shape: Shape, n: usize) -> (Net, ParamId) {
    let mut net = Net::new(shape);
    let own = net.layout.tensor("own", n, n).add();
    net.params.extend(normals("own", n * n).iter().map(|x| 0.3 * x));
    (net, own)
}

/// `x + tanh(x) own + ¼`: every column of the answer depends on every column of `x`, and none is zero where
/// `x` is.
fn mixing(t: &mut Tape<'_>, x: Var, own: ParamId) -> Result<Var, EngineError> {
    let m = t.leaf(own);
    let h = t.map(x, Function::Tanh);
    let h = t.matmul(h, m)?;
    let y = t.pair(x, Pair::Add, h)?;
    Ok(t.map(y, Function::Shift(0.25)))
}

/// The stop-gradient formula of one route at one site, in tape operations.
fn routed(t: &mut Tape<'_>, net: &Net, site: SiteId, route: Route, a: Var) -> Result<Var, EngineError> {
    let region = net.region(&[site]);
    let (rows, cols) = t.shape(a);
    let inside = |i: usize| {
        let unit = (i % cols / net.width(site)) as u32;
        region.contains_all(site.0, &(unit..unit + 1))
    };
    let mut numbers = |number: f32| {
        let of = |i: usize| if inside(i) { number } else { 1.0 };
        t.input(rows, cols, |x| (0..x.len()).for_each(|i| x[i] = of(i)))
    };
    let (f, b) = (numbers(route.forward), numbers(route.backward));
    let rest = t.map(b, Function::Scale(-1.0));
    let rest = t.map(rest, Function::Shift(1.0));
    let fixed = t.detach(a);
    let fixed = t.pair(fixed, Pair::Mul, rest)?;
    let a = t.pair(a, Pair::Mul, b)?;
    let a = t.pair(a, Pair::Add, fixed)?;
    t.pair(a, Pair::Mul, f)
}

/// A guest at a site sees what the routes leave, refills what they make absent, and the gradients of its
/// neighbours are right: the same thing said with the stop-gradient formula and the guest's operations.
#[test]
fn guests_at_sites_stand_behind_the_routes() {
    for (name, shape) in SHAPES {
        for which in 0..4 {
            let (net, own) = with_own(shape, if which == 1 { MLP } else { D });
            let site = [net.z, net.post, net.embed, net.resid][which];
            assert_eq!(net.layout.get(own).cols, cols(&net, site));
            let batch = Batch::new("guests", 2);
            let guest = by(move |t, x| mixing(t, x, own));
            for route in ROUTES {
                // Updates are about owned weights alone, which the formula does not know.
                let route = Route { update: 1.0, ..route };
                let region = net.region(&[net.z, net.post, site]);
                let hook = |t: &mut Tape<'_>, at: SiteId, a: Var| {
                    let a = if region.names(at.0) { routed(t, &net, at, route, a)? } else { a };
                    if at == site { mixing(t, a, own) } else { Ok(a) }
                };
                let want = net.run(&Plan::plain(&net.layout), uniform(10), &batch, Some(&hook));
                let plan = with(net.plan(&region, &forget(route)), Door::Site(site), &guest);
                let got = net.run(&plan, uniform(10), &batch, None);
                close(&format!("{name}, {}, {route:?}", net.layout.sites()[site.0].name), &got, &want);
                assert!(got.grad(&net.layout, own).iter().any(|g| *g != 0.0));
            }
        }
    }
}

/// The matrices of the block and what reads or feeds them.
const MATRICES: [&str; 4] = ["qkv", "proj", "up", "down"];

/// A network with a low-rank pair beside one of its matrices, and one with their product in that matrix.
fn beside(shape: Shape, name: &str) -> (Net, Net, [ParamId; 2]) {
    let (mut net, mut out) = (Net::new(shape), Net::new(shape));
    let (p, rank) = (net.p(name), 3);
    let (rows, cols) = (net.layout.get(p).rows, net.layout.get(p).cols);
    let a = net.layout.tensor("a", rows, rank).add();
    let b = net.layout.tensor("b", rank, cols).add();
    net.params.extend(normals("beside", rank * (rows + cols)).iter().map(|x| 0.3 * x));
    let (av, bv) =
        (net.params[net.layout.get(a).span()].to_vec(), net.params[net.layout.get(b).span()].to_vec());
    let start = out.layout.get(p).offset;
    for i in 0..rows {
        for j in 0..cols {
            out.params[start + i * cols + j] +=
                (0..rank).map(|r| av[i * rank + r] * bv[r * cols + j]).sum::<f32>();
        }
    }
    (net, out, [a, b])
}

/// `x W + (x A) B`. Written as linear maps without owners: they skip nothing.
fn low_rank(t: &mut Tape<'_>, w: ParamId, [a, b]: [ParamId; 2], x: Var) -> Result<Var, EngineError> {
    let y = t.product(x, w)?;
    let h = t.linear(x, LinearSpec::new(a))?;
    t.linear(h, LinearSpec { residual: Some(y), open: true, ..LinearSpec::new(b) })
}

/// A guest at a weight against the merged matrix, whose gradient is that of the host's and, by the chain
/// rule, that of both factors.
#[test]
fn guests_at_weights_stand_for_the_product() {
    for (name, shape) in SHAPES {
        for matrix in MATRICES {
            let (net, merged, [a, b]) = beside(shape, matrix);
            let p = net.p(matrix);
            let batch = Batch::new("weights", 2);
            let guest = by(move |t, x| low_rank(t, p, [a, b], x));
            let region = net.region(&[net.z, net.post]);
            for route in ROUTES {
                let route = Route { update: 1.0, ..route };
                let plan = with(net.plan(&region, &forget(route)), Door::Weight(p), &guest);
                let got = net.run(&plan, uniform(10), &batch, None);
                let want = merged.run(&merged.plan(&region, &forget(route)), uniform(10), &batch, None);
                let what = format!("{name}, {matrix}, {route:?}");
                let host = merged.layout.len();
                let cut = Pass { grads: got.grads[..host].to_vec(), ..got.clone() };
                close(&what, &cut, &want);
                // dA = dW Bᵀ, dB = Aᵀ dW.
                let t = net.layout.get(p);
                let dw = &want.grads[merged.layout.get(p).span()];
                let (av, bv) = (&net.params[net.layout.get(a).span()], &net.params[net.layout.get(b).span()]);
                let sum =
                    |n: usize, f: &dyn Fn(usize) -> f32| (0..n).map(|i| f64::from(f(i))).sum::<f64>() as f32;
                let da: Vec<f32> = (0..t.rows * 3)
                    .map(|i| sum(t.cols, &|j| dw[i / 3 * t.cols + j] * bv[i % 3 * t.cols + j]))
                    .collect();
                let db: Vec<f32> = (0..3 * t.cols)
                    .map(|j| sum(t.rows, &|i| av[i * 3 + j / t.cols] * dw[i * t.cols + j % t.cols]))
                    .collect();
                assert_close(&format!("{what}, A"), got.grad(&net.layout, a), &da, 1e-3, 1e-5);
                assert_close(&format!("{what}, B"), got.grad(&net.layout, b), &db, 1e-3, 1e-5);
            }
        }
    }
}

/// A guest may multiply another variable, also where a route made the input absent: a shift of what `down`
/// or `proj` reads is a shift behind the routes at the site that it reads.
#[test]
fn a_guest_may_multiply_something_else() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("else", 2);
        for (matrix, site) in [("down", net.post), ("proj", net.z)] {
            let p = net.p(matrix);
            let guest = by(move |t, x| {
                let x = t.map(x, Function::Shift(0.5));
                t.product(x, p)
            });
            for route in ROUTES {
                let route = Route { update: 1.0, ..route };
                let region = net.region(&[net.z, net.post]);
                let hook = |t: &mut Tape<'_>, at: SiteId, a: Var| {
                    let a = if region.names(at.0) { routed(t, &net, at, route, a)? } else { a };
                    Ok(if at == site { t.map(a, Function::Shift(0.5)) } else { a })
                };
                let want = net.run(&Plan::plain(&net.layout), uniform(10), &batch, Some(&hook));
                let plan = with(net.plan(&region, &forget(route)), Door::Weight(p), &guest);
                close(
                    &format!("{name}, {matrix}, {route:?}"),
                    &net.run(&plan, uniform(10), &batch, None),
                    &want,
                );
            }
        }
    }
}

/// With backward and update 1, what a network with guests and routes computes is a function, and its
/// gradients are the differences: at every door, its own and its neighbours'.
#[test]
fn finite_differences_with_guests_and_routes() {
    for (name, shape) in SHAPES {
        for which in 0..4 {
            let (net, own) = with_own(shape, if which == 1 { MLP } else { D });
            let site = [net.z, net.post, net.embed, net.resid][which];
            let (up, down) = (net.p("up"), net.p("down"));
            let at_site = by(move |t, x| mixing(t, x, own));
            let shifted = by(move |t, x| {
                let h = t.map(x, Function::Shift(0.3));
                let y = t.product(h, down)?;
                Ok(t.map(y, Function::Tanh))
            });
            let scaled = by(move |t, x| {
                let y = t.product(x, up)?;
                Ok(t.map(y, Function::Scale(0.7)))
            });
            for forward in [0.0, 0.5] {
                let region = net.region(&[net.z, net.post, site]);
                let mut plan = net.plan(&region, &forget(Route::new(forward, 1.0, 1.0)));
                plan = with(plan, Door::Site(site), &at_site);
                plan = with(plan, Door::Weight(down), &shifted);
                plan = with(plan, Door::Weight(up), &scaled);
                check_net(&format!("{name}, door {which}, forward {forward}"), &net, &plan, uniform(10));
            }
        }
    }
}

/// Guests that do nothing change no bit, whatever the routes.
#[test]
fn a_guest_that_passes_on_changes_nothing() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("nothing", 2);
        let same = by(|_, x| Ok(x));
        for route in ROUTES {
            let region = net.region(&[net.z, net.post]);
            let plan = net.plan(&region, &forget(route));
            let want = net.run(&plan, uniform(10), &batch, None);
            let all = [net.z, net.post, net.embed, net.resid].into_iter();
            let plan = all.fold(plan.clone(), |plan, site| with(plan, Door::Site(site), &same));
            let got = net.run(&plan, uniform(10), &batch, None);
            assert_same(name, &got.out, &want.out);
            assert_same(name, &got.grads, &want.grads);
            assert_eq!(plan.without_guests(), net.plan(&region, &forget(route)));
        }
    }
}

/// One matrix, one site, and what stands there.
fn small() -> (Layout, [ParamId; 3], SiteId, Vec<f32>) {
    let mut layout = Layout::default();
    let site = layout.site("out", 4);
    let x = layout.tensor("x", 3, 5).add();
    let w = layout.tensor("w", 5, 4).cols_owned(Owner::units(site, 4)).add();
    let b = layout.tensor("b", 1, 4).cols_owned(Owner::units(site, 4)).add();
    let params = normals("small", layout.len());
    (layout, [x, w, b], site, params)
}

/// A later guest sees what the earlier ones answered, at a site and at a weight.
#[test]
fn guests_are_asked_in_their_order() {
    let (layout, [x, w, b], site, params) = small();
    let forward = |t: &mut Tape<'_>| {
        let v = t.leaf(x);
        t.linear(v, LinearSpec { bias: Some(b), site: Some(site), ..LinearSpec::new(w) })
    };
    let plain = Plan::plain(&layout);
    let out = pass(&layout, &params, &plain, uniform(3), None, &forward).out;
    let bias = &params[layout.get(b).span()];
    let of = |f: &dyn Fn(f32) -> f32, g: &dyn Fn(f32) -> f32| -> Vec<f32> {
        out.iter().enumerate().map(|(i, y)| g(f(y - bias[i % 4]) + bias[i % 4])).collect()
    };
    let double = |t: &mut Tape<'_>, y: Var| t.map(y, Function::Scale(2.0));
    let more = |t: &mut Tape<'_>, y: Var| t.map(y, Function::Shift(1.0));
    let at_site = [by(move |t, y| Ok(double(t, y))), by(move |t, y| Ok(more(t, y)))];
    let at_weight = [
        by(move |t, v| {
            let y = t.product(v, w)?;
            Ok(double(t, y))
        }),
        by(move |t, v| {
            // The same as `product`: a guest that asks for its own matrix asks those before it.
            let y = t.linear(v, LinearSpec::new(w))?;
            Ok(more(t, y))
        }),
    ];
    let same = |y: f32| y;
    let both = |y: f32| 2.0 * y + 1.0;
    let other = |y: f32| 2.0 * (y + 1.0);
    for (guests, door, want, swapped) in [
        (&at_site, Door::Site(site), of(&same, &both), of(&same, &other)),
        (&at_weight, Door::Weight(w), of(&both, &same), of(&other, &same)),
    ] {
        let plan = with(with(plain.clone(), door, &guests[0]), door, &guests[1]);
        assert_close(
            "order",
            &pass(&layout, &params, &plan, uniform(3), None, &forward).out,
            &want,
            1e-5,
            1e-5,
        );
        check("order", &layout, &params, &plan, uniform(3), &forward);
        let plan = with(with(plain.clone(), door, &guests[1]), door, &guests[0]);
        assert_close(
            "order",
            &pass(&layout, &params, &plan, uniform(3), None, &forward).out,
            &swapped,
            1e-5,
            1e-5,
        );
    }
}

/// Routes, interventions, additions, guests: in this order. What is watched is what downstream sees.
#[test]
fn a_guest_sees_interventions_and_additions_and_its_answer_is_what_leaves() {
    let (layout, [x, w, b], site, params) = small();
    let forward = |t: &mut Tape<'_>| {
        let v = t.leaf(x);
        t.linear(v, LinearSpec { bias: Some(b), act: Act::Relu, site: Some(site), ..LinearSpec::new(w) })
    };
    let out = pass(&layout, &params, &Plan::plain(&layout), uniform(3), None, &forward).out;
    let guest = by(|t, y| Ok(t.map(y, Function::Scale(3.0))));
    let edit = SiteEdit { site, cols: 1..2, edit: Edit::Set(vec![0.5]) };
    let added = normals("added", 12);
    let functional = normals("functional", 12);
    let mut region = Selection::default();
    region.add(site.0, [0..1]);
    let routed = Plan::new(&layout, &LabelSet::default(), &[region], &forget(Route::new(0.0, 1.0, 1.0)));
    for plan in [Plan::plain(&layout), routed.expect("a plan")] {
        let absent = !plan.site(site).is_empty();
        let plan = with(plan.with_edit(edit.clone()).expect("an edit"), Door::Site(site), &guest);
        for trained in [true, false] {
            let plan = plan.clone().train_only(|_| trained);
            let mut ws = lobe_engine::Workspace::default();
            let mut moved = vec![0.0; plan.gradients().len()];
            let mut tape = Tape::new(&mut ws, &layout, &params, Some(&mut moved), &plan, uniform(3));
            tape.inject(site, &added);
            tape.watch(site);
            let y = forward(&mut tape).expect("a pass");
            assert_eq!(tape.at_site(site), Some(y));
            let want: Vec<f32> = (0..12)
                .map(|i| {
                    let routed = if absent && i % 4 == 0 { 0.0 } else { out[i] };
                    3.0 * (if i % 4 == 1 { 0.5 } else { routed } + added[i])
                })
                .collect();
            assert_close("value", tape.value(y), &want, 1e-5, 1e-5);
            tape.seed_grad(y, &functional).expect("a gradient");
            tape.backward(0).expect("a backward pass");
            assert_same("watched", tape.watched(site).expect("a gradient"), &functional);
            let mut grads = vec![0.0; layout.len()];
            plan.gradients().spread(&mut grads, &moved);
            for (c, g) in grads[layout.get(b).span()].iter().enumerate() {
                let passes = |r: &usize| c != 1 && !(absent && c == 0) && out[r * 4 + c] > 0.0;
                let want: f32 = (0..3).filter(passes).map(|r| 3.0 * functional[r * 4 + c]).sum();
                let want = if trained { want } else { 0.0 };
                assert!((g - want).abs() < 1e-5, "{c}: {g} instead of {want}");
            }
        }
    }
}

/// A guest may answer with what left a site of its own.
#[test]
fn an_answer_may_leave_another_site() {
    let (mut layout, [x, w, b], site, _) = small();
    let inner = layout.site("own", 4);
    let m = layout.tensor("m", 4, 4).cols_owned(Owner::units(inner, 4)).add();
    let params = normals("inner", layout.len());
    let guest = by(move |t, y| t.linear(y, LinearSpec { site: Some(inner), ..LinearSpec::new(m) }));
    let plan = with(Plan::plain(&layout), Door::Site(site), &guest);
    let forward = |t: &mut Tape<'_>| {
        let v = t.leaf(x);
        t.linear(v, LinearSpec { bias: Some(b), site: Some(site), ..LinearSpec::new(w) })
    };
    let mut ws = lobe_engine::Workspace::default();
    let mut grads = vec![0.0; layout.len()];
    let mut tape = Tape::new(&mut ws, &layout, &params, Some(&mut grads), &plan, uniform(3));
    for s in [site, inner] {
        tape.watch(s);
    }
    let y = forward(&mut tape).expect("a pass");
    let own = tape.at_site(inner).expect("the guest's site");
    assert_eq!(tape.at_site(site), Some(y));
    assert_ne!(own, y);
    assert_same("the same values", tape.value(own), tape.value(y));
    let functional = normals("leaves", 12);
    tape.seed_grad(y, &functional).expect("a gradient");
    tape.backward(0).expect("a backward pass");
    for s in [site, inner] {
        assert_same("watched", tape.watched(s).expect("a gradient"), &functional);
    }
    check("a site of its own", &layout, &params, &plan, uniform(3), &forward);
}

/// A penalty that reads a code before its site reads it, too, where a guest made the product.
#[test]
fn an_open_product_skips_nothing() {
    let (layout, [x, w, b], site, params) = small();
    let mut region = Selection::default();
    region.add(site.0, [1..3]);
    let plan = Plan::new(&layout, &LabelSet::default(), &[region], &forget(Route::new(0.0, 0.0, 1.0)))
        .expect("a plan");
    let guest = by(move |t, v| {
        let y = t.product(v, w)?;
        Ok(t.map(y, Function::Scale(1.0)))
    });
    let forward = |t: &mut Tape<'_>| {
        let v = t.leaf(x);
        let code = t.linear(v, LinearSpec { bias: Some(b), open: true, ..LinearSpec::new(w) })?;
        t.l1(code, RowWeights::One(0.5))?;
        t.site(code, site)
    };
    let functional = normals("open", 12);
    let want = pass(&layout, &params, &plan, uniform(3), Some(&functional), &forward);
    let got =
        pass(&layout, &params, &with(plan, Door::Weight(w), &guest), uniform(3), Some(&functional), &forward);
    close("open", &got, &want);
    assert!(got.grad(&layout, w)[1] != 0.0, "an absent column has the penalty's gradient");
}

#[test]
fn only_what_a_guest_owns_trains_when_the_host_is_frozen() {
    let (net, own) = with_own(Shape::GPT, D);
    let guest = by(move |t, x| mixing(t, x, own));
    let plain = with(Plan::plain(&net.layout), Door::Site(net.resid), &guest);
    let plan = plain.clone().train_only(|p| p == own);
    let batch = Batch::new("frozen", 2);
    let full = net.run(&plain, uniform(10), &batch, None);
    let got = net.run(&plan, uniform(10), &batch, None);
    assert_same("own", got.grad(&net.layout, own), full.grad(&net.layout, own));
    assert!(got.grads[..net.layout.get(own).offset].iter().all(|g| *g == 0.0));
    // A whole step moves it alone, and the second one takes no more memory.
    let runner = Runner::new(1).expect("a runner");
    let mut m = member(&net, plan, 2);
    let o = optimiser(ADAMW, Masked::ZeroGrad);
    let mut allocations = Vec::new();
    for step in 0..3 {
        let program = Sequences::new(&net, "frozen", &[RETAIN; 4]);
        runner.step(&net.layout, &mut [(&mut m, &program, &o)], step).expect("a step");
        allocations.push(runner.allocations());
    }
    assert_eq!(allocations[1], allocations[2]);
    let host = net.layout.get(own).offset;
    assert_same("host", &m.params[..host], &net.params[..host]);
    assert!(m.params[host..] != net.params[host..]);
    // Without its guest nobody uses the tensor, and training says so.
    let mut alone = member(&net, Plan::plain(&net.layout), 2);
    let program = Sequences::new(&net, "frozen", &[RETAIN; 4]);
    let error = runner.step(&net.layout, &mut [(&mut alone, &program, &o)], 0).expect_err("nobody uses it");
    assert!(error.to_string().contains("\"own\" received no gradient"), "{error}");
}

#[test]
fn plans_are_equal_when_the_same_guests_stand_at_the_same_doors() {
    let net = Net::new(Shape::GPT);
    let plain = Plan::plain(&net.layout);
    let (a, b) = (by(|_, x| Ok(x)), by(|_, x| Ok(x)));
    let at = |site: SiteId, guest: &Arc<dyn Guest>| with(plain.clone(), Door::Site(site), guest);
    assert_eq!(at(net.post, &a), at(net.post, &a).clone());
    assert_ne!(at(net.post, &a), at(net.post, &b));
    assert_ne!(at(net.post, &a), at(net.resid, &a));
    assert_ne!(at(net.post, &a), plain);
}

#[test]
fn what_does_not_fit_is_refused() {
    let net = Net::new(Shape::GPT);
    let plain = || Plan::plain(&net.layout);
    let same = by(|_, x| Ok(x));
    let refused = |door: Door| plain().with_guest(door, Arc::clone(&same)).expect_err("no door").to_string();
    assert_eq!(refused(Door::Site(SiteId(9))), "with_guest: site 9 is outside of 0..4");
    assert_eq!(refused(Door::Weight(ParamId(99))), "with_guest: tensor 99 is outside of 0..17");
    assert!(refused(Door::Weight(net.p("up.bias"))).contains("is a vector"));
    let batch = Batch::new("fits", 1);
    let error = |door: Door, guest: &Arc<dyn Guest>| {
        let plan = with(plain(), door, guest);
        let run = |t: &mut Tape<'_>| net.forward(t, &batch.tokens, &batch.targets, None);
        try_pass(&net.layout, &net.params, &plan, uniform(5), None, &run)
            .expect_err("does not fit")
            .to_string()
    };
    let narrow = by(|t, x| t.columns(x, 0..1));
    assert_eq!(
        error(Door::Site(net.post), &narrow),
        "guest: its answer and the site: (5, 1) against (5, 12)"
    );
    assert_eq!(
        error(Door::Weight(net.p("up")), &same),
        "guest: its answer and the product: (5, 8) against (5, 12)"
    );
    assert_eq!(error(Door::Weight(net.p("embed")), &same), "embedding: no guest can stand at \"embed\"");
    assert_eq!(error(Door::Weight(net.p("head")), &same), "cross_entropy: no guest can stand at \"head\"");
}
