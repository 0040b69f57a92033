//! What the suites share: small networks of every shape, batches with chosen labels, gradients.
#![allow(dead_code, reason = "each suite uses a part of it")]

use std::sync::Arc;

use lobe_core::{Key, LabelId, LabelSet, Region, RouteTable, Selection};
use lobe_engine::{EngineError, Layout, Member, Plan, Program, Runner, StepReport, Tape, Workspace};
use lobe_methods::localize::with_kinds;
use lobe_methods::objective::{Distance, L1, Minimise, Reads, Term, Whole, ordinary};
use lobe_methods::{Context, LOCALIZE, Localize};
use lobe_nets::{
    Activation, Autoencoder, AutoencoderConfig, Batch, Begin, DecoderConfig, End, Gpt, GptConfig, Input,
    LatentActivation, Network, NormKind, OutputActivation, Positions, Read, network,
};
use serde_json::{Value, json};

pub(crate) const VOCAB: usize = 20;
pub(crate) const SEQ: usize = 6;
const PIXELS: usize = 10;

/// A network, its parameters and the region that is routed.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) net: Arc<dyn Network>,
    pub(crate) params: Vec<f32>,
    pub(crate) region: Selection,
    /// Regions of a single site each, one site a block.
    pub(crate) of_one_site: &'static [&'static str],
    /// What can be cut: units of one site, of several, ranges with gaps, all units of a site.
    pub(crate) to_cut: &'static [&'static str],
    pub(crate) labels: LabelSet,
    /// Weight of an L1 penalty on what enters the last cut.
    pub(crate) l1: f32,
}

/// Two blocks, width 16, four heads.
fn tiny() -> GptConfig {
    GptConfig { layers: 2, width: 16, heads: 4, init_std: 0.3, ..GptConfig::default() }
}

fn gpt(name: &'static str, config: GptConfig) -> Bench {
    let net = Gpt::new(config.resolve(VOCAB, SEQ).unwrap());
    Bench {
        of_one_site: &["blocks.0.mlp.post[-8..]", "blocks.1.attn.z[-1]"],
        to_cut: &[
            "blocks.*.mlp.post[-8..] + blocks.*.attn.z[-1]",
            "blocks.0.mlp.post[0,3..5,-1]",
            "blocks.1.attn.z[0,2..4]",
            "blocks.*.attn.z",
            "blocks.0.mlp.post + blocks.1.attn.z[1]",
        ],
        ..Bench::new(name, Arc::new(net), "blocks.*.mlp.post[-8..] + blocks.*.attn.z[-1]")
    }
}

/// The GPT of the conformance tables.
pub(crate) fn small() -> Bench {
    gpt("gpt", tiny())
}

/// Transformers of the common shapes.
pub(crate) fn transformers() -> Vec<Bench> {
    let gpt2 = GptConfig { activation: Activation::GeluTanh, tied: true, ..tiny() };
    let neo = GptConfig {
        activation: Activation::GeluTanh,
        qkv_bias: false,
        scale_attention: false,
        window: 3,
        window_odd_blocks: true,
        tied: true,
        head_bias: true,
        ..tiny()
    };
    let llama = GptConfig {
        activation: Activation::Swiglu,
        norm: NormKind::Rms,
        positions: Positions::Rotary,
        kv_heads: 2,
        mlp: 24,
        qkv_bias: false,
        out_bias: false,
        mlp_bias: false,
        ..tiny()
    };
    vec![small(), gpt("gpt-2", gpt2), gpt("gpt-neo", neo), gpt("llama", llama)]
}

/// An autoencoder whose latent is routed, with a certificate on each half.
pub(crate) fn autoencoder() -> Bench {
    let part = |name: &str, from, to, detach| DecoderConfig { name: name.into(), from, to, detach };
    let config = AutoencoderConfig {
        hidden: vec![14, 12],
        latent: 16,
        decoders: vec![part("decoder", 0, 0, false), part("top", 0, 8, true), part("bottom", 8, 16, true)],
        ..AutoencoderConfig::default()
    };
    let net = Autoencoder::new(config.resolve(PIXELS).unwrap());
    Bench {
        of_one_site: &["latent[-8..]"],
        to_cut: &["latent[-8..]", "latent[0,3..5]", "latent + encoder.0.post[2..6]", "decoder.1.post[..5]"],
        ..Bench::new("autoencoder", Arc::new(net), "latent[-8..]")
    }
}

/// A network of rows with its settings: what it is fed with is as wide as the pixels.
fn of_rows(name: &'static str, settings: &Value, region: &str) -> Bench {
    let entry = network(name).unwrap();
    let settings = (entry.read)(settings).unwrap();
    Bench::new(name, (entry.build)(&settings, Some(Input::Rows { width: PIXELS })).unwrap(), region)
}

/// Two blocks between an embedding that never trains and its transpose.
pub(crate) fn residual_mlp() -> Bench {
    let settings = json!({ "embedding": 14, "neurons": [12, 9], "init_std": 0.0 });
    Bench {
        of_one_site: &["blocks.0.mlp.post[-4..]", "blocks.1.mlp.post[-4..]"],
        to_cut: &["blocks.*.mlp.post[-4..]", "blocks.0.mlp.post[0,3..5,-1]", "blocks.1.mlp.post"],
        ..of_rows("residual-mlp", &settings, "blocks.*.mlp.post[-4..]")
    }
}

/// One matrix that writes and reads.
pub(crate) fn superposition() -> Bench {
    Bench {
        of_one_site: &["hidden[-2..]"],
        to_cut: &["hidden[-2..]", "hidden[0,2]", "hidden"],
        ..of_rows("superposition", &json!({ "hidden": 5 }), "hidden[-2..]")
    }
}

/// An autoencoder whose latent is drawn.
pub(crate) fn drawn() -> Bench {
    let config = AutoencoderConfig {
        hidden: vec![14, 12],
        latent: 8,
        latent_bias: true,
        variational: true,
        latent_activation: LatentActivation::Relu,
        output_activation: OutputActivation::Sigmoid,
        ..AutoencoderConfig::default()
    };
    let net = Autoencoder::new(config.resolve(PIXELS).unwrap());
    Bench {
        of_one_site: &["latent[-4..]"],
        to_cut: &["latent[-4..]", "latent[0,3..5]"],
        ..Bench::new("drawn latent", Arc::new(net), "latent[-4..]")
    }
}

/// Every network: one of each kind at least, or `conformance.rs` says which is missing.
pub(crate) fn benches() -> Vec<Bench> {
    let rows = [autoencoder(), drawn(), residual_mlp(), superposition()];
    transformers().into_iter().chain(rows).collect()
}

/// What is in a batch: `(number of the example, label)`, and how many go to a shard.
pub(crate) struct Items<'a> {
    pub(crate) items: &'a [(usize, LabelId)],
    pub(crate) per_shard: usize,
}

impl Bench {
    pub(crate) fn new(name: &'static str, net: Arc<dyn Network>, region: &str) -> Bench {
        let mut params = net.layout().init(Key::root(1)).to_vec();
        // Biases, gains and shifts start at 0 and 1, which hides mistakes.
        let mut rng = Key::root(2).child(name).rng();
        for x in &mut params {
            *x += 0.1 * rng.normal() as f32;
        }
        let region = resolve(&*net, region);
        let mut labels = LabelSet::default();
        labels.add("other");
        Bench { name, net, params, region, of_one_site: &[], to_cut: &[], labels, l1: 0.0 }
    }

    pub(crate) fn layout(&self) -> &Layout {
        self.net.layout()
    }

    pub(crate) fn plan(&self, table: &RouteTable) -> Plan {
        // A method's kinds of steps are labels beyond the experiment's.
        let mut labels = self.labels.clone();
        let most = table.rows.iter().map(|r| r.label.index()).max().unwrap_or(0);
        (labels.len()..=most).for_each(|i| _ = labels.add(&format!("kind {i}")));
        Plan::new(self.layout(), &labels, std::slice::from_ref(&self.region), table).unwrap()
    }

    /// The method's table for one region.
    pub(crate) fn table(&self, method: &dyn Localize) -> RouteTable {
        let labels = with_kinds(&self.labels, &method.kinds(&self.labels).unwrap());
        method.table(&Context { labels: &labels, regions: &["target".to_owned()] }).unwrap()
    }

    /// Objective and gradient of a batch.
    pub(crate) fn gradient(&self, plan: &Plan, items: &Items<'_>) -> (f64, Vec<f32>) {
        let net = &*self.net;
        let mut terms = ordinary(net, Distance::Squared);
        if self.l1 != 0.0 {
            let last = net.cuts().len() - 1;
            let (site, columns) = (net.cuts()[last], 0..net.width_at(last));
            let reads = Reads::Site { site, columns, unrouted: true };
            terms.push(Term::new(L1 { reads, weight: self.l1 }));
        }
        self.follow(plan, &self.batch(items), &terms)
    }

    /// Objective and gradient of some terms.
    pub(crate) fn follow(&self, plan: &Plan, batch: &Batch, terms: &[Term]) -> (f64, Vec<f32>) {
        // A kind of steps is a label beyond the experiment's.
        let most = (0..batch.shards()).flat_map(|s| (0..batch.rows(s).rows).map(move |r| (s, r)));
        let most = most.map(|(s, r)| batch.row_label(s, r).index() + 1).max().unwrap_or(0);
        self.run(plan, &Minimise::new(&*self.net, terms, Whole::new(batch, most.max(self.labels.len()))))
    }

    /// The examples of these numbers, as the network is fed with them.
    pub(crate) fn batch(&self, items: &Items<'_>) -> Batch {
        match self.net.input() {
            Input::Tokens { .. } => {
                let mut out = Batch::tokens(SEQ, items.per_shard);
                items.items.iter().for_each(|(i, label)| out.push(&tokens(*i), *label, None));
                out
            }
            Input::Rows { width } => {
                let mut out = Batch::rows_of(width, 0, items.per_shard);
                for (i, label) in items.items {
                    out.push_row(&pixels(*i), &[], *label);
                    if self.net.noise() > 0 {
                        out.push_noise(&noise(*i, self.net.noise()));
                    }
                }
                out
            }
        }
    }

    /// Objective and gradient of a program.
    pub(crate) fn run(&self, plan: &Plan, program: &dyn Program) -> (f64, Vec<f32>) {
        let (report, gradient) = self.try_run(plan, program).unwrap();
        (report.objective, gradient)
    }

    /// What a program records under a plain plan.
    pub(crate) fn records(&self, program: &dyn Program) -> Vec<(f64, f64)> {
        self.try_run(&Plan::plain(self.layout()), program).unwrap().0.records
    }

    pub(crate) fn try_run(
        &self,
        plan: &Plan,
        program: &dyn Program,
    ) -> Result<(StepReport, Vec<f32>), EngineError> {
        let params = lobe_engine::Buf::from_slice(&self.params);
        let mut member = Member::new(params, plan.clone(), 1)?;
        let report = Runner::new(1)?.gradients(self.layout(), &mut member, program)?;
        Ok((report, member.gradient()))
    }

    /// What all outputs say of three inputs with one label, the first output first: logits, or numbers.
    pub(crate) fn outputs(&self, params: &[f32], plan: &Plan, label: LabelId) -> Vec<f32> {
        let items: Vec<_> = (0..3).map(|i| (i, label)).collect();
        let batch = self.batch(&Items { items: &items, per_shard: 3 });
        let mut ws = Workspace::default();
        let mut tape = Tape::new(&mut ws, self.layout(), params, None, plan, batch.rows(0));
        let ran = self.net.run(&mut tape, Begin::Input(batch.fed(0)), End::Outputs).unwrap();
        let mut out = Vec::new();
        for (end, output) in ran.ends.iter().zip(self.net.outputs()) {
            let said = match output.read {
                Read::Classes { head, .. } => tape.logits(*end, head).unwrap(),
                Read::Numbers { .. } => *end,
            };
            out.extend_from_slice(tape.value(said));
        }
        out
    }

    /// 1 for each parameter owned by `selection`.
    pub(crate) fn owned(&self, selection: &Selection) -> Vec<bool> {
        let mut out = vec![false; self.params.len()];
        self.layout().for_owned(selection, |_, range| out[range].fill(true));
        out
    }
}

pub(crate) fn resolve(net: &dyn Network, region: &str) -> Selection {
    region.parse::<Region>().unwrap().resolve(net.layout().sites()).unwrap()
}

/// Sequence number `i`, with one token more than it has positions.
pub(crate) fn tokens(i: usize) -> Vec<u32> {
    let mut rng = Key::root(3).index(i as u64).rng();
    (0..=SEQ).map(|_| rng.below(VOCAB) as u32).collect()
}

fn pixels(i: usize) -> Vec<f32> {
    let mut rng = Key::root(4).index(i as u64).rng();
    (0..PIXELS).map(|_| rng.normal() as f32).collect()
}

fn noise(i: usize, width: usize) -> Vec<f32> {
    let mut rng = Key::root(5).index(i as u64).rng();
    (0..width).map(|_| rng.normal() as f32).collect()
}

/// Every registered method: with default parameters, and with every switch and every choice of
/// words that its parameters document thrown the other way.
pub(crate) fn methods() -> Vec<(String, Box<dyn Localize>)> {
    let mut out = Vec::new();
    for entry in &LOCALIZE {
        let mut settings = vec![json!({})];
        for p in (entry.params)() {
            let default: Value =
                p.default.as_deref().and_then(|d| serde_json::from_str(d).ok()).unwrap_or_default();
            let choices = match default {
                Value::Bool(on) => vec![json!(!on)],
                _ => p.kind.split(" | ").filter_map(|c| serde_json::from_str(c).ok()).collect(),
            };
            let other = choices.into_iter().filter(|c: &Value| *c != default && !c.is_number());
            settings.extend(other.map(|c| json!({ p.name.clone(): c })));
        }
        for s in settings {
            let name = format!("{} {s}", entry.about.name);
            out.push((name, (entry.build)(&s).unwrap().0));
        }
    }
    out
}

/// Fails unless the bits agree (0 and -0 are the same).
#[track_caller]
pub(crate) fn assert_same(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let bad = got.iter().zip(want).position(|(g, w)| g != w);
    assert_eq!(bad, None, "{what}: {:?}", bad.map(|i| (got[i], want[i])));
}

/// Fails unless `got` equals `want` up to a share of the largest number.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let top = want.iter().chain(got).fold(1e-3f32, |a, x| a.max(x.abs()));
    let bad =
        got.iter().zip(want).position(|(g, w)| (g - w).abs() > tolerance * top || g.is_nan() != w.is_nan());
    assert_eq!(bad, None, "{what}: {:?} of {top}", bad.map(|i| (got[i], want[i])));
}
