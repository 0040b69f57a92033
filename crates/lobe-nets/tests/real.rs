//! Weights that were really trained, where a developer has them beside the checkout; skipped
//! elsewhere.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::Read as _;
use std::path::PathBuf;

use lobe_core::UNLABELLED;
use lobe_engine::{Buf, Plan, ShardRows, Tape, Workspace};
use lobe_nets::hub::{Imported, import};
use lobe_nets::{Fed, Gpt, GptConfig, Network};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

fn folder() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    dir.join("README.md").is_file().then_some(dir)
}

fn unzip(path: PathBuf) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut out).unwrap();
    out
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Standard base64.
fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => u32::from(c - b'A'),
        b'a'..=b'z' => u32::from(c - b'a') + 26,
        b'0'..=b'9' => u32::from(c - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let whole = |four: &[u8]| four.iter().fold(0, |n, c| n << 6 | digit(*c)) << (6 * (4 - four.len()));
    let bytes = |four: &[u8]| whole(four).to_be_bytes()[1..four.len()].to_vec();
    text.trim_end_matches('=').as_bytes().chunks(4).flat_map(bytes).collect()
}

/// Highest logit after the last token.
fn next(net: &dyn Network, params: &Buf, tokens: &[u32]) -> u32 {
    let (mut ws, plan) = (Workspace::default(), Plan::plain(net.layout()));
    let rows = ShardRows::uniform(tokens.len(), UNLABELLED);
    let mut tape = Tape::new(&mut ws, net.layout(), params, None, &plan, rows);
    let (vocab, head) = net.language().unwrap();
    let h = net.hidden(&mut tape, Fed::Tokens { ids: tokens, seq: tokens.len() }).unwrap();
    let logits = tape.logits(h, head).unwrap();
    let last = &tape.value(logits)[(tokens.len() - 1) * vocab..];
    (0..last.len()).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap() as u32
}

#[test]
fn the_sorting_model_sorts() {
    let Some(data) = folder() else { return };
    let text = std::fs::read_to_string(data.join("models/gpt-nano-sort.json")).unwrap();
    let stored: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "model_type": "gpt2", "vocab_size": 3, "n_positions": 11, "n_embd": 48, "n_layer": 3, "n_head": 3,
        "activation_function": "gelu_new", "tie_word_embeddings": false,
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let weights = dir.path().join("model.safetensors");
    for turn in [false, true] {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (name, t) in stored.iter().filter(|(n, t)| t["data"].is_string() && !n.ends_with(".attn.bias")) {
            let mut shape: Vec<usize> = serde_json::from_value(t["shape"].clone()).unwrap();
            let mut bytes = base64(t["data"].as_str().unwrap());
            // As stored, linear maps are [out, in], which is not how GPT-2 files have them.
            if turn && name.contains(".h.") && shape.len() == 2 {
                let (out, inner) = (shape[0], shape[1]);
                let from = |i: usize| 4 * (i % out * inner + i / out);
                bytes = (0..out * inner).flat_map(|i| bytes[from(i)..from(i) + 4].to_vec()).collect();
                shape.reverse();
            }
            tensors.push((name.clone(), shape, bytes));
        }
        let views = tensors.iter().map(|(n, s, b)| (n, TensorView::new(Dtype::F32, s.clone(), b).unwrap()));
        std::fs::write(&weights, safetensors::serialize(views, None).unwrap()).unwrap();
        if !turn {
            let message = import(dir.path()).unwrap_err().to_string();
            let why = "tensor \"transformer.h.0.attn.c_attn.weight\" has shape [144, 48], expected [48, 144]";
            assert!(message.ends_with(why), "{message}");
        }
    }
    let Imported { net, params, .. } = import(dir.path()).unwrap();
    for case in 0..3u32.pow(6) {
        let mut tokens: Vec<u32> = (0..6).map(|i| case / 3u32.pow(i) % 3).collect();
        let mut sorted = tokens.clone();
        sorted.sort_unstable();
        for want in sorted {
            let got = next(&*net, &params, &tokens);
            // The reference sorts its sample of 500 without a mistake; hold all 729 to that.
            assert_eq!(got, want, "{tokens:?}");
            tokens.push(got);
        }
    }
}

#[test]
fn the_tiny_gpt2_has_its_known_loss() {
    let Some(data) = folder() else { return };
    let bytes = unzip(data.join("models/tiny-gpt2-d4.safetensors.gz"));
    // Its names are those of another library, so the hub refuses it with a clear line.
    let dir = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 4, "n_layer": 2, "n_head": 1,
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    std::fs::write(dir.path().join("model.safetensors"), &bytes).unwrap();
    let message = import(dir.path()).unwrap_err().to_string();
    assert!(message.ends_with("lacks the tensor \"transformer.wte.weight\""), "{message}");

    // Under our names it is an ordinary GPT with a bias on its head.
    let config = GptConfig { layers: 2, width: 4, heads: 1, head_bias: true, ..GptConfig::default() };
    let net = Gpt::new(config.resolve(50_257, 1024).unwrap());
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let get = |name: &str| floats(stored.tensor(name).unwrap().data());
    let mut params = Buf::zeros(net.layout.len());
    for t in net.layout.tensors() {
        let rename = |n: &str| match n.split_once('.').unwrap_or((n, "")) {
            ("embed", "tokens") => "embed.W_E".to_owned(),
            ("embed", _) => "pos_embed.W_pos".to_owned(),
            ("final", s) => format!("ln_final.{}", if s == "gain" { "w" } else { "b" }),
            ("head", s) => format!("unembed.{}", if s == "weight" { "W_U" } else { "b_U" }),
            _ => n
                .replace("norm1.gain", "ln1.w")
                .replace("norm1.shift", "ln1.b")
                .replace("norm2.gain", "ln2.w")
                .replace("norm2.shift", "ln2.b")
                .replace("attn.out.weight", "attn.W_O")
                .replace("attn.out.bias", "attn.b_O")
                .replace("mlp.in.weight", "mlp.W_in")
                .replace("mlp.in.bias", "mlp.b_in")
                .replace("mlp.out.weight", "mlp.W_out")
                .replace("mlp.out.bias", "mlp.b_out"),
        };
        let values = if t.name.contains("qkv") {
            let part = if t.name.ends_with("weight") { "W" } else { "b" };
            let block = t.name.split(".attn").next().unwrap();
            let three = ["Q", "K", "V"].map(|x| get(&format!("{block}.attn.{part}_{x}")));
            (0..t.rows).flat_map(|r| three.iter().flat_map(move |m| m[4 * r..4 * r + 4].to_vec())).collect()
        } else {
            get(&rename(&t.name))
        };
        params[t.span()].copy_from_slice(&values);
    }
    let raw = unzip(data.join("text/tinystories-test.gpt2-u16le.bin.gz"));
    let tokens: Vec<u32> = raw
        .chunks_exact(2)
        .take(1025)
        .map(|b| u32::from(u16::from_le_bytes(b.try_into().unwrap())))
        .collect();
    let (mut ws, plan) = (Workspace::default(), Plan::plain(&net.layout));
    let mut tape =
        Tape::new(&mut ws, &net.layout, &params, None, &plan, ShardRows::uniform(1024, UNLABELLED));
    let net: &dyn Network = &net;
    let h = net.hidden(&mut tape, Fed::Tokens { ids: &tokens[..1024], seq: 1024 }).unwrap();
    let nll = tape.token_nll(h, net.language().unwrap().1, &tokens[1..]).unwrap();
    let loss = tape.value(nll).iter().sum::<f32>() / 1024.0;
    assert!((loss - 7.62).abs() < 0.3, "{loss}");
}
