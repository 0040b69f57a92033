//! A model as a value: there and back with its adapters, deleted weights and names, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lobe_core::{Key, Region};
use lobe_engine::Buf;
use lobe_nets::adapter::Adapted;
use lobe_nets::{Cut, Gpt, GptConfig, Model, Network, load};
use serde_json::json;

fn gpt() -> Arc<dyn Network> {
    let config = GptConfig { layers: 1, width: 8, heads: 2, mlp: 12, ..GptConfig::default() };
    Arc::new(Gpt::new(config.resolve(11, 5).unwrap()))
}

/// A transformer with two adapters, weights that were deleted, and a name.
fn model() -> Model {
    let host = gpt();
    let weights = host.layout().init(Key::root(1));
    let specs = [
        json!({"kind": "low-rank", "rank": 2, "on": "blocks.0.mlp.in.weight"}),
        json!({"kind": "add", "at": "blocks.0.resid_post"}),
    ];
    let net = Adapted::of(host, &specs).unwrap();
    let params = net.started(&weights, Key::root(2));
    let mut model = Model::new(Arc::new(net), params);
    model.still = model.weights("blocks.0.mlp.out.weight[3,2] + row(blocks.0.mlp.in.weight[0,0])").unwrap();
    let region = |text: &str| text.parse::<Region>().unwrap().resolve(model.layout().sites()).unwrap();
    let cuts = [("zero", region("blocks.0.mlp.post[2..4,7]")), ("mean", region("blocks.0.attn.z[0]"))];
    model.cuts = cuts.map(|(how, region)| Cut { how: how.into(), region }).to_vec();
    model.found = BTreeMap::from([("spike".into(), model.weights("blocks.0.mlp.out.weight[3,2]").unwrap())]);
    model
}

fn read(bytes: &[u8]) -> Result<Model, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, bytes).unwrap();
    Model::load(&path).map(|(model, _)| model).map_err(|e| e.to_string())
}

/// The file with a part of its header replaced.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + n]).unwrap();
    assert!(header.contains(from), "{header} lacks {from}");
    let header = header.replacen(from, to, 1);
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + n..]].concat()
}

#[test]
fn there_and_back_with_everything_that_belongs_to_it() {
    let model = model();
    let bytes = model.save(&[("lobe.key", "k".into())]).unwrap();
    let back = read(&bytes).unwrap();
    assert_eq!(back.net.adapters(), model.net.adapters());
    assert_eq!((&back.cuts, &back.still, &back.found), (&model.cuts, &model.still, &model.found));
    assert!(back.params.iter().zip(model.params.iter()).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(back.save(&[("lobe.key", "k".into())]).unwrap(), bytes);
    // A found name counts in a text of weights.
    assert_eq!(back.weights("column(spike)").unwrap().count(), 12);
    // Whoever asks for a network and its parameters alone gets the adapters, too.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, &bytes).unwrap();
    let (net, params, _) = load(&path).unwrap();
    assert_eq!((net.layout().len(), params.len()), (model.layout().len(), model.params.len()));
}

#[test]
fn cuts_of_another_network_are_refused() {
    let bytes = model().save(&[]).unwrap();
    for (from, to, why) in [
        (
            "blocks.0.attn.z\\\",[[0,1]]",
            "blocks.9.attn.z\\\",[[0,1]]",
            "there is no site \"blocks.9.attn.z\"",
        ),
        ("[[2,4],[7,8]]", "[[2,4],[7,13]]", "7..13 are no units of \"blocks.0.mlp.post\", which has 12"),
        ("[[2,4],[7,8]]", "[[4,4],[7,8]]", "4..4 are no units"),
        ("\\\"how\\\"", "\\\"who\\\"", "missing field `how`"),
    ] {
        let said = read(&replaced(&bytes, from, to)).err().unwrap();
        assert!(said.contains("lobe.cuts") && said.contains(why), "{said}");
    }
}

#[test]
fn what_was_deleted_does_not_move() {
    let model = model();
    let plan = model.kept(model.net.plain());
    let p = model.layout().find("blocks.0.mlp.out.weight").unwrap();
    let movable = plan.movable(p).unwrap();
    assert!(!movable.iter().any(|(r, c)| r.contains(&3) && c.contains(&2)));
    assert_eq!(movable.iter().map(|(r, c)| r.len() * c.len()).sum::<usize>(), 12 * 8 - 1);
    // Nothing is still in a model that says nothing of it.
    let whole = Model::new(gpt(), Buf::zeros(gpt().layout().len()));
    assert!(whole.kept(whole.net.plain()).movable(p).is_none());
}

#[test]
fn damaged_headers_are_refused() {
    let bytes = model().save(&[]).unwrap();
    let refused = |from: &str, to: &str, why: &str| {
        let error = read(&replaced(&bytes, from, to)).err().unwrap_or_default();
        assert!(error.contains(why), "{error:?} for {why:?}");
    };
    let block = r#"[[\"blocks.0.mlp.out.weight\",[3,4],[2,3]]]"#;
    refused(block, r#"[[\"blocks.0.mlp.out.weight\",[3,400],[2,3]]]"#, "is 12 x 8");
    refused(block, r#"[[\"blocks.0.mlp.out.weight\",[4,4],[2,3]]]"#, "is no block");
    refused(block, r#"[[\"no.such\",[3,4],[2,3]]]"#, "there is no tensor \"no.such\"");
    refused(block, "{}", "lobe.found.spike");
    refused(r#"\"rank\":2"#, r#"\"rank\":3"#, "bytes of tensors");
    refused(r#"\"rank\":2"#, r#"\"rank\":0"#, "adapter 0.rank");
    refused(r#"\"kind\":\"add\""#, r#"\"kind\":\"ad\""#, "is no adapter; did you mean \"add\"?");
    refused(r#"[{\"kind\""#, r#"[[{\"kind\""#, "damaged list of adapters");
    assert!(Model::load(Path::new("no/such/file")).is_err());
}
