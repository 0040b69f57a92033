//! Opening what was given as a run directory, with advice where it is something else.

use std::path::Path;

use anyhow::Result;
use lobe_report::RunData;

use crate::failure::refuse;

/// Reads a run; a recipe, a report or a model given in its place is named as what it is.
pub(crate) fn open(path: &Path) -> Result<RunData> {
    let shown = path.display();
    if path.is_file() {
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let what = match ending.as_deref() {
            Some("toml") => format!(
                "a recipe, not a run directory: `lobe run {shown}` writes one, runs/NAME unless --out says otherwise"
            ),
            Some("html") => "a report, not a run directory: give the directory that it is in".to_owned(),
            Some("safetensors") => "a model, not a run directory; `lobe sample --model`, `lobe attack` and \
                                    `lobe export` take models"
                .to_owned(),
            _ => "a file, not a run directory".to_owned(),
        };
        return Err(refuse(format!("this is {what}: {shown}")));
    }
    if path.is_dir() && !path.join("manifest.json").exists() {
        return Err(refuse(format!(
            "this is not a run directory: it has no manifest.json; `lobe run` makes runs in runs/NAME: {shown}"
        )));
    }
    Ok(RunData::load(path)?)
}
