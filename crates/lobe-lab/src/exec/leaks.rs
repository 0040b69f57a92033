//! Leakage of every arm, against the plain and filtered arms of its seed.

use lobe_methods::TrainsOn;
use lobe_methods::measure::leakage::leakage;

use super::Context;
use crate::recipe::{Arm, ArmData, makes_model};
use crate::store::ResultRow;

/// (stage, arm, seed, leakage) of every model whose training and loss were measured.
pub(super) fn leaks(c: &Context<'_>, rows: &[ResultRow]) -> Vec<(String, String, u64, f64)> {
    let x = c.experiment;
    let number = |stage: &str, arm: &str, seed: u64, metric: &str| {
        let of = |r: &&ResultRow| {
            r.stage == stage
                && r.arm == arm
                && r.seed == seed
                && r.label == "forget"
                && r.metric == metric
                && r.step.is_none()
        };
        rows.iter().find(of).map(|r| r.value)
    };
    let mut out = Vec::new();
    for (train, arm) in x.arms.iter().filter_map(|a| Some((x.recipe.origin_of(&a.arm.name)?, a))) {
        if train.does != "train" {
            continue;
        }
        // The last that was done to it before anybody attacked it.
        let after = x.recipe.stages.iter().rfind(|s| makes_model(&s.does) && s.arms.contains(&arm.arm.name));
        let Some(after) = after else { continue };
        for seed in &x.recipe.seeds {
            let mut family: Vec<(f64, f64)> = x
                .arms
                .iter()
                .filter(|o| x.recipe.origin_of(&o.arm.name).is_some_and(|s| s.name == train.name))
                .filter(|o| {
                    plain(&o.arm, o.trains_on) && x.recipe.train_of(&o.arm) == x.recipe.train_of(&arm.arm)
                })
                .filter_map(|o| {
                    let of = |metric| number(&train.name, &o.arm.name, *seed, metric);
                    of("forget_targets").zip(of("loss"))
                })
                .collect();
            family.sort_by(|a, b| a.0.total_cmp(&b.0));
            let undiscovered = number(&train.name, &arm.arm.name, *seed, "undiscovered_targets");
            // A plain arm is its own yardstick.
            let own = arm.arm.method != "none";
            let loss = number(&after.name, &arm.arm.name, *seed, "loss").filter(|_| own);
            if let Some(value) = loss.zip(undiscovered).and_then(|(l, u)| leakage(l, &family, u)) {
                out.push((after.name.clone(), arm.arm.name.clone(), *seed, value));
            }
        }
    }
    out
}

/// Whether an arm was trained in the ordinary way on all data or on what a document filter left.
fn plain(arm: &Arm, trains_on: TrainsOn) -> bool {
    let data = [ArmData::All, ArmData::RetainOnly].contains(&arm.data);
    let ordinary =
        arm.method == "none" || (arm.method == "filter" && !matches!(trains_on, TrainsOn::Context(..)));
    data && ordinary && arm.loss_weight.is_empty()
}
