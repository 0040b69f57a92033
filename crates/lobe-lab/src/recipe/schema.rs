//! The JSON schema of the written form, for editors.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::form::ArmData;
use super::train::{Masked, Train};

/// A Lobe recipe. The keys of data, model, methods and stages depend on their kind.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Recipe")]
#[expect(dead_code, reason = "describes the file; the tree is read by hand to keep lines")]
struct RecipeFile {
    /// Name of the experiment: lower-case letters, digits, "_" and "-".
    #[schemars(regex(pattern = r"^[a-z0-9_-]{1,64}$"))]
    name: String,
    /// What it is about, in one sentence.
    about: Option<String>,
    /// Number of seeds, 1 to 1000, or a list of different seeds.
    seeds: Option<Seeds>,
    /// Multiplies every number of steps, 1e-6 to 1000.
    #[schemars(range(min = 0.000001, max = 1000))]
    scale: Option<f64>,
    /// Where the data comes from.
    data: Kind,
    /// The network.
    model: Kind,
    /// Named sets of units: `blocks.*.mlp.post[-32..] + blocks.*.attn.z[-1]`.
    regions: Option<BTreeMap<String, String>>,
    /// The treatments that are compared.
    arms: BTreeMap<String, ArmFile>,
    /// How networks are trained.
    train: Option<Train>,
    /// How post-hoc arms are trained.
    unlearn: Option<Train>,
    /// The steps of the experiment, in order.
    #[schemars(length(min = 1, max = 256))]
    stage: Vec<StageFile>,
    /// Trees of overrides, merged over the recipe; a stage is addressed by its name.
    presets: Option<BTreeMap<String, Map<String, Value>>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the file")]
enum Seeds {
    Count(#[schemars(range(min = 1, max = 1000))] u64),
    List(#[schemars(length(min = 1, max = 1000))] Vec<u64>),
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "describes the file")]
struct Kind {
    /// What it is; decides what the other keys mean.
    kind: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the file")]
enum RegionNames {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "describes the file")]
struct ArmFile {
    /// The localisation method; its parameters stand beside it.
    method: String,
    /// The earlier arm whose model this one starts from: a post-hoc method changes it; with "none" it stays
    /// as it is, to be cut in another way.
    from: Option<String>,
    /// What the arm is, in one sentence.
    about: Option<String>,
    /// Names of the regions the method works on.
    region: Option<RegionNames>,
    /// Which part of the data it trains on.
    #[serde(default)]
    data: ArmData,
    /// Overrides of the labelling, for this arm only.
    labels: Option<Map<String, Value>>,
    /// Whether this arm never saw what the others are to forget. Absent: true for "retain only"
    /// and for { without = [...] }.
    control: Option<bool>,
    /// Weight of the loss per label, 0 to 1e6.
    loss_weight: Option<BTreeMap<String, f64>>,
    /// Overrides of the table train.
    train: Option<Map<String, Value>>,
    /// Short for `train = { masked = … }`.
    masked: Option<Masked>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "describes the file")]
struct StageFile {
    /// What the stage does; its parameters stand beside it.
    #[serde(rename = "do")]
    does: String,
    /// Its name. Absent: `do`, made unique with -2, -3, …
    name: Option<String>,
    /// An earlier stage that makes models. Absent: the last one.
    from: Option<String>,
    /// The arms it is done for. Absent: all.
    arms: Option<Vec<String>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The JSON schema of the part of a recipe that does not depend on kinds.
pub fn json_schema() -> Schema {
    schema_for!(RecipeFile)
}
