//! Fits adapters at the doors of frozen models: a low-rank map, a vector, and what else the list has.

use std::sync::Arc;

use lobe_methods::objective::{Distance, ordinary};
use lobe_methods::{About, Loot, Start, Variant};
use lobe_nets::Model;
use lobe_nets::adapter::{Adapted, built};
use lobe_train::attacker::{EVALUATED, LANES, spec};
use lobe_train::{InMemory, TrainError, Trainee};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attack::Draw;
use super::locate::{drawn, label_of};
use crate::error::LabError;
use crate::graph::{At, Change, Changed, Context, Stage, StageEntry, metric};
use crate::plan::{Experiment, in_recipe, in_section};
use crate::recipe::{self, PathError, StageFacts, above_zero, completed, range};
use crate::store::Metric;

const ABOUT: About = About {
    name: "fit",
    summary: "puts adapters at the doors of each model and trains them alone; the model's own weights stay",
    reference: "",
    unusual: "the units that an adapter brings can be named in regions by later stages",
    fails: "",
};

/// `do = "fit"`: trains adapters for some steps on the loss of some data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fit {
    /// The adapters: a table each, with its kind under `kind`, beside its parameters.
    pub adapters: Vec<Value>,
    /// The data whose loss is minimised, by true label; empty is all.
    pub on: String,
    /// Number of different training examples; 0 means all.
    pub examples: usize,
    /// Optimiser steps.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Learning rate.
    pub lr: f64,
    /// Examples per step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Steps between evaluations.
    #[schemars(range(min = 1))]
    pub eval_every: u64,
}

impl Default for Fit {
    fn default() -> Self {
        Fit {
            adapters: Vec::new(),
            on: String::new(),
            examples: 0,
            steps: 200,
            lr: 1e-3,
            batch: 16,
            eval_every: 50,
        }
    }
}

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    let facts = StageFacts { noun: Some("the fit"), ..StageFacts::default() };
    let plain = StageEntry::of::<Fit>(&ABOUT, facts);
    let build = |v: &Value| {
        let (fit, full) = completed::<Fit>(v)?;
        fit.ranges()?;
        Ok((Box::new(fit) as Box<dyn Stage>, full))
    };
    StageEntry { build: Box::new(build), ..plain }
}

impl Fit {
    /// Holds every number against its range, and builds every adapter once.
    fn ranges(&self) -> Result<(), PathError> {
        if self.adapters.is_empty() {
            return Err(PathError::new(
                "adapters",
                "none: fit needs at least one, such as { kind = \"low-rank\" }",
            ));
        }
        for (i, spec) in self.adapters.iter().enumerate() {
            built(spec).map_err(|e| in_recipe(&e).within(&["adapters", &i.to_string()]))?;
        }
        range("steps", self.steps, 1..=1_000_000_000)?;
        range("batch", self.batch as u64, 1..=1 << 20)?;
        range("eval_every", self.eval_every, 1..=1_000_000_000)?;
        above_zero("lr", self.lr, 1e3)
    }

    fn variant(&self) -> Variant {
        Variant {
            name: "fit".into(),
            start: Start::AsIs,
            lr: self.lr,
            steps: self.steps,
            warmup: 0,
            batch: self.batch,
            weight_decay: 0.0,
            loot: Loot::Forget,
            retain_share: 0.0,
            examples: None,
            rank: None,
            watch: None,
            eval_every: self.eval_every,
        }
    }
}

impl Stage for Fit {
    fn version(&self) -> u32 {
        1
    }

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        in_section(label_of(x, &self.on).map(drop), &["stage", stage.name.as_str()])
    }

    fn adapters(&self) -> &[Value] {
        &self.adapters
    }

    fn changes(&self) -> Option<&dyn Change> {
        Some(self)
    }
}

impl Change for Fit {
    fn change(&self, c: &Context<'_>, at: &At<'_>, model: Model) -> Result<Changed, LabError> {
        let refuse = |e: PathError| LabError::setting(&e.within(&["stage", &at.stage.name]));
        // The network with the adapters is that of the experiment of whoever comes after.
        let c = &c.made_by(&at.stage.name, at.arm);
        let x = c.experiment;
        let with = Adapted::of(model.net.clone(), &self.adapters).map_err(|e| refuse(in_recipe(&e)))?;
        let params = with.started(&model.params, at.key.child("fit"));
        let plan = with.adapters_alone()?;
        let own = with.own_len();
        let net: Arc<dyn lobe_nets::Network> = Arc::new(with);
        let label = label_of(x, &self.on).map_err(refuse)?;
        let variant = self.variant();
        let most = if self.examples == 0 { usize::MAX } else { self.examples };
        let pools = (drawn(x, at.key.child("fit").child("examples"), label, most), Vec::new());
        let source = Box::new(Draw::over(x, pools, &variant, at.key.child("fit"), LANES)?);
        let terms = Arc::new(ordinary(&*net, Distance::Squared));
        let eval = x.along_the_way(|_| true, EVALUATED);
        let journal = Box::new(InMemory::default());
        let mut done = Trainee::new((net.clone(), params), plan, terms, source, spec(&variant), journal)?;
        done.eval = Some(&eval);
        let tell = |n: u64, note: &str| at.say(c, n as f64 / self.steps as f64, note);
        c.train(std::slice::from_mut(&mut done), &tell)?;
        if let Some(why) = done.failed {
            return Err(TrainError::Diverged(why).into());
        }
        let targets = done.targets as f64;
        let mut readings: Vec<Metric> = done.journal.readings().iter().map(metric).collect();
        readings.push(Metric::new("all", "fitted_params", own as f64, "count"));
        let model = Model { net, params: done.member.params.clone(), ..model };
        Ok(Changed { readings, speed: (targets, "tokens/s"), ..Changed::to(model) })
    }
}
