//! Repeats a list of stages on a model that stays in memory, and takes its numbers after every cycle.

use std::time::{Duration, Instant};

use lobe_core::Selection;
use lobe_methods::{About, How};
use lobe_nets::Model;
use lobe_train::attacker::EVALUATED;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::LabError;
use crate::graph::{At, Change, Changed, Context, KeyParts, Place, Stage, StageEntry, metric};
use crate::plan::Experiment;
use crate::recipe::{self, PathError, StageFacts, completed, one_of, range};
use crate::store::Metric;

const ABOUT: About = About {
    name: "repeat",
    summary: "repeats a list of stages on each model, and takes its numbers after every cycle",
    reference: "",
    unusual: "the model stays in memory; a stopped run goes on from the last cycle it saved",
    fails: "",
};

/// `do = "repeat"`: cycles of other stages, such as damage and repair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Number of cycles.
    #[schemars(range(min = 1))]
    pub times: u64,
    /// The stages of a cycle, in order: a table each, with `do` and its parameters.
    pub stages: Vec<Map<String, Value>>,
    /// Cycles between evaluations.
    #[schemars(range(min = 1))]
    pub eval_every: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { times: 10, stages: Vec::new(), eval_every: 1 }
    }
}

/// The stage with those of a cycle.
pub struct Repeat {
    settings: Settings,
    inner: Vec<Box<dyn Stage>>,
}

/// Where a stopped process leaves the model.
const SAVED: &str = "cycle.safetensors";
/// How often the model is saved at most.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    let build = |v: &Value| {
        let (mut settings, _) = completed::<Settings>(v)?;
        range("times", settings.times, 1..=1_000_000_000)?;
        range("eval_every", settings.eval_every, 1..=1_000_000_000)?;
        if settings.stages.is_empty() {
            return Err(PathError::new(
                "stages",
                "none: a cycle has at least one stage, such as { do = \"treat\" }",
            ));
        }
        let mut inner = Vec::with_capacity(settings.stages.len());
        for (i, stage) in settings.stages.iter_mut().enumerate() {
            inner.push(built(stage).map_err(|e| e.within(&["stages", &i.to_string()]))?);
        }
        let full = serde_json::to_value(&settings).map_err(|e| PathError::new("", e.to_string()))?;
        Ok((Box::new(Repeat { settings, inner }) as Box<dyn Stage>, full))
    };
    StageEntry {
        about: &ABOUT,
        facts: StageFacts { noun: Some("the cycles"), ..StageFacts::default() },
        params: lobe_methods::params_of::<Settings>,
        build: Box::new(build),
    }
}

/// One stage of a cycle; its table gets every default.
fn built(table: &mut Map<String, Value>) -> Result<Box<dyn Stage>, PathError> {
    let mut rest = table.clone();
    let does = rest.remove("do");
    let Some(does) = does.as_ref().and_then(Value::as_str) else {
        return Err(PathError::new("do", "says what the stage does"));
    };
    one_of("do", "stage", does, super::every().iter().map(|e| e.about.name))?;
    let none = || PathError::new("do", "no such stage");
    let (stage, full) = (super::find(does).ok_or_else(none)?.build)(&Value::Object(rest))?;
    if stage.changes().is_none() {
        let what = format!("{does:?} cannot be repeated: it does not turn one model into another in memory");
        return Err(PathError::new("do", what));
    }
    if !stage.adapters().is_empty() {
        return Err(PathError::new(
            "do",
            format!("{does:?} cannot be repeated: every cycle would add adapters"),
        ));
    }
    table.extend(full.as_object().cloned().unwrap_or_default());
    Ok(stage)
}

impl Repeat {
    /// What a cycle did to a model.
    fn cycle(
        &self,
        c: &Context<'_>,
        at: &At<'_>,
        n: u64,
        mut model: Model,
    ) -> Result<(Model, Vec<Metric>), LabError> {
        let mut readings = Vec::new();
        for (i, (does, stage)) in self.inner.iter().zip(&self.settings.stages).enumerate() {
            let key = at.key.child("cycle").index(n).child(&i.to_string());
            let inner = At { key, kept: None, ..*at };
            let Some(change) = does.changes() else { continue };
            let done = change.change(c, &inner, model)?;
            // Curves of a part of a cycle are not the cycles' curve.
            let name = stage.get("do").and_then(Value::as_str).unwrap_or_default();
            let own = done.readings.into_iter().filter(|m| m.step.is_none());
            readings.extend(own.map(|m| Metric { metric: format!("{}@{name}", m.metric), ..m }.at(Some(n))));
            model = done.model;
        }
        if n.is_multiple_of(self.settings.eval_every) || n == self.settings.times {
            let x = c.experiment;
            let scores = c.scores(&model.params, None, &x.along_the_way(|_| true, EVALUATED))?;
            readings.extend(scores.readings(&*x.net, &x.labels, Some(n)).iter().map(metric));
        }
        Ok((model, readings))
    }
}

impl Stage for Repeat {
    fn version(&self) -> u32 {
        1
    }

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        self.inner.iter().try_for_each(|does| does.check(x, stage))
    }

    fn cuts(&self, x: &Experiment, arm: usize) -> Result<Vec<(How, Selection)>, LabError> {
        let all = self.inner.iter().rev().map(|does| does.cuts(x, arm));
        Ok(all.collect::<Result<Vec<_>, _>>()?.concat())
    }

    fn cut_regions(&self, arm: &recipe::Arm) -> Option<Vec<String>> {
        let all: Vec<Vec<String>> = self.inner.iter().filter_map(|does| does.cut_regions(arm)).collect();
        (!all.is_empty()).then(|| all.concat())
    }

    fn depends(&self, c: &Context<'_>, at: &Place<'_>, key: &mut KeyParts) {
        let mut cycle = Vec::new();
        for does in &self.inner {
            let mut own = KeyParts::default();
            own.part("version", does.version());
            does.depends(c, at, &mut own);
            cycle.push(own.hash());
        }
        key.part("cycle", cycle);
    }

    fn changes(&self) -> Option<&dyn Change> {
        Some(self)
    }
}

impl Change for Repeat {
    fn change(&self, c: &Context<'_>, at: &At<'_>, model: Model) -> Result<Changed, LabError> {
        let saved = at.kept.and_then(|kept| kept.open(SAVED));
        let (mut n, mut model, mut readings) = match saved {
            Some((read, n, readings)) => (n, Model { net: model.net, ..read }, readings),
            None => (0, model, Vec::new()),
        };
        let mut last = Instant::now();
        while n < self.settings.times {
            let stopped = c.options.check_stop();
            if let Some(kept) = at.kept.filter(|_| n > 0 && (stopped.is_err() || last.elapsed() > SAVE_EVERY))
            {
                kept.save(SAVED, &model, n, &readings)?;
                last = Instant::now();
            }
            stopped?;
            n += 1;
            let (next, own) = self.cycle(c, at, n, model)?;
            model = next;
            readings.extend(own);
            at.say(c, n as f64 / self.settings.times as f64, &format!("cycle {n}/{}", self.settings.times));
        }
        if let Some(kept) = at.kept {
            kept.remove(SAVED);
        }
        Ok(Changed { readings, speed: (n as f64, "cycles/s"), ..Changed::to(model) })
    }
}
