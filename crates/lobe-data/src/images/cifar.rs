//! The CIFAR binary layout: records of label bytes and 1024 red, green and blue pixels.

use super::{CifarLayout, Raw};
use crate::error::{DataError, Result};

/// Class names of CIFAR-10.
pub(crate) const NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Adds the records of one file.
pub(crate) fn append(bytes: &[u8], layout: CifarLayout, path: &str, out: &mut Raw) -> Result<()> {
    let fail = |what: String| Err(DataError::Format { format: "cifar", what, path: path.into() });
    let (labels, classes) = match layout {
        CifarLayout::Cifar10 => (1, 10),
        CifarLayout::Cifar100 => (2, 100),
    };
    let record = labels + 3072;
    if bytes.is_empty() {
        return Err(DataError::Empty { what: "records", path: path.into() });
    }
    if !bytes.len().is_multiple_of(record) {
        return fail(format!("{} bytes are no whole number of records of {record}", bytes.len()));
    }
    for (i, record) in bytes.chunks_exact(record).enumerate() {
        let class = record[labels - 1];
        if class >= classes {
            return fail(format!("record {i} has label {class}, of {classes} classes"));
        }
        out.class.push(class);
        out.pixels.extend_from_slice(&record[labels..]);
    }
    Ok(())
}
