//! What the integration tests share: one pass over a closure, and random numbers.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod steps;

use lobe_core::{FORGET, JointKind, Key, LabelId, LabelSet, RETAIN, Route, RouteTable, Selection, Target};
use lobe_engine::ops::attention::{AttentionSpec, Rotary};
use lobe_engine::ops::head::{HeadSpec, RowWeights};
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::{
    EngineError, Layout, Owner, OwnerPart, ParamId, Plan, ShardRows, SiteId, Tape, Var, Workspace,
};

/// What one shard computed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pass {
    /// Value of the variable that the closure returned.
    pub(crate) out: Vec<f32>,
    /// Its shape.
    pub(crate) shape: (usize, usize),
    /// The tape's objective, plus the functional of the output in f64.
    pub(crate) objective: f64,
    /// Gradient of all parameters, flat.
    pub(crate) grads: Vec<f32>,
}

impl Pass {
    /// The gradient of one tensor.
    pub(crate) fn grad(&self, layout: &Layout, p: ParamId) -> &[f32] {
        &self.grads[layout.get(p).span()]
    }
}

/// Runs `f` on one shard, seeds its result with `functional` (if any) and goes backwards.
pub(crate) fn try_pass(
    layout: &Layout,
    params: &[f32],
    plan: &Plan,
    rows: ShardRows<'_>,
    functional: Option<&[f32]>,
    f: &dyn Fn(&mut Tape<'_>) -> Result<Var, EngineError>,
) -> Result<Pass, EngineError> {
    let mut ws = Workspace::default();
    let mut moving = vec![0.0; plan.moving().len()];
    let mut tape = Tape::new(&mut ws, layout, params, Some(&mut moving), plan, rows);
    let v = f(&mut tape)?;
    let (out, shape) = (tape.value(v).to_vec(), tape.shape(v));
    let mut objective = tape.objective();
    if let Some(r) = functional {
        objective += dot(&out, r);
        tape.seed_grad(v, r)?;
    }
    tape.backward(0)?;
    let mut grads = vec![0.0; layout.len()];
    plan.moving().spread(&mut grads, &moving);
    Ok(Pass { out, shape, objective, grads })
}

/// [`try_pass`] that must succeed.
pub(crate) fn pass(
    layout: &Layout,
    params: &[f32],
    plan: &Plan,
    rows: ShardRows<'_>,
    functional: Option<&[f32]>,
    f: &dyn Fn(&mut Tape<'_>) -> Result<Var, EngineError>,
) -> Pass {
    try_pass(layout, params, plan, rows, functional, f).expect("the pass succeeds")
}

/// [`pass`] with ordinary training.
pub(crate) fn plain_pass(
    layout: &Layout,
    params: &[f32],
    rows: usize,
    functional: Option<&[f32]>,
    f: &dyn Fn(&mut Tape<'_>) -> Result<Var, EngineError>,
) -> Pass {
    pass(layout, params, &Plan::plain(layout), ShardRows::uniform(rows, RETAIN), functional, f)
}

/// Σ a b in f64.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Normal numbers that belong to `name`.
pub(crate) fn normals(name: &str, n: usize) -> Vec<f32> {
    let mut rng = Key::root(7).child(name).rng();
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// Integers below `bound` that belong to `name`.
pub(crate) fn integers(name: &str, n: usize, bound: usize) -> Vec<u32> {
    let mut rng = Key::root(8).child(name).rng();
    (0..n).map(|_| rng.below(bound) as u32).collect()
}

/// The first place where two slices differ by more than `absolute + relative |want|`.
pub(crate) fn differs(got: &[f32], want: &[f32], relative: f32, absolute: f32) -> Option<String> {
    if got.len() != want.len() {
        return Some(format!("{} numbers instead of {}", got.len(), want.len()));
    }
    let bad = |(_, (g, w)): &(usize, (&f32, &f32))| {
        g.is_nan() != w.is_nan() || (**g - **w).abs() > absolute + relative * w.abs()
    };
    let (i, (g, w)) = got.iter().zip(want).enumerate().find(bad)?;
    Some(format!("at {i}: {g} instead of {w}"))
}

/// Fails unless `got` equals `want` up to `absolute + relative |want|`.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f32], relative: f32, absolute: f32) {
    if let Some(e) = differs(got, want, relative, absolute) {
        panic!("{what}: {e}");
    }
}

/// Fails unless the bits agree.
#[track_caller]
pub(crate) fn assert_same(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let bad = got.iter().zip(want).position(|(g, w)| g.to_bits() != w.to_bits() && g != w);
    assert_eq!(bad, None, "{what}: {:?}", bad.map(|i| (got[i], want[i])));
}

/// Hook that stands in for a site: given the value, what downstream sees.
pub(crate) type Hook<'a> = dyn Fn(&mut Tape<'_>, SiteId, Var) -> Result<Var, EngineError> + 'a;

/// Options of the small network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) act: Act,
    pub(crate) gated: bool,
    pub(crate) kv_heads: usize,
    pub(crate) window: Option<usize>,
    pub(crate) rotary: Option<f32>,
    pub(crate) tied: bool,
}

impl Shape {
    pub(crate) const GPT: Shape =
        Shape { act: Act::Gelu, gated: false, kv_heads: 4, window: None, rotary: None, tied: false };
}

/// One transformer block between an embedding and a read-out, with owners as in a real network.
pub(crate) struct Net {
    pub(crate) shape: Shape,
    pub(crate) layout: Layout,
    pub(crate) params: Vec<f32>,
    pub(crate) embed: SiteId,
    pub(crate) z: SiteId,
    pub(crate) post: SiteId,
    pub(crate) resid: SiteId,
}

/// Residual width, heads, head width, neurons, vocabulary, sequence length.
pub(crate) const D: usize = 8;
pub(crate) const HEADS: usize = 4;
pub(crate) const HEAD: usize = 2;
pub(crate) const MLP: usize = 12;
pub(crate) const VOCAB: usize = 11;
pub(crate) const SEQ: usize = 5;

impl Net {
    pub(crate) fn new(shape: Shape) -> Net {
        let mut l = Layout::default();
        let embed = l.site("embed", D);
        let z = l.site("attn.z", HEADS);
        let post = l.site("mlp.post", MLP);
        let resid = l.site("resid_post", D);
        let kv = shape.kv_heads;
        let part = |start, blocks, units_per_block| OwnerPart { start, blocks, width: HEAD, units_per_block };
        let qkv = (HEADS + 2 * kv) * HEAD;
        let heads = Owner {
            site: z,
            parts: vec![
                part(0, HEADS, 1),
                part(HEADS * HEAD, kv, HEADS / kv),
                part((HEADS + kv) * HEAD, kv, HEADS / kv),
            ],
        };
        let up = if shape.gated { 2 * MLP } else { MLP };
        let one = |start| OwnerPart { start, blocks: MLP, width: 1, units_per_block: 1 };
        let neurons =
            Owner { site: post, parts: if shape.gated { vec![one(0), one(MLP)] } else { vec![one(0)] } };
        l.tensor("embed", VOCAB, D).joint(JointKind::Embedding).add();
        l.tensor("positions", SEQ, D).joint(JointKind::Embedding).add();
        l.tensor("ln1.gain", 1, D).joint(JointKind::Norm).add();
        l.tensor("ln1.shift", 1, D).joint(JointKind::Norm).add();
        l.tensor("qkv", D, qkv).cols_owned(heads.clone()).add();
        l.tensor("qkv.bias", 1, qkv).cols_owned(heads).add();
        l.tensor("proj", HEADS * HEAD, D).rows_owned(Owner::blocks(z, HEADS, HEAD)).add();
        l.tensor("proj.bias", 1, D).joint(JointKind::OutBias).add();
        l.tensor("ln2.gain", 1, D).joint(JointKind::Norm).add();
        l.tensor("up", D, up).cols_owned(neurons.clone()).add();
        l.tensor("up.bias", 1, up).cols_owned(neurons).add();
        l.tensor("down", MLP, D).rows_owned(Owner::units(post, MLP)).add();
        l.tensor("down.bias", 1, D).joint(JointKind::OutBias).add();
        l.tensor("ln.gain", 1, D).joint(JointKind::Norm).add();
        l.tensor("ln.shift", 1, D).joint(JointKind::Norm).add();
        if !shape.tied {
            l.tensor("head", D, VOCAB).joint(JointKind::Head).add();
        }
        l.tensor("head.bias", 1, VOCAB).joint(JointKind::Head).add();
        l.check().expect("the layout is consistent");
        let mut params = Vec::new();
        for t in l.tensors() {
            let shift = if t.name.ends_with("gain") { 1.0 } else { 0.0 };
            params.extend(normals(&t.name, t.rows * t.cols).iter().map(|x| shift + 0.5 * x));
        }
        Net { shape, layout: l, params, embed, z, post, resid }
    }

    pub(crate) fn p(&self, name: &str) -> ParamId {
        self.layout.find(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// The network with its loss. With `hook`, sites are what the hook makes of them.
    pub(crate) fn forward(
        &self,
        t: &mut Tape<'_>,
        tokens: &[u32],
        targets: &[u32],
        hook: Option<&Hook<'_>>,
    ) -> Result<Var, EngineError> {
        let at = |s| if hook.is_none() { Some(s) } else { None };
        let through = |t: &mut Tape<'_>, s, v| hook.map_or(Ok(v), |h| h(t, s, v));
        let p = |name: &str| self.p(name);
        let x = t.embedding(tokens, SEQ, p("embed"), Some(p("positions")), at(self.embed))?;
        let x = through(t, self.embed, x)?;
        let h = t.norm(x, p("ln1.gain"), Some(p("ln1.shift")), false, 1e-5)?;
        let h = t.linear(h, LinearSpec { bias: Some(p("qkv.bias")), ..LinearSpec::new(p("qkv")) })?;
        let spec = AttentionSpec {
            seq: SEQ,
            heads: HEADS,
            kv_heads: self.shape.kv_heads,
            head_dim: HEAD,
            scale: 0.7,
            window: self.shape.window,
            rotary: self.shape.rotary.map(Rotary::plain),
            site: at(self.z),
        };
        let h = t.attention(h, spec)?;
        let h = through(t, self.z, h)?;
        let x = t.linear(
            h,
            LinearSpec { bias: Some(p("proj.bias")), residual: Some(x), ..LinearSpec::new(p("proj")) },
        )?;
        let h = t.norm(x, p("ln2.gain"), None, true, 1e-5)?;
        let up = LinearSpec { bias: Some(p("up.bias")), ..LinearSpec::new(p("up")) };
        let h = if self.shape.gated {
            let u = t.linear(h, up)?;
            t.gated(u, at(self.post))?
        } else {
            t.linear(h, LinearSpec { act: self.shape.act, site: at(self.post), ..up })?
        };
        let h = through(t, self.post, h)?;
        let x = t.linear(
            h,
            LinearSpec {
                bias: Some(p("down.bias")),
                residual: Some(x),
                site: at(self.resid),
                ..LinearSpec::new(p("down"))
            },
        )?;
        let x = through(t, self.resid, x)?;
        let h = t.norm(x, p("ln.gain"), Some(p("ln.shift")), false, 1e-5)?;
        let weight = if self.shape.tied { p("embed") } else { p("head") };
        let head = HeadSpec { weight, tied: self.shape.tied, bias: Some(p("head.bias")), scale: 0.9 };
        let s = t.cross_entropy(h, head, targets, RowWeights::One(1.0))?;
        t.columns(s, 0..1)
    }

    /// One shard of `batch`.
    pub(crate) fn run(
        &self,
        plan: &Plan,
        rows: ShardRows<'_>,
        batch: &Batch,
        hook: Option<&Hook<'_>>,
    ) -> Pass {
        pass(&self.layout, &self.params, plan, rows, None, &|t| {
            self.forward(t, &batch.tokens, &batch.targets, hook)
        })
    }

    /// A plan for routes of the forget label over `region` (and `elsewhere`).
    pub(crate) fn plan(&self, region: &Selection, table: &RouteTable) -> Plan {
        Plan::new(&self.layout, &LabelSet::default(), std::slice::from_ref(region), table)
            .expect("the table fits")
    }

    /// Every third neuron from the second on, the first query head and half of the residual stream
    /// of the sites asked for.
    pub(crate) fn region(&self, sites: &[SiteId]) -> Selection {
        let mut s = Selection::default();
        for site in sites {
            if *site == self.post {
                s.add(site.0, [1..3, 5..6, 8..11]);
            } else if *site == self.z {
                s.add(site.0, [0..1, 2..4]);
            } else {
                s.add(site.0, std::iter::once(2..5));
            }
        }
        s
    }

    /// 1 for each parameter owned by `region`.
    pub(crate) fn owned(&self, region: &Selection) -> Vec<bool> {
        let mut out = vec![false; self.layout.len()];
        self.layout.for_owned(region, |_, r| out[r].fill(true));
        out
    }

    /// Columns per unit of a site.
    pub(crate) fn width(&self, site: SiteId) -> usize {
        if site == self.z { HEAD } else { 1 }
    }
}

/// Sequences of tokens.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) tokens: Vec<u32>,
    pub(crate) targets: Vec<u32>,
}

impl Batch {
    pub(crate) fn new(name: &str, sequences: usize) -> Batch {
        Batch {
            tokens: integers(name, sequences * SEQ, VOCAB),
            targets: integers(&format!("{name} targets"), sequences * SEQ, VOCAB),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// The sequences in another order.
    pub(crate) fn pick(&self, sequences: &[usize]) -> Batch {
        let take = |x: &[u32]| sequences.iter().flat_map(|s| x[s * SEQ..(s + 1) * SEQ].to_vec()).collect();
        Batch { tokens: take(&self.tokens), targets: take(&self.targets) }
    }
}

/// Networks of several shapes.
pub(crate) const SHAPES: [(&str, Shape); 5] = [
    ("gelu", Shape::GPT),
    ("relu, tied", Shape { act: Act::Relu, tied: true, ..Shape::GPT }),
    ("silu, grouped", Shape { act: Act::Silu, kv_heads: 2, ..Shape::GPT }),
    ("identity, window", Shape { act: Act::Identity, window: Some(2), ..Shape::GPT }),
    ("gated, rotary", Shape { gated: true, rotary: Some(100.0), kv_heads: 2, ..Shape::GPT }),
];

/// A table with one route for forget data at the region.
pub(crate) fn forget(route: Route) -> RouteTable {
    RouteTable::plain().with(FORGET, Target::Region(0), route)
}

/// Rows of forget data.
pub(crate) fn uniform(rows: usize) -> ShardRows<'static> {
    ShardRows::uniform(rows, FORGET)
}

/// Tolerance for gradients that differ only in the order of f32 sums.
pub(crate) fn close(what: &str, got: &Pass, want: &Pass) {
    assert_close(&format!("{what}: output"), &got.out, &want.out, 1e-5, 1e-5);
    let top = want.grads.iter().fold(1.0, |a: f32, g| a.max(g.abs()));
    assert_close(&format!("{what}: gradients"), &got.grads, &want.grads, 1e-4, 2e-6 * top);
}

/// Labels row by row, not in blocks.
pub(crate) fn mixed(rows: usize) -> Vec<LabelId> {
    integers("labels", rows, 3).into_iter().map(|l| LabelId(l as u8)).collect()
}
