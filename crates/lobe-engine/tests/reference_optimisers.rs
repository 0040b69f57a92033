//! The optimisers against PyTorch. `reference/make.py` wrote the numbers in f64.

mod common;

use common::assert_close;
use lobe_engine::{
    Buf, EngineError, Layout, Masked, Member, Optimiser, OptimiserKind, OptimiserState, ParamId, Plan,
    Program, Runner, Schedule, ShardRows, Tape, Var,
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

#[test]
fn optimisers_match_pytorch() {
    let optimisers: Value =
        serde_json::from_str(include_str!("reference/optimisers.json")).expect("valid JSON");
    let runner = Runner::new(1).expect("a runner");
    for case in optimisers["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("a name");
        let set = |key: &str, default: f64| case["settings"][key].as_f64().unwrap_or(default) as f32;
        let (beta1, beta2, eps) = (set("beta1", 0.9), set("beta2", 0.999), set("eps", 1e-8));
        let kind = match case["kind"].as_str() {
            Some("sgd") => OptimiserKind::Sgd { momentum: set("momentum", 0.0) },
            Some("adam") => OptimiserKind::Adam { beta1, beta2, eps },
            _ => OptimiserKind::AdamW { beta1, beta2, eps },
        };
        let optimiser = Optimiser {
            kind,
            schedule: Schedule::constant(0.1),
            weight_decay: set("decay", 0.0),
            decay_matrices_only: case["settings"]["matrices_only"].as_bool() == Some(true),
            clip: case["settings"]["clip"].as_f64().map(|c| c as f32),
            masked: Masked::ZeroGrad,
        };
        let mut layout = Layout::default();
        layout.tensor("matrix", 3, 4).add();
        layout.tensor("vector", 1, 5).add();
        let start: Vec<f32> = case["start"].as_array().expect("tensors").iter().flat_map(floats).collect();
        let state = OptimiserState::new(start.len(), kind);
        let lanes = 2;
        let mut member =
            Member::new(Buf::from_slice(&start), Plan::plain(&layout), state, lanes).expect("a member");
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
        }
    }
}
