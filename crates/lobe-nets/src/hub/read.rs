//! Reading `config.json` and `model.safetensors`; every size is checked before memory is taken.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use lobe_engine::Buf;
use safetensors::tensor::{Dtype, Metadata};

use super::{Format, config, foreign, names, shape};
use crate::gpt::Gpt;
use crate::network::{NetError, Network};
use crate::weights::{read_header, refuse};

/// Longest accepted `config.json`.
const MAX_CONFIG: u64 = 1 << 20;

/// A model from a Hugging Face directory.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The network.
    pub net: Arc<dyn Network>,
    /// Its parameters.
    pub params: Buf,
    /// What is not as `config.json` says, a sentence each.
    pub notes: Vec<String>,
}

/// Loads a GPT-2, GPT-Neo or Llama model from a directory that holds `config.json` and
/// `model.safetensors` (32-bit or 16-bit floats). A stored head that differs from the embedding makes
/// the network untied, whatever `config.json` says.
///
/// # Errors
/// If a file is missing or damaged, or the model has something that Lobe does not.
pub fn import(dir: &Path) -> Result<Imported, NetError> {
    let (settings, weights) = (dir.join("config.json"), dir.join("model.safetensors"));
    let text = text(&settings)?;
    let (format, mut config) = match shape::read(&text).map(|(f, c)| (f, c.resolve(0, 0))) {
        Ok((format, Ok(config))) => (format, config),
        Ok((_, Err(e))) => return refuse(&settings, e.to_string()),
        Err(what) => return refuse(&settings, what),
    };
    if let Some((key, what)) = config::misfits(format, &config).first() {
        return refuse(&settings, format!("{key} {what}"));
    }
    if !weights.exists()
        && let Some(what) = foreign::instead_of_weights(dir)
    {
        return refuse(&weights, what);
    }
    let mut stored = Stored::open(&weights)?;
    let mut notes = Vec::new();
    if config.tied && stored.own_head(format)? {
        config.tied = false;
        notes.push(OWN_HEAD.to_owned());
    }
    let net = Gpt::new(config);
    let pieces = names::pieces(format, &net);
    let places = match places(&stored.metadata, &pieces, net.config.tied) {
        Ok(places) => places,
        Err(what) => return refuse(&weights, what),
    };
    let mut params = Buf::zeros(net.layout.len());
    for (piece, place) in pieces.iter().zip(places) {
        let values = stored.values(&piece.name, place)?;
        piece.scatter(&net, values, &mut params);
    }
    Ok(Imported { net: Arc::new(net), params, notes })
}

/// Said of a model whose file and flag disagree.
const OWN_HEAD: &str = "config.json ties the head to the embedding, but lm_head.weight differs from it: \
    read as a head of its own";

/// A `config.json` of moderate size.
pub(super) fn text(path: &Path) -> Result<String, NetError> {
    let mut text = String::new();
    match File::open(path).map(|file| file.take(MAX_CONFIG + 1).read_to_string(&mut text)) {
        Err(e) => refuse(path, format!("cannot be opened: {e}")),
        Ok(Err(e)) => refuse(path, format!("cannot be read: {e}")),
        Ok(Ok(n)) if n as u64 > MAX_CONFIG => refuse(path, "is too long"),
        Ok(Ok(_)) => Ok(text),
    }
}

/// An open weight file.
struct Stored<'a> {
    path: &'a Path,
    file: File,
    metadata: Metadata,
    /// Where tensors begin.
    start: u64,
    bytes: Vec<u8>,
    values: Vec<f32>,
}

impl Stored<'_> {
    fn open(path: &Path) -> Result<Stored<'_>, NetError> {
        let (metadata, start, _) = read_header(path)?;
        match File::open(path) {
            Ok(file) => Ok(Stored { path, file, metadata, start, bytes: Vec::new(), values: Vec::new() }),
            Err(e) => refuse(path, format!("cannot be opened: {e}")),
        }
    }

    /// The numbers of one tensor.
    fn values(&mut self, name: &str, (dtype, (from, to)): Place) -> Result<&[f32], NetError> {
        let (bytes, values) = (&mut self.bytes, &mut self.values);
        bytes.resize(to - from, 0);
        let at = SeekFrom::Start(self.start + from as u64);
        if self.file.seek(at).and_then(|_| self.file.read_exact(bytes)).is_err() {
            return refuse(self.path, format!("ends inside tensor {name:?}"));
        }
        values.clear();
        match dtype {
            Dtype::F32 => {
                values.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            }
            Dtype::BF16 => {
                values.extend(bytes.chunks_exact(2).map(|b| f32::from_le_bytes([0, 0, b[0], b[1]])));
            }
            _ => values.extend(bytes.chunks_exact(2).map(|b| half(u16::from_le_bytes([b[0], b[1]])))),
        }
        Ok(values)
    }

    /// Whether the file stores a head whose numbers are not the embedding's.
    fn own_head(&mut self, format: Format) -> Result<bool, NetError> {
        let (full, short) = names::embedding(format);
        let info = |name: &str| self.metadata.info(name).map(|i| (i.dtype, i.shape.clone(), i.data_offsets));
        let (head, embedding) = (info(names::HEAD), info(full).or_else(|| info(short)));
        let (Some(head), Some(embedding)) = (head, embedding) else { return Ok(false) };
        let known = |d: Dtype| matches!(d, Dtype::F32 | Dtype::F16 | Dtype::BF16);
        if head.1 != embedding.1 || !known(head.0) || !known(embedding.0) {
            // Read as a head, it is refused with its shape or its kind of numbers.
            return Ok(true);
        }
        let embedding = self.values(full, (embedding.0, embedding.2))?.to_vec();
        Ok(self.values(names::HEAD, (head.0, head.2))? != embedding)
    }
}

type Place = (Dtype, (usize, usize));

/// Where every piece lies, once all shapes agree and nothing is left over.
fn places(metadata: &Metadata, pieces: &[names::Piece], tied: bool) -> Result<Vec<Place>, String> {
    let mut rest: BTreeSet<String> = metadata.tensors().into_keys().collect();
    let mut out = Vec::with_capacity(pieces.len());
    for piece in pieces {
        // Files of the bare model leave the first part of every name out.
        let short = piece.name.split_once('.').map_or("", |(_, s)| s);
        let found = [piece.name.as_str(), short].into_iter().find_map(|n| metadata.info(n).map(|i| (n, i)));
        let Some((name, info)) = found else { return Err(format!("lacks the tensor {:?}", piece.name)) };
        if info.shape != piece.shape {
            return Err(format!("tensor {name:?} has shape {:?}, expected {:?}", info.shape, piece.shape));
        }
        if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(format!("tensor {name:?} is {}, which is not supported", info.dtype));
        }
        rest.remove(name);
        out.push((info.dtype, info.data_offsets));
    }
    rest.retain(|name| !(is_buffer(name) || tied && name == names::HEAD));
    match rest.first() {
        Some(name) => Err(format!("holds the tensor {name:?}, which this network has no place for")),
        None => Ok(out),
    }
}

/// Masks and tables that older files store although they are no weights.
fn is_buffer(name: &str) -> bool {
    let ends = [".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".inv_freq"];
    ends.iter().any(|e| name.ends_with(e))
}

/// An IEEE 16-bit float.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        // Zero and subnormal numbers: fraction · 2⁻²⁴, exact in f32.
        0 => f32::from_bits(sign | (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits()),
        31 => f32::from_bits(sign | 0x7F80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn half_floats_by_hand() {
        let known =
            [(0x3C00, 1.0), (0xC000, -2.0), (0x3555, 0.333_251_95), (0x7BFF, 65504.0), (0x8000, -0.0)];
        for (bits, value) in known {
            assert_eq!(half(bits).to_bits(), f32::to_bits(value));
        }
        assert_eq!(half(1), 5.960_464_5e-8);
        assert_eq!(half(0x03FF), 6.097_555e-5);
        assert!(half(0x7C00).is_infinite() && half(0x7E00).is_nan());
    }
}
