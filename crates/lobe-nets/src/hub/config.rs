//! `config.json`: which shapes a format can say, and how it says them.

use serde_json::{Map, Value, json};

use super::Format;
use crate::gpt_config::{Activation, GptConfig, NormKind, Positions};
use crate::net::NetError;

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

/// The text of `config.json`.
pub(super) fn write(format: Format, c: &GptConfig) -> String {
    let act = activation_name(c.activation);
    // Dropout is off and no token is special: Lobe knows neither.
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
            "rope_parameters": {"rope_type": "default", "rope_theta": c.rotary_base},
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
            "bos_token_id": null, "eos_token_id": null, "pad_token_id": null,
            "torch_dtype": "float32",
        });
        map.extend(common.as_object().cloned().unwrap_or_default());
    }
    let mut text = serde_json::to_string_pretty(&out).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads one `config.json`, key by key.
struct Reader<'a>(&'a Map<String, Value>);

impl Reader<'_> {
    fn find(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }
    fn size(&self, key: &str, default: Option<usize>) -> Result<usize, String> {
        match (self.find(key), default) {
            (Some(v), _) => {
                let n = v.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
                n.ok_or_else(|| format!("{key} is {v}, must be a positive integer"))
            }
            (None, Some(n)) => Ok(n),
            (None, None) => Err(format!("lacks {key}")),
        }
    }
    fn number(&self, key: &str, default: f64) -> Result<f32, String> {
        let value = self.find(key).map_or(Some(default), Value::as_f64);
        value.map(|x| x as f32).ok_or_else(|| format!("{key} is no number"))
    }
    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        let value = self.find(key).map_or(Some(default), Value::as_bool);
        value.ok_or_else(|| format!("{key} is neither true nor false"))
    }
    fn text<'b>(&'b self, key: &str, default: &'b str) -> Result<&'b str, String> {
        let value = self.find(key).map_or(Some(default), Value::as_str);
        value.ok_or_else(|| format!("{key} is no text"))
    }
    fn activation(&self) -> Result<Activation, String> {
        match self.text("activation_function", "gelu_new")? {
            "relu" => Ok(Activation::Relu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
            other => Err(format!("activation_function {other:?} is not supported")),
        }
    }
    /// Refuses a key that changes the mathematics in a way Lobe does not have.
    fn off(&self, key: &str) -> Result<(), String> {
        if self.flag(key, false)? { Err(format!("{key} is not supported")) } else { Ok(()) }
    }
}

/// The format and shape that a `config.json` describes; sizes are not resolved yet.
pub(super) fn read(text: &str) -> Result<(Format, GptConfig), String> {
    let value: Value = serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"))?;
    let Value::Object(map) = value else { return Err("is not a JSON object".into()) };
    let r = Reader(&map);
    let kind = r.text("model_type", "")?;
    let Some(format) = Format::ALL.into_iter().find(|f| f.name() == kind) else {
        return Err(format!("model_type {kind:?} is not supported; valid: gpt2, gpt_neo, llama"));
    };
    let shared = GptConfig {
        vocab: r.size("vocab_size", None)?,
        init_std: r.number("initializer_range", 0.02)?,
        ..GptConfig::default()
    };
    let c = match format {
        Format::Gpt2 => {
            r.off("scale_attn_by_inverse_layer_idx")?;
            r.off("add_cross_attention")?;
            let width = r.size("n_embd", None)?;
            GptConfig {
                context: r.size("n_positions", None)?,
                layers: r.size("n_layer", None)?,
                width,
                heads: r.size("n_head", None)?,
                mlp: r.size("n_inner", Some(width.saturating_mul(4)))?,
                activation: r.activation()?,
                norm_eps: r.number("layer_norm_epsilon", 1e-5)?,
                scale_attention: r.flag("scale_attn_weights", true)?,
                tied: r.flag("tie_word_embeddings", true)?,
                ..shared
            }
        }
        Format::GptNeo => {
            let width = r.size("hidden_size", None)?;
            let layers = r.size("num_layers", None)?;
            let (window, window_odd_blocks) = local_blocks(&r, layers)?;
            GptConfig {
                context: r.size("max_position_embeddings", None)?,
                layers,
                width,
                heads: r.size("num_heads", None)?,
                mlp: r.size("intermediate_size", Some(width.saturating_mul(4)))?,
                activation: r.activation()?,
                norm_eps: r.number("layer_norm_epsilon", 1e-5)?,
                qkv_bias: false,
                scale_attention: false,
                window,
                window_odd_blocks,
                tied: r.flag("tie_word_embeddings", true)?,
                ..shared
            }
        }
        Format::Llama => llama(&r, &shared)?,
    };
    Ok((format, c))
}

/// More blocks than any configuration may have.
const MAX_LAYERS: usize = 1024;

/// Window of local attention, and whether only odd blocks have it.
fn local_blocks(r: &Reader<'_>, layers: usize) -> Result<(usize, bool), String> {
    if layers > MAX_LAYERS {
        // Refused with the other sizes; until then nothing may be made of such a number.
        return Ok((0, false));
    }
    let mut kinds: Vec<&str> = Vec::new();
    let wrong = || "attention_types is not a list of [[kinds], repeats]".to_owned();
    let default = json!([[["global", "local"], layers.div_ceil(2)]]);
    let types = r.find("attention_types").unwrap_or(&default).as_array().ok_or_else(wrong)?;
    for item in types {
        let names = item.get(0).and_then(Value::as_array).ok_or_else(wrong)?;
        let repeats = item.get(1).and_then(Value::as_u64).ok_or_else(wrong)?;
        for _ in 0..repeats.min(layers as u64) {
            let room = layers.saturating_sub(kinds.len());
            kinds.extend(names.iter().filter_map(Value::as_str).take(room));
        }
    }
    if kinds.len() != layers {
        return Err(format!("attention_types names {} blocks of {layers}", kinds.len()));
    }
    let window = r.size("window_size", Some(256))?;
    let is = |want: &dyn Fn(usize) -> bool| kinds.iter().enumerate().all(|(i, k)| (*k == "local") == want(i));
    match () {
        () if kinds.iter().any(|k| *k != "local" && *k != "global") => Err(wrong()),
        () if is(&|_| false) => Ok((0, false)),
        () if is(&|_| true) => Ok((window, false)),
        () if is(&|i| i % 2 == 1) => Ok((window, true)),
        () => Err("attention_types is neither all global, all local nor alternating".into()),
    }
}

fn llama(r: &Reader<'_>, shared: &GptConfig) -> Result<GptConfig, String> {
    if !matches!(r.text("hidden_act", "silu")?, "silu" | "swish") {
        return Err("hidden_act must be \"silu\"".into());
    }
    let empty = Map::new();
    let rope =
        r.find("rope_parameters").or(r.find("rope_scaling")).and_then(Value::as_object).unwrap_or(&empty);
    let kind = rope.get("rope_type").or(rope.get("type")).and_then(Value::as_str).unwrap_or("default");
    if kind != "default" {
        return Err(format!("rotary positions of type {kind:?} are not supported"));
    }
    let base = match rope.get("rope_theta").and_then(Value::as_f64) {
        Some(base) => base as f32,
        None => r.number("rope_theta", 10_000.0)?,
    };
    let (width, heads) = (r.size("hidden_size", None)?, r.size("num_attention_heads", None)?);
    let bias = r.flag("attention_bias", false)?;
    Ok(GptConfig {
        context: r.size("max_position_embeddings", Some(2048))?,
        layers: r.size("num_hidden_layers", None)?,
        width,
        heads,
        kv_heads: r.size("num_key_value_heads", Some(heads))?,
        head_dim: r.size("head_dim", Some((width / heads).max(1)))?,
        mlp: r.size("intermediate_size", None)?,
        activation: Activation::Swiglu,
        norm: NormKind::Rms,
        norm_eps: r.number("rms_norm_eps", 1e-6)?,
        positions: Positions::Rotary,
        rotary_base: base,
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: r.flag("mlp_bias", false)?,
        tied: r.flag("tie_word_embeddings", false)?,
        ..shared.clone()
    })
}
