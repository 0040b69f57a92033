//! Arms that go on training another arm's model, and arms with a network of their own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{go, results_of, small, values};
use lobe_lab::recipe::Written;

const ARMS: &str = r#"
[train]
steps = 6
batch = 8
eval_every = 6
log_every = 6
[arms.base]
method = "none"
[arms.routed]
from = "base"
method = "parameter-masking"
region = "module"
[arms.plain]
from = "base"
method = "none"
train = { steps = 3 }
[arms.wide]
method = "none"
model = { mlp = 48 }
[[stage]]
do = "train"
[[stage]]
do = "train"
name = "tune"
[[stage]]
do = "measure"
probes = false
"#;

fn weights(dir: &Path, stage: &str, arm: &str) -> (usize, Vec<f32>) {
    let file = dir.join(format!("stages/{stage}/{arm}.0/model.safetensors"));
    let (net, params, _) = lobe_nets::load(&file).unwrap();
    (net.layout().len(), params.to_vec())
}

#[test]
fn routing_goes_on_from_a_trained_model_and_arms_have_networks_of_their_own() {
    let written = Written::from_str("goes-on.toml", &(small("") + ARMS)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    go(&written, dir.path(), 2, false).unwrap();
    let path = dir.path();
    // The first stage trains what is trained from scratch, the second what goes on from it.
    for (stage, arm, there) in [
        ("train", "base", true),
        ("train", "wide", true),
        ("train", "routed", false),
        ("tune", "base", false),
        ("tune", "routed", true),
        ("tune", "plain", true),
    ] {
        let file = path.join(format!("stages/{stage}/{arm}.0/model.safetensors"));
        assert_eq!(file.exists(), there, "{stage} {arm}");
    }
    let ((len, base), (wide, _)) = (weights(path, "train", "base"), weights(path, "train", "wide"));
    // 16 more neurons of width 16 in each of two blocks: in, bias, out.
    assert_eq!(wide - len, 2 * 16 * (16 + 1 + 16));
    // Both went on from the base's weights: after so few steps they are near them, and not the same.
    for arm in ["routed", "plain"] {
        let (n, tuned) = weights(path, "tune", arm);
        let far = base.iter().zip(&tuned).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(n == len && far > 0.0 && far < 0.05, "{arm}: {far}");
    }
    let csv = results_of(path);
    for (stage, arm) in [("train", "base"), ("train", "wide"), ("tune", "routed"), ("tune", "plain")] {
        assert_eq!(values(&csv, [stage, arm, "forget", "loss"]).len(), 2, "{stage} {arm}");
    }
    // The same command has nothing left to do; another width of one arm trains that arm alone.
    let when = |stage: &str, arm: &str| {
        let file = path.join(format!("stages/{stage}/{arm}.0/model.safetensors"));
        std::fs::metadata(file).unwrap().modified().unwrap()
    };
    let before = (when("train", "base"), when("tune", "routed"), when("train", "wide"));
    let other = (small("") + ARMS).replace("mlp = 48", "mlp = 40");
    go(&Written::from_str("goes-on.toml", &other).unwrap(), path, 1, false).unwrap();
    let after = (when("train", "base"), when("tune", "routed"), when("train", "wide"));
    assert_eq!((before.0, before.1), (after.0, after.1));
    assert_ne!(before.2, after.2);
}
