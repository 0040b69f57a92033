//! Measuring: loss, accuracy, probes, calibrated loss and unit activity of every model made so far.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Work, activity, calibrate, probes, read_model, sources};
use crate::error::LabError;
use crate::exec::{Context, EvalSet, ModelRef, evaluate};
use crate::recipe::{Stage, starts_anew, typed};
use crate::store::Metric;

/// `do = "measure"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Measure {
    /// Steps of the logit-bias fit behind `calibrated_loss`; 0 leaves it out.
    pub calibrate: u64,
    /// Whether the knowledge probes of the data are asked.
    pub probes: bool,
    /// Whether the activity of the region's units is recorded.
    pub activity: bool,
    /// Most held-out examples per label.
    pub examples: usize,
}

impl Default for Measure {
    fn default() -> Self {
        Measure { calibrate: 0, probes: true, activity: true, examples: 1_000_000 }
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
    let mut log = work.dir.metrics()?;
    let mut numbers = 0;
    for source in sources(c, stage) {
        if !x.recipe.stage(&source).is_some_and(|s| s.arms.contains(&arm.arm.name)) {
            continue;
        }
        let params = read_model(c, &ModelRef { stage: &source, arm: &arm.arm.name, seed: work.seed })?;
        let mut found = evaluate(x, c.runner, &[(&params, &eval)])?.remove(0).metrics(x, None);
        if settings.probes {
            found.extend(probes::run(c, &params)?);
        }
        if settings.calibrate > 0 {
            found.extend(calibrate::run(c, &params, settings.calibrate)?);
        }
        if let Some(region) = &arm.region {
            let sizes = [("region_units", region.count()), ("region_params", x.layout().count_owned(region))];
            found.extend(sizes.map(|(metric, n)| Metric {
                step: None,
                label: "all".into(),
                metric: metric.into(),
                value: n as f64,
                unit: "count".into(),
            }));
        }
        for m in found {
            numbers += 1;
            log.append(&Metric { metric: of_stage(&source, &m.metric), ..m })?;
        }
        if settings.activity && x.recipe.stage(&source).is_some_and(|s| starts_anew(&s.does)) {
            activity::run(c, work, &source, &params)?;
        }
    }
    log.sync()?;
    work.finish(start, f64::from(numbers), "numbers/s")
}
