//! Measuring every model made so far: loss, accuracy, probes, calibrated loss, unit activity, agreement with
//! the control, where gradients go, what the training showed, and how a few held-out texts go on.

use std::time::Instant;

use lobe_core::FORGET;
use lobe_engine::Buf;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Work, absorption, activity, agreement, calibrate, control, probes, read_model, samples, sources,
};
use crate::error::LabError;
use crate::exec::{Context, EvalSet, Feed, ModelRef, evaluate};
use crate::recipe::{Stage, starts_anew, typed};
use crate::store::{Metric, Sample};

/// `do = "measure"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Measure {
    /// Steps of the fit of a logit bias for `calibrated_loss`; 0 skips it.
    pub calibrate: u64,
    /// Whether to ask the knowledge probes of the data.
    pub probes: bool,
    /// Whether to record the activity of the region's units.
    pub activity: bool,
    /// Whether to compare outputs with those of the control.
    pub agreement: bool,
    /// Held-out examples per label whose gradients on the region and on the rest are compared; 0 leaves
    /// it out.
    pub gradients: usize,
    /// Largest number of held-out examples per label.
    pub examples: usize,
}

impl Default for Measure {
    fn default() -> Self {
        Measure {
            calibrate: 0,
            probes: true,
            activity: true,
            agreement: true,
            gradients: 16,
            examples: 1_000_000,
        }
    }
}

/// Names a number of the model that `stage` made, in the measuring stage's own log.
pub(crate) fn of_stage(stage: &str, metric: &str) -> String {
    format!("{stage}:{metric}")
}

pub(super) fn run(c: &Context<'_>, stage: &Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let x = c.experiment;
    let settings: Measure = typed(&stage.value()).map_err(|e| LabError::setting(&e))?;
    let eval = EvalSet::new(x, |_| true, settings.examples);
    let arm = &x.arms[work.arm];
    let other = control(c, stage, work.seed).filter(|(_, arm)| settings.agreement && *arm != work.arm);
    let compared = match other {
        Some((first, arm)) => {
            let of = c.of_arm(arm).experiment;
            let arm = &x.arms[arm].arm.name;
            Some((of, read_model(c, &ModelRef { stage: &first.name, arm, seed: work.seed })?))
        }
        None => None,
    };
    let of_model = |params: &[f32]| -> Result<Vec<Metric>, LabError> {
        let mut found = evaluate(x, c.runner, &[(params, &eval)])?.remove(0).metrics(x, None);
        if settings.probes {
            found.extend(probes::run(c, params)?);
        }
        if settings.calibrate > 0 {
            found.extend(calibrate::run(c, params, settings.calibrate, &eval)?);
        }
        if let Some((of, control)) = &compared {
            found.extend(agreement::run(c, &eval, (of, control), params)?);
        }
        Ok(found)
    };
    let mut log = work.dir.metrics()?;
    let mut numbers = 0;
    // A stage that leaves an arm as it was (a cut without a region) makes no new numbers.
    let mut last: Option<(Buf, Vec<Metric>, Vec<Sample>)> = None;
    let mut said = samples::Samples::default();
    for source in sources(c, stage) {
        let made = x.recipe.stage(&source).is_some_and(|s| s.arms.contains(&arm.arm.name));
        if !made || c.is_absent(&source, work.arm, work.seed) {
            continue;
        }
        let params = read_model(c, &ModelRef { stage: &source, arm: &arm.arm.name, seed: work.seed })?;
        let (of_params, texts) = match last {
            Some((same, numbers, texts)) if same[..] == params[..] => (numbers, texts),
            _ => (of_model(&params)?, samples::of_model(c, work, &params)?),
        };
        said.add(&source, texts.clone());
        let mut found = of_params.clone();
        let does = x.recipe.stage(&source).map_or("", |s| &s.does);
        if does == "train" {
            let shown = Feed::new(x, work.arm, work.seed)?.exposure(x, x.recipe.train_of(&arm.arm).steps)?;
            found.push(count("all", "params", x.layout().len() as u64));
            found.push(count("all", "targets", shown.targets));
            if x.train_truth.contains(&FORGET) {
                found.push(count("forget", "forget_targets", shown.forget));
                found.push(count("forget", "undiscovered_targets", shown.undiscovered));
            }
        }
        if let Some(region) = &arm.region {
            found.push(count("all", "region_units", region.count() as u64));
            found.push(count("all", "region_params", x.layout().count_owned(region) as u64));
            if settings.gradients > 0 && starts_anew(does) {
                found.extend(absorption::run(c, &params, region, settings.gradients)?);
            }
        }
        for m in found {
            numbers += 1;
            log.append(&Metric { metric: of_stage(&source, &m.metric), ..m })?;
        }
        if settings.activity && starts_anew(does) {
            activity::run(c, work, &source, &params)?;
        }
        last = Some((params, of_params, texts));
    }
    said.write(work)?;
    log.sync()?;
    work.finish(start, f64::from(numbers), "numbers/s")
}

fn count(label: &str, metric: &str, n: u64) -> Metric {
    Metric::new(label, metric, n as f64, "count")
}
