//! Data filtering: examples labelled with a restricted topic (`forget`, unless `topics` names others), or
//! their tokens as targets, are left out.
//!
//! Equation: the sum over the data loses its labelled-forget terms; everything else is ordinary. At
//! token level a target of a forget example is lost where its strength (`tokens` of the labelling
//! rule) is above `threshold`, and the token stays in the context of the others. Without token
//! weights all strengths are 1, and both levels are the same.
//! Paper: the baseline of Cloud et al. 2024 and Shilov et al. 2025 (arXiv 2512.05648); by token:
//! arXiv 2601.21571, where it costs an attacker far more than filtering documents.
//! Unusual: a step with nothing left is skipped while the schedule advances, as in SGTM's code. The
//! mean is over the targets that are left.
//! Fails: with labels that miss forget data, which then trains the whole network; leakage is 1 by
//! definition.

use lobe_core::{LabelSet, RETAIN, RouteTable, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status, TrainsOn, restricted};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "filter",
    summary: "leaves data labelled forget out of training",
    reference: "baseline of arXiv 2410.04332 and arXiv 2512.05648; token level: arXiv 2601.21571",
    unusual: "a step with no data left is skipped, but the learning-rate schedule advances",
    fails: "every forget example that the labeller missed trains the whole network",
};

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Whole examples.
    Document,
    /// Targets; their tokens stay as context.
    Token,
}

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// "document" leaves out whole examples, "token" only targets: those of forget examples whose
    /// strength is above the threshold.
    pub level: Level,
    /// The labels whose data is left out; at token level exactly one.
    pub topics: Vec<String>,
    /// At token level: the largest strength of a target that still counts, in [0, 1].
    pub threshold: f32,
}

impl Default for Filter {
    fn default() -> Self {
        Filter { level: Level::Document, topics: vec!["forget".into()], threshold: 0.5 }
    }
}

impl Localize for Filter {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        if !(0.0..=1.0).contains(&self.threshold) {
            let message = format!("{} is outside of [0, 1]", self.threshold);
            return Err(ParamError { path: "threshold".into(), message });
        }
        Ok(RouteTable::plain())
    }
    fn trains_on(&self, labels: &LabelSet) -> Result<TrainsOn, ParamError> {
        let refuse = |message: &str| Err(ParamError { path: "topics".into(), message: message.into() });
        let topics = restricted(&self.topics, labels)?;
        match (self.level, &topics[..]) {
            (_, []) => refuse("an empty list: name the labels whose data is left out"),
            (Level::Document, _) => Ok(TrainsOn::Without(topics)),
            (Level::Token, [one]) => Ok(TrainsOn::Context(*one, self.threshold)),
            (Level::Token, _) => refuse("tokens of one label have weights; name one topic"),
        }
    }
    fn regions(&self) -> (usize, usize) {
        (0, 0)
    }
    fn expected(&self) -> Vec<Expect> {
        vec![(RETAIN, Part::Region, Status::Plain), (UNLABELLED, Part::Elsewhere, Status::Plain)]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<Filter>,
    build: |v| read::<Filter>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
