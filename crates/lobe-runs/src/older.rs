//! Formats before this one, brought up to it while they are read.
//!
//! Format 1 did not say what its stages make: readers knew their names. What they knew stands here, and nowhere
//! else, and does not grow: a newer stage says it itself.

use crate::manifest::{FORMAT, Makes, Manifest, Stage, Starts};

/// The number of a manifest without one.
pub(crate) fn first() -> u32 {
    1
}

/// Brings a manifest up to this format.
pub(crate) fn upgrade(manifest: &mut Manifest) {
    if manifest.format < 2 {
        manifest.stages.iter_mut().for_each(second);
        manifest.format = FORMAT;
    }
}

/// What a stage of format 1 makes, from its name. One that the manifest does not explain is left open.
fn second(stage: &mut Stage) {
    let (makes, starts, noun) = match stage.does.as_str() {
        "" => return,
        "train" => (Makes::Model, Starts::Drawn, None),
        "load" => (Makes::Model, Starts::Files, None),
        "ablate" => (Makes::Model, Starts::Models, Some("the cut")),
        "unlearn" => (Makes::Model, Starts::Models, Some("unlearning")),
        "cohere" => (Makes::Model, Starts::Models, None),
        "measure" => (Makes::Numbers, Starts::Models, None),
        _ => (Makes::Attack, Starts::Models, None),
    };
    stage.makes = Some(makes);
    stage.starts = starts;
    stage.noun = noun.map(str::to_owned);
    if makes == Makes::Attack {
        stage.curve = Some(format!("{}_loss", stage.does));
        stage.redraws = Some("reinit".to_owned());
    }
}
