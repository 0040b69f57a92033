//! Which Hugging Face tensor holds which part of which tensor of a [`Gpt`].

use std::ops::Range;

use lobe_engine::Tensor;

use super::Format;
use crate::gpt::Gpt;
use crate::gpt::{Activation, NormKind};

/// One Hugging Face tensor: some columns of one of ours, perhaps transposed.
pub(super) struct Piece {
    /// Its name there.
    pub(super) name: String,
    /// Its shape there.
    pub(super) shape: Vec<usize>,
    /// Our tensor's name.
    ours: String,
    /// The columns of ours that it holds.
    cols: Range<usize>,
    /// Whether it holds them as `[out, in]`.
    transposed: bool,
}

impl Piece {
    /// Calls `f(theirs, ours)` with the index of every number here and in the flat parameters.
    fn each(&self, t: &Tensor, mut f: impl FnMut(usize, usize)) {
        let n = self.cols.len();
        for r in 0..t.rows {
            for c in 0..n {
                let there = if self.transposed { c * t.rows + r } else { r * n + c };
                f(there, t.offset + r * t.cols + self.cols.start + c);
            }
        }
    }

    fn tensor<'a>(&self, net: &'a Gpt) -> Option<&'a Tensor> {
        net.layout.find(&self.ours).map(|id| net.layout.get(id))
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its numbers, taken from our parameters.
    pub(super) fn gather(&self, net: &Gpt, params: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.len()];
        if let Some(t) = self.tensor(net) {
            self.each(t, |there, here| out[there] = params[here]);
        }
        out
    }

    /// Puts its numbers into our parameters.
    pub(super) fn scatter(&self, net: &Gpt, values: &[f32], params: &mut [f32]) {
        if let Some(t) = self.tensor(net) {
            self.each(t, |there, here| params[here] = values[there]);
        }
    }
}

struct Names<'a> {
    net: &'a Gpt,
    pieces: Vec<Piece>,
}

impl Names<'_> {
    /// Columns `cols` (all if `None`) of our tensor, if the network has it.
    fn add(&mut self, name: String, ours: String, cols: Option<Range<usize>>, transposed: bool) {
        let Some(id) = self.net.layout.find(&ours) else { return };
        let t = self.net.layout.get(id);
        let cols = cols.unwrap_or(0..t.cols);
        // By name and not by size: a network of width 1 has matrices of one row.
        let matrix = ours.ends_with(".weight") || ours.starts_with("embed.");
        let shape = match (matrix, transposed) {
            (false, _) => vec![cols.len()],
            (true, false) => vec![t.rows, cols.len()],
            (true, true) => vec![cols.len(), t.rows],
        };
        self.pieces.push(Piece { name, shape, ours, cols, transposed });
    }

    /// Weight and bias of a linear map, or some columns of them.
    fn linear(&mut self, theirs: &str, ours: &str, cols: Option<Range<usize>>, transposed: bool) {
        self.add(format!("{theirs}.weight"), format!("{ours}.weight"), cols.clone(), transposed);
        self.add(format!("{theirs}.bias"), format!("{ours}.bias"), cols, false);
    }

    /// Gain and shift of a norm.
    fn norm(&mut self, theirs: &str, ours: &str) {
        self.add(format!("{theirs}.weight"), format!("{ours}.gain"), None, false);
        self.add(format!("{theirs}.bias"), format!("{ours}.shift"), None, false);
    }
}

/// The head of an untied network, in every format.
pub(super) const HEAD: &str = "lm_head.weight";

/// The token embedding, in files of the whole and of the bare model.
pub(super) fn embedding(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Llama => ("model.embed_tokens.weight", "embed_tokens.weight"),
        Format::Gpt2 | Format::GptNeo => ("transformer.wte.weight", "wte.weight"),
    }
}

/// Every tensor of the exported file, in order.
pub(super) fn pieces(format: Format, net: &Gpt) -> Vec<Piece> {
    let c = &net.config;
    let mut n = Names { net, pieces: Vec::new() };
    let (q, kv) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
    let separate = [("q_proj", 0..q), ("k_proj", q..q + kv), ("v_proj", q + kv..q + 2 * kv)];
    let all = |name: &str| name.to_owned();
    let llama = format == Format::Llama;
    debug_assert!(llama == (c.norm == NormKind::Rms) && llama == (c.activation == Activation::Swiglu));
    let base = if llama { "model" } else { "transformer" };
    n.add(all(embedding(format).0), all("embed.tokens"), None, false);
    if !llama {
        n.add(all("transformer.wpe.weight"), all("embed.positions"), None, false);
    }
    for i in 0..c.layers {
        let ours = |s: &str| format!("blocks.{i}.{s}");
        let theirs = |s: &str| format!("{base}.{}.{i}.{s}", if llama { "layers" } else { "h" });
        n.norm(&theirs(if llama { "input_layernorm" } else { "ln_1" }), &ours("norm1"));
        match format {
            Format::Gpt2 => {
                n.linear(&theirs("attn.c_attn"), &ours("attn.qkv"), None, false);
                n.linear(&theirs("attn.c_proj"), &ours("attn.out"), None, false);
            }
            Format::GptNeo => {
                for (name, cols) in separate.clone() {
                    n.linear(&theirs(&format!("attn.attention.{name}")), &ours("attn.qkv"), Some(cols), true);
                }
                n.linear(&theirs("attn.attention.out_proj"), &ours("attn.out"), None, true);
            }
            Format::Llama => {
                for (name, cols) in separate.clone() {
                    n.linear(&theirs(&format!("self_attn.{name}")), &ours("attn.qkv"), Some(cols), true);
                }
                n.linear(&theirs("self_attn.o_proj"), &ours("attn.out"), None, true);
            }
        }
        n.norm(&theirs(if llama { "post_attention_layernorm" } else { "ln_2" }), &ours("norm2"));
        if llama {
            n.linear(&theirs("mlp.gate_proj"), &ours("mlp.in"), Some(0..c.mlp), true);
            n.linear(&theirs("mlp.up_proj"), &ours("mlp.in"), Some(c.mlp..2 * c.mlp), true);
            n.linear(&theirs("mlp.down_proj"), &ours("mlp.out"), None, true);
        } else {
            let transposed = format == Format::GptNeo;
            n.linear(&theirs("mlp.c_fc"), &ours("mlp.in"), None, transposed);
            n.linear(&theirs("mlp.c_proj"), &ours("mlp.out"), None, transposed);
        }
    }
    n.norm(if llama { "model.norm" } else { "transformer.ln_f" }, "final");
    if !c.tied {
        n.add(all(HEAD), all("head.weight"), None, true);
    }
    n.pieces
}
