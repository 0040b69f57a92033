//! What models say: continuations of the same beginnings, before and after the cut.

use lobe_runs::{Makes, SampleFile, SampledModel, Stage, from_json, lines};

use crate::svg::plain_name;
use crate::{ReportError, RunData};

/// Most texts of a run that are kept.
const MOST: usize = 4000;
/// Longest beginning and longest continuation, in characters.
const LONGEST: usize = 2000;

/// One continuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Arm.
    pub arm: String,
    /// Seed.
    pub seed: u64,
    /// Stage that made the model.
    pub stage: String,
    /// True class group of the beginning.
    pub label: String,
    /// How the text begins, from held-out data.
    pub prompt: String,
    /// How the model goes on.
    pub text: String,
}

/// What the first seed of each arm says, from the folders of the stages that measure. A file that is no such
/// thing is left out and named: nothing else depends on it.
pub(crate) fn load(run: &mut RunData, read: &dyn Fn(&str) -> Result<Option<String>, ReportError>) {
    let Some(seed) = run.manifest.seeds.first().copied() else { return };
    let measure = |s: &&Stage| s.makes == Some(Makes::Numbers) && plain_name(&s.name);
    let stages: Vec<String> = run.manifest.stages.iter().filter(measure).map(|s| s.name.clone()).collect();
    let arms: Vec<String> = run.arms().iter().map(|a| a.name.clone()).filter(|a| plain_name(a)).collect();
    for (stage, arm) in stages.iter().flat_map(|s| arms.iter().map(move |a| (s, a))) {
        let file = format!("stages/{stage}/{arm}.{seed}/samples.json");
        let found = read(&file).and_then(|text| {
            text.map_or_else(|| Ok(Vec::new()), |t| Ok(of_file(arm, seed, from_json(&file, 0, &t)?)))
        });
        match found {
            Ok(list) => run.samples.extend(list),
            Err(e) => run.warnings.push(e.to_string()),
        }
        if run.samples.len() > MOST {
            run.samples.truncate(MOST);
            return;
        }
    }
}

/// The texts of one member's file.
fn of_file(arm: &str, seed: u64, file: SampleFile) -> Vec<Sample> {
    let of_model = |m: SampledModel| {
        let stage = m.stage;
        m.texts.into_iter().map(move |t| Sample {
            arm: arm.to_owned(),
            seed,
            stage: stage.clone(),
            label: t.label.clone(),
            prompt: lines(&t.prompt, LONGEST),
            text: lines(&t.continuation, LONGEST),
        })
    };
    file.models.into_iter().flat_map(of_model).take(MOST).collect()
}

/// One beginning, and how every arm goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beginning<'a> {
    pub(crate) label: &'a str,
    pub(crate) prompt: &'a str,
    pub(crate) arms: Vec<Said<'a>>,
}

/// What one arm says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said<'a> {
    pub(crate) arm: &'a str,
    /// Only of an arm that something was done to.
    pub(crate) before: Option<&'a str>,
    pub(crate) after: &'a str,
}

/// The samples of a run by their beginning, in the order of labels and arms.
pub(crate) fn prompts(run: &RunData) -> Vec<Beginning<'_>> {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for s in &run.samples {
        if !keys.contains(&(&*s.label, &*s.prompt)) {
            keys.push((&s.label, &s.prompt));
        }
    }
    keys.sort_by_key(|(label, _)| run.manifest.labels.iter().position(|l| l == label));
    let of = |(label, prompt)| Beginning { label, prompt, arms: said(run, label, prompt) };
    keys.into_iter().map(of).filter(|p| !p.arms.is_empty()).collect()
}

fn said<'a>(run: &'a RunData, label: &str, prompt: &str) -> Vec<Said<'a>> {
    let find = |arm: &str, stage: &str| {
        let is = |s: &&Sample| s.arm == arm && s.stage == stage && s.label == label && s.prompt == prompt;
        run.samples.iter().find(is).map(|s| s.text.as_str())
    };
    let of_arm = |a: &'a crate::Arm| {
        let last = run.before_after(&a.name, "loss")?.1;
        let changed = run.changed(&a.name, "loss");
        let before = run.origin(&a.name, "loss").filter(|_| changed);
        Some(Said {
            arm: &a.name,
            after: find(&a.name, last)?,
            before: before.and_then(|(arm, stage)| find(arm, stage)),
        })
    };
    run.arms().iter().filter_map(of_arm).collect()
}
