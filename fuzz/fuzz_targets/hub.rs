//! Any bytes as a Hugging Face model: the first line is `config.json`, the rest the weights.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let dir = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let dir = dir.join(format!("lobe-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the temporary directory can be made");
    dir
});

fuzz_target!(|bytes: &[u8]| {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return };
    std::fs::write(DIR.join("config.json"), &bytes[..end]).expect("the temporary file can be written");
    std::fs::write(DIR.join("model.safetensors"), &bytes[end + 1..])
        .expect("the temporary file can be written");
    if let Ok(read) = lobe_nets::hub::import(&DIR) {
        assert_eq!(read.net.layout().len(), read.params.len());
    }
});
