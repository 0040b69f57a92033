//! What `transformers` asks of a directory before it opens it, written after its configurations and
//! models (5.24) and not after the tables that Lobe reads and writes with: a fault that reading and
//! writing share shows here.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::Dtype;
use serde_json::{Map, Value};

use super::read::text;
use crate::network::NetError;
use crate::weights::{read_header, refuse};

type Shapes = BTreeMap<String, Vec<usize>>;

/// Whether `transformers` opens the model in `dir`: keys and their types, sizes that divide, ids in
/// the vocabulary, and every tensor there, of the right shape, and none beside.
///
/// # Errors
/// The first thing in the way.
pub fn opens(dir: &Path) -> Result<(), NetError> {
    let (settings, weights) = (dir.join("config.json"), dir.join("model.safetensors"));
    let value: Value = match serde_json::from_str(&text(&settings)?) {
        Ok(value) => value,
        Err(e) => return refuse(&settings, format!("is not JSON: {e}")),
    };
    let Value::Object(map) = value else { return refuse(&settings, "is not a JSON object") };
    let want = match wanted(&Config(&map)) {
        Ok(want) => want,
        Err(what) => return refuse(&settings, format!("transformers refuses it: {what}")),
    };
    let (metadata, _, info) = read_header(&weights)?;
    if info.get("format").map(String::as_str) != Some("pt") {
        return refuse(&weights, "lacks the entry \"format\": \"pt\", without which transformers refuses it");
    }
    for (name, shape) in &want {
        match metadata.info(name) {
            None => return refuse(&weights, format!("lacks {name:?}; transformers would draw it at random")),
            Some(t) if t.shape != *shape => {
                let what = format!("{name:?} has shape {:?}, transformers expects {shape:?}", t.shape);
                return refuse(&weights, what);
            }
            Some(t) if !matches!(t.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) => {
                return refuse(&weights, format!("{name:?} is {}", t.dtype));
            }
            Some(_) => {}
        }
    }
    match metadata.tensors().keys().find(|name| !want.contains_key(*name)) {
        Some(name) => refuse(&weights, format!("holds {name:?}, which transformers leaves out")),
        None => Ok(()),
    }
}

/// `config.json`, by its keys.
struct Config<'a>(&'a Map<String, Value>);

impl Config<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    fn size(&self, key: &str) -> Result<usize, String> {
        let value = self.get(key).ok_or_else(|| format!("{key} is missing"))?;
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        size.ok_or_else(|| format!("{key} = {value} is no size"))
    }

    fn size_or(&self, key: &str, default: usize) -> Result<usize, String> {
        if self.get(key).is_some() { self.size(key) } else { Ok(default) }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        let value = self.get(key).map_or(Some(default), Value::as_bool);
        value.ok_or_else(|| format!("{key} is neither true nor false"))
    }

    /// Its configurations are typed: a whole number is no float.
    fn float(&self, key: &str, most: f64) -> Result<(), String> {
        match self.get(key) {
            None => Ok(()),
            Some(v) if v.is_f64() && v.as_f64().is_some_and(|x| (0.0..=most).contains(&x)) => Ok(()),
            Some(v) => Err(format!("{key} = {v} is no float in 0 to {most:e}")),
        }
    }

    fn one_of(&self, key: &str, words: &[&str]) -> Result<(), String> {
        match self.get(key) {
            None => Ok(()),
            Some(v) if v.as_str().is_some_and(|s| words.contains(&s)) => Ok(()),
            Some(v) => Err(format!("{key} = {v}")),
        }
    }

    /// What all families share.
    fn common(&self, architecture: &str, vocab: usize) -> Result<(), String> {
        let named = self.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
        if named != Some(architecture) {
            return Err(format!("architectures names {named:?}, not {architecture:?}"));
        }
        for key in ["bos_token_id", "eos_token_id", "pad_token_id"] {
            let known = |v: &Value| v.as_u64().is_some_and(|id| id < vocab as u64);
            if let Some(v) = self.get(key).filter(|v| !known(v)) {
                return Err(format!("{key} = {v} is no id below {vocab}"));
            }
        }
        self.float("initializer_range", f64::MAX)
    }
}

/// `heads` divide `width`.
fn divides(width: usize, heads: usize) -> Result<usize, String> {
    if width.is_multiple_of(heads) {
        Ok(width / heads)
    } else {
        Err(format!("the width {width} is no multiple of {heads} heads"))
    }
}

/// Every tensor of the model, with its shape.
fn wanted(c: &Config<'_>) -> Result<Shapes, String> {
    let mut out = Shapes::new();
    match c.get("model_type").and_then(Value::as_str) {
        Some("gpt2") => gpt2(c, &mut out)?,
        Some("gpt_neo") => gpt_neo(c, &mut out)?,
        Some("llama") => llama(c, &mut out)?,
        other => return Err(format!("model_type {other:?}")),
    }
    Ok(out)
}

/// Weight and, if wanted, bias.
fn linear(out: &mut Shapes, name: &str, shape: [usize; 2], bias: Option<usize>) {
    out.insert(format!("{name}.weight"), shape.to_vec());
    out.extend(bias.map(|n| (format!("{name}.bias"), vec![n])));
}

fn layer_norm(out: &mut Shapes, name: &str, width: usize) {
    out.extend(["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![width])));
}

/// `GPT2Config`, `GPT2LMHeadModel`: maps are stored `[in, out]`.
fn gpt2(c: &Config<'_>, out: &mut Shapes) -> Result<(), String> {
    let (vocab, width, layers) = (c.size("vocab_size")?, c.size("n_embd")?, c.size("n_layer")?);
    c.common("GPT2LMHeadModel", vocab)?;
    c.float("layer_norm_epsilon", f64::MAX)?;
    c.one_of("activation_function", &ACTIVATIONS)?;
    divides(width, c.size("n_head")?)?;
    let inner = c.size_or("n_inner", 4 * width)?;
    out.insert("transformer.wte.weight".into(), vec![vocab, width]);
    out.insert("transformer.wpe.weight".into(), vec![c.size("n_positions")?, width]);
    for i in 0..layers {
        let name = |part: &str| format!("transformer.h.{i}.{part}");
        layer_norm(out, &name("ln_1"), width);
        layer_norm(out, &name("ln_2"), width);
        linear(out, &name("attn.c_attn"), [width, 3 * width], Some(3 * width));
        linear(out, &name("attn.c_proj"), [width, width], Some(width));
        linear(out, &name("mlp.c_fc"), [width, inner], Some(inner));
        linear(out, &name("mlp.c_proj"), [inner, width], Some(width));
    }
    layer_norm(out, "transformer.ln_f", width);
    head(c, out, true, [vocab, width])
}

/// `GPTNeoConfig`, `GPTNeoForCausalLM`: maps are stored `[out, in]`, q, k and v without biases.
fn gpt_neo(c: &Config<'_>, out: &mut Shapes) -> Result<(), String> {
    let (vocab, width, layers) = (c.size("vocab_size")?, c.size("hidden_size")?, c.size("num_layers")?);
    c.common("GPTNeoForCausalLM", vocab)?;
    c.float("layer_norm_epsilon", f64::MAX)?;
    c.one_of("activation_function", &ACTIVATIONS)?;
    c.size_or("window_size", 256)?;
    divides(width, c.size("num_heads")?)?;
    let types = c.get("attention_types").and_then(Value::as_array).ok_or("attention_types is missing")?;
    let of = |item: &Value| {
        let kinds = item.get(0).and_then(Value::as_array).map_or(0, Vec::len);
        kinds * item.get(1).and_then(Value::as_u64).unwrap_or(0) as usize
    };
    let named: usize = types.iter().map(of).sum();
    if named != layers {
        return Err(format!("attention_types names {named} blocks of {layers}"));
    }
    let inner = c.size_or("intermediate_size", 4 * width)?;
    out.insert("transformer.wte.weight".into(), vec![vocab, width]);
    out.insert("transformer.wpe.weight".into(), vec![c.size("max_position_embeddings")?, width]);
    for i in 0..layers {
        let name = |part: &str| format!("transformer.h.{i}.{part}");
        layer_norm(out, &name("ln_1"), width);
        layer_norm(out, &name("ln_2"), width);
        for part in ["q_proj", "k_proj", "v_proj"] {
            linear(out, &name(&format!("attn.attention.{part}")), [width, width], None);
        }
        linear(out, &name("attn.attention.out_proj"), [width, width], Some(width));
        linear(out, &name("mlp.c_fc"), [inner, width], Some(inner));
        linear(out, &name("mlp.c_proj"), [width, inner], Some(width));
    }
    layer_norm(out, "transformer.ln_f", width);
    head(c, out, true, [vocab, width])
}

/// `LlamaConfig`, `LlamaForCausalLM`: heads must divide the width even where `head_dim` is given.
fn llama(c: &Config<'_>, out: &mut Shapes) -> Result<(), String> {
    let (vocab, width) = (c.size("vocab_size")?, c.size("hidden_size")?);
    c.common("LlamaForCausalLM", vocab)?;
    c.float("rms_norm_eps", f64::MAX)?;
    c.float("initializer_range", 1.0)?;
    c.one_of("hidden_act", &["silu"])?;
    let heads = c.size("num_attention_heads")?;
    let head_dim = c.size_or("head_dim", divides(width, heads)?)?;
    let groups = c.size_or("num_key_value_heads", heads)?;
    divides(heads, groups)
        .map_err(|_| format!("{heads} heads are no multiple of {groups} key/value heads"))?;
    if !head_dim.is_multiple_of(2) {
        return Err(format!("head_dim = {head_dim} is odd, so its halves cannot be rotated"));
    }
    rope(c)?;
    let inner = c.size("intermediate_size")?;
    let (of_attention, of_mlp) = (c.flag("attention_bias", false)?, c.flag("mlp_bias", false)?);
    let bias = |on: bool, n: usize| on.then_some(n);
    out.insert("model.embed_tokens.weight".into(), vec![vocab, width]);
    for i in 0..c.size("num_hidden_layers")? {
        let name = |part: &str| format!("model.layers.{i}.{part}");
        for norm in ["input_layernorm.weight", "post_attention_layernorm.weight"] {
            out.insert(name(norm), vec![width]);
        }
        for (part, n) in [("q_proj", heads), ("k_proj", groups), ("v_proj", groups)] {
            let n = n * head_dim;
            linear(out, &name(&format!("self_attn.{part}")), [n, width], bias(of_attention, n));
        }
        let wide = heads * head_dim;
        linear(out, &name("self_attn.o_proj"), [width, wide], bias(of_attention, width));
        linear(out, &name("mlp.gate_proj"), [inner, width], bias(of_mlp, inner));
        linear(out, &name("mlp.up_proj"), [inner, width], bias(of_mlp, inner));
        linear(out, &name("mlp.down_proj"), [width, inner], bias(of_mlp, width));
    }
    out.insert("model.norm.weight".into(), vec![width]);
    head(c, out, false, [vocab, width])
}

/// The rotary parameters that a Llama configuration is opened with.
fn rope(c: &Config<'_>) -> Result<(), String> {
    let table = c.get("rope_scaling").or(c.get("rope_parameters")).and_then(Value::as_object);
    let Some(table) = table else { return Ok(()) };
    let rope = Config(table);
    rope.one_of("rope_type", &["default", "linear"])?;
    rope.float("rope_theta", f64::MAX)?;
    match (table.get("rope_type").and_then(Value::as_str), table.get("factor")) {
        (Some("linear"), None) => Err("rotary positions of type \"linear\" have no factor".into()),
        _ => Ok(()),
    }
}

/// The head is stored where it is not the embedding.
fn head(c: &Config<'_>, out: &mut Shapes, tied: bool, shape: [usize; 2]) -> Result<(), String> {
    if !c.flag("tie_word_embeddings", tied)? {
        out.insert("lm_head.weight".into(), shape.to_vec());
    }
    Ok(())
}

/// Activations that Lobe writes, under the names of `transformers`.
const ACTIVATIONS: [&str; 3] = ["relu", "gelu", "gelu_new"];
