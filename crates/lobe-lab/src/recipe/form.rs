//! The resolved recipe: nothing left to default, nothing left to look up.

use std::collections::BTreeMap;

pub use lobe_runs::Derived;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use lobe_runs::{Makes, Starts};

use super::targets::Target;
use super::train::Train;

/// The label that every experiment has for what is to be removed.
const FORGET: &str = "forget";

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
    /// Published numbers that the run is held against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ArmData {
    /// Everything.
    #[default]
    #[serde(rename = "all")]
    All,
    /// Everything except data whose true label is forget. The arm never sees what the others should forget.
    #[serde(rename = "retain only")]
    RetainOnly,
    /// Only data whose true label is forget.
    #[serde(rename = "forget only")]
    ForgetOnly,
    /// No data: the network keeps its initial weights.
    #[serde(rename = "nothing")]
    Nothing,
    /// Everything but data whose true label is one of these: `data = { without = ["forget", "philosophy"] }`.
    #[serde(rename = "without")]
    Without(Vec<String>),
}

/// Where an arm's model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArmKind {
    /// It is trained from scratch, or loaded.
    #[default]
    Scratch,
    /// It is another arm's model as that arm left it.
    Profile,
    /// A post-hoc method changes another arm's model.
    PostHoc,
    /// It goes on training another arm's model in its own way.
    GoesOn,
}

/// Arms that one entry with `grid` stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// The name of the entry.
    pub name: String,
    /// The dotted keys of `grid`, and what they are in this arm.
    pub point: Map<String, Value>,
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
    /// The arm whose model this one starts from. A post-hoc method changes that model; a localisation method goes
    /// on training it in a later `train` stage, and so does "none" with `train`, `data` or `loss_weight` of its
    /// own; "none" alone takes the model as it is (a *profile*, for other cuts of one network). Absent for arms
    /// that train from scratch.
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
    /// What is different in `[model]` for this arm: a network of its own.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub model: Map<String, Value>,
    /// Weights set by hand that it starts from, by the name that its network knows them by; absent where they are
    /// drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The family it is a point of; absent if it stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The method's parameters, complete.
    #[serde(flatten)]
    pub params: Map<String, Value>,
    /// Where its model comes from.
    #[serde(skip)]
    pub kind: ArmKind,
}

impl Arm {
    /// The method's parameters as one value.
    pub fn value(&self) -> Value {
        Value::Object(self.params.clone())
    }

    /// Whether it is another arm's model as that arm left it, to be cut and attacked in a way of its own.
    pub fn is_profile(&self) -> bool {
        self.kind == ArmKind::Profile
    }

    /// Whether the arm can say what a network does that never saw data of `label`.
    pub fn is_control_of(&self, label: &str) -> bool {
        let unseen = match &self.data {
            // Its author says so: the model may come from a file.
            ArmData::All | ArmData::Nothing => true,
            ArmData::RetainOnly => label == FORGET,
            ArmData::ForgetOnly => label != FORGET,
            ArmData::Without(labels) => labels.iter().any(|l| l == label),
        };
        self.control && unseen
    }
}

/// What the recipe has to know of a kind of stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageFacts {
    /// What it leaves.
    pub makes: Makes,
    /// What it starts from.
    pub starts: Starts,
    /// What it does to a model, in words: "the cut".
    pub noun: Option<&'static str>,
}

impl Default for StageFacts {
    fn default() -> Self {
        StageFacts { makes: Makes::Model, starts: Starts::Models, noun: None }
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
    /// What is known of its kind.
    #[serde(skip)]
    pub facts: StageFacts,
}

impl Stage {
    /// Whether it leaves models that later stages can start from.
    pub fn makes_model(&self) -> bool {
        self.facts.makes == Makes::Model
    }

    /// Whether it is an attack.
    pub fn is_attack(&self) -> bool {
        self.facts.makes == Makes::Attack
    }

    /// Whether it makes models from nothing of this run: it trains them, or reads them from files.
    pub fn starts_anew(&self) -> bool {
        matches!(self.facts.starts, Starts::Drawn | Starts::Files)
    }

    /// Whether it trains models from scratch.
    pub fn trains(&self) -> bool {
        self.facts.starts == Starts::Drawn
    }

    /// The label the stage is about: the one an attack brings back.
    pub fn label(&self) -> &str {
        self.params.get("label").and_then(Value::as_str).unwrap_or(FORGET)
    }

    /// The stage's parameters as one value.
    pub fn value(&self) -> Value {
        Value::Object(self.params.clone())
    }
}

/// An arm and, where it is a profile, the arms whose model it may be, nearest first.
pub(super) fn lineage<'a>(arms: &'a [Arm], arm: &'a str) -> Vec<&'a str> {
    let mut out = vec![arm];
    // An arm starts from an earlier one; the length keeps a damaged recipe from going round for ever.
    while out.len() <= arms.len()
        && let Some(profile) = arms.iter().find(|a| Some(&a.name.as_str()) == out.last() && a.is_profile())
        && let Some(from) = &profile.from
    {
        out.push(from);
    }
    out
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

    /// The model that the stage `at` works on for `arm`, as the stage and the arm that made it: of the stage
    /// that `at` names, else of the last before it. A profile that no stage has changed yet is the model of
    /// the arm it names with `from`.
    pub fn source_of<'a>(&'a self, at: &Stage, arm: &'a str) -> Option<(&'a Stage, &'a str)> {
        let has = |s: &Stage, name: &str| s.arms.iter().any(|a| a == name);
        let line = lineage(&self.arms, arm);
        if let Some(named) = at.from.as_ref().and_then(|f| self.stage(f))
            && let Some(name) = line.iter().find(|name| has(named, name))
        {
            return Some((named, name));
        }
        let before = || self.stages.iter().take_while(|s| s.name != at.name).filter(|s| s.makes_model());
        line.into_iter().find_map(|name| Some((before().filter(|s| has(s, name)).last()?, name)))
    }

    /// The stage that first made the model of `arm`, by training or loading it.
    pub fn origin_of(&self, arm: &str) -> Option<&Stage> {
        self.stages.iter().find(|s| s.starts_anew() && s.arms.iter().any(|a| a == arm))
    }

    /// The stage called `name`.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|s| s.name == name)
    }

    /// The arm that never saw data of `label`: the one called "oracle" if it is one, else the first.
    pub fn control_of(&self, label: &str) -> Option<&Arm> {
        let fits = |a: &&Arm| a.is_control_of(label);
        self.arm("oracle").filter(fits).or_else(|| self.arms.iter().find(fits))
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
