//! One decoder-only transformer for the GPT-2, GPT-Neo and Llama shapes.

use lobe_core::JointKind;
use lobe_engine::ops::attention::{AttentionSpec, Rotary};
use lobe_engine::ops::head::HeadSpec;
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::{EngineError, Init, Layout, Owner, OwnerPart, ParamId, SiteId, Tape, Var};

use crate::gpt_config::{Activation, GptConfig, NormKind, Positions};

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
    embed_site: SiteId,
    tokens: ParamId,
    positions: Option<ParamId>,
    blocks: Vec<Block>,
    last_norm: NormIds,
    head: (ParamId, Option<ParamId>),
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
        let blocks = (0..c.layers).map(|i| block(&mut l, i, &c)).collect();
        let last_norm = norm_ids(&mut l, "final", &c);
        let weight = if c.tied {
            tokens
        } else {
            l.tensor("head.weight", c.width, c.vocab).init(std).joint(JointKind::Head).add()
        };
        let bias = c.head_bias.then(|| l.tensor("head.bias", 1, c.vocab).joint(JointKind::Head).add());
        Gpt { config: c, layout: l, embed_site, tokens, positions, blocks, last_norm, head: (weight, bias) }
    }

    /// The read-out, for the engine's losses.
    pub fn head(&self) -> HeadSpec {
        HeadSpec {
            weight: self.head.0,
            tied: self.config.tied,
            bias: self.head.1,
            scale: self.config.logit_scale,
        }
    }

    /// Final hidden states `[tokens, width]` of sequences of length `seq` laid end to end.
    ///
    /// # Errors
    /// If a token is out of range or a sequence is longer than the context.
    pub fn hidden(&self, tape: &mut Tape<'_>, ids: &[u32], seq: usize) -> Result<Var, EngineError> {
        let x = self.residual(tape, ids, seq, self.blocks.len())?;
        self.norm(tape, x, self.last_norm)
    }

    /// The residual stream `[tokens, width]` after the first `blocks` blocks; nothing above is computed.
    ///
    /// # Errors
    /// If a token is out of range or a sequence is longer than the context.
    pub fn residual(
        &self,
        tape: &mut Tape<'_>,
        ids: &[u32],
        seq: usize,
        blocks: usize,
    ) -> Result<Var, EngineError> {
        let mut x = tape.embedding(ids, seq, self.tokens, self.positions, Some(self.embed_site))?;
        for b in self.blocks.iter().take(blocks) {
            x = self.run_block(tape, b, x, seq)?;
        }
        Ok(x)
    }

    /// The site of the residual stream after block `i`.
    pub fn residual_site(&self, i: usize) -> Option<SiteId> {
        self.blocks.get(i).map(|b| b.resid_post)
    }

    /// The down-projection of block `i`'s MLP: weight, and bias if it has one.
    pub fn mlp_out(&self, i: usize) -> Option<(ParamId, Option<ParamId>)> {
        self.blocks.get(i).map(|b| b.mlp_out)
    }

    /// The site of the embedded tokens.
    pub fn embed_site(&self) -> SiteId {
        self.embed_site
    }

    /// The token embedding `[vocab, width]`.
    pub fn token_embedding(&self) -> ParamId {
        self.tokens
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
