//! An adapter's tensors as safetensors, by name, without the host's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::{Entry, read_header, read_tensors, refuse, serialize, shape};
use crate::NetError;
use crate::adapter::Attached;
use lobe_engine::Tensor;

/// The bytes of a file with the adapters' tensors in `params`; `extra` goes into its header.
pub fn save_adapters(attached: &Attached, params: &[f32], extra: &[(&str, String)]) -> Vec<u8> {
    let info: BTreeMap<String, String> = extra.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let entry = |t: &Tensor| Entry {
        name: t.name.clone(),
        shape: shape(t),
        values: Cow::Borrowed(&params[t.span()]),
    };
    let own: Vec<Entry<'_>> = attached.own().map(|p| entry(attached.layout().get(p))).collect();
    serialize(&info, &own)
}

/// Reads the adapters' tensors into `params`; returns what stands in the file's header.
///
/// # Errors
/// If the file is damaged, lacks one of them, has one of another shape or one that is not theirs; `params`
/// may then hold a part of it.
pub fn load_adapters(
    path: &Path,
    attached: &Attached,
    params: &mut [f32],
) -> Result<HashMap<String, String>, NetError> {
    let (metadata, start, info) = read_header(path)?;
    let own: Vec<&Tensor> = attached.own().map(|p| attached.layout().get(p)).collect();
    read_tensors((path, &metadata, start), own.iter().copied(), params)?;
    if metadata.tensors().len() != own.len() {
        return refuse(
            path,
            format!("holds {} tensors, the adapters have {}", metadata.tensors().len(), own.len()),
        );
    }
    Ok(info)
}
