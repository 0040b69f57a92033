//! What a member starts from, what it is compared with, and whose work is its own as well.

use lobe_core::Selection;
use lobe_methods::remove::ablate::How;

use super::Context;
use super::stage::Shares;
use crate::error::LabError;
use crate::plan::{Experiment, parent};
use crate::recipe;

/// The stage that made the baseline's model, and the arm, where that comes before `stage` and did not fail.
pub(crate) fn whole<'a>(
    c: &Context<'a>,
    stage: &recipe::Stage,
    seed: u64,
) -> Option<(&'a recipe::Stage, usize)> {
    let x = c.experiment;
    let made = made_before(x, stage, &x.recipe.reference().baseline?);
    made.filter(|(first, arm)| !c.is_absent(&first.name, *arm, seed))
}

/// The same of the arm that never saw data of the label that `stage` is about.
pub(crate) fn control<'a>(
    c: &Context<'a>,
    stage: &recipe::Stage,
    seed: u64,
) -> Option<(&'a recipe::Stage, usize)> {
    let x = c.experiment;
    let made = made_before(x, stage, &x.recipe.control_of(stage.label())?.name);
    made.filter(|(first, arm)| !c.is_absent(&first.name, *arm, seed))
}

fn made_before<'a>(
    x: &'a Experiment,
    stage: &recipe::Stage,
    arm: &str,
) -> Option<(&'a recipe::Stage, usize)> {
    let first = x.recipe.origin_of(arm)?;
    let before = x.recipe.stages.iter().take_while(|s| s.name != stage.name);
    before.filter(|s| s.name == first.name).last()?;
    Some((first, x.arms.iter().position(|a| a.arm.name == arm)?))
}

/// Names of the model-making stages before `stage`, in order.
pub(crate) fn sources(c: &Context<'_>, stage: &recipe::Stage) -> Vec<String> {
    let before = c.experiment.recipe.stages.iter().take_while(|s| s.name != stage.name);
    before.filter(|s| s.makes_model()).map(|s| s.name.clone()).collect()
}

/// The earlier arm whose work in `stage` is this arm's as well: both were trained alike, cut alike, and the
/// stage looks at nothing but the model.
pub(crate) fn twin(c: &Context<'_>, stage: &recipe::Stage, arm: usize) -> Option<usize> {
    let x = c.experiment;
    let other = x.arms[arm].same_as.filter(|o| stage.arms.contains(&x.arms[*o].arm.name))?;
    match c.stage(stage).ok()?.shares() {
        Shares::Never => None,
        Shares::Training => Some(other),
        Shares::Model => {
            let ((from, a), (same, b)) = (parent(x, stage, arm)?, parent(x, stage, other)?);
            let alike = from == same && a == arm && b == other && x.arms[arm].region == x.arms[other].region;
            twin(c, x.recipe.stage(from).filter(|_| alike)?, arm)
        }
    }
}

/// Everything that was cut out of the model `stage` works on, if anything was.
pub(crate) fn cut(c: &Context<'_>, stage: &recipe::Stage, arm: usize) -> Result<Option<Selection>, LabError> {
    let mut all: Option<Selection> = None;
    for (_, region) in cuts(c, stage, arm)? {
        all = Some(all.map_or(region.clone(), |a| a.union(&region)));
    }
    Ok(all)
}

/// The cuts on the way to the model `stage` works on, the last one first, and how each was made.
pub(crate) fn cuts(
    c: &Context<'_>,
    stage: &recipe::Stage,
    arm: usize,
) -> Result<Vec<(How, Selection)>, LabError> {
    let x = c.experiment;
    let mut out = Vec::new();
    // A post-hoc arm carries the cuts of the arm it started from.
    let mut at = (stage, arm);
    while let Some((source, next)) = parent(x, at.0, at.1) {
        let Some(source) = x.recipe.stage(source) else { break };
        out.extend(c.stage(source)?.cuts(x, next)?);
        at = (source, next);
    }
    Ok(out)
}
