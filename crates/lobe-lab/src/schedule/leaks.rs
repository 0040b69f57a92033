//! Leakage of every arm, against the plain and filtered arms of its seed.

use lobe_methods::TrainsOn;
use lobe_methods::measure::leakage::leakage;

use super::compare::Numbers;
use super::summary::row;
use crate::graph::Context;
use crate::plan::ArmPlan;
use crate::recipe::{Arm, ArmData, Masked, Recipe, Stage, Train};
use crate::store::{Metric, ResultRow};

/// The leakage of every model whose training and loss were measured.
pub(super) fn leaks(c: &Context<'_>, numbers: &Numbers<'_>) -> Vec<ResultRow> {
    let x = c.experiment;
    let mut out = Vec::new();
    for arm in &x.arms {
        let Some(train) = x.recipe.origin_of(&arm.arm.name).filter(|s| s.trains()) else { continue };
        // The last that was done to it before anybody attacked it.
        let after = x.recipe.stages.iter().rfind(|s| s.makes_model() && s.arms.contains(&arm.arm.name));
        // A plain arm is its own yardstick.
        let Some(after) = after.filter(|_| arm.arm.method != "none") else { continue };
        let like = |o: &&ArmPlan| {
            let same = x.recipe.origin_of(&o.arm.name).is_some_and(|s| s.name == train.name);
            same && plain(&o.arm, &o.trains_on) && effort(&x.recipe, &o.arm) == effort(&x.recipe, &arm.arm)
        };
        for seed in &x.recipe.seeds {
            let of = |stage: &Stage, name: &str, metric: &str| {
                numbers.of(&stage.name, name, *seed, "forget", metric)
            };
            let point =
                |o: &ArmPlan| of(train, &o.arm.name, "forget_targets").zip(of(train, &o.arm.name, "loss"));
            let mut family: Vec<(f64, f64)> = x.arms.iter().filter(like).filter_map(point).collect();
            family.sort_by(|a, b| a.0.total_cmp(&b.0));
            let name = &arm.arm.name;
            let seen = of(after, name, "loss").zip(of(train, name, "undiscovered_targets"));
            let Some(value) = seen.and_then(|(loss, u)| leakage(loss, &family, u)) else { continue };
            out.push(row(&after.name, name, *seed, Metric::new("forget", "leakage", value, "fraction")));
        }
    }
    out
}

/// How much an arm is trained: its settings without what only routed arms have a use for, and without how
/// often something is written down.
fn effort(recipe: &Recipe, arm: &Arm) -> Train {
    let (masked, quiet) = (Masked::ZeroGrad, 1);
    let train = recipe.train_of(arm).clone();
    Train { masked, checkpoint_secs: quiet, log_every: quiet, eval_every: quiet, ..train }
}

/// Whether an arm was trained in the ordinary way on all data or on what a document filter left.
fn plain(arm: &Arm, trains_on: &TrainsOn) -> bool {
    let data = [ArmData::All, ArmData::RetainOnly].contains(&arm.data);
    let ordinary =
        arm.method == "none" || (arm.method == "filter" && !matches!(trains_on, TrainsOn::Context(..)));
    data && ordinary && arm.loss_weight.is_empty()
}
