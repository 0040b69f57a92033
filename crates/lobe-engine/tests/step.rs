//! Steps: the same bits for any number of threads and neighbours, errors that name the place,
//! and objectives over the whole batch.

mod common;

use common::steps::{ADAMW, Sequences, mask_update, member, one, optimiser};
use common::{Batch, Net, SEQ, Shape, VOCAB, assert_close, assert_same, dot, normals};
use lobe_core::{FORGET, LabelId, RETAIN, Route, RouteTable, Selection, Target};
use lobe_engine::ops::head::RowWeights;
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::ops::penalty::correlation;
use lobe_engine::optim::Sgd;
use lobe_engine::{
    Buf, Coupling, EngineError, Layout, Masked, Member, Optimiser, Owner, ParamId, Plan, Program, Runner,
    ShardRows, Tape, Var,
};

#[test]
fn results_do_not_depend_on_threads_or_neighbours() {
    let (plain, grouped) =
        (Net::new(Shape::GPT), Net::new(Shape { tied: false, act: Act::Relu, ..Shape::GPT }));
    let labels: Vec<LabelId> = (0..7).map(|i| [FORGET, RETAIN][i % 2]).collect();
    let clipped = Optimiser { clip: Some(0.5), ..optimiser(ADAMW, Masked::Freeze) };
    let sgd = optimiser(Sgd { momentum: 0.9 }, Masked::ZeroGrad);
    // Members that differ in plan, optimiser and data, over one layout.
    let run = |threads: usize, which: &[usize]| -> Vec<(Vec<f32>, Vec<f32>, String)> {
        let runner = Runner::new(threads).expect("a runner");
        assert_eq!(runner.threads(), threads);
        let nets = [&plain, &grouped, &plain];
        let mut members: Vec<Member> = which
            .iter()
            .map(|i| match i {
                0 => member(nets[0], mask_update(nets[0]).1, 3),
                1 => member(nets[1], Plan::plain(&nets[1].layout), 4),
                _ => member(nets[2], Plan::plain(&nets[2].layout), 2),
            })
            .collect();
        let mut reports = vec![String::new(); which.len()];
        for step in 0..4 {
            let programs: Vec<Sequences<'_>> = which
                .iter()
                .map(|i| Sequences::new(nets[*i], &format!("{step} {}", i / 2), &labels))
                .collect();
            let mut jobs: Vec<(&mut Member, &dyn Program, &Optimiser)> = members
                .iter_mut()
                .zip(&programs)
                .zip(which)
                .map(|((m, p), i)| (m, p as &dyn Program, if *i == 2 { &sgd } else { &clipped }))
                .collect();
            let got = runner.step(&plain.layout, &mut jobs, step).expect("the step succeeds");
            reports.iter_mut().zip(got).for_each(|(r, g)| r.push_str(&format!("{g:?}\n")));
        }
        let parts = members.iter().zip(reports);
        parts.map(|(m, r)| (m.params.to_vec(), m.state.slots[0].to_vec(), r)).collect()
    };
    let alone: Vec<_> = (0..3).map(|i| run(1, &[i]).remove(0)).collect();
    assert!(alone[0].0 != plain.params && alone[0].2.contains("grad_norm: Some"));
    for threads in [1, 2, 3] {
        for which in [&[0][..], &[1], &[0, 1, 2], &[2, 1, 0, 1]] {
            for (i, got) in which.iter().zip(run(threads, which)) {
                assert_same("parameters", &got.0, &alone[*i].0);
                assert_same("moments", &got.1, &alone[*i].1);
                assert_eq!(got.2, alone[*i].2, "reports");
            }
        }
    }
}

#[test]
fn lanes_change_the_order_of_a_sum_only() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(2).expect("a runner");
    for shards in [1, 2, 5, 9] {
        let program = Sequences::new(&net, "lanes", &vec![RETAIN; shards]);
        let run = |lanes| {
            let mut m = member(&net, Plan::plain(&net.layout), lanes);
            let report = runner.gradients(&net.layout, &mut m, &program).expect("gradients");
            assert_eq!(m.state.updates, 0);
            assert_same("no update was made", &m.params, &net.params);
            let gradient = m.gradient();
            m.clear();
            assert!(m.gradient().iter().all(|g| *g == 0.0));
            (gradient, report)
        };
        let (want, report) = run(1);
        let rows: usize = program.shards.iter().map(|s| s.0.rows()).sum();
        assert_eq!(report.records[RETAIN.index()].1, rows as f64);
        assert!((report.records[RETAIN.index()].0 / report.objective - 1.0).abs() < 1e-9);
        for lanes in [2, 3, 8] {
            let (got, again) = run(lanes);
            assert_close(&format!("{shards} shards, {lanes} lanes"), &got, &want, 1e-5, 1e-5);
            assert!((again.objective / report.objective - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn a_batch_without_shards_is_left_out() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(1).expect("a runner");
    let o = optimiser(ADAMW, Masked::ZeroGrad);
    let mut m = member(&net, Plan::plain(&net.layout), 2);
    let full = Sequences::new(&net, "full", &[RETAIN]);
    one(&runner, &net, &mut m, &full, &o, 0).expect("a step");
    let before = (m.params.to_vec(), m.state.slots[0].to_vec());
    one(&runner, &net, &mut m, &Sequences::new(&net, "empty", &[]), &o, 1).expect("nothing to do");
    assert_same("parameters", &m.params, &before.0);
    assert_same("moments", &m.state.slots[0], &before.1);
    assert_eq!(m.state.updates, 1, "the bias correction counts updates, not steps");
}

#[test]
fn a_non_finite_loss_names_its_place_and_leaves_nothing_behind() {
    let runner = Runner::new(2).expect("a runner");
    let o = optimiser(ADAMW, Masked::ZeroGrad);
    let shapes = [Act::Identity, Act::Relu, Act::Gelu, Act::GeluTanh, Act::Silu]
        .map(|act| Shape { act, ..Shape::GPT });
    for shape in shapes.into_iter().chain([Shape { gated: true, ..Shape::GPT }]) {
        let net = Net::new(shape);
        let place = |spoil: &dyn Fn(&Net, &mut [f32])| {
            let mut m = member(&net, Plan::plain(&net.layout), 3);
            spoil(&net, &mut m.params);
            // Token 0 stands in shard 4 alone.
            let mut program = Sequences::new(&net, "finite", &[RETAIN; 6]);
            for (i, (batch, _)) in program.shards.iter_mut().enumerate() {
                batch.tokens.iter_mut().for_each(|t| *t = (*t).max(1));
                batch.tokens[2] = u32::from(i != 4);
            }
            let before = m.params.to_vec();
            let error = one(&runner, &net, &mut m, &program, &o, 0).expect_err("the loss is not finite");
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&m.params), bits(&before), "nothing moved");
            assert!(m.gradient().iter().all(|g| *g == 0.0), "no gradient stayed");
            assert_eq!(m.state.updates, 0);
            error.to_string()
        };
        let set = |name: &'static str, at: std::ops::Range<usize>, x: f32| {
            move |net: &Net, p: &mut [f32]| p[net.layout.get(net.p(name)).span()][at.clone()].fill(x)
        };
        let says =
            |place: &str, shard: usize| format!("non-finite loss: first seen in {place}, shard {shard}");
        assert_eq!(place(&set("embed", 0..1, f32::NAN)), says("embedding at embed", 4));
        assert_eq!(place(&set("qkv.bias", 0..1, f32::NAN)), says("linear", 0));
        assert_eq!(place(&set("qkv.bias", 0..16, 1e30)), says("attention at attn.z", 0));
        assert_eq!(place(&set("ln2.gain", 0..1, f32::NAN)), says("norm", 0));
        if shape.gated {
            assert_eq!(place(&set("up.bias", 0..24, 1e30)), says("gated at mlp.post", 0));
        } else {
            assert_eq!(place(&set("up.bias", 0..1, f32::NAN)), says("linear at mlp.post", 0));
        }
        assert_eq!(place(&set("down.bias", 0..1, f32::NAN)), says("linear at resid_post", 0));
        assert_eq!(place(&set("head.bias", 0..1, f32::NAN)), says("cross entropy", 0));
    }
}

/// A network with tensors that nothing reads.
struct Partial<'a> {
    read: &'a [ParamId],
}

impl Program for Partial<'_> {
    fn shards(&self) -> usize {
        1
    }
    fn rows(&self, _: usize) -> ShardRows<'_> {
        ShardRows::uniform(1, FORGET)
    }
    fn forward(&self, _: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        for p in self.read {
            let v = tape.leaf(*p);
            tape.l1(v, RowWeights::One(1.0))?;
        }
        Ok(None)
    }
}

#[test]
fn a_parameter_without_gradient_is_named() {
    let mut layout = Layout::default();
    let site = layout.site("post", 2);
    let a = layout.tensor("a", 2, 2).rows_owned(Owner::units(site, 2)).add();
    let b = layout.tensor("forgotten", 1, 3).add();
    let runner = Runner::new(1).expect("a runner");
    let o = optimiser(ADAMW, Masked::ZeroGrad);
    let plain = Plan::plain(&layout);
    let new = |plan: Plan| {
        let params = Buf::from_slice(&normals("partial", layout.len()));
        Member::new(params, plan, 1).expect("a member")
    };
    let step = |m: &mut Member, read: &[ParamId]| {
        let program = Partial { read };
        runner.step(&layout, &mut [(m, &program as &dyn Program, &o)], 0).map(|_| ())
    };
    let mut m = new(plain.clone());
    let error = step(&mut m, &[a]).expect_err("nothing reads it");
    assert_eq!(
        error.to_string(),
        "parameter \"forgotten\" received no gradient; nothing in the network uses it"
    );
    assert!(m.gradient().iter().all(|g| *g == 0.0) && m.state.updates == 0);
    // Declared: by not training it, or by a route that updates nothing.
    step(&mut new(plain.clone().train_only(|p| p == a)), &[a]).expect("only a is trained");
    let mut all = Selection::default();
    all.add(site.0, std::iter::once(0..2));
    let table = RouteTable::plain().with(FORGET, Target::Region(0), Route::ABSENT);
    let routed = Plan::new(&layout, &lobe_core::LabelSet::default(), &[all], &table).expect("a plan");
    step(&mut new(routed), &[a, b]).expect("the route says so");
    // Another plan is checked anew, and its pieces are cut anew.
    let mut m = new(plain.clone().train_only(|p| p == a));
    step(&mut m, &[a]).expect("a alone");
    m.plan = plain.clone().train_only(|p| p == b);
    let before = m.params.to_vec();
    step(&mut m, &[a, b]).expect("b alone");
    assert_same("a rests", &m.params[..4], &before[..4]);
    assert!(m.params[4..].iter().zip(&before[4..]).all(|(x, y)| x != y), "b moves");
    // What another plan touched says nothing about this one.
    let mut twice = new(plain.clone());
    step(&mut twice, &[a, b]).expect("both are read");
    twice.plan = plain.clone().train_only(|p| p == a);
    assert_eq!(step(&mut twice, &[b]), Err(EngineError::NoGradient { name: "a".into() }));
    m.plan = plain;
    let mut fresh = new(Plan::plain(&layout));
    assert_eq!(step(&mut fresh, &[b]), Err(EngineError::NoGradient { name: "a".into() }));
    step(&mut m, &[a, b]).expect("both");
    assert!(m.params.iter().zip(&before).all(|(x, y)| x != y));
}

/// z = silu(x W + b) with a correlation penalty over all rows and a loss of its own per shard.
struct Coupled<'a> {
    x: &'a [f32],
    cuts: &'a [usize],
    couple: Box<Coupling<'a>>,
    labels: LabelId,
}

const WIDTH: usize = 6;

impl Program for Coupled<'_> {
    fn shards(&self) -> usize {
        self.cuts.len() - 1
    }
    fn rows(&self, s: usize) -> ShardRows<'_> {
        ShardRows::uniform(self.cuts[s + 1] - self.cuts[s], self.labels)
    }
    fn forward(&self, s: usize, t: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        let rows = self.cuts[s]..self.cuts[s + 1];
        let x = t.input(rows.len(), 4, |v| v.copy_from_slice(&self.x[rows.start * 4..rows.end * 4]));
        let spec = LinearSpec { bias: Some(ParamId(1)), act: Act::Silu, ..LinearSpec::new(ParamId(0)) };
        let z = t.linear(x, spec)?;
        let target = vec![0.1; rows.len() * WIDTH];
        t.distance(z, &target, lobe_engine::ops::distance::Distance::Squared, RowWeights::One(0.05))?;
        Ok(Some(z))
    }
    fn coupling(&self) -> Option<&Coupling<'_>> {
        Some(&*self.couple)
    }
}

#[test]
fn an_objective_over_the_batch_does_not_depend_on_shards() {
    let mut layout = Layout::default();
    layout.tensor("w", 4, WIDTH).add();
    layout.tensor("b", 1, WIDTH).add();
    let params = normals("coupled", layout.len());
    let x = normals("coupled x", 16 * 4);
    let run = |params: &[f32], cuts: &[usize], lanes: usize, threads: usize| {
        let couple = Box::new(|z: &[f32], cols: usize, g: &mut [f32]| {
            assert_eq!((z.len(), cols), (16 * WIDTH, WIDTH));
            correlation(z, cols, 0..2, 2..WIDTH, 2.0, g).map(|c| 2.0 * c)
        });
        let program = Coupled { x: &x, cuts, couple, labels: RETAIN };
        let mut m = Member::new(Buf::from_slice(params), Plan::plain(&layout), lanes).expect("a member");
        let runner = Runner::new(threads).expect("a runner");
        let report = runner.gradients(&layout, &mut m, &program).expect("gradients");
        (m.gradient(), report.objective)
    };
    let whole = [0, 16];
    let (want, objective) = run(&params, &whole, 1, 1);
    for cuts in [&[0, 8, 16][..], &[0, 4, 8, 12, 16], &[0, 1, 7, 9, 16]] {
        for lanes in [1, 2, 3, 8] {
            let (got, value) = run(&params, cuts, lanes, 1);
            assert_close(&format!("{cuts:?}, {lanes} lanes"), &got, &want, 1e-5, 1e-5);
            assert!((value / objective - 1.0).abs() < 1e-5, "{value} {objective}");
            let (threads, again) = run(&params, cuts, lanes, 3);
            assert_same("threads", &threads, &got);
            assert_eq!(again.to_bits(), value.to_bits());
        }
    }
    for k in 0..5 {
        let u = normals(&format!("coupled direction {k}"), params.len());
        let moved = |step: f32| {
            let p: Vec<f32> = params.iter().zip(&u).map(|(p, u)| p + step * u).collect();
            run(&p, &whole, 1, 1).1
        };
        let (difference, along) = ((moved(2e-3) - moved(-2e-3)) / 4e-3, dot(&want, &u));
        assert!((difference - along).abs() < 1e-2 * along.abs() + 2e-3, "{difference} {along}");
    }
    let couple = Box::new(|_: &[f32], _: usize, _: &mut [f32]| Ok::<f64, EngineError>(f64::NAN));
    let program = Coupled { x: &x, cuts: &whole, couple, labels: RETAIN };
    let mut m = Member::new(Buf::from_slice(&params), Plan::plain(&layout), 1).expect("a member");
    let runner = Runner::new(1).expect("a runner");
    let error = runner.gradients(&layout, &mut m, &program).expect_err("not finite");
    assert_eq!(error.to_string(), "non-finite loss: first seen in the coupled objective, shard 0");
    // The shards that waited are gone: the next batch starts clean.
    let range = |b: std::ops::Range<usize>| {
        Box::new(move |z: &[f32], c: usize, g: &mut [f32]| {
            correlation(z, c, 0..2, b.clone(), 2.0, g).map(|c| 2.0 * c)
        })
    };
    let program = Coupled { x: &x, cuts: &whole, couple: range(2..WIDTH), labels: RETAIN };
    let report = runner.gradients(&layout, &mut m, &program).expect("gradients");
    assert_same("a clean start", &m.gradient(), &want);
    assert_eq!(report.objective.to_bits(), objective.to_bits());
    m.clear();
    let wrong = Coupled { x: &x, cuts: &whole, couple: range(2..WIDTH + 1), labels: RETAIN };
    let error = runner.gradients(&layout, &mut m, &wrong).expect_err("a column too many");
    assert_eq!(error.to_string(), "correlation: column 7 is outside of 0..7");
    runner.gradients(&layout, &mut m, &program).expect("gradients");
    assert_same("a clean start after a refusal", &m.gradient(), &want);
}

/// Every lane fails; then a batch of one shard leaves all lanes but the first without work.
#[test]
fn an_error_is_that_of_its_own_step() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(2).expect("a runner");
    let o = optimiser(ADAMW, Masked::ZeroGrad);
    let good = Sequences::new(&net, "good", &[RETAIN]);
    let mut bad = Sequences::new(&net, "bad", &[RETAIN; 3]);
    bad.shards.iter_mut().for_each(|(batch, _)| batch.tokens[1] = VOCAB as u32);
    let new = || member(&net, Plan::plain(&net.layout), 3);
    let (mut m, mut fresh) = (new(), new());
    let error = one(&runner, &net, &mut m, &bad, &o, 0).expect_err("no such token");
    assert_eq!(error.to_string(), format!("embedding: token {VOCAB} is outside of 0..{VOCAB}"));
    one(&runner, &net, &mut m, &good, &o, 0).expect("nothing is wrong with this batch");
    one(&runner, &net, &mut fresh, &good, &o, 0).expect("a step");
    assert_same("the failed step left nothing", &m.params, &fresh.params);

    // The same where forward passes wait for the whole batch.
    let mut layout = Layout::default();
    layout.tensor("w", 4, WIDTH).add();
    layout.tensor("b", 1, WIDTH).add();
    let (params, x) = (normals("stale", layout.len()), normals("stale x", 4 * 4));
    let mut m = Member::new(Buf::from_slice(&params), Plan::plain(&layout), 2).expect("a member");
    let mut run = |x: &[f32], cuts: &[usize]| {
        let couple = Box::new(|_: &[f32], _: usize, _: &mut [f32]| Ok::<f64, EngineError>(0.0));
        let program = Coupled { x, cuts, couple, labels: RETAIN };
        runner.gradients(&layout, &mut m, &program).map(|_| ())
    };
    let error = run(&[f32::NAN; 4 * 4], &[0, 2, 4]).expect_err("not finite");
    assert_eq!(error.to_string(), "non-finite loss: first seen in input, shard 0");
    run(&x, &[0, 4]).expect("nothing is wrong with this batch");
}

#[test]
fn no_step_after_the_first_allocates() {
    let net = Net::new(Shape { tied: true, ..Shape::GPT });
    let runner = Runner::new(1).expect("a runner");
    let o = Optimiser { clip: Some(1.0), ..optimiser(ADAMW, Masked::Freeze) };
    let mut m = member(&net, mask_update(&net).1, 2);
    let mut after = Vec::new();
    for step in 0..4 {
        let mut program = Sequences::new(&net, &format!("{step}"), &[RETAIN, FORGET, FORGET, RETAIN]);
        program.strength = Some((0..2 * SEQ).map(|i| (i % 3) as f32 / 2.0).collect());
        one(&runner, &net, &mut m, &program, &o, step).expect("a step");
        after.push(runner.allocations());
    }
    assert!(after[0] > 0);
    assert_eq!(after, vec![after[0]; 4]);
}

#[test]
fn tasks_keep_their_order() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(3).expect("a runner");
    let plan = Plan::plain(&net.layout);
    let tasks: Vec<Batch> = (0..12).map(|i| Batch::new(&format!("map {i}"), 1 + i % 3)).collect();
    let losses = runner.map(&tasks, |ws, batch| {
        let rows = ShardRows::uniform(batch.rows(), RETAIN);
        let mut tape = Tape::new(ws, &net.layout, &net.params, None, &plan, rows);
        let v = net.forward(&mut tape, &batch.tokens, &batch.targets, None).expect("a pass");
        tape.value(v).to_vec()
    });
    for (batch, loss) in tasks.iter().zip(losses) {
        let want = net.run(&plan, ShardRows::uniform(batch.rows(), RETAIN), batch, None);
        assert_same("losses", &loss, &want.out);
    }
}
