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
    let read = lobe_nets::load(&FILE);
    // A model reads more of the header than its weights.
    if let Ok((model, _)) = lobe_nets::Model::load(&FILE) {
        assert!(header.is_ok());
        assert_eq!(model.layout().len(), model.params.len());
        assert!(read.is_ok_and(|(net, params, _)| net.layout().len() == params.len()));
        let saved = model.save(&[]).expect("what loads can be saved");
        std::fs::write(&*FILE, saved).expect("the temporary file can be written");
        let (again, _) = lobe_nets::Model::load(&FILE).expect("what was saved loads");
        let bits = |p: &[f32]| p.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&model.params), bits(&again.params));
        assert_eq!((&model.cuts, &model.still, &model.found), (&again.cuts, &again.still, &again.found));
    }
    std::fs::remove_file(&*FILE).expect("the temporary file can be removed");
});
