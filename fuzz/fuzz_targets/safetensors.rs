//! Any bytes as a weight file: never a panic, never memory that the file does not have.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let dir = if memory.is_dir() { memory } else { std::env::temp_dir() };
    dir.join(format!("lobe-fuzz-{}.safetensors", std::process::id()))
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("the temporary file can be written");
    let header = lobe_nets::read_header(&FILE);
    if let Ok((net, params, info)) = lobe_nets::load(&FILE) {
        assert!(header.is_ok());
        assert_eq!(net.layout().len(), params.len());
        drop(info);
        let saved = lobe_nets::save(&net, &params, &[]).expect("what loads can be saved");
        std::fs::write(&*FILE, saved).expect("the temporary file can be written");
        let (_, again, _) = lobe_nets::load(&FILE).expect("what was saved loads");
        let bits = |p: &[f32]| p.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&params), bits(&again));
    }
    std::fs::remove_file(&*FILE).expect("the temporary file can be removed");
});
