//! A pass in two halves is the whole pass, wherever it is cut and whatever the network.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::sync::Arc;

use lobe_core::{Key, UNLABELLED};
use lobe_engine::{Buf, Plan, ShardRows, Tape, Var, Workspace};
use lobe_nets::{Begin, End, Fed, Input, NETWORKS, Network, Ran, network};
use serde_json::{Value, json};

const SEQUENCES: usize = 2;
const SEQ: usize = 6;

/// Settings beside the defaults, several for each kind, and what they are fed with.
fn settings(kind: &str) -> Vec<Value> {
    match kind {
        "gpt" => vec![
            json!({ "layers": 3, "width": 12, "heads": 2 }),
            json!({ "layers": 1, "width": 12, "heads": 3, "window": 2, "tied": true, "head_bias": true }),
            json!({ "layers": 2, "width": 16, "heads": 4, "kv_heads": 2, "activation": "swiglu", "norm": "rms",
                    "positions": "rotary" }),
        ],
        "autoencoder" => vec![
            json!({ "hidden": [7], "latent": 4 }),
            json!({ "hidden": [9, 5], "latent": 6, "latent_bias": true, "decoders": [
                { "name": "decoder" }, { "name": "top", "to": 3, "detach": true }, { "name": "low", "from": 2 },
            ] }),
            json!({ "hidden": [7], "latent": 4, "variational": true, "latent_activation": "relu",
                    "output_activation": "sigmoid" }),
        ],
        "residual-mlp" => vec![
            json!({ "neurons": [5] }),
            json!({ "neurons": [5, 3], "embedding": 12, "init_std": 0.0 }),
            json!({ "neurons": [4, 4], "activation": "identity" }),
        ],
        "superposition" => vec![json!({ "hidden": 3 })],
        other => panic!("{other} is a new kind of network: give it settings here"),
    }
}

/// Every kind of network in every setting, with weights that hide nothing.
fn nets() -> Vec<(Arc<dyn Network>, Buf)> {
    let mut out = Vec::new();
    for entry in &NETWORKS {
        let (text, rows) = (Input::Tokens { vocab: 11, context: SEQ }, Input::Rows { width: 8 });
        let data = if entry.reads_text { text } else { rows };
        for config in settings(entry.about.name) {
            let full = (entry.read)(&config).unwrap();
            let net = (entry.build)(&full, Some(data)).unwrap();
            let mut params = net.layout().init(Key::root(1));
            let mut rng = Key::root(2).rng();
            params.iter_mut().for_each(|x| *x += 0.2 * rng.normal() as f32);
            out.push((net, params));
        }
    }
    out
}

/// What a network of this kind is fed with, and how long it stands in a row.
struct Feed {
    ids: Vec<u32>,
    values: Vec<f32>,
    width: usize,
    seq: usize,
    rows: usize,
}

impl Feed {
    fn of(net: &dyn Network) -> Feed {
        let mut rng = Key::root(3).rng();
        let (width, seq) = match net.input() {
            Input::Tokens { .. } => (0, SEQ),
            Input::Rows { width } => (width, 1),
        };
        let rows = SEQUENCES * seq;
        let vocab = net.language().map_or(1, |(n, _)| n);
        let ids = (0..rows).map(|_| rng.below(vocab) as u32).collect();
        let values = (0..rows * width).map(|_| rng.normal() as f32).collect();
        Feed { ids, values, width, seq, rows }
    }

    fn fed(&self) -> Fed<'_> {
        match self.width {
            0 => Fed::Tokens { ids: &self.ids, seq: self.seq },
            width => Fed::Rows { width, values: &self.values, noise: &[] },
        }
    }
}

fn taped<R>(net: &dyn Network, params: &[f32], rows: usize, f: impl FnOnce(&mut Tape<'_>) -> R) -> R {
    let (mut ws, plan) = (Workspace::default(), Plan::plain(net.layout()));
    let rows = ShardRows::uniform(rows, UNLABELLED);
    f(&mut Tape::new(&mut ws, net.layout(), params, None, &plan, rows))
}

fn bits(tape: &Tape<'_>, vars: &[Var]) -> Vec<Vec<u32>> {
    vars.iter().map(|v| tape.value(*v).iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn a_pass_cut_anywhere_is_the_whole_pass_to_the_bit() {
    let mut seen = 0;
    for (net, params) in nets() {
        let net = &*net;
        let feed = Feed::of(net);
        let whole = taped(net, &params, feed.rows, |tape| {
            let ran = net.run(tape, Begin::Input(feed.fed()), End::Outputs).unwrap();
            assert_eq!(ran.ends.len(), net.outputs().len());
            bits(tape, &ran.ends)
        });
        assert!(!net.cuts().is_empty(), "{}", net.shape());
        for (cut, site) in net.cuts().iter().enumerate() {
            let what = format!("{}, {}: cut {cut}", net.kind(), net.shape());
            // The first half alone leaves nothing behind the cut.
            let there = taped(net, &params, feed.rows, |tape| {
                let ran = net.run(tape, Begin::Input(feed.fed()), End::Cut(cut)).unwrap();
                assert!(ran.ends.is_empty() && ran.end(0).is_err(), "{what}");
                let later = net.cuts()[cut + 1..].iter().find(|s| tape.at_site(**s).is_some());
                assert!(later.is_none(), "{what}: the pass went on to {later:?}");
                let x = tape.at_site(*site).unwrap();
                assert_eq!(tape.shape(x), (feed.rows, net.width_at(cut)), "{what}");
                tape.value(x).to_vec()
            });
            // On another tape, from the numbers that stood there.
            let behind = |tape: &mut Tape<'_>, x: Var| -> Ran {
                net.run(tape, Begin::Cut { cut, x, seq: feed.seq }, End::Outputs).unwrap()
            };
            let apart = taped(net, &params, feed.rows, |tape| {
                let x = tape.input(feed.rows, net.width_at(cut), |b| b.copy_from_slice(&there));
                let ran = behind(tape, x);
                bits(tape, &ran.ends)
            });
            assert_eq!(apart, whole, "{what}: on two tapes");
            // On the same tape, so that gradients go through.
            let joined = taped(net, &params, feed.rows, |tape| {
                net.run(tape, Begin::Input(feed.fed()), End::Cut(cut)).unwrap();
                let x = tape.at_site(*site).unwrap();
                let ran = behind(tape, x);
                bits(tape, &ran.ends)
            });
            assert_eq!(joined, whole, "{what}: on one tape");
            seen += 1;
        }
    }
    // Four, two and three places of the transformers, one of each autoencoder, two and three of the residual
    // MLPs, one of the toy model.
    assert_eq!(seen, 4 + 2 + 3 + 3 + 2 + 3 + 3 + 1, "count the cuts of new settings here");
}

#[test]
fn a_pass_from_cut_to_cut_is_what_stands_there() {
    for (net, params) in nets() {
        let net = &*net;
        let feed = Feed::of(net);
        let at = |tape: &Tape<'_>, cut: usize| tape.value(tape.at_site(net.cuts()[cut]).unwrap()).to_vec();
        let stands: Vec<Vec<f32>> = taped(net, &params, feed.rows, |tape| {
            net.run(tape, Begin::Input(feed.fed()), End::Outputs).unwrap();
            (0..net.cuts().len()).map(|cut| at(tape, cut)).collect()
        });
        for from in 0..net.cuts().len() {
            for to in from + 1..net.cuts().len() {
                let found = taped(net, &params, feed.rows, |tape| {
                    let x = tape.input(feed.rows, net.width_at(from), |b| b.copy_from_slice(&stands[from]));
                    let begin = Begin::Cut { cut: from, x, seq: feed.seq };
                    net.run(tape, begin, End::Cut(to)).unwrap();
                    at(tape, to)
                });
                assert!(found == stands[to], "{}: from {from} to {to}", net.shape());
            }
        }
    }
}

#[test]
fn a_network_refuses_what_it_is_not_fed_with() {
    for (net, params) in nets() {
        let net = &*net;
        let feed = Feed::of(net);
        let other = match net.input() {
            Input::Tokens { .. } => Fed::Rows { width: 3, values: &[0.5; 6], noise: &[] },
            Input::Rows { .. } => Fed::Tokens { ids: &[0, 1], seq: 2 },
        };
        let refused = taped(net, &params, feed.rows, |tape| net.run(tape, Begin::Input(other), End::Outputs));
        assert!(refused.is_err(), "{}", net.kind());
    }
}

/// What is saved is what was built: the same settings make the same network without any data.
#[test]
fn settings_are_complete() {
    for (net, _) in nets() {
        let entry = network(net.kind()).unwrap();
        let again = (entry.build)(&net.config(), None).unwrap();
        assert_eq!(again.config(), net.config());
        assert_eq!(again.input(), net.input());
        assert_eq!(again.outputs(), net.outputs());
        assert_eq!(again.layout().len(), net.layout().len());
        assert_eq!((entry.read)(&net.config()).unwrap(), net.config());
        assert!(net.layout().check().is_ok());
        assert_eq!(entry.reads_text, matches!(net.input(), Input::Tokens { .. }));
    }
}
