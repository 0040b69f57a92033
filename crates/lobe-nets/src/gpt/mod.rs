//! One decoder-only transformer for the GPT-2, GPT-Neo and Llama shapes.

mod config;

use std::any::Any;
use std::sync::Arc;

use lobe_core::JointKind;
use lobe_core::registry::{About, params_of, read};
use lobe_engine::ops::attention::{AttentionSpec, Rotary};
use lobe_engine::ops::head::HeadSpec;
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::{EngineError, Init, Layout, Owner, OwnerPart, ParamId, SiteId, Tape, Var};

use serde_json::Value;

pub use self::config::{Activation, GptConfig, NormKind, Positions};
use crate::batch::{Fed, NEXT};
use crate::network::{Begin, End, Input, Network, NetworkEntry, Output, Ran, Read, saved, settings};

const ABOUT: About = About {
    name: "gpt",
    summary: "a decoder-only transformer: GPT-2, GPT-Neo and Llama shapes by its settings",
    reference: "Radford et al. 2019 (GPT-2); Black et al. 2021 (GPT-Neo); Touvron et al. 2023, arXiv 2302.13971 (Llama)",
    unusual: "queries, keys and values are one matrix; a head owns its columns of it and its rows of the output",
    fails: "rope scaling of the kinds llama3, dynamic and yarn is not there",
};

pub(crate) const ENTRY: NetworkEntry = NetworkEntry {
    about: &ABOUT,
    params: params_of::<GptConfig>,
    read: |v| read::<GptConfig>(v).map(|(_, full)| full),
    build: |v, data| {
        let config: GptConfig = settings(v)?;
        let (vocab, context) = match data {
            Some(Input::Tokens { vocab, context }) => (vocab, context),
            _ => (0, 0),
        };
        Ok(Arc::new(Gpt::new(config.resolve(vocab, context)?)))
    },
    reads_text: true,
};

#[derive(Debug, Clone, Copy)]
struct NormIds {
    gain: ParamId,
    shift: Option<ParamId>,
}

#[derive(Debug, Clone)]
struct Block {
    norm1: NormIds,
    qkv: (ParamId, Option<ParamId>),
    out: (ParamId, Option<ParamId>),
    norm2: NormIds,
    mlp_in: (ParamId, Option<ParamId>),
    mlp_out: (ParamId, Option<ParamId>),
    z: SiteId,
    post: SiteId,
    resid_mid: SiteId,
    resid_post: SiteId,
    window: Option<usize>,
}

/// The transformer: its layout and how it runs.
#[derive(Debug, Clone)]
pub struct Gpt {
    /// The resolved shape.
    pub config: GptConfig,
    /// Tensors and sites.
    pub layout: Layout,
    tokens: ParamId,
    positions: Option<ParamId>,
    blocks: Vec<Block>,
    last_norm: NormIds,
    head: HeadSpec,
    cuts: Vec<SiteId>,
    outputs: Vec<Output>,
}

fn norm_ids(l: &mut Layout, name: &str, c: &GptConfig) -> NormIds {
    let gain = l.tensor(format!("{name}.gain"), 1, c.width).init(Init::Ones).joint(JointKind::Norm).add();
    let shift = (c.norm == NormKind::Layer)
        .then(|| l.tensor(format!("{name}.shift"), 1, c.width).joint(JointKind::Norm).add());
    NormIds { gain, shift }
}

fn block(l: &mut Layout, i: usize, c: &GptConfig) -> Block {
    let name = |s: &str| format!("blocks.{i}.{s}");
    let (d, hd) = (c.width, c.head_dim);
    let std = Init::Normal(c.init_std);
    let small =
        if c.scale_residual_init { Init::Normal(c.init_std / (2.0 * c.layers as f32).sqrt()) } else { std };
    let z = l.site(name("attn.z"), c.heads);
    let resid_mid = l.site(name("resid_mid"), d);
    let post = l.site(name("mlp.post"), c.mlp);
    let resid_post = l.site(name("resid_post"), d);
    // [q heads | k heads | v heads]; a key/value head belongs to its group of query heads.
    let group = c.heads / c.kv_heads;
    let part = |start: usize, blocks: usize, units: usize| OwnerPart {
        start: start * hd,
        blocks,
        width: hd,
        units_per_block: units,
    };
    let qkv_owner = Owner {
        site: z,
        parts: vec![
            part(0, c.heads, 1),
            part(c.heads, c.kv_heads, group),
            part(c.heads + c.kv_heads, c.kv_heads, group),
        ],
    };
    let qkv_width = (c.heads + 2 * c.kv_heads) * hd;
    let norm1 = norm_ids(l, &name("norm1"), c);
    let qkv = l
        .tensor(name("attn.qkv.weight"), d, qkv_width)
        .side_by_side(&[c.heads * hd, c.kv_heads * hd, c.kv_heads * hd])
        .init(std)
        .cols_owned(qkv_owner.clone())
        .add();
    let qkv_bias =
        c.qkv_bias.then(|| l.tensor(name("attn.qkv.bias"), 1, qkv_width).cols_owned(qkv_owner).add());
    let out = l
        .tensor(name("attn.out.weight"), c.heads * hd, d)
        .init(small)
        .rows_owned(Owner::blocks(z, c.heads, hd))
        .add();
    let out_bias = c.out_bias.then(|| l.tensor(name("attn.out.bias"), 1, d).joint(JointKind::OutBias).add());
    let norm2 = norm_ids(l, &name("norm2"), c);
    let gates = if c.activation == Activation::Swiglu { 2 } else { 1 };
    let in_owner = Owner {
        site: post,
        parts: (0..gates)
            .map(|g| OwnerPart { start: g * c.mlp, blocks: c.mlp, width: 1, units_per_block: 1 })
            .collect(),
    };
    let mlp_in = l
        .tensor(name("mlp.in.weight"), d, gates * c.mlp)
        .side_by_side(&vec![c.mlp; gates])
        .init(std)
        .cols_owned(in_owner.clone())
        .add();
    let in_bias =
        c.mlp_bias.then(|| l.tensor(name("mlp.in.bias"), 1, gates * c.mlp).cols_owned(in_owner).add());
    let mlp_out =
        l.tensor(name("mlp.out.weight"), c.mlp, d).init(small).rows_owned(Owner::units(post, c.mlp)).add();
    let mlp_bias = c.mlp_bias.then(|| l.tensor(name("mlp.out.bias"), 1, d).joint(JointKind::OutBias).add());
    let local = c.window > 0 && (!c.window_odd_blocks || i % 2 == 1);
    Block {
        norm1,
        qkv: (qkv, qkv_bias),
        out: (out, out_bias),
        norm2,
        mlp_in: (mlp_in, in_bias),
        mlp_out: (mlp_out, mlp_bias),
        z,
        post,
        resid_mid,
        resid_post,
        window: local.then_some(c.window),
    }
}

impl Gpt {
    /// Builds the layout of a resolved shape.
    pub fn new(config: GptConfig) -> Gpt {
        let c = config;
        let mut l = Layout::default();
        let std = Init::Normal(c.init_std);
        let embed_site = l.site("embed", c.width);
        let tokens = l.tensor("embed.tokens", c.vocab, c.width).init(std).joint(JointKind::Embedding).add();
        let positions = (c.positions == Positions::Learned).then(|| {
            l.tensor("embed.positions", c.context, c.width).init(std).joint(JointKind::Embedding).add()
        });
        let blocks: Vec<Block> = (0..c.layers).map(|i| block(&mut l, i, &c)).collect();
        let last_norm = norm_ids(&mut l, "final", &c);
        let weight = if c.tied {
            tokens
        } else {
            l.tensor("head.weight", c.width, c.vocab).init(std).joint(JointKind::Head).add()
        };
        let bias = c.head_bias.then(|| l.tensor("head.bias", 1, c.vocab).joint(JointKind::Head).add());
        let head = HeadSpec { weight, tied: c.tied, bias, scale: c.logit_scale };
        let next = Output { name: NEXT.into(), target: NEXT, read: Read::Classes { classes: c.vocab, head } };
        let after = blocks.iter().map(|b| b.resid_post);
        let cuts = std::iter::once(embed_site).chain(after).collect();
        Gpt { config: c, layout: l, tokens, positions, blocks, last_norm, head, cuts, outputs: vec![next] }
    }

    /// The read-out, for the engine's losses.
    pub fn head(&self) -> HeadSpec {
        self.head
    }

    fn norm(&self, tape: &mut Tape<'_>, x: Var, ids: NormIds) -> Result<Var, EngineError> {
        tape.norm(x, ids.gain, ids.shift, self.config.norm == NormKind::Rms, self.config.norm_eps)
    }

    fn run_block(&self, tape: &mut Tape<'_>, b: &Block, x: Var, seq: usize) -> Result<Var, EngineError> {
        let c = &self.config;
        let rotary = Rotary { base: c.rotary_base, stretch: c.rotary_stretch };
        let a = self.norm(tape, x, b.norm1)?;
        let qkv = tape.linear(a, LinearSpec { bias: b.qkv.1, ..LinearSpec::new(b.qkv.0) })?;
        let z = tape.attention(
            qkv,
            AttentionSpec {
                seq,
                heads: c.heads,
                kv_heads: c.kv_heads,
                head_dim: c.head_dim,
                scale: if c.scale_attention { 1.0 / (c.head_dim as f32).sqrt() } else { 1.0 },
                window: b.window,
                rotary: (c.positions == Positions::Rotary).then_some(rotary),
                site: Some(b.z),
            },
        )?;
        let into = |(weight, bias): (ParamId, Option<ParamId>), residual, site| LinearSpec {
            weight,
            bias,
            act: Act::Identity,
            residual: Some(residual),
            site: Some(site),
            open: false,
        };
        let mid = tape.linear(z, into(b.out, x, b.resid_mid))?;
        let a = self.norm(tape, mid, b.norm2)?;
        let act = match c.activation {
            Activation::Relu => Act::Relu,
            Activation::Gelu => Act::Gelu,
            Activation::GeluTanh => Act::GeluTanh,
            Activation::Swiglu => Act::Identity,
        };
        let gated = c.activation == Activation::Swiglu;
        let site = (!gated).then_some(b.post);
        let mut u = tape.linear(
            a,
            LinearSpec { weight: b.mlp_in.0, bias: b.mlp_in.1, act, residual: None, site, open: false },
        )?;
        if gated {
            u = tape.gated(u, Some(b.post))?;
        }
        tape.linear(u, into(b.mlp_out, mid, b.resid_post))
    }
}

/// Settings that only matter where weights are drawn.
const AT_START: [&str; 2] = ["init_std", "scale_residual_init"];

impl Network for Gpt {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn config(&self) -> Value {
        saved(&self.config)
    }

    fn function(&self) -> Value {
        let mut config = self.config();
        if let Value::Object(map) = &mut config {
            map.retain(|key, _| !AT_START.contains(&key.as_str()));
            // Rotary positions have no table whose length would matter.
            if self.config.positions == Positions::Rotary {
                map.remove("context");
            }
        }
        config
    }

    fn unit_keys(&self) -> &'static [&'static str] {
        &["heads", "kv_heads", "mlp"]
    }

    fn shape(&self) -> String {
        let c = &self.config;
        let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let blocks = counted(c.layers, "block");
        format!("{blocks} of width {}, {}, {} neurons", c.width, counted(c.heads, "head"), c.mlp)
    }

    fn input(&self) -> Input {
        Input::Tokens { vocab: self.config.vocab, context: self.config.context }
    }

    fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    fn cuts(&self) -> &[SiteId] {
        &self.cuts
    }

    fn run(&self, tape: &mut Tape<'_>, from: Begin<'_>, to: End) -> Result<Ran, EngineError> {
        let (mut x, seq, first) = match from {
            Begin::Input(Fed::Tokens { ids, seq }) => {
                let x = tape.embedding(ids, seq, self.tokens, self.positions, Some(self.cuts[0]))?;
                (x, seq, 0)
            }
            Begin::Input(_) => return Err(EngineError::Invalid("a gpt is fed with tokens".into())),
            Begin::Cut { cut, x, seq } => (x, seq, cut),
        };
        let last = match to {
            End::Outputs => self.blocks.len(),
            End::Cut(cut) => cut.min(self.blocks.len()),
        };
        for block in self.blocks.get(first..last).unwrap_or_default() {
            x = self.run_block(tape, block, x, seq)?;
        }
        let ends = match to {
            End::Outputs => vec![self.norm(tape, x, self.last_norm)?],
            End::Cut(_) => Vec::new(),
        };
        Ok(Ran { ends, unrouted: Vec::new() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
