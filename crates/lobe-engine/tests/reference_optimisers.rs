//! The optimisers against PyTorch (`reference/make.py`) and, where it was not at hand, against the equations
//! in plain Python (`reference/make_plain.py`). Both wrote the numbers in f64.

mod common;

use std::sync::Arc;

use common::assert_close;
use lobe_engine::optim::{OPTIMISERS, Rule, Sgd};
use lobe_engine::{
    Buf, EngineError, Layout, Member, Optimiser, OptimiserState, ParamId, Plan, Program, Runner, Schedule,
    ShardRows, Tape, Var,
};
use serde_json::Value;

fn floats(v: &Value) -> Vec<f32> {
    let list = v.as_array().expect("a list of numbers");
    list.iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

/// Gives each tensor a fixed gradient, through as many shards as there are lanes.
struct Given<'a> {
    gradients: &'a [Vec<f32>],
    shards: usize,
}

impl Program for Given<'_> {
    fn shards(&self) -> usize {
        self.shards
    }
    fn rows(&self, _: usize) -> ShardRows<'_> {
        ShardRows::uniform(1, lobe_core::RETAIN)
    }
    fn forward(&self, _: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        for (i, g) in self.gradients.iter().enumerate() {
            let v = tape.leaf(ParamId(i));
            let part: Vec<f32> = g.iter().map(|g| g / self.shards as f32).collect();
            tape.seed_grad(v, &part)?;
        }
        Ok(None)
    }
}

/// The rule of a case: its settings that the rule knows.
fn rule(case: &Value) -> Arc<dyn Rule> {
    let settings = case["settings"].as_object().expect("settings");
    let mut params: serde_json::Map<String, Value> = settings.clone();
    params.retain(|key, _| !["decay", "clip", "matrices_only", "beta1", "beta2"].contains(&key.as_str()));
    if let (Some(beta1), Some(beta2)) = (settings.get("beta1"), settings.get("beta2")) {
        params.insert("betas".into(), serde_json::json!([beta1, beta2]));
    }
    let entry = OPTIMISERS.iter().find(|e| case["kind"] == e.about.name).expect("a known rule");
    (entry.build)(&Value::Object(params)).expect("its settings").0.into()
}

/// (rows, columns) of each tensor.
fn shapes(case: &Value) -> Vec<(usize, usize)> {
    let Some(list) = case["shapes"].as_array() else { return vec![(3, 4), (1, 5)] };
    let at = |s: &Value, i: usize| s[i].as_u64().expect("a number") as usize;
    list.iter().map(|s| (at(s, 0), at(s, 1))).collect()
}

fn follow(cases: &Value) {
    let runner = Runner::new(1).expect("a runner");
    for case in cases["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("a name");
        let set = |key: &str| case["settings"][key].as_f64().map(|x| x as f32);
        let optimiser = Optimiser {
            rule: rule(case),
            weight_decay: set("decay").unwrap_or(0.0),
            decay_matrices_only: case["settings"]["matrices_only"].as_bool() == Some(true),
            clip: set("clip"),
            ..Optimiser::new(Sgd::default(), Schedule::constant(0.1))
        };
        let mut layout = Layout::default();
        for (i, (rows, cols)) in shapes(case).into_iter().enumerate() {
            layout.tensor(format!("tensor {i}"), rows, cols).add();
        }
        let start: Vec<f32> = case["start"].as_array().expect("tensors").iter().flat_map(floats).collect();
        let (mut beside, mut state) = (start.clone(), OptimiserState::default());
        let mut member = Member::new(Buf::from_slice(&start), Plan::plain(&layout), 2).expect("a member");
        for (i, gradients) in case["gradients"].as_array().expect("steps").iter().enumerate() {
            let gradients: Vec<Vec<f32>> =
                gradients.as_array().expect("tensors").iter().map(floats).collect();
            let program = Given { gradients: &gradients, shards: 2 };
            let mut jobs = [(&mut member, &program as &dyn Program, &optimiser)];
            let report = runner.step(&layout, &mut jobs, i as u64).expect("the step succeeds");
            let want: Vec<f32> =
                case["path"][i].as_array().expect("tensors").iter().flat_map(floats).collect();
            assert_close(&format!("{name}, step {i}"), &member.params, &want, 2e-5, 2e-6);
            if let Some(norm) = case["norms"][i].as_f64() {
                let got = report[0].grad_norm.expect("clipping reports the norm");
                assert!(
                    (f64::from(got) / norm - 1.0).abs() < 1e-5,
                    "{name}, step {i}: norm {got} not {norm}"
                );
            }
            assert_eq!(member.state.updates, i as u64 + 1, "{name}");
            // The same rule on plain numbers, without a network around them.
            let mut gradient = gradients.concat();
            optimiser.step_on(&layout, &mut state, &mut beside, &mut gradient, i as u64);
            assert_close(&format!("{name} on its own, step {i}"), &beside, &want, 2e-5, 2e-6);
            assert!(gradient.iter().all(|g| *g == 0.0), "{name}: the gradient is cleared");
        }
    }
}

#[test]
fn optimisers_match_pytorch() {
    follow(&serde_json::from_str(include_str!("reference/optimisers.json")).expect("valid JSON"));
}

/// `reference/make_plain.py` wrote these numbers in f64, by the papers' equations.
#[test]
fn amsgrad_and_muon_follow_their_equations() {
    follow(&serde_json::from_str(include_str!("reference/optimisers_plain.json")).expect("valid JSON"));
}
