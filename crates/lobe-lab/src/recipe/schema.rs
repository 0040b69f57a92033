//! The JSON schema of the written form, for editors.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::form::{ArmData, Family};
use super::targets::Target;
use super::train::{Masked, Train};

/// A Lobe recipe. The keys of data, model, arms and stages depend on their kind.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Recipe")]
#[expect(dead_code, reason = "describes the file; the tree is read by hand to keep lines")]
struct RecipeFile {
    /// Name of the experiment: lower-case letters, digits, "_" and "-".
    #[schemars(regex(pattern = r"^[a-z0-9_-]{1,64}$"))]
    name: String,
    /// What the experiment is about, in one sentence.
    about: Option<String>,
    /// Number of seeds, 1 to 1000, or a list of seeds. Every arm is trained once per seed.
    seeds: Option<Seeds>,
    /// Factor on every number of steps, 1e-6 to 1000.
    #[schemars(range(min = 0.000001, max = 1000))]
    scale: Option<f64>,
    /// The data: what it is, who is labelled what, and how batches are drawn.
    data: Kind,
    /// The network.
    model: Kind,
    /// Named sets of units, as text: `blocks.*.mlp.post[-32..] + blocks.*.attn.z[-1]`.
    regions: Option<BTreeMap<String, String>>,
    /// The treatments to compare, by name.
    arms: BTreeMap<String, ArmFile>,
    /// How arms are trained from scratch.
    train: Option<Train>,
    /// How post-hoc arms are trained. The same keys as [train].
    unlearn: Option<Train>,
    /// What the experiment does, in order.
    #[schemars(length(min = 1, max = 256))]
    stage: Vec<StageFile>,
    /// Published numbers that the run is held against.
    target: Option<Vec<Target>>,
    /// Named sets of changes to the recipe, chosen with `--preset NAME`. A stage goes by its name.
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
    /// What it is. The other keys depend on it.
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
    /// The method: localisation, or post-hoc removal. Its parameters are further keys of the arm.
    method: String,
    /// The earlier arm whose model this one starts from. A post-hoc method changes that model; with "none"
    /// it stays as it is, to be cut in another way.
    from: Option<String>,
    /// What the arm is, in one sentence.
    about: Option<String>,
    /// The region that the method works on, or a list of them.
    region: Option<RegionNames>,
    /// Which part of the data the arm trains on.
    #[serde(default)]
    data: ArmData,
    /// Changes to the labelling rules, for this arm only: a table of changed keys per label.
    labels: Option<Map<String, Value>>,
    /// Whether this arm is a control: it never sees the data that the others should forget. Absent: true
    /// for `data = "retain only"` and for `data = { without = [...] }`.
    control: Option<bool>,
    /// Weight of the loss by label, 0 to 1e6. Labels that are not listed have weight 1.
    loss_weight: Option<BTreeMap<String, f64>>,
    /// Changes to [train] (post-hoc arms: to [unlearn]), for this arm only.
    train: Option<Map<String, Value>>,
    /// Short for `train = { masked = … }`.
    masked: Option<Masked>,
    /// Makes a family of the arm: dotted keys of the arm, and a list of values for each. The arms are all
    /// combinations, called after the arm and its values. Example: `grid = { "train.lr" = [1e-3, 3e-3] }`.
    grid: Option<BTreeMap<String, Vec<Value>>>,
    /// Written where a recipe is resolved: the family that the arm is a point of.
    family: Option<Family>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "describes the file")]
struct StageFile {
    /// What the stage does. Its parameters are further keys of the stage.
    #[serde(rename = "do")]
    does: String,
    /// The stage's name. Absent: the word in `do`, made unique with -2, -3, …
    name: Option<String>,
    /// The earlier stage whose models it works on. Absent: the last one that makes models.
    from: Option<String>,
    /// The arms it is done for. Absent: all that have a model.
    arms: Option<Vec<String>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The JSON schema of the part of a recipe that does not depend on kinds.
pub fn json_schema() -> Schema {
    schema_for!(RecipeFile)
}
