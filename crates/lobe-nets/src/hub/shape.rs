//! Reading `config.json`: the shape that it describes.

use serde_json::{Map, Value, json};

use super::Format;
use crate::gpt::{Activation, GptConfig, NormKind, Positions};

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

/// Base of the rotary angles and what positions are divided by. As in `transformers`, `rope_scaling`
/// counts where both it and `rope_parameters` are given, and the base is its own or stands beside it.
fn rotary(r: &Reader<'_>) -> Result<(f32, f32), String> {
    let table = |key: &str| match r.find(key) {
        None => Ok(None),
        Some(Value::Object(table)) => Ok(Some(table).filter(|t| !t.is_empty())),
        Some(_) => Err(format!("{key} is no table")),
    };
    let empty = Map::new();
    let rope = Reader(table("rope_scaling")?.or(table("rope_parameters")?).unwrap_or(&empty));
    for reader in [&rope, r] {
        if reader.number("partial_rotary_factor", 1.0)? != 1.0 {
            return Err("a partial_rotary_factor is not supported".into());
        }
    }
    let base = rope.number("rope_theta", f64::from(r.number("rope_theta", 10_000.0)?))?;
    let kind = rope.text("rope_type", rope.text("type", "default")?)?;
    match kind {
        "default" => Ok((base, 1.0)),
        "linear" if rope.find("factor").is_none() => {
            Err("rotary positions of type \"linear\" have no factor".into())
        }
        "linear" => Ok((base, rope.number("factor", 1.0)?)),
        _ => Err(format!("rotary positions of type {kind:?} are not supported; valid: default, linear")),
    }
}

fn llama(r: &Reader<'_>, shared: &GptConfig) -> Result<GptConfig, String> {
    if !matches!(r.text("hidden_act", "silu")?, "silu" | "swish") {
        return Err("hidden_act must be \"silu\"".into());
    }
    let (rotary_base, rotary_stretch) = rotary(r)?;
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
        rotary_base,
        rotary_stretch,
        qkv_bias: bias,
        out_bias: bias,
        mlp_bias: r.flag("mlp_bias", false)?,
        tied: r.flag("tie_word_embeddings", false)?,
        ..shared.clone()
    })
}
