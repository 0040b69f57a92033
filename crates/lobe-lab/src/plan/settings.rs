//! The parts of a recipe whose meaning other crates know: data, model, methods, stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use lobe_core::LabelSet;
use lobe_data::{DataSource, Last, Mix, RuleConfig, SOURCES};
use lobe_methods::{LOCALIZE, ParamError, UNLEARN, Unlearn};
use lobe_nets::{NETWORKS, NetworkEntry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::recipe::{PathError, completed, listed, one_of, path_error, typed};

/// `[data]`: a source, the labelling rules, and how steps are drawn.
#[derive(Debug, Clone)]
pub struct DataSection {
    /// The source.
    pub source: Arc<dyn DataSource>,
    /// Keys of Lobe's own beside the source's.
    pub own: DataKeys,
}

/// The keys of `[data]` that every source shares.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataKeys {
    /// Folder that relative paths refer to.
    pub dir: String,
    /// Rule for the label `forget`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forget: Option<RuleConfig>,
    /// Rule for the label `retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain: Option<RuleConfig>,
    /// Rules for further labels, by name.
    pub labels: BTreeMap<String, RuleConfig>,
    /// "mixed" batches, or "one-class" per optimiser step.
    pub batches: Mix,
    /// What happens to the incomplete batch at the end of an epoch.
    pub last: Last,
    /// With "one-class": share of the steps per true label (forget, retain, unlabelled, …); empty is
    /// by size.
    pub class_weights: Vec<f64>,
}

impl Default for DataKeys {
    fn default() -> Self {
        DataKeys {
            dir: ".".into(),
            forget: None,
            retain: None,
            labels: BTreeMap::new(),
            batches: Mix::Mixed,
            last: Last::Drop,
            class_weights: Vec::new(),
        }
    }
}

/// Most labels in `[data.labels]`: with the kinds of steps that methods make of each, a label fits into a byte.
const MOST_LABELS: usize = 48;

const OWN: [&str; 7] = ["dir", "forget", "retain", "labels", "batches", "last", "class_weights"];

impl DataSection {
    /// Reads the section.
    ///
    /// # Errors
    /// With the path of what is wrong.
    pub fn read(kind: &str, value: &Value) -> Result<(DataSection, Value), PathError> {
        let entry = listed(&SOURCES, "kind", "data source", kind)?;
        let all = value.as_object().cloned().unwrap_or_default();
        let (own, source): (Map<_, _>, Map<_, _>) =
            all.into_iter().partition(|(k, _)| OWN.contains(&k.as_str()));
        let (own, mut full): (DataKeys, Value) = completed(&Value::Object(own))?;
        if own.labels.len() > MOST_LABELS {
            let what = format!("{} labels; at most {MOST_LABELS} are possible", own.labels.len());
            return Err(PathError::new("labels", what));
        }
        if own.batches == Mix::Mixed && !own.class_weights.is_empty() {
            return Err(PathError::new("class_weights", "needs batches = \"one-class\""));
        }
        let (source, rest) = (entry.build)(&Value::Object(source)).map_err(|e| path_error(&e))?;
        if let (Value::Object(full), Value::Object(rest)) = (&mut full, rest) {
            full.extend(rest);
        }
        Ok((DataSection { source: source.into(), own }, full))
    }

    /// The labels that have a rule.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let two = [("forget", &self.own.forget), ("retain", &self.own.retain)];
        let two = two.into_iter().filter(|(_, rule)| rule.is_some()).map(|(name, _)| name);
        two.chain(self.own.labels.keys().map(String::as_str))
    }

    /// The labelling rules in order, with an arm's overrides merged in.
    ///
    /// # Errors
    /// If an override names no rule or has a wrong key.
    pub fn rules(&self, overrides: &Map<String, Value>) -> Result<Vec<(String, RuleConfig)>, PathError> {
        let mut rules: Vec<(String, RuleConfig)> = Vec::new();
        rules.extend(self.own.forget.clone().map(|r| ("forget".to_owned(), r)));
        rules.extend(self.own.retain.clone().map(|r| ("retain".to_owned(), r)));
        rules.extend(self.own.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
        for (label, change) in overrides {
            one_of(label, "label with a rule", label, rules.iter().map(|(n, _)| n.as_str()))?;
            for (name, rule) in rules.iter_mut().filter(|(n, _)| n == label) {
                *rule = changed(rule, change, RuleConfig::canonical).map_err(|e| e.within(&[name]))?;
            }
        }
        Ok(rules)
    }

    /// All labels of the experiment.
    pub fn labels(&self) -> LabelSet {
        let mut out = LabelSet::default();
        for name in self.own.labels.keys() {
            out.add(name);
        }
        out
    }
}

/// What an autoencoder minimises. Every key may be overridden by an arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// "absolute" or "squared" distance of each pixel.
    pub distance: Distance,
    /// Whether the distance is the mean per "pixel" or, per "image", the mean of the sums over an image's pixels.
    pub per: Per,
    /// Factor of the distance, 0 to 1e6.
    pub weight: f32,
    /// Whether the main loss is the sum of the labels' means instead of one mean over all images.
    pub sum_of_means: bool,
    /// L1 penalty on the code, per image and before any route: λ per latent part, `{ from, to, weight }`;
    /// `to = 0` is the end. (The `l1` of a method is another one: on its regions, per target.)
    pub l1: Vec<L1>,
    /// γ on the mean absolute correlation between the latents before and after `split`.
    pub correlation: f32,
    /// Where the correlation penalty splits the latent; 0 is the middle.
    pub split: usize,
    /// Penalty on the means and scales of a latent that is drawn, which stand side by side `at` a site:
    /// λ times the mean over images and latents of mean² + exp(scale) − scale. Absent: none.
    /// Example: `variational = { at = "heads", weight = 1.0 }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variational: Option<Heads>,
}

impl Default for Objective {
    fn default() -> Self {
        Objective {
            distance: Distance::Absolute,
            per: Per::Pixel,
            weight: 1.0,
            sum_of_means: false,
            l1: Vec::new(),
            correlation: 0.0,
            split: 0,
            variational: None,
        }
    }
}

/// A distance per pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// |x - t|
    Absolute,
    /// (x - t)²
    Squared,
}

/// A penalty on means and scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// The site at which means and scales stand side by side.
    pub at: String,
    /// λ
    pub weight: f32,
}

/// What a distance is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// All pixels alike.
    Pixel,
    /// Images, each the sum over its pixels.
    Image,
}

/// An L1 penalty on part of the latent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct L1 {
    /// First latent.
    #[serde(default)]
    pub from: usize,
    /// One past the last latent; 0 is the end.
    #[serde(default)]
    pub to: usize,
    /// λ
    pub weight: f32,
}

/// `[model]`.
#[derive(Clone)]
pub struct ModelSection {
    /// The kind of network.
    pub entry: &'static NetworkEntry,
    /// Its settings.
    pub settings: Value,
    /// What it minimises, where its outputs are numbers.
    pub objective: Objective,
}

impl ModelSection {
    /// Reads the section.
    ///
    /// # Errors
    /// With the path of what is wrong.
    pub fn read(kind: &str, value: &Value) -> Result<(ModelSection, Value), PathError> {
        let entry = listed(&NETWORKS, "kind", "model", kind)?;
        let mut all = value.as_object().cloned().unwrap_or_default();
        // The next token has one loss; of numbers there are several.
        let objective = all.remove("objective").filter(|_| !entry.reads_text);
        if let Some(o) = value.get("objective").filter(|_| entry.reads_text) {
            all.insert("objective".into(), o.clone());
        }
        let objective = objective.unwrap_or_else(|| Value::Object(Map::new()));
        let (objective, saved) = completed(&objective).map_err(|e| e.within(&["objective"]))?;
        let settings = (entry.read)(&Value::Object(all)).map_err(|e| in_recipe(&e))?;
        let mut full = settings.clone();
        if let Value::Object(full) = &mut full
            && !entry.reads_text
        {
            full.insert("objective".into(), saved);
        }
        Ok((ModelSection { entry, settings, objective }, full))
    }
}

impl Objective {
    /// With the keys an arm overrides.
    ///
    /// # Errors
    /// With the path of what is wrong.
    pub fn with(&self, overrides: Option<&Value>) -> Result<Objective, PathError> {
        let Some(over) = overrides else { return Ok(self.clone()) };
        changed(self, over, |key| key).map_err(|e| e.within(&["objective"]))
    }
}

/// `base` with the keys of the table `over`, under the names that `canonical` gives them.
fn changed<T: Serialize + serde::de::DeserializeOwned>(
    base: &T,
    over: &Value,
    canonical: impl Fn(&str) -> &str,
) -> Result<T, PathError> {
    let Value::Object(over) = over else {
        return Err(PathError::new("", format!("expected a table of what is different, found {over}")));
    };
    let mut value = serde_json::to_value(base).unwrap_or_default();
    if let Value::Object(all) = &mut value {
        all.extend(over.iter().map(|(k, v)| (canonical(k).to_owned(), v.clone())));
    }
    typed(&value)
}

/// A parameter error in the recipe's own words.
pub(crate) fn in_recipe(e: &ParamError) -> PathError {
    path_error(e)
}

/// Method parameters; `objective` belongs to the arm, not to the method.
pub(crate) fn method(name: &str, rest: &Value) -> Result<Value, PathError> {
    if let Some(entry) = UNLEARN.find(name) {
        return (entry.build)(rest).map(|(_, full)| full).map_err(|e| in_recipe(&e));
    }
    one_of("method", "method", name, LOCALIZE.names().chain(UNLEARN.names()))?;
    let entry = listed(&LOCALIZE, "method", "method", name)?;
    let mut own = rest.as_object().cloned().unwrap_or_default();
    let objective = own.remove("objective");
    let (_, mut full) = (entry.build)(&Value::Object(own)).map_err(|e| in_recipe(&e))?;
    if let Some(o) = objective {
        Objective::default().with(Some(&o))?;
        if let Value::Object(full) = &mut full {
            full.insert("objective".into(), o);
        }
    }
    Ok(full)
}

/// Builds a post-hoc method by name.
pub(crate) fn unlearn(name: &str, params: &Value) -> Option<Result<(Box<dyn Unlearn>, Value), ParamError>> {
    let entry = UNLEARN.iter().find(|e| e.about.name == name)?;
    Some((entry.build)(params))
}
