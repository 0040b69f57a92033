//! Reading files: gzipped or not, never more than a limit, named as the recipe names them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::error::{DataError, Result};

/// Content accepted from one file, after decompression, unless a recipe says otherwise.
pub(crate) const MAX_BYTES: u64 = 2 << 30;

/// How a gzip member starts.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The content of `given`, resolved against `dir`. Gzip is recognised by its first bytes.
pub(crate) fn read(dir: &Path, given: &str, what: &'static str, limit: u64) -> Result<Vec<u8>> {
    let path = || given.to_owned();
    let refused = |reason| DataError::Read { what, reason, path: path() };
    let mut file = File::open(dir.join(given)).map_err(refused)?;
    // Reading a folder succeeds in opening on some systems and fails later with a vague message.
    let meta = file.metadata().map_err(refused)?;
    if meta.is_dir() {
        return Err(refused(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")));
    }
    let mut magic = [0u8; 2];
    let mut head = 0;
    while head < 2 {
        match file.read(&mut magic[head..]).map_err(refused)? {
            0 => break,
            n => head += n,
        }
    }
    let zipped = head == 2 && magic == MAGIC;
    let mut whole = BufReader::with_capacity(1 << 16, magic[..head].chain(file));
    let mut out = Vec::new();
    // One byte beyond the limit tells "at the limit" from "above".
    let cut = limit.saturating_add(1);
    let done = if zipped {
        unzip(&mut whole, cut, &mut out)
    } else {
        whole.take(cut).read_to_end(&mut out).map(drop)
    };
    match done {
        Ok(()) if out.len() as u64 > limit => Err(DataError::TooLarge { limit, path: path() }),
        Ok(()) => Ok(out),
        Err(e) if zipped && e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(DataError::Gzip { reason: "the file is truncated".into(), path: path() })
        }
        Err(e) if zipped && matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Err(DataError::Gzip { reason: crate::error::one_line(&e), path: path() })
        }
        Err(e) => Err(refused(e)),
    }
}

/// The content of all members of a gzip file, at most `cut` bytes. Zeros behind the last member fill a block
/// on a tape or a disk and are ignored, as `gunzip` does; anything else that is no member is an error.
fn unzip(file: &mut impl BufRead, cut: u64, out: &mut Vec<u8>) -> io::Result<()> {
    loop {
        GzDecoder::new(&mut *file).take(cut - out.len() as u64).read_to_end(out)?;
        if out.len() as u64 >= cut {
            return Ok(());
        }
        let mut zeros = 0u64;
        let next = loop {
            let rest = file.fill_buf()?;
            let run = rest.iter().take_while(|b| **b == 0).count();
            if run < rest.len() || rest.is_empty() {
                let next = rest.get(run).copied();
                file.consume(run);
                zeros += run as u64;
                break next;
            }
            file.consume(run);
            zeros += run as u64;
        };
        let Some(next) = next else { return Ok(()) };
        if zeros > 0 || next != MAGIC[0] {
            let most = 1 << 20;
            let others = io::copy(&mut file.take(most), &mut io::sink())?;
            let count =
                if others < most { format!("{others} bytes") } else { format!("{most} bytes or more") };
            let what = format!("{count} that are not gzip follow the compressed content; cut them off");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    }
}

/// Any bytes as a gzip file of little content.
pub(crate) fn fuzz_unzip(mut bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    unzip(&mut bytes, 1 << 20, &mut out)?;
    Ok(out)
}

/// UTF-8 text without a byte order mark.
pub(crate) fn utf8(bytes: Vec<u8>, given: &str) -> Result<String> {
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            if text.starts_with('\u{feff}') {
                text.drain(..'\u{feff}'.len_utf8());
            }
            Ok(text)
        }
        Err(e) => {
            let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = good.split(|&b| b == b'\n').count();
            Err(DataError::Utf8 { line, path: given.into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gz(content: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::default());
        e.write_all(content).unwrap();
        e.finish().unwrap()
    }

    #[test]
    fn plain_and_gzipped_files_read_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        put("a.txt", b"hello");
        put("b.txt.gz", &gz(b"hello"));
        put("members.gz", &[gz(b"hel"), gz(b"lo")].concat());
        put("padded.gz", &[gz(b"hello"), vec![0; 512]].concat());
        put("padded-past-the-buffer.gz", &[gz(b"hel"), gz(b"lo"), vec![0; 200_000]].concat());
        put("empty", b"");
        for name in ["a.txt", "b.txt.gz", "members.gz", "padded.gz", "padded-past-the-buffer.gz"] {
            assert_eq!(read(dir.path(), name, "text", 5).unwrap(), b"hello");
        }
        assert_eq!(read(dir.path(), "empty", "text", 5).unwrap(), b"");
    }

    #[test]
    fn refusals_are_one_line_with_the_given_name() {
        let dir = tempfile::tempdir().unwrap();
        let full = gz(&b"some text that is long enough to be cut ".repeat(50));
        std::fs::write(dir.path().join("cut.gz"), &full[..full.len() / 2]).unwrap();
        std::fs::write(dir.path().join("tail.gz"), &full[..full.len() - 3]).unwrap();
        let mut broken = full.clone();
        broken[20] ^= 0xff;
        std::fs::write(dir.path().join("broken.gz"), &broken).unwrap();
        let put =
            |name: &str, parts: &[&[u8]]| std::fs::write(dir.path().join(name), parts.concat()).unwrap();
        put("garbage.gz", &[&full, b"garbage!"]);
        put("late.gz", &[&full, &[0; 512], b"more"]);
        put("half.gz", &[&full, &full[..20]]);
        std::fs::write(dir.path().join("bomb.gz"), gz(&vec![0u8; 1 << 20])).unwrap();
        let err = |name: &str| {
            let text = read(dir.path(), name, "text", 100_000).unwrap_err().to_string();
            assert!(!text.contains('\n') && text.ends_with(name), "{text}");
            text
        };
        assert_eq!(err("cut.gz"), "gzip: the file is truncated: cut.gz");
        assert_eq!(err("tail.gz"), "gzip: the file is truncated: tail.gz");
        let others = |n: u32| {
            format!("gzip: {n} bytes that are not gzip follow the compressed content; cut them off: ")
        };
        assert_eq!(err("garbage.gz"), others(8) + "garbage.gz");
        assert_eq!(err("late.gz"), others(4) + "late.gz");
        assert_eq!(err("half.gz"), "gzip: the file is truncated: half.gz");
        assert!(err("broken.gz").starts_with("gzip: "));
        assert_eq!(err("bomb.gz"), "more than max_bytes = 100000 bytes of content: bomb.gz");
        assert!(err("missing.txt").starts_with("cannot read text: "));
        assert_eq!(
            read(dir.path(), "", "text", 9).unwrap_err().to_string(),
            "cannot read text: it is a folder: "
        );
        assert_eq!(utf8(b"ok\nno\xff".to_vec(), "x").unwrap_err().to_string(), "invalid UTF-8 in line 2: x");
        assert_eq!(utf8("\u{feff}é".into(), "x").unwrap(), "é");
    }
}
