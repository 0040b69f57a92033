//! Reading `config.json` and `model.safetensors`; every size is checked before memory is taken.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use lobe_engine::Buf;
use safetensors::tensor::{Dtype, Metadata};

use super::{config, names};
use crate::gpt::Gpt;
use crate::net::{Net, NetError};
use crate::weights::{read_header, refuse};

/// Longest accepted `config.json`.
const MAX_CONFIG: u64 = 1 << 20;

/// Loads a GPT-2, GPT-Neo or Llama model from a directory that holds `config.json` and
/// `model.safetensors` (32-bit or 16-bit floats).
///
/// # Errors
/// If a file is missing or damaged, or the model has something that Lobe does not.
pub fn import(dir: &Path) -> Result<(Net, Buf), NetError> {
    let (settings, weights) = (dir.join("config.json"), dir.join("model.safetensors"));
    let text = match File::open(&settings) {
        Ok(file) => {
            let mut text = String::new();
            match file.take(MAX_CONFIG + 1).read_to_string(&mut text) {
                Ok(n) if n as u64 > MAX_CONFIG => return refuse(&settings, "is too long"),
                Ok(_) => text,
                Err(e) => return refuse(&settings, format!("cannot be read: {e}")),
            }
        }
        Err(e) => return refuse(&settings, format!("cannot be opened: {e}")),
    };
    let (format, shape) = match config::read(&text) {
        Ok(found) => found,
        Err(what) => return refuse(&settings, what),
    };
    let shape = match shape.resolve(0, 0) {
        Ok(shape) => shape,
        Err(e) => return refuse(&settings, e.to_string()),
    };
    if let Some((key, what)) = config::misfits(format, &shape).first() {
        return refuse(&settings, format!("{key} {what}"));
    }
    let net = Gpt::new(shape);
    if !weights.exists() && dir.join("model.safetensors.index.json").exists() {
        return refuse(&weights, "is split into several files, which is not supported; save it as one");
    }
    let (metadata, start, _) = read_header(&weights)?;
    let pieces = names::pieces(format, &net);
    let places = match places(&metadata, &pieces, net.config.tied) {
        Ok(places) => places,
        Err(what) => return refuse(&weights, what),
    };
    let mut params = Buf::zeros(net.layout.len());
    let mut file = match File::open(&weights) {
        Ok(f) => f,
        Err(e) => return refuse(&weights, format!("cannot be opened: {e}")),
    };
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    for (piece, (dtype, (from, to))) in pieces.iter().zip(places) {
        bytes.resize(to - from, 0);
        let at = SeekFrom::Start(start + from as u64);
        if file.seek(at).and_then(|_| file.read_exact(&mut bytes)).is_err() {
            return refuse(&weights, format!("ends inside tensor {:?}", piece.name));
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
        piece.scatter(&net, &values, &mut params);
    }
    Ok((Net::Gpt(net), params))
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
    rest.retain(|name| !(is_buffer(name) || tied && name == "lm_head.weight"));
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
