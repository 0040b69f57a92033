//! The stages of an experiment, one file each. A stage turns the models of an earlier stage into models or
//! numbers, one directory per member, and skips members whose work is already there.

mod ablate;
mod attack;
mod cohere;
mod fit;
mod load;
mod locate;
mod measure;
mod repeat;
mod train;
mod treat;
mod unlearn;

use std::sync::LazyLock;

pub(crate) use attack::width_notes;
pub use cohere::Cohere;
pub use fit::Fit;
pub use load::Load;
pub use locate::Locate;
pub use measure::Measure;
pub use repeat::{Repeat, Settings as RepeatSettings};
pub use train::TrainStage;
pub use treat::Treat;
pub use unlearn::UnlearnStage;

use lobe_core::registry::List;
use lobe_methods::ATTACKS;

use crate::error::LabError;
use crate::graph::{Stage, StageEntry};
use crate::plan::Experiment;
use crate::recipe::Recipe;

/// What is built in, in the order it is listed.
const BUILT_IN: &[fn() -> StageEntry] = &[
    train::entry,
    load::entry,
    ablate::entry,
    locate::entry,
    treat::entry,
    fit::entry,
    unlearn::entry,
    cohere::entry,
    repeat::entry,
    measure::entry,
];

/// All kinds of stages but the attacks, in the order they are listed.
pub static STAGES: LazyLock<List<StageEntry>> =
    LazyLock::new(|| List::new(BUILT_IN.iter().map(|entry| entry()).collect::<Vec<_>>().leak()));

/// All kinds of stages: those of the list, and every attack.
pub fn every() -> Vec<&'static StageEntry> {
    static OF_ATTACKS: List<StageEntry> = List::new(&[]);
    for attack in ATTACKS.iter().filter(|a| OF_ATTACKS.find(a.about.name).is_none()) {
        // Another thread may be adding it, too: then this one is not needed.
        OF_ATTACKS.add(Box::leak(Box::new(attack::entry(attack)))).ok();
    }
    STAGES.iter().chain(&OF_ATTACKS).collect()
}

/// The kind called `name`.
pub fn find(name: &str) -> Option<&'static StageEntry> {
    every().into_iter().find(|e| e.about.name == name)
}

/// The arms of a stage, as indices.
fn arms(x: &Experiment, stage: &crate::recipe::Stage) -> impl Iterator<Item = usize> {
    (0..x.arms.len()).filter(|a| stage.arms.contains(&x.arms[*a].arm.name))
}

/// The stages of a recipe, in order.
///
/// # Errors
/// With the key that is wrong.
pub(crate) fn of(recipe: &Recipe) -> Result<Vec<Box<dyn Stage>>, LabError> {
    let one = |s: &crate::recipe::Stage| {
        let refuse = |e: crate::recipe::PathError| LabError::setting(&e.within(&["stage", &s.name]));
        let entry = find(&s.does).ok_or_else(|| LabError::other(format!("no stage {:?}", s.does)))?;
        Ok((entry.build)(&s.value()).map_err(refuse)?.0)
    };
    recipe.stages.iter().map(one).collect()
}
