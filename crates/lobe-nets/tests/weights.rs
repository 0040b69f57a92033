//! Weight files: to the bit there and back, and one clear line for everything else.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::sync::Arc;

use lobe_core::Key;
use lobe_engine::Buf;
use lobe_nets::{
    Activation, Autoencoder, AutoencoderConfig, Gpt, GptConfig, Input, NETWORKS, Network, NormKind,
    Positions, load, network, read_header, save,
};
use proptest::prelude::*;
use serde_json::json;

fn gpt() -> Arc<dyn Network> {
    let config = GptConfig { vocab: 7, context: 5, layers: 1, width: 4, heads: 2, ..GptConfig::default() };
    Arc::new(Gpt::new(config.resolve(0, 0).unwrap()))
}

fn nets() -> Vec<Arc<dyn Network>> {
    let llama = GptConfig {
        vocab: 7,
        context: 5,
        layers: 2,
        width: 8,
        heads: 4,
        kv_heads: 2,
        activation: Activation::Swiglu,
        norm: NormKind::Rms,
        positions: Positions::Rotary,
        qkv_bias: false,
        tied: true,
        head_bias: true,
        ..GptConfig::default()
    };
    let ae = AutoencoderConfig { hidden: vec![6], latent: 4, ..AutoencoderConfig::default() };
    vec![
        gpt(),
        Arc::new(Gpt::new(llama.resolve(0, 0).unwrap())),
        Arc::new(Autoencoder::new(ae.resolve(9).unwrap())),
        (network("residual-mlp").unwrap().build)(&json!({ "features": 5, "neurons": [3] }), None).unwrap(),
        (network("superposition").unwrap().build)(&json!({ "features": 4, "hidden": 2 }), None).unwrap(),
    ]
}

fn params(net: &dyn Network) -> Buf {
    let mut out = net.layout().init(Key::root(1));
    // Numbers that a detour through text would lose.
    out[0] = f32::MIN_POSITIVE / 8.0;
    out[1] = -0.0;
    out[2] = f32::MAX;
    out
}

fn bytes() -> Vec<u8> {
    let net = gpt();
    save(&*net, &params(&*net), &[("step", "12".into())]).unwrap()
}

fn read(bytes: &[u8]) -> Result<(Arc<dyn Network>, Buf), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, bytes).unwrap();
    load(&path).map(|(net, params, _)| (net, params)).map_err(|e| one_line(&e.to_string(), &path))
}

/// The message without the file's place.
fn one_line(message: &str, path: &Path) -> String {
    assert!(!message.contains('\n'), "{message:?}");
    assert!(message.len() < 600, "{message:?}");
    message.replace(&path.display().to_string(), "FILE")
}

fn refused(bytes: &[u8], why: &str) {
    match read(bytes) {
        Ok(_) => panic!("accepted, should be refused: {why}"),
        Err(message) => assert!(message.contains(why), "{message:?} does not say {why:?}"),
    }
}

/// A file with this header, followed by `data` bytes.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.resize(out.len() + data, 0);
    out
}

/// The valid file with its header rewritten.
fn edited(edit: impl Fn(&str) -> String) -> Vec<u8> {
    let whole = bytes();
    let n = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header = edit(std::str::from_utf8(&whole[8..8 + n]).unwrap());
    let mut out = file(&header, 0);
    out.extend_from_slice(&whole[8 + n..]);
    out
}

fn replaced(from: &str, to: &str) -> Vec<u8> {
    edited(|h| {
        assert!(h.contains(from), "{h} lacks {from}");
        h.replacen(from, to, 1)
    })
}

#[test]
fn there_and_back_to_the_bit() {
    for net in nets() {
        let params = params(&*net);
        let bytes = save(&*net, &params, &[("step", "12".into())]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        std::fs::write(&path, &bytes).unwrap();
        let (again, read, info) = load(&path).unwrap();
        assert_eq!(info["step"], "12");
        assert_eq!(again.layout().tensors().len(), net.layout().tensors().len());
        assert!(params.iter().zip(read.iter()).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert_eq!(save(&*again, &read, &[("step", "12".into())]).unwrap().len(), bytes.len());
        let (metadata, start, _) = read_header(&path).unwrap();
        assert_eq!(start as usize + metadata.data_len(), bytes.len());
    }
}

/// A new kind of network has to be held to this file, too.
#[test]
fn every_kind_of_network_is_here() {
    let nets = nets();
    for kind in NETWORKS.iter().map(|e| e.about.name) {
        assert!(nets.iter().any(|n| n.kind() == kind), "{kind} is a new kind of network: add one to `nets`");
    }
}

#[test]
fn a_file_says_its_form_and_one_of_the_first_form_still_loads() {
    let said = "\"lobe.format\":\"2\"";
    // The first form is this one without a word of it; nothing else has changed.
    let first = edited(|h| {
        assert!(h.contains(&format!("{said},")), "{h} lacks {said}");
        h.replacen(&format!("{said},"), "", 1)
    });
    assert!(!first.windows(11).any(|w| w == b"lobe.format"));
    let (net, stored) = read(&first).unwrap();
    let (want, expected) = (gpt(), params(&*gpt()));
    assert_eq!((net.kind(), net.config()), (want.kind(), want.config()));
    assert_eq!(stored.len(), expected.len());
    assert!(stored.iter().zip(expected.iter()).all(|(a, b)| a.to_bits() == b.to_bits()));
    // And as it was written then, to the letter.
    let header = concat!(
        r#"{"__metadata__":{"lobe.network":"{\"kind\":\"autoencoder\",\"input\":2,\"hidden\":[],"#,
        r#"\"latent\":2,\"decoders\":[{\"name\":\"decoder\",\"from\":0,\"to\":2,\"detach\":false}],"#,
        r#"\"latent_bias\":false}","step":"12"},"#,
        r#""encoder.0.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"#,
        r#""decoder.0.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]},"#,
        r#""decoder.0.bias":{"dtype":"F32","shape":[2],"data_offsets":[32,40]}}"#,
    );
    let mut written = file(header, 0);
    (1..=10u8).for_each(|x| written.extend_from_slice(&f32::from(x).to_le_bytes()));
    let (net, found) = read(&written).unwrap();
    assert_eq!((net.kind(), net.input()), ("autoencoder", Input::Rows { width: 2 }));
    assert_eq!(found.to_vec(), (1..=10u8).map(f32::from).collect::<Vec<_>>());
    assert!(read(&replaced(said, "\"lobe.format\":\"1\"")).is_ok());
    for other in ["3", "0", "-1", "2.0", "", "two", "99999999999999999999"] {
        let to = format!("\"lobe.format\":\"{other}\"");
        refused(&replaced(said, &to), &format!("has the form {other:?}; this version reads forms 1 to 2"));
    }
}

#[test]
fn the_same_weights_are_the_same_bytes() {
    let net = gpt();
    let p = params(&*net);
    let extra = [("b", "2".to_owned()), ("a", "1".to_owned()), ("step", "3".to_owned())];
    let first = save(&*net, &p, &extra).unwrap();
    for _ in 0..20 {
        assert!(save(&*net, &p, &extra).unwrap() == first);
    }
}

#[test]
fn what_is_no_weight_file_is_refused() {
    refused(&[], "too short to be a safetensors file");
    refused(&[1, 2, 3, 4, 5, 6, 7], "too short to be a safetensors file");
    for n in [1u64 << 63, u64::MAX, u64::MAX - 7, 1 << 40, 17 << 20, 3] {
        refused(&n.to_le_bytes(), "is not a safetensors file");
    }
    refused(&file("not json", 0), "damaged safetensors header");
    refused(&file("[]", 0), "damaged safetensors header");
    refused(&file(&"[".repeat(100_000), 0), "damaged safetensors header");
    refused(&file("\u{0}", 0), "damaged safetensors header");
    let foreign = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    refused(&file(foreign, 8), "no network configuration of Lobe's");
    refused(&file("{}", 0), "no network configuration of Lobe's");
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert!(
        one_line(&load(&missing).unwrap_err().to_string(), &missing).starts_with("FILE: cannot be opened")
    );
    assert!(load(dir.path()).is_err());
}

#[test]
fn truncated_and_padded_files_are_refused() {
    let whole = bytes();
    for cut in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
        assert!(read(&whole[..cut]).is_err(), "the first {cut} bytes");
    }
    refused(&whole[..whole.len() - 4], "truncated or damaged");
    refused(&[&whole[..], &[0]].concat(), "truncated or damaged");
}

#[test]
fn damaged_places_are_refused() {
    assert!(read(&edited(str::to_owned)).is_ok());
    let at = |h: &str| h.find("\"data_offsets\":[").map(|i| i + 16).unwrap();
    let swap = |to: &str| {
        edited(|h| {
            let (start, end) = (at(h), at(h) + h[at(h)..].find(']').unwrap());
            format!("{}{to}{}", &h[..start], &h[end..])
        })
    };
    for to in ["0,0", "4,20", "8,4", "0,99999999", "0,18446744073709551615", "-4,12", "0", "0,1,2", "0,1.5"] {
        refused(&swap(to), "damaged");
    }
    refused(&replaced("\"shape\":[", "\"shape\":[4294967296,4294967296,"), "damaged");
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    refused(&replaced("\"head.weight\"", "\"head.height\""), "lacks the tensor \"head.weight\"");
    refused(&replaced("\"shape\":[4,7]", "\"shape\":[7,4]"), "is F32 [7, 4], expected F32 [4, 7]");
    refused(&replaced("\"shape\":[4,7]", "\"shape\":[28]"), "is F32 [28], expected F32 [4, 7]");
    refused(&replaced("\"shape\":[4,7]", "\"shape\":[1,4,7,1]"), "expected F32 [4, 7]");
    refused(&replaced("\"dtype\":\"F32\"", "\"dtype\":\"I32\""), "is I32");
    refused(&replaced("\"dtype\":\"F32\"", "\"dtype\":\"Q7\""), "damaged");
}

#[test]
fn absurd_configurations_are_refused_before_memory_is_taken() {
    let set = |key: &str, to: &str| {
        edited(|h| {
            let start = h.find(&format!("\\\"{key}\\\":")).expect(key) + key.len() + 5;
            let end = start + h[start..].find([',', '}']).unwrap();
            format!("{}{to}{}", &h[..start], &h[end..])
        })
    };
    assert!(read(&set("logit_scale", "2.0")).is_ok());
    for key in ["logit_scale", "norm_eps", "init_std", "rotary_base"] {
        refused(&set(key, "1e300"), "must be finite");
    }
    for key in ["vocab", "context", "layers", "width", "heads", "mlp"] {
        for to in ["1048577", "4294967296", "18446744073709551615", "0", "-1", "1e300", "null", "\\\"x\\\""] {
            if (key, to) == ("mlp", "0") {
                continue; // stands for four times the width, which is what this file has
            }
            let message = read(&set(key, to)).err().unwrap_or_else(|| panic!("{key} = {to} accepted"));
            assert!(message.starts_with("model.") || message.starts_with("FILE"), "{message}");
        }
    }
    // Every size within its own limit, and far more than the file holds.
    let huge = edited(|h| {
        let config = r#"{\"kind\":\"gpt\",\"vocab\":1048576,\"context\":1048576,\"layers\":1024,\"width\":65536,\"heads\":1024,\"head_dim\":4096,\"mlp\":1048576}"#;
        let start = h.find("\"lobe.network\":\"").unwrap() + 16;
        let end = start + h[start..].find("}\"").unwrap() + 1;
        format!("{}{config}{}", &h[..start], &h[end..])
    });
    refused(&huge, "bytes of tensors, its network has");
    refused(
        &replaced("\\\"kind\\\":\\\"gpt\\\"", "\\\"kind\\\":\\\"gtp\\\""),
        "damaged network configuration",
    );
    refused(&replaced("\\\"layers\\\":", "\\\"loyers\\\":"), "damaged network configuration");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_and_cut_files_never_panic(
        flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..4),
        header in any::<bool>(),
        keep in 0.0f64..1.5,
    ) {
        let mut file = bytes();
        let n = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize + 8;
        let reach = if header { n } else { file.len() };
        for (at, bits) in flips {
            file[(at * reach as f64) as usize] ^= bits;
        }
        if keep < 1.0 {
            file.truncate((keep * file.len() as f64) as usize);
        }
        if let Ok((net, params)) = read(&file) {
            prop_assert_eq!(net.layout().len(), params.len());
        }
    }

    #[test]
    fn any_header_is_handled(text in "[\\[\\]{}:,\"a-z0-9_. -]{0,80}", data in 0usize..16) {
        prop_assert!(read(&file(&text, data)).is_err());
    }
}
