//! An adapter's tensors as safetensors, by name, without the host's.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use lobe_engine::Tensor;
use safetensors::tensor::Dtype;

use super::Attached;
use crate::NetError;
use crate::weights::{Entry, read_header, refuse, serialize, shape};

/// The bytes of a file with the adapters' tensors in `params`; `extra` goes into its header.
pub fn save(attached: &Attached, params: &[f32], extra: &[(&str, String)]) -> Vec<u8> {
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
pub fn load(
    path: &Path,
    attached: &Attached,
    params: &mut [f32],
) -> Result<HashMap<String, String>, NetError> {
    let (metadata, start, info) = read_header(path)?;
    let mut file = match File::open(path) {
        Ok(f) => f,
        Err(e) => return refuse(path, format!("cannot be opened: {e}")),
    };
    let mut bytes = Vec::new();
    let mut known = 0;
    for t in attached.own().map(|p| attached.layout().get(p)) {
        let Some(place) = metadata.info(&t.name) else {
            return refuse(path, format!("lacks the tensor {:?}", t.name));
        };
        if place.dtype != Dtype::F32 || place.shape != shape(t) {
            let what = format!("{} {:?}, expected F32 {:?}", place.dtype, place.shape, shape(t));
            return refuse(path, format!("tensor {:?} is {what}", t.name));
        }
        bytes.resize(4 * t.rows * t.cols, 0);
        let at = start + place.data_offsets.0 as u64;
        if file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes)).is_err() {
            return refuse(path, format!("ends inside tensor {:?}", t.name));
        }
        for (x, b) in params[t.span()].iter_mut().zip(bytes.chunks_exact(4)) {
            *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
        known += 1;
    }
    if metadata.tensors().len() != known {
        return refuse(
            path,
            format!("holds {} tensors, the adapters have {known}", metadata.tensors().len()),
        );
    }
    Ok(info)
}
