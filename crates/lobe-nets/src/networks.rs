//! The list of networks: one line each.

use std::sync::Arc;

use lobe_core::registry::List;
use serde_json::Value;

use crate::network::{NetError, Network, NetworkEntry};
use crate::{autoencoder, gpt, residual_mlp, superposition};

/// All kinds of networks, in the order they are listed.
pub static NETWORKS: List<NetworkEntry> =
    List::new(&[gpt::ENTRY, autoencoder::ENTRY, residual_mlp::ENTRY, superposition::ENTRY]);

/// The kind called `name`.
pub fn network(name: &str) -> Option<&'static NetworkEntry> {
    NETWORKS.find(name)
}

/// A network from a saved configuration `{ "kind": …, … }`.
pub(crate) fn restore(mut config: Value) -> Result<Arc<dyn Network>, NetError> {
    let fail = |what: String| NetError::Config { key: "kind", what };
    let kind = config.as_object_mut().and_then(|map| map.remove("kind"));
    let kind = kind.as_ref().and_then(Value::as_str).ok_or_else(|| fail("is missing".into()))?;
    let entry =
        network(kind).ok_or_else(|| fail(format!("{kind:?} is no network that this version knows")))?;
    (entry.build)(&config, None)
}
