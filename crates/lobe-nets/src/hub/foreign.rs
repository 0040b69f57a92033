//! Files of models that Lobe does not read: what they are, and what makes of them one that it does.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::weights::{is_ours, read_header};

/// How a model of PyTorch becomes one that opens.
const SAVE: &str = "load it in Python and write a Hugging Face folder with model.save_pretrained(DIR)";

/// What stands in the place of `model.safetensors` in the folder of a Hugging Face model.
pub(super) fn instead_of_weights(dir: &Path) -> Option<String> {
    let has = |name: &str| dir.join(name).exists();
    let advice = "write it as one with AutoModelForCausalLM.from_pretrained(DIR)\
        .save_pretrained(OUT, max_shard_size=\"1TB\")";
    if has("model.safetensors.index.json") {
        return Some(format!("is split into several files, which is not supported; {advice}"));
    }
    if has("pytorch_model.bin") || has("pytorch_model.bin.index.json") {
        return Some(format!("is missing, and pytorch_model.bin is not read; {advice}"));
    }
    has("model.safetensors.gz").then(|| "is there only as .gz: unpack it with gunzip".to_owned())
}

/// Why `path` cannot be a model of Lobe's, and what would be; `None` where it may be one. Reads the
/// beginning of the file only.
pub fn foreign(path: &Path) -> Option<String> {
    if !path.exists() {
        return Some(missing(path));
    }
    if !path.is_file() {
        return None;
    }
    let mut start = [0u8; 16];
    let n = File::open(path).and_then(|mut f| f.read(&mut start)).unwrap_or(0);
    if let Some(what) = kind(path, &start[..n]) {
        return Some(what);
    }
    let (metadata, _, info) = read_header(path).ok()?;
    if is_ours(&info) {
        return None;
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut tensors = metadata.tensors().into_keys();
    if folder.join("config.json").is_file() {
        return Some(format!("is one file of a Hugging Face model; give its folder, {}", folder.display()));
    }
    if tensors.any(|name| name == "embed.W_E" || name.ends_with(".attn.W_Q")) {
        let what = "has TransformerLens' names, which are not read; save the Hugging Face model it was made from \
            with model.save_pretrained(DIR), or rename its tensors (docs/running.md, What opens)";
        return Some(what.to_owned());
    }
    let what = "holds no network configuration of Lobe's, and no config.json lies beside it";
    Some(format!("{what}; a Hugging Face model is a folder with both files"))
}

/// A path that names nothing.
fn missing(path: &Path) -> String {
    let plain = path.components().count() <= 2 && path.extension().is_none() && path.is_relative();
    if plain {
        let get = format!("hf download {} --local-dir DIR", path.display());
        return format!(
            "no such file or folder; models are not downloaded: `{get}` does it for a model id, then give DIR"
        );
    }
    "no such file or folder".to_owned()
}

/// What the first bytes, or the name, say about a file that is not safetensors.
fn kind(path: &Path, start: &[u8]) -> Option<String> {
    // After the length, the header of safetensors begins.
    if start.get(8) == Some(&b'{') {
        return None;
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    let whole = |range: std::ops::Range<usize>| -> Option<u32> {
        let bytes: [u8; 4] = start.get(range)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let said = match start {
        [0x1f, 0x8b, ..] => "is gzipped: unpack it with gunzip".to_owned(),
        [b'G', b'G', b'U', b'F', ..] => "is GGUF, which is not read; write a Hugging Face folder with AutoModelForCausalLM\
            .from_pretrained(DIR, gguf_file=FILE).save_pretrained(OUT)"
            .to_owned(),
        [b'P', b'K', 3, 4, ..] if matches!(extension.as_str(), "npz") => format!("is NumPy's; {SAVE}"),
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => {
            format!("is a checkpoint of PyTorch's (pickle), which is not read; {SAVE}")
        }
        [b'{' | b'[', ..] => "is JSON, not weights; a Hugging Face model is given as its folder".to_owned(),
        // llama2.c: a magic number, or seven sizes, the first ones of a plausible network.
        _ if whole(0..4) == Some(0x616b_3432) || extension == "bin" && llama2c(&whole) => {
            "is a model of llama2.c's, which is not read; its `python export.py OUT --version -1 --checkpoint FILE.pt` \
             writes a Hugging Face folder"
                .to_owned()
        }
        _ => match extension.as_str() {
            "pt" | "pth" | "bin" | "ckpt" => format!("is a checkpoint that is not read; {SAVE}"),
            "h5" | "msgpack" | "onnx" | "npz" | "npy" => format!("is .{extension}, which is not read; {SAVE}"),
            _ => return None,
        },
    };
    Some(said)
}

/// Width, hidden width, layers and heads of a network.
fn llama2c(whole: &impl Fn(std::ops::Range<usize>) -> Option<u32>) -> bool {
    let sizes = [whole(0..4), whole(4..8), whole(8..12), whole(12..16)];
    let [Some(width), Some(hidden), Some(layers), Some(heads)] = sizes else { return false };
    (1..=1 << 16).contains(&width)
        && (1..=1 << 20).contains(&hidden)
        && (1..=1024).contains(&layers)
        && (1..=1024).contains(&heads)
        && width.is_multiple_of(heads)
}
