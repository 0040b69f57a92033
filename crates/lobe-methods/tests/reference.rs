//! Transformers against PyTorch, written out in `reference/make.py`.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use lobe_core::UNLABELLED;
use lobe_engine::{Buf, Member, Plan, Runner, Tape, Workspace};
use lobe_methods::objective::{Distance, Minimise, Whole, ordinary};
use lobe_nets::{Batch, Gpt, GptConfig, Network};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    config: GptConfig,
    tokens: Vec<Vec<u32>>,
    loss: f64,
    logits: Vec<f32>,
    params: BTreeMap<String, Vec<f32>>,
    grads: BTreeMap<String, Vec<f32>>,
}

fn close(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let top = want.iter().fold(0.01f32, |a, x| a.max(x.abs()));
    let bad = got.iter().zip(want).position(|(g, w)| (g - w).abs() > 1e-5 * top || g.is_nan());
    assert_eq!(bad, None, "{what}: {:?} of {top}", bad.map(|i| (got[i], want[i])));
}

#[test]
fn values_and_gradients_are_those_of_pytorch() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("reference/gpt.json")).unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let net: &dyn Network = &Gpt::new(case.config.resolve(0, 0).unwrap());
        let layout = net.layout();
        assert_eq!(layout.tensors().len(), case.params.len(), "{}", case.name);
        let mut params = Buf::zeros(layout.len());
        for t in layout.tensors() {
            params[t.span()].copy_from_slice(&case.params[&t.name]);
        }
        let seq = case.tokens[0].len() - 1;
        for per_shard in [1, 2] {
            let mut batch = Batch::tokens(seq, per_shard);
            case.tokens.iter().for_each(|t| batch.push(t, UNLABELLED, None));
            let plan = Plan::plain(layout);
            if per_shard == 2 {
                let mut ws = Workspace::default();
                let mut tape = Tape::new(&mut ws, layout, &params, None, &plan, batch.rows(0));
                let h = net.hidden(&mut tape, batch.fed(0)).unwrap();
                let logits = tape.logits(h, net.language().unwrap().1).unwrap();
                close(&format!("{}: logits", case.name), tape.value(logits), &case.logits);
            }
            let mut member = Member::new(params.clone(), plan, 1).unwrap();
            let terms = ordinary(net, Distance::Squared);
            let program = Minimise::new(net, &terms, Whole::new(&batch, 3));
            let report = Runner::new(1).unwrap().gradients(layout, &mut member, &program).unwrap();
            assert!((report.objective - case.loss).abs() < 2e-6, "{}: {}", case.name, report.objective);
            let grads = member.gradient();
            for t in layout.tensors() {
                close(&format!("{}: {}", case.name, t.name), &grads[t.span()], &case.grads[&t.name]);
            }
        }
    }
}
