//! What Lobe writes opens in `transformers`: its own conditions, held without Lobe's reader.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;

use lobe_core::{Key, Region};
use lobe_nets::hub::{Format, Imported, Marks, export, exportable, import, narrow, opens, transformer};
use lobe_nets::{Activation, Gpt, GptConfig, Network, NormKind, Positions};
use serde_json::{Value, json};

fn llama() -> GptConfig {
    GptConfig {
        layers: 2,
        width: 64,
        heads: 8,
        mlp: 24,
        activation: Activation::Swiglu,
        norm: NormKind::Rms,
        positions: Positions::Rotary,
        qkv_bias: false,
        out_bias: false,
        mlp_bias: false,
        ..GptConfig::default()
    }
}

fn build(config: GptConfig) -> (Gpt, Vec<f32>) {
    let net = Gpt::new(config.resolve(20, 9).unwrap());
    let params = net.layout.init(Key::root(1)).to_vec();
    (net, params)
}

/// The shape of a network that was read from such a file.
fn shape_of(net: &dyn Network) -> &GptConfig {
    &transformer(net).unwrap().config
}

fn write(dir: &Path, net: &Gpt, params: &[f32], format: Format) {
    let files = export(net, params, format, Marks { begin: Some(1), end: Some(2) }).unwrap();
    std::fs::write(dir.join("config.json"), files.config).unwrap();
    std::fs::write(dir.join("model.safetensors"), files.weights).unwrap();
}

/// Heads and key/value heads that are left when `region` is cut and the result written as Llama.
fn left(config: GptConfig, region: &str) -> (usize, usize, usize) {
    let (net, params) = build(config);
    let cut = region.parse::<Region>().unwrap().resolve(net.layout.sites()).unwrap();
    let small = narrow(&net, &params, &cut, Some(Format::Llama)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &small.net, &small.params, Format::Llama);
    opens(dir.path()).unwrap();
    assert_eq!(small.removed + small.zeroed, cut.count());
    (small.net.config.heads, small.net.config.kv_heads, small.held_by_format)
}

#[test]
fn cut_heads_stay_where_the_rest_would_not_divide_the_width() {
    assert_eq!(left(llama(), "blocks.*.attn.z[-1]"), (8, 8, 1));
    assert_eq!(left(llama(), "blocks.*.attn.z[-3..]"), (8, 8, 3));
    assert_eq!(left(llama(), "blocks.*.attn.z[-4..]"), (4, 4, 0));
    assert_eq!(left(llama(), "blocks.*.attn.z[1..]"), (1, 1, 0));
    // Grouped queries: 48 = 6 · 8. Two groups of two heads divide it; five heads would not, nor make groups.
    let grouped = || GptConfig { width: 48, heads: 6, kv_heads: 3, head_dim: 8, ..llama() };
    assert_eq!(left(grouped(), "blocks.*.attn.z[-2..]"), (4, 2, 0));
    assert_eq!(left(grouped(), "blocks.*.attn.z[-1]"), (6, 3, 0));
    assert_eq!(left(grouped(), "blocks.*.attn.z[0,2,4]"), (3, 3, 0));
    // A width of 50 has no divisor but 1, 2, 5 and 10: of six heads in two groups one group can go with none.
    let odd = GptConfig { width: 50, heads: 10, kv_heads: 2, head_dim: 4, ..llama() };
    assert_eq!(left(odd, "blocks.*.attn.z[-2..]"), (10, 2, 0));
}

#[test]
fn shapes_that_transformers_does_not_open_are_refused_before_anything_is_written() {
    let why = |config: GptConfig, format| {
        exportable(format, &config.resolve(20, 9).unwrap()).unwrap_err().to_string()
    };
    let shape = GptConfig { width: 65, heads: 4, head_dim: 16, ..llama() };
    let want = "model.width: must be a multiple of heads = 4 to be written as \"llama\"";
    assert_eq!(why(shape, Format::Llama), want);
    let gpt2 = GptConfig { width: 65, heads: 4, ..GptConfig::default() };
    assert_eq!(why(gpt2, Format::Gpt2), "model.head_dim: must be width / heads to be written as \"gpt2\"");
    let drawn = GptConfig { init_std: 1.5, ..llama() };
    assert!(why(drawn, Format::Llama).starts_with("model.init_std: must be at most 1"));
    assert!(exportable(Format::Llama, &llama().resolve(20, 9).unwrap()).is_ok());
}

/// A Llama directory, with a change in `config.json`.
fn changed(key: &str, value: Value) -> String {
    let (net, params) = build(llama());
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &net, &params, Format::Llama);
    let file = dir.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config[key] = value;
    std::fs::write(&file, config.to_string()).unwrap();
    opens(dir.path()).map_or_else(|e| e.to_string(), |()| "opens".into())
}

#[test]
fn the_check_sees_what_transformers_would_refuse_or_read_otherwise() {
    assert_eq!(changed("use_cache", json!(true)), "opens");
    let seen = |key: &str, value: Value, words: &str| {
        let said = changed(key, value);
        assert!(said.contains(words), "{key}: {said}");
    };
    seen("num_attention_heads", json!(7), "the width 64 is no multiple of 7 heads");
    seen("num_key_value_heads", json!(3), "8 heads are no multiple of 3 key/value heads");
    seen("head_dim", json!(7), "head_dim = 7 is odd");
    seen("head_dim", json!(4), "has shape [64, 64], transformers expects [32, 64]");
    seen("vocab_size", json!(21), "transformers expects [21, 64]");
    seen("num_hidden_layers", json!(3), "lacks \"model.layers.2");
    seen("num_hidden_layers", json!(1), "which transformers leaves out");
    seen("attention_bias", json!(true), "k_proj.bias\"; transformers would draw it at random");
    seen("tie_word_embeddings", json!(true), "\"lm_head.weight\", which transformers leaves out");
    seen("rms_norm_eps", json!(1), "rms_norm_eps = 1 is no float");
    seen("initializer_range", json!(1.5), "initializer_range = 1.5 is no float in 0 to 1");
    seen("eos_token_id", json!(20), "eos_token_id = 20 is no id below 20");
    seen("architectures", json!(["LlamaModel"]), "not \"LlamaForCausalLM\"");
    seen("rope_scaling", json!({"rope_type": "linear"}), "have no factor");
    seen("model_type", json!("olmo"), "model_type Some(\"olmo\")");
}

/// A written Llama of which `change` edits `config.json` and the numbers of the head.
fn edited(head: Option<f32>, tied: bool) -> Imported {
    let (net, params) = build(GptConfig { tied: false, ..llama() });
    let mut params = params;
    let span = |name: &str| net.layout.get(net.layout.find(name).unwrap()).span();
    let embedding = params[span("embed.tokens")].to_vec();
    for (i, x) in params[span("head.weight")].iter_mut().enumerate() {
        // The head is stored transposed.
        let (row, column) = (i / 20, i % 20);
        *x = head.unwrap_or(embedding[column * 64 + row]);
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &net, &params, Format::Llama);
    let file = dir.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["tie_word_embeddings"] = json!(tied);
    std::fs::write(&file, config.to_string()).unwrap();
    import(dir.path()).unwrap()
}

#[test]
fn a_head_of_its_own_counts_whatever_the_flag_says() {
    let tied = |read: &Imported| shape_of(&*read.net).tied;
    let same = edited(None, true);
    assert!(tied(&same) && same.notes.is_empty());
    let own = edited(Some(0.0), true);
    assert!(!tied(&own));
    assert_eq!(own.notes.len(), 1);
    assert!(own.notes[0].contains("lm_head.weight differs"), "{}", own.notes[0]);
    let layout = own.net.layout();
    let head = layout.get(layout.find("head.weight").unwrap()).span();
    assert!(own.params[head].iter().all(|x| *x == 0.0));
    let untied = edited(Some(0.0), false);
    assert!(!tied(&untied) && untied.notes.is_empty());
}

#[test]
fn rope_scaling_counts_beside_default_parameters() {
    let (net, params) = build(llama());
    let rotary = |config: &[(&str, Value)]| {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &net, &params, Format::Llama);
        let file = dir.path().join("config.json");
        let mut map: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for (key, value) in config {
            map[*key] = value.clone();
        }
        std::fs::write(&file, map.to_string()).unwrap();
        let read = import(dir.path()).unwrap();
        let c = shape_of(&*read.net);
        (c.rotary_base, c.rotary_stretch)
    };
    let default = json!({"rope_type": "default", "rope_theta": 500.0});
    let linear = json!({"rope_type": "linear", "factor": 2.0});
    let (parameters, scaling, theta) = ("rope_parameters", "rope_scaling", "rope_theta");
    assert_eq!(rotary(&[(parameters, default.clone())]), (500.0, 1.0));
    // The base of the losing table is not that of the winning one.
    assert_eq!(rotary(&[(parameters, default.clone()), (scaling, linear.clone())]), (10_000.0, 2.0));
    let both = [(parameters, default.clone()), (scaling, linear.clone()), (theta, json!(300.0))];
    assert_eq!(rotary(&both), (300.0, 2.0));
    assert_eq!(rotary(&[(parameters, default.clone()), (scaling, Value::Null)]), (500.0, 1.0));
    assert_eq!(rotary(&[(parameters, default), (scaling, json!({}))]), (500.0, 1.0));
    let old = json!({"type": "linear", "factor": 8});
    assert_eq!(rotary(&[(parameters, Value::Null), (scaling, old), (theta, json!(7))]), (7.0, 8.0));
}
