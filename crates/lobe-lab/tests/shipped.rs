//! Every recipe of the repository is one that this Lobe accepts, in every preset, data at hand or not.

use std::path::Path;

use lobe_data::DataError;
use lobe_lab::LabError;
use lobe_lab::plan::Experiment;
use lobe_lab::recipe::Written;
use lobe_lab::schedule::{callbacks, resolve};

#[test]
fn every_recipe_is_right_in_every_preset() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
    assert!(files.len() >= 6, "{files:?}");
    for path in files {
        let file = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let written = Written::from_str(file, &text).unwrap();
        written.check_presets(&callbacks()).unwrap_or_else(|e| panic!("{e}"));
        for preset in std::iter::once(None).chain(written.presets().into_iter().map(Some)) {
            let of_preset = written.clone().with_preset(preset).unwrap_or_else(|e| panic!("{e}"));
            let (recipe, _) = resolve(&of_preset).unwrap_or_else(|e| panic!("{e}"));
            match Experiment::open(&recipe) {
                // Only files that nobody brought may be missing.
                Ok(_) | Err(LabError::Data(DataError::Read { .. })) => {}
                Err(e) => panic!("{file}, preset {preset:?}: {e}"),
            }
        }
    }
}
