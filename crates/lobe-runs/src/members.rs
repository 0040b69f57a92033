//! The small JSON files that a stage leaves in a member's directory, some of them gathered for the whole run.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::text::{text, texts};

/// `timing.json`: how long a member took, beside its results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Wall time in seconds.
    pub seconds: f64,
    /// Work per second.
    pub rate: f64,
    /// Unit of the rate.
    pub unit: String,
}

/// A line of `variants.json`: what a name in the results of an attack stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// As behind the `@` of a metric.
    pub name: String,
    /// What it starts from; may be empty.
    pub start: String,
    /// What else sets it apart.
    pub settings: Map<String, Value>,
}

impl Variant {
    /// The settings as `key=value;key=value`.
    pub fn text(&self) -> String {
        let one = |(key, value): (&String, &Value)| match value {
            Value::String(text) => format!("{key}={text}"),
            other => format!("{key}={other}"),
        };
        self.settings.iter().map(one).collect::<Vec<_>>().join(";")
    }
}

/// `prefixes.json`, of a member and of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixFile {
    /// Every prefix.
    pub prefixes: Vec<Prefix>,
}

/// A prefix that an attack found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// The attack's stage.
    #[serde(deserialize_with = "text")]
    pub stage: String,
    /// Arm.
    #[serde(deserialize_with = "text")]
    pub arm: String,
    /// Seed.
    pub seed: u64,
    /// The variant that found it.
    #[serde(deserialize_with = "text")]
    pub variant: String,
    /// What was found.
    #[serde(default)]
    pub tokens: Vec<u32>,
    /// The tokens decoded; read without characters that could disguise what it says.
    #[serde(deserialize_with = "text")]
    pub text: String,
    /// Whether the text, encoded, gives the same tokens: otherwise it cannot be typed.
    #[serde(default)]
    pub survives: bool,
}

/// `activity.json`, of a member and of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ActivityFile {
    /// Every site of every region.
    pub regions: Vec<Activity>,
}

/// Mean activity of the units of one site of one region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Arm.
    #[serde(deserialize_with = "text")]
    pub arm: String,
    /// Seed.
    pub seed: u64,
    /// Region name.
    #[serde(deserialize_with = "text")]
    pub region: String,
    /// Stage that made the model.
    #[serde(deserialize_with = "text")]
    pub stage: String,
    /// Site name.
    #[serde(deserialize_with = "text")]
    pub site: String,
    /// Unit indices at the site.
    pub units: Vec<u32>,
    /// Labels, one per row of `mean_abs`.
    #[serde(deserialize_with = "texts")]
    pub labels: Vec<String>,
    /// Mean absolute activation, `[label][unit]`; null where it was not measured.
    pub mean_abs: Vec<Vec<Option<f64>>>,
}

/// `samples.json` of a member: what models say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleFile {
    /// By the stage that made the model.
    pub models: Vec<SampledModel>,
}

/// What the model of one stage says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampledModel {
    /// Stage that made the model.
    #[serde(deserialize_with = "text")]
    pub stage: String,
    /// One continuation each.
    pub texts: Vec<Sample>,
}

/// One beginning and its continuation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// True class group of the beginning.
    #[serde(deserialize_with = "text")]
    pub label: String,
    /// How the text begins, from held-out data.
    pub prompt: String,
    /// How the model goes on.
    #[serde(rename = "text")]
    pub continuation: String,
}
