//! Measuring every model made so far: loss, accuracy, probes, calibrated loss, unit activity, agreement with
//! the control, where gradients go, what the training showed, and how a few held-out texts go on.

mod absorption;
mod activity;
mod agreement;
mod calibrate;
pub(super) mod probes;
mod samples;
mod seen;
mod sparse;

use std::time::Instant;

use lobe_core::FORGET;
use lobe_engine::Buf;
use lobe_methods::About;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::graph::{
    Context, Done, KeyParts, ModelRef, Place, Stage, StageEntry, Work, compared, control, each, has_arm, key,
    metric, read_model, sources,
};
use crate::plan::{Experiment, Feed};
use crate::recipe::{self, Makes, StageFacts, Starts};
use crate::store::{Chart, Metric, Sample};

const ABOUT: About = About {
    name: "measure",
    summary: "measures every model made so far on held-out data, and how its region's units respond to each label",
    reference: "",
    unusual: "a stage that left a model as it was makes no new numbers",
    fails: "",
};

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
    /// Units of one site, as a region: which of them is the largest is held against the label, unit i for the i-th
    /// label. Empty: none. Example: `argmax = "latent"`.
    pub argmax: String,
    /// Strengths at which each unit of the first cut alone is decoded to a picture. Empty: none.
    pub decode: Vec<f64>,
    /// Whether to draw the loss of every output on every label as one map of all arms.
    pub map: bool,
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
            argmax: String::new(),
            decode: Vec::new(),
            map: false,
        }
    }
}

/// Names a number of the model that `stage` made, in the measuring stage's own log.
pub(crate) fn of_stage(stage: &str, metric: &str) -> String {
    format!("{stage}:{metric}")
}

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    StageEntry::of::<Measure>(
        &ABOUT,
        StageFacts { makes: Makes::Numbers, starts: Starts::Models, noun: None },
    )
}

impl Stage for Measure {
    fn version(&self) -> u32 {
        7
    }

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        seen::check(self, x, stage)
    }

    fn depends(&self, c: &Context<'_>, at: &Place<'_>, parts: &mut KeyParts) {
        let recipe = &c.experiment.recipe;
        let of = |name: String| {
            let made = recipe.stage(&name).filter(|s| has_arm(c, s, at.arm))?;
            let there = !c.is_absent(&made.name, at.arm, at.seed);
            there.then(|| (key(c, made, at.arm, at.seed), name))
        };
        parts.part("models", sources(c, at.stage).into_iter().filter_map(of).collect::<Vec<_>>());
        // The activity of units is recorded under the names.
        parts.part("regions", &c.experiment.arms[at.arm].arm.regions);
        compared(c, at, parts);
    }

    fn run(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
        each(c, stage, |c, stage, work| measure(self, c, stage, work))
    }
}

fn measure(settings: &Measure, c: &Context<'_>, stage: &recipe::Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let x = c.experiment;
    let eval = x.held_out(|_| true, settings.examples);
    let arm = &x.arms[work.arm];
    let other = control(c, stage, work.seed).filter(|(_, arm)| settings.agreement && *arm != work.arm);
    let compared = match other {
        Some((first, arm)) => {
            let of = c.made_by(&first.name, arm).experiment;
            let arm = &x.arms[arm].arm.name;
            Some((of, read_model(c, &ModelRef { stage: &first.name, arm, seed: work.seed })?.params))
        }
        None => None,
    };
    let of_model = |c: &Context<'_>, params: &[f32]| -> Result<Vec<Metric>, LabError> {
        let (x, scores) = (c.experiment, c.scores(params, None, &eval)?);
        let mut found: Vec<Metric> = scores.readings(&*x.net, &x.labels, None).iter().map(metric).collect();
        found.extend(sparse::run(c, params, &found)?);
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
    let mut charts: Vec<Chart> = Vec::new();
    for source in sources(c, stage) {
        let made = x.recipe.stage(&source).is_some_and(|s| s.arms.contains(&arm.arm.name));
        if !made || c.is_absent(&source, work.arm, work.seed) {
            continue;
        }
        let params = read_model(c, &ModelRef { stage: &source, arm: &arm.arm.name, seed: work.seed })?.params;
        let c = &c.made_by(&source, work.arm);
        let x = c.experiment;
        let (of_params, texts) = match last {
            Some((same, numbers, texts)) if same[..] == params[..] => (numbers, texts),
            _ => (of_model(c, &params)?, samples::of_model(c, work, &params)?),
        };
        said.add(&source, texts.clone());
        let mut found = of_params.clone();
        let (answers, confusion) = seen::confusion(settings, c, &params, &eval)?;
        let drawn = settings.map.then(|| seen::map(x, &found));
        found.extend(answers);
        let seen = confusion.into_iter().chain(seen::decoded(settings, x, &params)?).chain(drawn);
        charts.extend(seen.map(|c| Chart { name: of_stage(&source, &c.name), ..c }));
        let made = x.recipe.stage(&source);
        let (trained, first) =
            (made.is_some_and(recipe::Stage::trains), made.is_some_and(recipe::Stage::starts_anew));
        if trained {
            let shown = Feed::new(x, work.arm, work.seed)?.exposure(x.recipe.train_of(&arm.arm).steps)?;
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
            if settings.gradients > 0 && first {
                found.extend(absorption::run(c, &params, region, settings.gradients)?);
            }
        }
        for m in found {
            numbers += 1;
            log.append(&Metric { metric: of_stage(&source, &m.metric), ..m })?;
        }
        if settings.activity && first {
            activity::run(c, work, &source, &params)?;
        }
        last = Some((params, of_params, texts));
    }
    said.write(work)?;
    if !charts.is_empty() {
        work.dir.write_charts(&charts)?;
    }
    log.sync()?;
    work.finish(start, f64::from(numbers), "numbers/s")
}

fn count(label: &str, metric: &str, n: u64) -> Metric {
    Metric::new(label, metric, n as f64, "count")
}
