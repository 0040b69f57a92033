//! Networks from files, and whether two networks are one.

use std::path::Path;

use lobe_engine::Tensor;
use lobe_nets::hub::{self, Imported};
use lobe_nets::{Network, load};
use serde_json::Value;

use crate::error::LabError;

/// Parameters that are hashed at a time.
const CHUNK: usize = 1 << 16;

/// Reads a network and its weights from a file of Lobe's or a Hugging Face directory.
///
/// # Errors
/// If there is no such model, it is damaged, it is of a kind that is not read (the error names the
/// conversion), or a weight is not finite.
pub fn read_weights(path: &Path) -> Result<Imported, LabError> {
    let refuse = |what: &str, path: &Path| Err(LabError::other(format!("{what}: {}", path.display())));
    let file = path.join("model.safetensors");
    let read = |file: &Path| -> Result<Imported, LabError> {
        if let Some(what) = hub::foreign(file) {
            return refuse(&what, file);
        }
        let (net, params, _) = load(file)?;
        Ok(Imported { net, params, notes: Vec::new() })
    };
    let model = if !path.is_dir() {
        read(path)?
    } else if path.join("config.json").exists() {
        hub::import(path)?
    } else if path.join("manifest.json").exists() {
        return refuse("is a run; name one of its models (stages/STAGE/ARM.SEED/model.safetensors)", path);
    } else if file.exists() {
        read(&file)?
    } else {
        return refuse("holds no model (config.json and model.safetensors)", path);
    };
    let (net, params) = (&model.net, &model.params);
    if let Some(t) = net.layout().tensors().iter().find(|t| params[t.span()].iter().any(|w| !w.is_finite())) {
        return refuse(&format!("tensor {:?} holds a number that is not finite", t.name), path);
    }
    Ok(model)
}

/// A model that a `load` stage names.
#[derive(Clone)]
pub struct Loaded {
    /// Hash of its settings and weights.
    pub fingerprint: String,
    /// What is not as its files say, a sentence each.
    pub notes: Vec<String>,
}

/// Hash of a network's settings and weights, whatever the format of the files was.
pub(crate) fn fingerprint(net: &dyn Network, params: &[f32]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(crate::recipe::canonical(&net.function()).as_bytes());
    for chunk in params.chunks(CHUNK) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|w| w.to_le_bytes()).collect();
        hash.update(&bytes);
    }
    hash.finalize().to_hex().to_string()
}

/// Whether a loaded network is the recipe's with another number of neurons or heads.
pub(crate) fn same_but_for_units(have: &dyn Network, want: &dyn Network) -> bool {
    let plain = |net: &dyn Network| {
        let mut config = net.function();
        if let Value::Object(map) = &mut config {
            map.retain(|k, _| !net.unit_keys().contains(&k.as_str()));
        }
        config
    };
    have.kind() == want.kind() && !want.unit_keys().is_empty() && plain(have) == plain(want)
}

/// How many units a network has, in words.
pub(crate) fn units(net: &dyn Network) -> String {
    let config = net.function();
    let of = |key: &&str| Some(format!("{key} = {}", config.get(*key)?));
    net.unit_keys().iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

/// The first thing in which a loaded network is not the recipe's: a tensor, its shape, or a setting.
pub(crate) fn difference(have: &dyn Network, want: &dyn Network) -> Option<String> {
    if have.kind() != want.kind() {
        return Some(format!(
            "it is of the kind {}, the recipe's is of the kind {}",
            have.kind(),
            want.kind()
        ));
    }
    let (ours, theirs) = (want.layout().tensors(), have.layout().tensors());
    let shape = |t: &Tensor| [t.rows, t.cols];
    for t in ours {
        match theirs.iter().find(|o| o.name == t.name) {
            None => return Some(format!("it lacks the tensor {:?}", t.name)),
            Some(o) if shape(o) != shape(t) => {
                return Some(format!("its tensor {:?} is {:?}, not {:?}", t.name, shape(o), shape(t)));
            }
            Some(_) => {}
        }
    }
    if let Some(t) = theirs.iter().find(|t| !ours.iter().any(|o| o.name == t.name)) {
        return Some(format!("it has a tensor {:?}", t.name));
    }
    let (have, want) = (have.function(), want.function());
    let keys = want.as_object()?;
    let (key, value) = keys.iter().find(|(k, v)| have.get(k.as_str()) != Some(v))?;
    Some(format!("its {key} is {}, not {value}", have.get(key).unwrap_or(&Value::Null)))
}

#[cfg(test)]
mod tests {
    use lobe_nets::{Gpt, GptConfig, Positions};

    use super::*;

    fn net(change: impl FnOnce(&mut GptConfig)) -> Gpt {
        let mut config = GptConfig { layers: 1, width: 8, heads: 2, ..GptConfig::default() };
        change(&mut config);
        Gpt::new(config.resolve(11, 6).unwrap())
    }

    #[test]
    fn the_first_difference_is_named() {
        let want = net(|_| {});
        let of = |n: &Gpt| difference(n, &want).unwrap_or_default();
        assert_eq!(of(&want), "");
        assert_eq!(of(&net(|c| c.init_std = 1.0)), "", "how weights were drawn does not matter");
        assert!(
            of(&net(|c| c.vocab = 12)).contains("[12, 8], not [11, 8]"),
            "{}",
            of(&net(|c| c.vocab = 12))
        );
        assert!(of(&net(|c| c.qkv_bias = false)).starts_with("it lacks the tensor"));
        assert!(of(&net(|c| c.head_bias = true)).starts_with("it has a tensor"));
        // The same tensors, another function.
        assert_eq!(of(&net(|c| c.scale_attention = false)), "its scale_attention is false, not true");
        let rotary = |context| net(|c| (c.positions, c.context) = (Positions::Rotary, context));
        assert_eq!(difference(&rotary(64), &rotary(6)), None);
    }

    #[test]
    fn a_fingerprint_follows_weights_and_function() {
        let (a, b) = (net(|_| {}), net(|c| c.norm_eps = 1e-6));
        let mut params = a.layout().init(lobe_core::Key::root(1));
        let first = fingerprint(&a, &params);
        assert_eq!(first, fingerprint(&a, &params));
        assert_ne!(first, fingerprint(&b, &params));
        params[3] += 1.0;
        assert_ne!(first, fingerprint(&a, &params));
    }
}
