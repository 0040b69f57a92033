//! What the optimiser moves: frozen and masked entries, parts of a network, tensors longer than a piece
//! of its work.

mod common;

use std::sync::Arc;

use common::steps::{ADAMW, Sequences, mask_update, member, one, optimiser};
use common::{Net, SEQ, Shape, assert_close, assert_same, dot, normals};
use lobe_core::{FORGET, JointKind, LabelId, RETAIN, Route, RouteTable, Selection, Target};
use lobe_engine::optim::{Adam, Rule, Sgd};
use lobe_engine::{
    Buf, EngineError, Layout, Masked, Member, Optimiser, Owner, ParamId, Plan, Program, Runner, Schedule,
    ShardRows, Tape, Var,
};

#[test]
fn frozen_entries_rest_and_masked_entries_drift() {
    let net = Net::new(Shape::GPT);
    let (region, plan) = mask_update(&net);
    let owned = net.owned(&region);
    let runner = Runner::new(1).expect("a runner");
    let rules: [Arc<dyn Rule>; 3] =
        [Arc::new(ADAMW), Arc::new(Adam { betas: [0.9, 0.99], eps: 1e-8 }), Arc::new(Sgd { momentum: 0.9 })];
    for rule in rules {
        let run = |masked: Masked, plan: &Plan, labels: &[LabelId], strength: Option<Vec<f32>>| {
            let o = Optimiser { rule: rule.clone(), ..optimiser(ADAMW, masked) };
            let mut m = member(&net, plan.clone(), 2);
            one(&runner, &net, &mut m, &Sequences::new(&net, "first", &[RETAIN; 2]), &o, 0).expect("a step");
            let before = m.params.to_vec();
            let moments: Vec<Vec<f32>> = m.state.slots.iter().map(|s| s.to_vec()).collect();
            for step in 1..3 {
                let mut program = Sequences::new(&net, &format!("then {step}"), labels);
                program.strength.clone_from(&strength);
                one(&runner, &net, &mut m, &program, &o, step).expect("a step");
            }
            assert!(m.gradient().iter().all(|g| *g == 0.0), "the lanes are clear");
            assert_eq!(m.state.updates, 3);
            (before, moments, m)
        };
        let (before, moments, frozen) = run(Masked::Freeze, &plan, &[FORGET; 3], None);
        let (_, _, drifting) = run(Masked::ZeroGrad, &plan, &[FORGET; 3], None);
        for (i, owned) in owned.iter().enumerate() {
            if *owned {
                assert_eq!(frozen.params[i], before[i]);
                assert_eq!(frozen.state.slots[0][i], moments[0][i]);
                if let Some(second) = moments.get(1) {
                    assert_eq!(frozen.state.slots[1][i], second[i]);
                    assert_ne!(drifting.state.slots[1][i], second[i], "the second moment decays");
                }
                assert_ne!(drifting.state.slots[0][i], moments[0][i]);
            }
            // Keys of a softmax have biases without effect: their gradient is rounding.
            if moments[0][i].abs() > 1e-4 {
                assert_ne!(drifting.params[i], before[i], "momentum goes on");
                assert!(*owned || frozen.params[i] != before[i], "the others are trained");
            }
        }
        // The others' gradients differ as soon as the region does, but their moments after one
        // masked step come from the same gradient.
        let one_step = |masked| {
            let o = Optimiser { rule: rule.clone(), ..optimiser(ADAMW, masked) };
            let mut m = member(&net, plan.clone(), 2);
            one(&runner, &net, &mut m, &Sequences::new(&net, "only", &[FORGET; 2]), &o, 0).expect("a step");
            m.params.to_vec()
        };
        let (a, b) = (one_step(Masked::Freeze), one_step(Masked::ZeroGrad));
        assert!(a.iter().zip(&b).zip(&owned).all(|((a, b), owned)| *owned || a == b));
        assert!(a.iter().zip(&net.params).zip(&owned).all(|((a, p), owned)| !owned || a == p));

        // Any shard that may update the region thaws it; so does a strength below 1.
        for (labels, strength) in [(vec![FORGET, RETAIN], None), (vec![FORGET; 2], Some(vec![0.5; 2 * SEQ]))]
        {
            let (before, _, thawed) = run(Masked::Freeze, &plan, &labels, strength.clone());
            let (_, _, same) = run(Masked::ZeroGrad, &plan, &labels, strength);
            let moved =
                thawed.params.iter().zip(&before).zip(&owned).filter(|((a, b), o)| **o && a != b).count();
            assert!(moved * 10 > 9 * owned.iter().filter(|o| **o).count());
            assert_same("nothing is masked", &thawed.params, &same.params);
        }
    }
    // What no unit owns is frozen by its kind, everything outside of a region by `Elsewhere`.
    for target in [Target::Elsewhere].into_iter().chain(JointKind::ALL.map(Target::Joint)) {
        let table = RouteTable::plain().with(FORGET, target, Route::new(1.0, 1.0, 0.0));
        let plan = net.plan(&region, &table);
        let mut rest = net.region(&[net.z, net.post]);
        rest = rest.complement(net.layout.sites());
        let elsewhere = net.owned(&rest);
        let mut m = member(&net, plan, 2);
        let o = optimiser(ADAMW, Masked::Freeze);
        one(&runner, &net, &mut m, &Sequences::new(&net, "thaw", &[RETAIN]), &o, 0).expect("a step");
        let before = m.params.to_vec();
        one(&runner, &net, &mut m, &Sequences::new(&net, "freeze", &[FORGET]), &o, 1).expect("a step");
        for t in net.layout.tensors() {
            let joint = t.joint.map(Target::Joint) == Some(target);
            for i in t.span() {
                let frozen = joint || (target == Target::Elsewhere && elsewhere[i]);
                assert!(!frozen || m.params[i] == before[i], "{target:?}: {}", t.name);
                let moving = !frozen && m.state.slots[0][i].abs() > 1e-4;
                assert!(!moving || m.params[i] != before[i], "{target:?}: {}", t.name);
            }
        }
    }
    // Labels row by row: frozen when every one of them says so.
    for (row, thawed) in [(FORGET, false), (RETAIN, true)] {
        let mut m = member(&net, plan.clone(), 2);
        let mut program = Sequences::new(&net, "each", &[RETAIN; 3]);
        let mut each = vec![FORGET; 2 * SEQ];
        each[1] = row;
        program.each = Some(each);
        one(&runner, &net, &mut m, &program, &optimiser(ADAMW, Masked::Freeze), 0).expect("a step");
        let moved = owned.iter().enumerate().filter(|(i, o)| **o && m.params[*i] != net.params[*i]).count();
        assert_eq!(moved > 0, thawed);
    }
    // Zero gradients alone: weight decay moves masked matrices from the first step on.
    let o = Optimiser { schedule: Schedule::constant(0.1), ..optimiser(ADAMW, Masked::ZeroGrad) };
    let mut m = member(&net, plan, 1);
    one(&runner, &net, &mut m, &Sequences::new(&net, "decay", &[FORGET]), &o, 0).expect("a step");
    for t in net.layout.tensors() {
        for i in t.span().filter(|i| owned[*i]) {
            let want = if t.matrix { net.params[i] * (1.0 - 0.1 * 0.1) } else { net.params[i] };
            assert_eq!(m.params[i], want, "{}", t.name);
        }
    }
}

#[test]
fn only_what_is_trained_moves() {
    for shape in [Shape::GPT, Shape { tied: true, ..Shape::GPT }] {
        let net = Net::new(shape);
        let runner = Runner::new(1).expect("a runner");
        let o = optimiser(ADAMW, Masked::ZeroGrad);
        let program = Sequences::new(&net, "only", &[RETAIN, FORGET]);
        let mut whole = member(&net, Plan::plain(&net.layout), 2);
        runner.gradients(&net.layout, &mut whole, &program).expect("gradients");
        let want = whole.gradient();
        for (i, t) in net.layout.tensors().iter().enumerate() {
            let plan = Plan::plain(&net.layout).train_only(|p| p.0 == i);
            let mut m = member(&net, plan, 2);
            runner.gradients(&net.layout, &mut m, &program).expect("gradients");
            let got = m.gradient();
            assert_same(&t.name, &got[t.span()], &want[t.span()]);
            m.clear();
            one(&runner, &net, &mut m, &program, &o, 0).expect("a step");
            for j in 0..net.layout.len() {
                let inside = t.span().contains(&j);
                assert!(inside || (got[j] == 0.0 && m.params[j] == net.params[j]), "{} alone", t.name);
                assert!(!inside || got[j] == 0.0 || m.params[j] != net.params[j]);
            }
        }
    }
}

/// Tensors longer than a piece of the optimiser's work, with frozen columns, lanes and clipping.
#[test]
fn long_tensors_are_updated_once_each() {
    struct Fixed<'a>(&'a [f32], usize);
    impl Program for Fixed<'_> {
        fn shards(&self) -> usize {
            self.1
        }
        fn rows(&self, _: usize) -> ShardRows<'_> {
            ShardRows::uniform(1, FORGET)
        }
        fn forward(&self, _: usize, t: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
            let mut at = 0;
            for p in 0..t.layout().tensors().len() {
                let v = t.leaf(ParamId(p));
                let len = t.value(v).len();
                t.seed_grad(v, &self.0[at..at + len])?;
                at += len;
            }
            Ok(None)
        }
    }
    let mut layout = Layout::default();
    let site = layout.site("post", 9001);
    layout.tensor("rows", 9001, 2).rows_owned(Owner::units(site, 9001)).add();
    layout.tensor("cols", 3, 9001).cols_owned(Owner::units(site, 9001)).add();
    layout.tensor("vector", 1, 20_000).add();
    let mut region = Selection::default();
    region.add(site.0, [5..4000, 4001..8999]);
    let owned = {
        let mut o = vec![false; layout.len()];
        layout.for_owned(&region, |_, r| o[r].fill(true));
        o
    };
    let table = RouteTable::plain().with(FORGET, Target::Region(0), Route::new(1.0, 1.0, 0.0));
    let plan = Plan::new(&layout, &lobe_core::LabelSet::default(), &[region], &table).expect("a plan");
    let (params, g) = (normals("long", layout.len()), normals("long gradient", layout.len()));
    for (clip, threads, shards) in [(None, 1, 1), (Some(1.0), 3, 4), (Some(1e9), 2, 5)] {
        let o = Optimiser {
            weight_decay: 0.01,
            clip,
            masked: Masked::Freeze,
            ..Optimiser::new(Sgd { momentum: 0.0 }, Schedule::constant(0.5))
        };
        let runner = Runner::new(threads).expect("a runner");
        let mut m = Member::new(Buf::from_slice(&params), plan.clone(), 3).expect("a member");
        let program = Fixed(&g, shards);
        let report = runner.step(&layout, &mut [(&mut m, &program as &dyn Program, &o)], 0).expect("a step");
        let free: Vec<f32> =
            g.iter().zip(&owned).map(|(g, o)| if *o { 0.0 } else { g * shards as f32 }).collect();
        let norm = dot(&free, &free).sqrt();
        assert_eq!(report[0].grad_norm.is_some(), clip.is_some());
        assert!(report[0].grad_norm.is_none_or(|n| (f64::from(n) / norm - 1.0).abs() < 1e-5));
        let shrink = clip.map_or(1.0, |c| (f64::from(c) / norm).min(1.0)) as f32;
        let step = |i: usize| params[i] - 0.5 * (free[i] * shrink + 0.01 * params[i]);
        let want: Vec<f32> = (0..params.len()).map(|i| if owned[i] { params[i] } else { step(i) }).collect();
        assert_close(&format!("{clip:?}"), &m.params, &want, 1e-5, 1e-6);
        assert!(m.gradient().iter().all(|g| *g == 0.0));
    }
}

#[test]
fn decay_can_leave_norms_biases_and_embeddings_alone() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(1).expect("a runner");
    let settled = |matrices_only: bool| {
        let mut o = optimiser(Sgd { momentum: 0.0 }, Masked::ZeroGrad);
        (o.schedule, o.weight_decay, o.decay_matrices_only) = (Schedule::constant(0.5), 0.1, matrices_only);
        let plain = Optimiser { weight_decay: 0.0, ..o.clone() };
        let step = |o: &Optimiser| {
            let mut m = member(&net, Plan::plain(&net.layout), 1);
            one(&runner, &net, &mut m, &Sequences::new(&net, "leaves", &[RETAIN]), o, 0).expect("a step");
            m.params.to_vec()
        };
        (step(&o), step(&plain))
    };
    for matrices_only in [false, true] {
        let (with, without) = settled(matrices_only);
        for t in net.layout.tensors() {
            let moves = t.span().any(|i| net.params[i] != 0.0 && with[i] != without[i]);
            let embedding = t.joint == Some(JointKind::Embedding);
            let alone = matrices_only && (!t.matrix || embedding);
            // A tensor of zeros does not shrink.
            let zero = t.span().all(|i| net.params[i] == 0.0);
            assert_eq!(moves, !alone && !zero, "{}, matrices alone: {matrices_only}", t.name);
        }
    }
}
