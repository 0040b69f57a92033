//! The IDX layout: a big-endian magic number, sizes, then bytes. Every size is held against
//! the length of the content before anything is made of it.

use super::Raw;
use crate::error::{DataError, Result};

/// Unsigned bytes in three dimensions.
const IMAGES: u32 = 0x0803;
/// Unsigned bytes in one dimension.
const LABELS: u32 = 0x0801;

fn fail<T>(what: String, path: &str) -> Result<T> {
    Err(DataError::Format { format: "idx", what, path: path.into() })
}

/// The sizes in the header, after checking the magic number and the length of the content.
fn header<const N: usize>(bytes: &[u8], magic: u32, path: &str) -> Result<[usize; N]> {
    let word = |i: usize| {
        let four = bytes.get(4 * i..4 * i + 4)?;
        four.try_into().ok().map(u32::from_be_bytes)
    };
    match word(0) {
        Some(found) if found == magic => {}
        Some(found) => return fail(format!("magic number {found:#06x} instead of {magic:#06x}"), path),
        None => return fail(format!("only {} bytes", bytes.len()), path),
    }
    let mut sizes = [0usize; N];
    for (i, size) in sizes.iter_mut().enumerate() {
        match word(i + 1) {
            Some(n) => *size = n as usize,
            None => return fail("the header is cut".into(), path),
        }
    }
    let product = sizes.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
    let body = bytes.len() - 4 * (N + 1);
    if product != Some(body) {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        return fail(format!("the header promises {} bytes, the file holds {body}", sizes.join(" x ")), path);
    }
    if body == 0 {
        return Err(DataError::Empty { what: "content", path: path.into() });
    }
    Ok(sizes)
}

/// Images without labels.
pub(crate) fn images(mut bytes: Vec<u8>, path: &str) -> Result<Raw> {
    let [_, h, w] = header(&bytes, IMAGES, path)?;
    bytes.drain(..16);
    Ok(Raw { shape: (1, h, w), pixels: bytes, class: Vec::new() })
}

/// Labels.
pub(crate) fn labels(mut bytes: Vec<u8>, path: &str) -> Result<Vec<u8>> {
    let [_] = header(&bytes, LABELS, path)?;
    bytes.drain(..8);
    Ok(bytes)
}
