//! The resolved recipe: nothing left to default, nothing left to look up.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::train::Train;

/// A complete experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recipe {
    /// Name of the experiment.
    pub name: String,
    /// What it is about, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Seeds; every arm is trained once for each.
    pub seeds: Vec<u64>,
    /// Where the data comes from.
    pub data: Section,
    /// The network.
    pub model: Section,
    /// Named sets of units, in the order of the file.
    pub regions: Vec<NamedRegion>,
    /// How networks are trained.
    pub train: Train,
    /// The treatments that are compared, in the order of the file.
    pub arms: Vec<Arm>,
    /// The steps of the experiment, in order.
    pub stages: Vec<Stage>,
}

/// A table whose `kind` decides what its other keys mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// What it is.
    pub kind: String,
    /// Every other key, complete.
    #[serde(flatten)]
    pub params: Map<String, Value>,
}

impl Section {
    /// The keys other than `kind` as one value.
    pub fn value(&self) -> Value {
        Value::Object(self.params.clone())
    }
}

/// A named set of units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedRegion {
    /// The name arms and stages use.
    pub name: String,
    /// The region's text; it parses.
    pub text: String,
}

/// Which part of the data an arm trains on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ArmData {
    /// Everything.
    #[default]
    #[serde(rename = "all")]
    All,
    /// Everything but data whose true label is forget: what was to be forgotten is never seen.
    #[serde(rename = "retain only")]
    RetainOnly,
    /// Only data whose true label is forget.
    #[serde(rename = "forget only")]
    ForgetOnly,
    /// No data at all: the network stays as it was drawn.
    #[serde(rename = "nothing")]
    Nothing,
}

/// One treatment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Arm {
    /// Its name; also the name of its directories.
    pub name: String,
    /// What it is, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The localisation method, or the post-hoc method.
    pub method: String,
    /// The arm whose model a post-hoc method starts from; absent for arms that train from scratch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Names of the regions the method works on, in its order.
    #[serde(rename = "region", default)]
    pub regions: Vec<String>,
    /// Which part of the data it trains on.
    #[serde(default)]
    pub data: ArmData,
    /// Overrides of the labelling, for this arm only.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub labels: Map<String, Value>,
    /// Whether this arm never saw what the others are to forget.
    #[serde(default)]
    pub control: bool,
    /// Weight of the loss per label, 0 to 1e6; 1 for a label that is not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub loss_weight: BTreeMap<String, f64>,
    /// Its own training settings, complete; absent if it trains like the recipe says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<Train>,
    /// The method's parameters, complete.
    #[serde(flatten)]
    pub params: Map<String, Value>,
}

impl Arm {
    /// The method's parameters as one value.
    pub fn value(&self) -> Value {
        Value::Object(self.params.clone())
    }
}

/// One step of the experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// What it does.
    #[serde(rename = "do")]
    pub does: String,
    /// Its name; also the name of its directory.
    pub name: String,
    /// The earlier stage whose models it works on, if it needs models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The arms it is done for, in the recipe's order.
    pub arms: Vec<String>,
    /// The stage's parameters, complete.
    #[serde(flatten)]
    pub params: Map<String, Value>,
}

impl Stage {
    /// The stage's parameters as one value.
    pub fn value(&self) -> Value {
        Value::Object(self.params.clone())
    }
}

/// Whether a stage leaves models that later stages can start from.
pub fn makes_model(does: &str) -> bool {
    starts_anew(does) || matches!(does, "ablate" | "unlearn" | "cohere")
}

/// Whether a stage makes models from nothing of this run: it trains them, or reads them from files.
pub fn starts_anew(does: &str) -> bool {
    matches!(does, "train" | "load")
}

/// A setting nobody wrote, and the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Derived {
    /// Dotted key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The rule.
    pub rule: String,
}

impl Recipe {
    /// The training settings of an arm: its own, or the recipe's.
    pub fn train_of<'a>(&'a self, arm: &'a Arm) -> &'a Train {
        arm.train.as_ref().unwrap_or(&self.train)
    }

    /// The arm called `name`.
    pub fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms.iter().find(|a| a.name == name)
    }

    /// The stage whose model of `arm` the stage `at` works on: the one it names if that has the
    /// arm, else the last before it that does.
    pub fn source_of(&self, at: &Stage, arm: &str) -> Option<&Stage> {
        let has = |s: &&Stage| s.arms.iter().any(|a| a == arm);
        let named = at.from.as_ref().and_then(|f| self.stage(f)).filter(has);
        let before = self.stages.iter().take_while(|s| s.name != at.name);
        named.or_else(|| before.filter(|s| makes_model(&s.does)).filter(has).last())
    }

    /// The stage that first made the model of `arm`, by training or loading it.
    pub fn origin_of(&self, arm: &str) -> Option<&Stage> {
        self.stages.iter().find(|s| starts_anew(&s.does) && s.arms.iter().any(|a| a == arm))
    }

    /// The stage called `name`.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|s| s.name == name)
    }

    /// The region called `name`, parsed.
    pub fn region(&self, name: &str) -> Option<lobe_core::Region> {
        self.regions.iter().find(|r| r.name == name)?.text.parse().ok()
    }

    /// Hash of everything the recipe says, as 64 hexadecimal digits. Independent of the order of
    /// keys, but not of the order of arms and stages.
    pub fn hash(&self) -> String {
        // A recipe holds only strings, finite numbers and lists: serialising cannot fail.
        let value = serde_json::to_value(self).unwrap_or_default();
        blake3::hash(canonical(&value).as_bytes()).to_hex().to_string()
    }
}

/// JSON without spaces and with sorted keys.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let entries = sorted.iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}
