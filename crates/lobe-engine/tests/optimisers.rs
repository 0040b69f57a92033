//! What holds for every optimiser on the list. Nothing here names a rule: a new one is tested by being there.

mod common;

use std::sync::Arc;

use common::steps::{ADAMW, Sequences, mask_update, member, one, optimiser};
use common::{Net, Shape, assert_same, normals};
use lobe_core::{FORGET, RETAIN};
use lobe_engine::optim::{MOST_SLOTS, OPTIMISERS, Piece, Rule, Step};
use lobe_engine::{Layout, Masked, Optimiser, OptimiserState, Owner, Plan, Runner, Schedule};
use serde_json::json;

/// Every rule with its default parameters and, where that adds state, with each of its switches on.
fn rules() -> Vec<(String, Arc<dyn Rule>)> {
    let mut out: Vec<(String, Arc<dyn Rule>)> = Vec::new();
    for entry in &OPTIMISERS {
        let build = |v: &serde_json::Value| (entry.build)(v).expect("good parameters").0.into();
        out.push((entry.about.name.to_owned(), build(&json!({}))));
        for p in (entry.params)() {
            let value = match p.kind.as_str() {
                "true or false" => json!(true),
                "number" if p.name == "momentum" => json!(0.5),
                _ => continue,
            };
            out.push((format!("{} with {}", entry.about.name, p.name), build(&json!({ p.name: value }))));
        }
    }
    assert!(out.len() > OPTIMISERS.len(), "some have switches");
    out
}

fn with(rule: &Arc<dyn Rule>) -> Optimiser {
    Optimiser { rule: rule.clone(), ..Optimiser::new(ADAMW, Schedule::constant(0.1)) }
}

/// Two matrices, of which one holds three side by side, a vector, and a tensor longer than a piece of work.
fn layout() -> Layout {
    let mut out = Layout::default();
    out.tensor("wide", 5, 12).side_by_side(&[6, 3, 3]).add();
    out.tensor("vector", 1, 40).add();
    out.tensor("tall", 31, 300).add();
    out
}

/// `steps` updates of plain numbers with gradients drawn by name.
fn moved(o: &Optimiser, layout: &Layout, steps: u64) -> (Vec<f32>, OptimiserState) {
    let (mut params, mut state) = (normals("start", layout.len()), OptimiserState::default());
    for step in 0..steps {
        let mut g = normals(&format!("gradient {step}"), layout.len());
        o.step_on(layout, &mut state, &mut params, &mut g, step);
    }
    (params, state)
}

#[test]
fn nothing_moves_without_a_gradient() {
    for (name, rule) in rules() {
        let (o, layout) = (with(&rule), layout());
        let (start, mut state) = (normals("start", layout.len()), OptimiserState::default());
        let mut params = start.clone();
        o.step_on(&layout, &mut state, &mut params, &mut vec![0.0; layout.len()], 0);
        assert_same(&name, &params, &start);
        assert_eq!(state.slots.len(), rule.slots(), "{name}");
        assert!(rule.slots() <= MOST_SLOTS && state.slots.iter().all(|s| s.len() == layout.len()));
        assert!(state.slots.iter().flat_map(|s| s.iter()).all(|x| *x == 0.0), "{name}: state from nothing");
        // With a gradient every parameter moves, against it in the first step.
        let g = normals("gradient", layout.len());
        o.step_on(&layout, &mut state, &mut params, &mut g.clone(), 1);
        let against: f64 = params.iter().zip(&start).zip(&g).map(|((p, s), g)| f64::from((s - p) * g)).sum();
        assert!(params.iter().zip(&start).all(|(p, s)| p != s) && against > 0.0, "{name}: {against}");
    }
}

#[test]
fn a_cut_changes_nothing_for_a_rule_that_needs_no_matrices() {
    for (name, rule) in rules().into_iter().filter(|(_, r)| !r.whole_matrices()) {
        let run = |length: usize| {
            let (mut p, mut state) = (normals("start", 100), vec![vec![0.0f32; 100]; MOST_SLOTS]);
            for updates in 1..4 {
                let mut g = normals(&format!("gradient {updates}"), 100);
                for at in (0..100).step_by(length) {
                    let range = at..(at + length).min(100);
                    let mut slots = state.iter_mut();
                    let state = [(); MOST_SLOTS].map(|()| &mut slots.next().expect("a slot")[range.clone()]);
                    let (params, gradient) = (&mut p[range.clone()], &mut g[range.clone()]);
                    let step = Step { lr: 0.1, decay: 0.05, shrink: 0.5, updates };
                    rule.update(step, Piece { params, gradient, state, matrix: None });
                }
            }
            (p, state)
        };
        let (whole, state) = run(100);
        for length in [1, 7, 64] {
            let (cut, slots) = run(length);
            assert_same(&name, &cut, &whole);
            assert_eq!(slots, state, "{name}");
        }
    }
}

#[test]
fn matrices_side_by_side_are_matrices_of_their_own() {
    for (name, rule) in rules() {
        let o = Optimiser { weight_decay: 0.1, ..with(&rule) };
        let mut together = Layout::default();
        together.tensor("both", 4, 7).side_by_side(&[3, 4]).add();
        let mut apart = Layout::default();
        apart.tensor("left", 4, 3).add();
        apart.tensor("right", 4, 4).add();
        let rows = |of: &[f32]| -> Vec<f32> {
            let side = |from: usize, to: usize| of.chunks_exact(7).flat_map(move |r| r[from..to].to_vec());
            side(0, 3).chain(side(3, 7)).collect()
        };
        let (mut a, mut b) = (normals("start", 28), rows(&normals("start", 28)));
        let (mut s, mut t) = (OptimiserState::default(), OptimiserState::default());
        for step in 0..3 {
            let g = normals(&format!("gradient {step}"), 28);
            o.step_on(&apart, &mut t, &mut b, &mut rows(&g), step);
            o.step_on(&together, &mut s, &mut a, &mut g.clone(), step);
        }
        assert_same(&name, &rows(&a), &b);
    }
}

#[test]
fn a_frozen_part_is_as_if_it_were_not_there() {
    let net = Net::new(Shape::GPT);
    let (region, plan) = mask_update(&net);
    let owned = net.owned(&region);
    for (name, rule) in rules() {
        let mut results = Vec::new();
        for threads in [1, 3] {
            let runner = Runner::new(threads).expect("a runner");
            let o = Optimiser { rule: rule.clone(), clip: Some(0.5), ..optimiser(ADAMW, Masked::Freeze) };
            let mut m = member(&net, plan.clone(), 3);
            let all = Sequences::new(&net, "first", &[RETAIN; 4]);
            one(&runner, &net, &mut m, &all, &o, 0).expect("a step");
            let (before, state) = (m.params.to_vec(), m.state.clone());
            for step in 1..4 {
                let program = Sequences::new(&net, &format!("then {step}"), &[FORGET; 4]);
                one(&runner, &net, &mut m, &program, &o, step).expect("a step");
            }
            for i in (0..owned.len()).filter(|i| owned[*i]) {
                assert_eq!(m.params[i], before[i], "{name}: a frozen entry moved");
                let rests = m.state.slots.iter().zip(&state.slots).all(|(a, b)| a[i] == b[i]);
                assert!(rests, "{name}: its state changed");
            }
            assert!((0..owned.len()).any(|i| !owned[i] && m.params[i] != before[i]), "{name}: none moved");
            assert!(m.params.iter().all(|p| p.is_finite()), "{name}");
            results.push(m.params.to_vec());
        }
        assert_same(&format!("{name} on one thread and on three"), &results[0], &results[1]);
    }
}

/// Frozen rows and columns of a matrix leave a smaller matrix.
#[test]
fn what_a_freeze_leaves_of_a_matrix_is_a_matrix() {
    for (name, rule) in rules() {
        let o = with(&rule);
        let mut small = Layout::default();
        small.tensor("rest", 3, 4).add();
        let (want, _) = moved(&o, &small, 2);
        let mut big = Layout::default();
        let site = big.site("units", 6);
        big.tensor("all", 3, 6).cols_owned(Owner::units(site, 6)).add();
        let mut region = lobe_core::Selection::default();
        region.add(site.0, [1..2, 4..5]);
        let table = lobe_core::RouteTable::plain().with(
            FORGET,
            lobe_core::Target::Region(0),
            lobe_core::Route::new(1.0, 1.0, 0.0),
        );
        let plan = Plan::new(&big, &lobe_core::LabelSet::default(), &[region], &table).expect("a plan");
        let kept = [0, 2, 3, 5];
        let spread = |of: &[f32], other: f32| -> Vec<f32> {
            let at = |r: usize, c: usize| kept.iter().position(|k| *k == c).map(|k| of[r * 4 + k]);
            (0..18).map(|i| at(i / 6, i % 6).unwrap_or(other)).collect()
        };
        let start = spread(&normals("start", 12), 7.0);
        let runner = Runner::new(1).expect("a runner");
        let o = Optimiser { masked: Masked::Freeze, ..o };
        let mut m =
            lobe_engine::Member::new(lobe_engine::Buf::from_slice(&start), plan, 1).expect("a member");
        for step in 0..2 {
            let g = spread(&normals(&format!("gradient {step}"), 12), 0.0);
            let program = common::steps::Seeded(&g);
            runner.step(&big, &mut [(&mut m, &program, &o)], step).expect("a step");
        }
        assert_same(&name, &m.params, &spread(&want, 7.0));
    }
}

#[test]
fn gradients_and_state_exist_only_for_what_moves() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(2).expect("a runner");
    let chosen = net.layout.find("blocks.0.mlp.in.weight").unwrap_or(lobe_engine::ParamId(3));
    let span = net.layout.get(chosen).span();
    assert!(span.len() * 4 < net.layout.len(), "a small part of the network");
    for (name, rule) in rules() {
        let o = Optimiser { rule: rule.clone(), ..optimiser(ADAMW, Masked::ZeroGrad) };
        let mut alone = member(&net, Plan::plain(&net.layout).train_only(|p| p == chosen), 2);
        let mut whole = member(&net, Plan::plain(&net.layout), 2);
        assert_eq!(alone.bytes(), 2 * span.len() * 4, "{name}: two lanes");
        for step in 0..3 {
            let program = Sequences::new(&net, &format!("alone {step}"), &[RETAIN, FORGET]);
            one(&runner, &net, &mut alone, &program, &o, step).expect("a step");
            one(&runner, &net, &mut whole, &program, &o, step).expect("a step");
            // Everything else is put back, so that both train one tensor of the same network.
            for i in (0..net.params.len()).filter(|i| !span.contains(i)) {
                whole.params[i] = net.params[i];
                assert_eq!(alone.params[i], net.params[i]);
            }
            assert_same(&name, &alone.params[span.clone()], &whole.params[span.clone()]);
        }
        assert_eq!(alone.bytes(), (2 + rule.slots()) * span.len() * 4, "{name}");
        assert_eq!(whole.bytes(), (2 + rule.slots()) * net.layout.len() * 4, "{name}");
        for (a, b) in alone.state.slots.iter().zip(&whole.state.slots) {
            assert_same(&name, a, &b[span.clone()]);
        }
    }
}

#[test]
fn another_set_of_tensors_keeps_what_goes_on_moving() {
    let net = Net::new(Shape::GPT);
    let runner = Runner::new(1).expect("a runner");
    let (first, second) = (lobe_engine::ParamId(3), lobe_engine::ParamId(6));
    let plain = || Plan::plain(&net.layout);
    let o = optimiser(ADAMW, Masked::ZeroGrad);
    let mut m = member(&net, plain().train_only(|p| p == second), 2);
    let program = Sequences::new(&net, "before", &[RETAIN, FORGET]);
    one(&runner, &net, &mut m, &program, &o, 0).expect("a step");
    let moments = m.state.slots[0].to_vec();
    runner.gradients(&net.layout, &mut m, &program).expect("gradients");
    let gradient = m.gradient();
    m.plan = plain().train_only(|p| p == first || p == second);
    let (a, b) = (net.layout.get(first).span(), net.layout.get(second).span());
    assert_same("nothing was forgotten", &m.gradient(), &gradient);
    runner.gradients(&net.layout, &mut m, &program).expect("gradients");
    // Twice the gradient of the second tensor, once that of the first.
    let got = m.gradient();
    assert!(b.clone().all(|i| got[i] == 2.0 * gradient[i]), "the second has both passes");
    assert!(a.clone().any(|i| got[i] != 0.0) && a.clone().all(|i| gradient[i] == 0.0));
    assert_same("its moments", &m.state.slots[0][a.len()..], &moments);
    assert!(m.state.slots[0][..a.len()].iter().all(|x| *x == 0.0), "the first begins with zeros");
    let before = m.params.to_vec();
    m.update(&net.layout, &o, 1);
    for i in 0..net.params.len() {
        let moves = a.contains(&i) || b.contains(&i);
        assert!(moves || m.params[i] == before[i], "{i}");
    }
    assert!(
        a.into_iter().any(|i| m.params[i] != before[i]) && b.into_iter().any(|i| m.params[i] != before[i])
    );
}
