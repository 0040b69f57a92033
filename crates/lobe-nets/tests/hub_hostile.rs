//! Foreign and damaged Hugging Face files: one clear line each, never a panic.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use lobe_core::Key;
use lobe_nets::hub::{Exported, Format, Imported, Marks, export, import};
use lobe_nets::{Gpt, GptConfig};
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

fn files() -> Exported {
    let config =
        GptConfig { vocab: 7, context: 5, layers: 1, width: 4, heads: 2, tied: true, ..GptConfig::default() };
    let net = Gpt::new(config.resolve(0, 0).unwrap());
    export(&net, &net.layout.init(Key::root(1)), Format::Gpt2, Marks::default()).unwrap()
}

fn read(config: &str, weights: &[u8]) -> Result<Imported, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    std::fs::write(dir.path().join("model.safetensors"), weights).unwrap();
    import(dir.path()).map_err(|e| {
        let message = e.to_string();
        assert!(!message.contains('\n') && message.len() < 600, "{message:?}");
        message.replace(&dir.path().display().to_string(), "DIR")
    })
}

fn refused(config: &str, weights: &[u8], why: &str) {
    match read(config, weights) {
        Ok(_) => panic!("accepted, should be refused: {why}"),
        Err(message) => assert!(message.contains(why), "{message:?} does not say {why:?}"),
    }
}

/// The configuration with one key set.
fn with(config: &str, key: &str, value: serde_json::Value) -> String {
    let mut map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(config).unwrap();
    map.insert(key.into(), value);
    serde_json::to_string(&map).unwrap()
}

#[test]
fn an_absurd_number_of_blocks_takes_no_memory() {
    let sizes = r#""vocab_size": 7, "hidden_size": 4, "num_heads": 2, "max_position_embeddings": 5"#;
    for types in ["", r#", "attention_types": [[[], 1000000000000]]"#] {
        let layers = r#""num_layers": 1000000000000"#;
        let config = format!(r#"{{"model_type": "gpt_neo", {sizes}, {layers}{types}}}"#);
        refused(&config, &[], "layers: is 1000000000000, must be in 1..=1024");
    }
}

#[test]
fn configurations_that_do_not_fit_are_refused() {
    let Exported { config, weights, .. } = files();
    assert!(read(&config, &weights).is_ok());
    let set = |key: &str, value| with(&config, key, value);
    refused("", &weights, "DIR/config.json: is not JSON");
    refused("[1]", &weights, "is not a JSON object");
    refused(&"[".repeat(100_000), &weights, "is not JSON");
    refused(&" ".repeat((1 << 20) + 1), &weights, "is too long");
    refused(&set("model_type", "bert".into()), &weights, "model_type \"bert\" is not supported; valid: gpt2");
    refused(&set("n_embd", (-4).into()), &weights, "n_embd is -4, must be a positive integer");
    refused(&set("n_embd", "4".into()), &weights, "must be a positive integer");
    refused(&set("n_layer", u64::MAX.into()), &weights, "must be in 1..=1024");
    refused(&set("n_embd", u64::MAX.into()), &weights, "must be in 1..=65536");
    refused(&set("n_embd", 9.into()), &weights, "head_dim must be width / heads");
    refused(&set("n_head", 3.into()), &weights, "head_dim must be width / heads");
    refused(&set("activation_function", "mish".into()), &weights, "activation_function \"mish\"");
    refused(&set("layer_norm_epsilon", "x".into()), &weights, "layer_norm_epsilon is no number");
    refused(&set("layer_norm_epsilon", 1e300.into()), &weights, "must be finite");
    refused(&set("tie_word_embeddings", 1.into()), &weights, "neither true nor false");
    refused(&set("scale_attn_by_inverse_layer_idx", true.into()), &weights, "is not supported");
    refused(&set("add_cross_attention", true.into()), &weights, "is not supported");
    // Every size within its limits, and far more than the file holds.
    let huge = set("vocab_size", (1 << 20).into());
    let huge = with(&with(&huge, "n_layer", 1024.into()), "n_embd", 65_536.into());
    let huge = with(&huge, "n_head", 1024.into());
    refused(&huge, &weights, "tensor \"transformer.wte.weight\" has shape [7, 4], expected [1048576, 65536]");
    let llama = serde_json::json!({
        "model_type": "llama", "vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 6,
    });
    let llama = llama.to_string();
    refused(&llama, &weights, "lacks the tensor \"model.embed_tokens.weight\"");
    let scaled = serde_json::json!({"rope_type": "llama3", "factor": 8.0});
    refused(&with(&llama, "rope_scaling", scaled.clone()), &weights, "rotary positions of type \"llama3\"");
    // A default beside it hides nothing.
    let default = serde_json::json!({"rope_type": "default", "rope_theta": 500.0});
    let beside = with(&llama, "rope_parameters", default.clone());
    refused(&with(&beside, "rope_scaling", scaled), &weights, "rotary positions of type \"llama3\"");
    let bare = serde_json::json!({"rope_type": "linear"});
    refused(&with(&beside, "rope_scaling", bare), &weights, "\"linear\" have no factor");
    let zero = serde_json::json!({"type": "linear", "factor": 0.0});
    refused(&with(&beside, "rope_scaling", zero), &weights, "rotary_stretch: is 0");
    refused(&with(&llama, "rope_scaling", 2.into()), &weights, "rope_scaling is no table");
    refused(&with(&llama, "partial_rotary_factor", 0.5.into()), &weights, "partial_rotary_factor");
    refused(&with(&llama, "num_key_value_heads", 3.into()), &weights, "kv_heads");
    refused(&with(&llama, "hidden_act", "gelu".into()), &weights, "hidden_act");
    let neo = serde_json::json!({
        "model_type": "gpt_neo", "vocab_size": 7, "hidden_size": 4, "num_layers": 3, "num_heads": 2,
        "max_position_embeddings": 5,
    });
    let neo = neo.to_string();
    refused(&neo, &weights, "lacks the tensor \"transformer.h.0.attn.attention.q_proj.weight\"");
    let types = |v| with(&neo, "attention_types", v);
    refused(&types(serde_json::json!([[["global"], 2]])), &weights, "names 2 blocks of 3");
    refused(&types(serde_json::json!([[["local", "global"], 9]])), &weights, "neither all global");
    refused(&types(serde_json::json!([[["linear"], 3]])), &weights, "attention_types");
    refused(&types(serde_json::json!("x")), &weights, "attention_types");
    refused(&types(serde_json::json!([[["global"], u64::MAX]])), &weights, "lacks the tensor");
}

type Stored = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn stored(weights: &[u8]) -> Stored {
    let all = SafeTensors::deserialize(weights).unwrap();
    all.tensors().into_iter().map(|(n, t)| (n, (t.dtype(), t.shape().to_vec(), t.data().to_vec()))).collect()
}

fn pack(all: &Stored) -> Vec<u8> {
    let view =
        |(d, s, b): &(Dtype, Vec<usize>, Vec<u8>)| TensorView::new(*d, s.clone(), b).unwrap().data().len();
    assert!(all.values().all(|t| view(t) == t.2.len()));
    let views = all.iter().map(|(n, (d, s, b))| (n, TensorView::new(*d, s.clone(), b).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let Exported { config, weights, .. } = files();
    let whole = stored(&weights);
    let change = |f: &dyn Fn(&mut Stored)| {
        let mut copy = whole.clone();
        f(&mut copy);
        pack(&copy)
    };
    let name = "transformer.h.0.mlp.c_fc.weight";
    refused(
        &config,
        &change(&|w| drop(w.remove(name))),
        "lacks the tensor \"transformer.h.0.mlp.c_fc.weight\"",
    );
    refused(
        &config,
        &change(&|w| w.get_mut(name).unwrap().1.reverse()),
        "has shape [16, 4], expected [4, 16]",
    );
    refused(&config, &change(&|w| w.get_mut(name).unwrap().0 = Dtype::I32), "is I32, which is not supported");
    let extra = (Dtype::F32, vec![1], vec![0; 4]);
    let adapter = change(&|w| drop(w.insert("transformer.h.0.adapter".into(), extra.clone())));
    refused(
        &config,
        &adapter,
        "holds the tensor \"transformer.h.0.adapter\", which this network has no place for",
    );
    // Tables that older files carry, and a head that is tied anyway, do no harm.
    let buffers = change(&|w| {
        w.insert("transformer.h.0.attn.bias".into(), extra.clone());
        w.insert("transformer.h.0.attn.masked_bias".into(), extra.clone());
        w.insert("lm_head.weight".into(), w["transformer.wte.weight"].clone());
    });
    assert!(read(&config, &buffers).is_ok());
    // The bare model's names.
    let short = |w: &mut Stored| {
        *w = w.iter().map(|(n, t)| (n.replacen("transformer.", "", 1), t.clone())).collect();
    };
    let want = read(&config, &weights).unwrap().params.to_vec();
    assert_eq!(read(&config, &change(&short)).unwrap().params.to_vec(), want);
    let dir = tempfile::tempdir().unwrap();
    assert!(import(dir.path()).unwrap_err().to_string().contains("config.json: cannot be opened"));
    std::fs::write(dir.path().join("config.json"), &config).unwrap();
    assert!(import(dir.path()).unwrap_err().to_string().contains("model.safetensors: cannot be opened"));
    std::fs::write(dir.path().join("model.safetensors.index.json"), "{}").unwrap();
    assert!(import(dir.path()).unwrap_err().to_string().contains("is split into several files"));
}

#[test]
fn short_floats_are_read() {
    let Exported { config, weights, .. } = files();
    let want = read(&config, &weights).unwrap().params.to_vec();
    let mut short = stored(&weights);
    for (dtype, _, bytes) in short.values_mut() {
        *dtype = Dtype::BF16;
        *bytes = bytes.chunks_exact(4).flat_map(|b| [b[2], b[3]]).collect();
    }
    let got = read(&config, &pack(&short)).unwrap().params.to_vec();
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got.to_bits(), want.to_bits() & 0xFFFF_0000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_and_cut_files_never_panic(
        flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..4),
        in_config in any::<bool>(),
        keep in 0.0f64..1.5,
    ) {
        let Exported { config, mut weights, .. } = files();
        let mut config = config.into_bytes();
        let file = if in_config { &mut config } else { &mut weights };
        for (at, bits) in flips {
            let at = (at * file.len() as f64) as usize;
            file[at] ^= bits;
        }
        if keep < 1.0 {
            file.truncate((keep * file.len() as f64) as usize);
        }
        if let Ok(Imported { net, params, .. }) = read(&String::from_utf8_lossy(&config), &weights) {
            prop_assert_eq!(net.layout().len(), params.len());
        }
    }
}
