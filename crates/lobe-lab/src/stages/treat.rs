//! Changes single weights of a model: deletes, scales or disturbs them, and may keep them so for good.

use lobe_core::Weights;
use lobe_engine::Entries;
use lobe_methods::About;
use lobe_methods::treat::{TREATMENTS, Treatment, treatment};
use lobe_nets::Model;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::LabError;
use crate::graph::{At, Change, Changed, Context, Stage, StageEntry};
use crate::plan::{Experiment, in_recipe, in_section};
use crate::recipe::{self, PathError, StageFacts, completed, one_of};
use crate::store::Metric;

const ABOUT: About = About {
    name: "treat",
    summary: "changes single weights of each model: deletes, scales or disturbs them",
    reference: "",
    unusual: "weights can stay as they are then in all training that follows",
    fails: "",
};

/// `do = "treat"`: what is done to the weights that a text names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Treat {
    /// The weights: tensors with rows and columns, weights of a region, or a name that `locate` gave.
    /// Example: `blocks.1.mlp.out.weight[5,3] + column(spikes)`.
    pub weights: String,
    /// What is done to them.
    pub how: String,
    /// Parameters of that.
    pub with: Map<String, Value>,
    /// Whether no training of the model moves them from then on. Attacks may: an attacker has the weights.
    pub still: bool,
}

impl Default for Treat {
    fn default() -> Self {
        Treat { weights: String::new(), how: "zero".into(), with: Map::new(), still: false }
    }
}

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    let facts = StageFacts { noun: Some("the treatment"), ..StageFacts::default() };
    let built = StageEntry::of::<Treat>(&ABOUT, facts);
    let build = |v: &Value| {
        let (mut treat, _) = completed::<Treat>(v)?;
        treat.with = treat.built()?.1;
        let text: Result<Weights, _> = treat.weights.parse();
        text.map_err(|e| PathError::new("weights", e.to_string()))?;
        let full = serde_json::to_value(&treat).map_err(|e| PathError::new("", e.to_string()))?;
        Ok((Box::new(treat) as Box<dyn Stage>, full))
    };
    StageEntry { build: Box::new(build), ..built }
}

impl Treat {
    fn built(&self) -> Result<(Box<dyn Treatment>, Map<String, Value>), PathError> {
        one_of("how", "treatment", &self.how, TREATMENTS.iter().map(|e| e.about.name))?;
        let none = || PathError::new("how", "no such treatment");
        let entry = treatment(&self.how).ok_or_else(none)?;
        let (built, full) =
            (entry.build)(&Value::Object(self.with.clone())).map_err(|e| in_recipe(&e).within(&["with"]))?;
        Ok((built, full.as_object().cloned().unwrap_or_default()))
    }
}

impl Stage for Treat {
    fn version(&self) -> u32 {
        1
    }

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        // What a stage before finds is not known yet, but its names are.
        let known = super::locate::names(x, stage);
        for arm in super::arms(x, stage) {
            let model = super::locate::unknown(x.at(stage, arm), &known);
            let found = model.weights(&self.weights).map_err(|e| PathError::new("weights", e.to_string()));
            in_section(found, &["stage", stage.name.as_str()])?;
        }
        Ok(())
    }

    fn changes(&self) -> Option<&dyn Change> {
        Some(self)
    }
}

impl Change for Treat {
    fn change(&self, _: &Context<'_>, at: &At<'_>, mut model: Model) -> Result<Changed, LabError> {
        let refuse = |e: PathError| LabError::setting(&e.within(&["stage", &at.stage.name]));
        let entries =
            model.weights(&self.weights).map_err(|e| refuse(PathError::new("weights", e.to_string())))?;
        let net = model.net.clone();
        self.built().map_err(refuse)?.0.treat(
            net.layout(),
            &mut model.params,
            &entries,
            at.key.child("treat"),
        );
        let treated = Metric::new("all", "treated_weights", entries.count() as f64, "count");
        if self.still {
            model.still = std::mem::take::<Entries>(&mut model.still).union(&entries);
        }
        Ok(Changed { readings: vec![treated], ..Changed::to(model) })
    }
}
