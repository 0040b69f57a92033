//! `config.json`: which shapes a format can say, and how it says them.

use serde_json::{Map, Value, json};

use super::{Format, Marks};
use crate::gpt::{Activation, GptConfig, NormKind, Positions};
use crate::network::NetError;

/// A setting that a format cannot express, and what it would have to be.
pub(super) type Misfit = (&'static str, String);

/// Every setting of `c` that `format` cannot express.
pub(super) fn misfits(format: Format, c: &GptConfig) -> Vec<Misfit> {
    let mut out: Vec<Misfit> = Vec::new();
    let mut must = |fits: bool, key: &'static str, what: &str| {
        if !fits {
            out.push((key, what.to_owned()));
        }
    };
    must(c.logit_scale == 1.0, "logit_scale", "must be 1");
    must(!c.head_bias, "head_bias", "must be false");
    if format == Format::Llama {
        must(c.norm == NormKind::Rms, "norm", "must be \"rms\"");
        must(c.activation == Activation::Swiglu, "activation", "must be \"swiglu\"");
        must(c.positions == Positions::Rotary, "positions", "must be \"rotary\"");
        must(c.out_bias == c.qkv_bias, "out_bias", "must equal qkv_bias");
        must(c.scale_attention, "scale_attention", "must be true");
        must(c.window == 0, "window", "must be 0");
        return out;
    }
    must(c.norm == NormKind::Layer, "norm", "must be \"layer\"");
    must(c.activation != Activation::Swiglu, "activation", "must not be \"swiglu\"");
    must(c.positions == Positions::Learned, "positions", "must be \"learned\"");
    must(c.kv_heads == c.heads, "kv_heads", "must equal heads");
    must(c.heads * c.head_dim == c.width, "head_dim", "must be width / heads");
    must(c.out_bias, "out_bias", "must be true");
    must(c.mlp_bias, "mlp_bias", "must be true");
    if format == Format::Gpt2 {
        must(c.qkv_bias, "qkv_bias", "must be true");
        must(c.window == 0, "window", "must be 0");
    } else {
        must(!c.qkv_bias, "qkv_bias", "must be false");
        must(!c.scale_attention, "scale_attention", "must be false");
    }
    out
}

/// What `transformers` refuses to open although the mathematics would allow it.
fn unopened(format: Format, c: &GptConfig) -> Vec<Misfit> {
    let mut out: Vec<Misfit> = Vec::new();
    if format == Format::Llama {
        // Even where head_dim is given.
        if !c.width.is_multiple_of(c.heads) {
            out.push(("width", format!("must be a multiple of heads = {}", c.heads)));
        }
        if c.init_std > 1.0 {
            out.push(("init_std", "must be at most 1".to_owned()));
        }
    }
    out
}

/// Everything in the way of writing `c` so that `transformers` opens it.
pub(super) fn obstacles(format: Format, c: &GptConfig) -> Vec<Misfit> {
    let mut out = misfits(format, c);
    out.extend(unopened(format, c));
    out
}

/// `Ok` without misfits; otherwise the first, and how many more there are.
pub(super) fn refuse_misfits(format: Format, misfits: &[Misfit]) -> Result<(), NetError> {
    let Some((key, what)) = misfits.first() else { return Ok(()) };
    let rest: Vec<&str> = misfits[1..].iter().map(|(k, _)| *k).collect();
    let rest =
        if rest.is_empty() { String::new() } else { format!(" (also in the way: {})", rest.join(", ")) };
    Err(NetError::Config { key, what: format!("{what} to be written as {:?}{rest}", format.name()) })
}

fn activation_name(a: Activation) -> &'static str {
    match a {
        Activation::Relu => "relu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Swiglu => "silu",
    }
}

/// The attention kind of every block, in GPT-Neo's run-length form.
fn attention_types(c: &GptConfig) -> Value {
    match (c.window > 0, c.window_odd_blocks) {
        (false, _) => json!([[["global"], c.layers]]),
        (true, false) => json!([[["local"], c.layers]]),
        (true, true) if c.layers.is_multiple_of(2) => json!([[["global", "local"], c.layers / 2]]),
        (true, true) if c.layers == 1 => json!([[["global"], 1]]),
        (true, true) => json!([[["global", "local"], c.layers / 2], [["global"], 1]]),
    }
}

/// Rotary positions, under the names of `transformers`.
fn rope(c: &GptConfig) -> Value {
    match c.rotary_stretch {
        1.0 => json!({"rope_type": "default", "rope_theta": c.rotary_base}),
        stretch => json!({"rope_type": "linear", "factor": stretch, "rope_theta": c.rotary_base}),
    }
}

/// The text of `generation_config.json`; nothing without marks.
pub(super) fn generation(marks: Marks) -> Option<String> {
    let named = [("bos_token_id", marks.begin), ("eos_token_id", marks.end)];
    let named: Map<String, Value> =
        named.into_iter().filter_map(|(key, id)| Some((key.to_owned(), json!(id?)))).collect();
    (!named.is_empty()).then(|| format!("{:#}\n", Value::Object(named)))
}

/// The text of `config.json`.
pub(super) fn write(format: Format, c: &GptConfig, marks: Marks) -> String {
    let act = activation_name(c.activation);
    // Lobe knows no dropout.
    let mut out = match format {
        Format::Gpt2 => json!({
            "architectures": ["GPT2LMHeadModel"],
            "n_embd": c.width, "n_layer": c.layers, "n_head": c.heads, "n_inner": c.mlp,
            "n_positions": c.context, "n_ctx": c.context,
            "activation_function": act,
            "layer_norm_epsilon": c.norm_eps,
            "scale_attn_weights": c.scale_attention,
            "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
        }),
        Format::GptNeo => {
            let types = attention_types(c);
            let layers: Vec<&str> = (0..c.layers)
                .map(
                    |i| if c.window > 0 && (!c.window_odd_blocks || i % 2 == 1) { "local" } else { "global" },
                )
                .collect();
            json!({
                "architectures": ["GPTNeoForCausalLM"],
                "hidden_size": c.width, "num_layers": c.layers, "num_heads": c.heads,
                "intermediate_size": c.mlp, "max_position_embeddings": c.context,
                "attention_types": types, "attention_layers": layers,
                "window_size": if c.window > 0 { c.window } else { 256 },
                "activation_function": act,
                "layer_norm_epsilon": c.norm_eps,
                "attention_dropout": 0.0, "embed_dropout": 0.0, "resid_dropout": 0.0,
            })
        }
        Format::Llama => json!({
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": c.width, "num_hidden_layers": c.layers,
            "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim,
            "intermediate_size": c.mlp, "max_position_embeddings": c.context,
            "hidden_act": act,
            "rms_norm_eps": c.norm_eps,
            "rope_theta": c.rotary_base,
            "rope_parameters": rope(c),
            "attention_bias": c.qkv_bias, "mlp_bias": c.mlp_bias,
            "attention_dropout": 0.0,
        }),
    };
    if let Value::Object(map) = &mut out {
        let common = json!({
            "model_type": format.name(),
            "vocab_size": c.vocab,
            "tie_word_embeddings": c.tied,
            "initializer_range": c.init_std,
            "bos_token_id": marks.begin, "eos_token_id": marks.end, "pad_token_id": null,
            "torch_dtype": "float32",
        });
        map.extend(common.as_object().cloned().unwrap_or_default());
        if format == Format::Llama && c.rotary_stretch != 1.0 {
            // Versions before 5 read it from here.
            map.insert("rope_scaling".into(), rope(c));
        }
    }
    let mut text = serde_json::to_string_pretty(&out).unwrap_or_default();
    text.push('\n');
    text
}
