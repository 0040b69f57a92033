//! Weights as safetensors, with the network's configuration in the header.

mod adapters;

pub use adapters::{load_adapters, save_adapters};

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use lobe_engine::{Buf, Tensor};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::{Value, json};

use crate::adapter::Adapted;
use crate::network::{NetError, Network};
use crate::networks::restore;

/// Longest accepted header: a network of 100,000 tensors stays far below.
const MAX_HEADER: u64 = 16 << 20;
/// Key of the configuration in the header's metadata.
const CONFIG: &str = "lobe.network";
/// Key of the adapters at its doors, if there are any.
const ADAPTERS: &str = "lobe.adapters";
/// Key of the version of the file's form.
const VERSION: &str = "lobe.format";
/// The version that is written. The first said nothing of it.
const FORMAT: u32 = 2;

/// More adapters than anybody trains side by side in one network.
const MOST_ADAPTERS: usize = 4096;

/// Longest reason in a refusal: a hostile file must not fill the screen.
const MAX_REASON: usize = 400;

pub(crate) fn refuse<T>(file: &Path, what: impl Into<String>) -> Result<T, NetError> {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let what: String = what.into().chars().take(MAX_REASON).map(clean).collect();
    Err(NetError::Weights { file: file.display().to_string(), what })
}

/// Whether a header's free-form metadata is that of a file that [`save`] wrote.
pub(crate) fn is_ours(info: &HashMap<String, String>) -> bool {
    info.contains_key(CONFIG)
}

/// One tensor on its way into a file.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Cow<'a, [f32]>,
}

/// The bytes of a safetensors file: the same tensors and facts always give the same bytes.
pub(crate) fn serialize(info: &BTreeMap<String, String>, tensors: &[Entry<'_>]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!(info));
    let mut at = 0;
    for t in tensors {
        let end = at + 4 * t.values.len();
        header.insert(t.name.clone(), json!({"dtype": "F32", "shape": t.shape, "data_offsets": [at, end]}));
        at = end;
    }
    let mut header = Value::Object(header).to_string();
    // Data starts at a multiple of eight bytes.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut out = Vec::with_capacity(8 + header.len() + at);
    out.extend_from_slice(&(header.len() as u64).to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    out.extend(tensors.iter().flat_map(|t| t.values.iter()).flat_map(|x| x.to_le_bytes()));
    out
}

pub(crate) fn shape(t: &Tensor) -> Vec<usize> {
    if t.matrix { vec![t.rows, t.cols] } else { vec![t.cols] }
}

/// The bytes of a safetensors file with `params` of `net`; `extra` goes into the header.
///
/// # Errors
/// If the header cannot be built.
pub fn save(net: &dyn Network, params: &[f32], extra: &[(&str, String)]) -> Result<Vec<u8>, NetError> {
    let fail = |e: &dyn std::fmt::Display| NetError::Weights { file: "model".into(), what: e.to_string() };
    let mut config = serde_json::Map::from_iter([("kind".to_owned(), json!(net.kind()))]);
    if let Value::Object(own) = net.config() {
        config.extend(own);
    }
    let config = serde_json::to_string(&config).map_err(|e| fail(&e))?;
    let mut info = BTreeMap::from([(CONFIG.to_owned(), config), (VERSION.to_owned(), FORMAT.to_string())]);
    let adapters = net.adapters();
    if !adapters.is_empty() {
        info.insert(ADAPTERS.to_owned(), json!(adapters).to_string());
    }
    info.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
    let entry = |t: &Tensor| Entry {
        name: t.name.clone(),
        shape: shape(t),
        values: Cow::Borrowed(&params[t.span()]),
    };
    let tensors: Vec<Entry<'_>> = net.layout().tensors().iter().map(entry).collect();
    Ok(serialize(&info, &tensors))
}

/// Reads and checks a safetensors header without reading any tensor. Returns the tensors' places,
/// the position of the first data byte, and the free-form metadata.
///
/// # Errors
/// If the file is missing, shorter than it claims, or its header is not one.
pub fn read_header(path: &Path) -> Result<(Metadata, u64, HashMap<String, String>), NetError> {
    let mut file = match File::open(path) {
        Ok(f) => f,
        Err(e) => return refuse(path, format!("cannot be opened: {e}")),
    };
    let size = match file.metadata() {
        Ok(m) if m.is_file() => m.len(),
        Ok(_) => return refuse(path, "is not a file"),
        Err(e) => return refuse(path, e.to_string()),
    };
    let mut start = [0u8; 8];
    if size < 8 || file.read_exact(&mut start).is_err() {
        return refuse(path, "is too short to be a safetensors file");
    }
    let n = u64::from_le_bytes(start);
    if n > MAX_HEADER || n > size - 8 {
        return refuse(path, format!("is not a safetensors file (claims a header of {n} bytes)"));
    }
    let mut header = vec![0u8; n as usize];
    if let Err(e) = file.read_exact(&mut header) {
        return refuse(path, format!("cannot be read: {e}"));
    }
    let metadata: Metadata = match serde_json::from_slice(&header) {
        Ok(m) => m,
        Err(e) => return refuse(path, format!("has a damaged safetensors header: {e}")),
    };
    let data = metadata.data_len() as u64;
    if data != size - 8 - n {
        return refuse(
            path,
            format!("is truncated or damaged: {data} bytes of tensors announced, {} there", size - 8 - n),
        );
    }
    let info = metadata.metadata().clone().unwrap_or_default();
    Ok((metadata, 8 + n, info))
}

/// Loads a network and its weights. Sizes are checked against the file before memory is taken.
///
/// # Errors
/// If the file is not one that [`save`] wrote, or is damaged.
pub fn load(path: &Path) -> Result<(Arc<dyn Network>, Buf, HashMap<String, String>), NetError> {
    let (metadata, start, info) = read_header(path)?;
    let Some(config) = info.get(CONFIG) else {
        return refuse(path, "holds no network configuration of Lobe's");
    };
    if let Some(v) = info.get(VERSION).filter(|v| !v.parse().is_ok_and(|v: u32| (1..=FORMAT).contains(&v))) {
        return refuse(path, format!("has the form {v:?}; this version reads forms 1 to {FORMAT}"));
    }
    let config: Value = match serde_json::from_str(config) {
        Ok(c) => c,
        Err(e) => return refuse(path, format!("has a damaged network configuration: {e}")),
    };
    let announced = metadata.data_len();
    let net = match restore(config) {
        Ok(net) => net,
        Err(e) => return refuse(path, format!("has a damaged network configuration: {e}")),
    };
    let net = adapted(path, net, &info)?;
    if announced != 4 * net.layout().len() {
        return refuse(
            path,
            format!("holds {announced} bytes of tensors, its network has {}", 4 * net.layout().len()),
        );
    }
    let mut params = Buf::zeros(net.layout().len());
    read_tensors((path, &metadata, start), net.layout().tensors(), &mut params)?;
    Ok((net, params, info))
}

/// Reads `tensors` by name into their places in `params`.
pub(crate) fn read_tensors<'a>(
    (path, metadata, start): (&Path, &Metadata, u64),
    tensors: impl IntoIterator<Item = &'a Tensor>,
    params: &mut [f32],
) -> Result<(), NetError> {
    let mut file = match File::open(path) {
        Ok(f) => f,
        Err(e) => return refuse(path, format!("cannot be opened: {e}")),
    };
    let mut bytes = Vec::new();
    for t in tensors {
        let Some(place) = metadata.info(&t.name) else {
            return refuse(path, format!("lacks the tensor {:?}", t.name));
        };
        if place.dtype != Dtype::F32 || place.shape != shape(t) {
            let (have, want) = (&place.shape, shape(t));
            return refuse(
                path,
                format!("tensor {:?} is {} {have:?}, expected F32 {want:?}", t.name, place.dtype),
            );
        }
        bytes.resize(4 * t.rows * t.cols, 0);
        let at = start + place.data_offsets.0 as u64;
        if file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut bytes)).is_err() {
            return refuse(path, format!("ends inside tensor {:?}", t.name));
        }
        for (x, b) in params[t.span()].iter_mut().zip(bytes.chunks_exact(4)) {
            *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
    }
    Ok(())
}

/// The network with the adapters that the header announces.
fn adapted(
    path: &Path,
    net: Arc<dyn Network>,
    info: &HashMap<String, String>,
) -> Result<Arc<dyn Network>, NetError> {
    let Some(text) = info.get(ADAPTERS) else { return Ok(net) };
    let specs: Vec<Value> = match serde_json::from_str(text) {
        Ok(specs) => specs,
        Err(e) => return refuse(path, format!("has a damaged list of adapters: {e}")),
    };
    if specs.len() > MOST_ADAPTERS {
        return refuse(path, format!("announces {} adapters; at most {MOST_ADAPTERS} are read", specs.len()));
    }
    match Adapted::of(net, &specs) {
        Ok(net) => Ok(Arc::new(net)),
        Err(e) => refuse(path, format!("adapter {e}")),
    }
}
