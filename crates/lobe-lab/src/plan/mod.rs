//! A resolved recipe with its data, network and arms, checked and ready to run.

mod alike;
mod arms;
mod facts;
mod feed;
mod lineage;
mod networks;
mod notes;
mod optimise;
mod removes;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lobe_core::{FORGET, Key, LabelId, LabelSet, Region, RouteTable, Selection};
use lobe_data::{Dataset, Labelling, Labels, Stream, StreamConfig};
use lobe_engine::{Layout, Plan};
use lobe_methods::TrainsOn;
use lobe_methods::localize::with_kinds;
use lobe_methods::objective::Term;
use lobe_nets::hub::Imported;
use lobe_nets::{Batch, Input, Network};
use serde_json::Value;

use self::arms::localize;
pub(crate) use self::facts::{data as data_facts, model as model_facts};
pub(crate) use self::feed::empty;
pub use self::feed::{Asks, Exposure, Feed};
pub(crate) use self::lineage::parent;
pub use self::networks::{Loaded, read_weights};
pub(crate) use self::networks::{difference, fingerprint, same_but_for_units, units};
pub(crate) use self::notes::same_training;
pub(crate) use self::optimise::{distance, optimiser};
pub use self::settings::{DataKeys, DataSection, ModelSection, Objective, Per};
pub(crate) use self::settings::{in_recipe, method, unlearn};
use crate::error::LabError;
use crate::recipe::{Arm, ArmData, ArmKind, PathError, Recipe};

/// One arm, compiled.
#[derive(Clone)]
pub struct ArmPlan {
    /// The arm as the recipe has it.
    pub arm: Arm,
    /// Its routes against the network.
    pub plan: Plan,
    /// The routes as a table.
    pub table: RouteTable,
    /// Its regions, resolved and joined; `None` without one.
    pub region: Option<Selection>,
    /// How its data is labelled.
    pub labelling: Labelling,
    /// Which data it trains on.
    pub trains_on: TrainsOn,
    /// What it minimises, where outputs are numbers.
    pub objective: Objective,
    /// Weight of the main loss per label.
    pub label_weight: Vec<f32>,
    /// What that comes to, as terms.
    pub terms: Arc<Vec<Term>>,
    /// What its method asks of training beside the routes.
    pub asks: Asks,
    /// Data that truly is of these labels it never trains on.
    pub unseen: Vec<LabelId>,
    /// The labels whose capability it is to be without, in label order; empty for what is compared with.
    pub removes: Vec<LabelId>,
    /// The earlier arm that trains in the very same way, as an index: both are one network.
    pub same_as: Option<usize>,
}

/// A resolved recipe with its data, network and arms.
#[derive(Clone)]
pub struct Experiment {
    /// The recipe.
    pub recipe: Recipe,
    /// `[data]`, typed.
    pub section: DataSection,
    /// The data.
    pub data: Arc<Dataset>,
    /// All labels.
    pub labels: LabelSet,
    /// The network every arm trains.
    pub net: Arc<dyn Network>,
    /// The arms, in the recipe's order.
    pub arms: Vec<ArmPlan>,
    /// What each held-out example truly is.
    pub test_truth: Vec<LabelId>,
    /// What each training example truly is.
    pub train_truth: Vec<LabelId>,
    /// What stages read from files, by stage.
    pub loaded: BTreeMap<String, Loaded>,
    /// What is said of arms whose network has another number of units.
    pub widths: Vec<String>,
    /// What `[model]` minimises, where outputs are numbers.
    objective: Objective,
    /// The same experiment over a network with another number of units, for arms that are loaded with one.
    shapes: BTreeMap<usize, Arc<Experiment>>,
    /// The same over the network of the models that a stage makes of an arm, where that has adapters.
    grown: BTreeMap<(String, usize), Arc<Experiment>>,
}

/// Tokens per label of an evaluation that is repeated along the way.
const TOKENS: usize = 12_800;
/// Beyond this only a mistake asks for a network.
const MOST_PARAMETERS: usize = 1 << 40;

/// An error of a part of the recipe, with the way to that part.
pub(crate) fn in_section<T>(result: Result<T, PathError>, path: &[&str]) -> Result<T, LabError> {
    result.map_err(|e| LabError::setting(&e.within(path)))
}

/// The network that a section describes, for this data.
fn built(model: &ModelSection, data: &Dataset) -> Result<Arc<dyn Network>, LabError> {
    let input = if data.is_text() {
        Input::Tokens { vocab: data.vocab, context: data.width() }
    } else {
        Input::Rows { width: data.width() }
    };
    let entry = model.entry;
    if entry.reads_text != data.is_text() {
        let needs = if entry.reads_text { "text" } else { "rows of numbers" };
        let what = format!("{} needs {needs}, but [data] holds {}", entry.about.name, input.name());
        return in_section(Err(PathError::new("kind", what)), &["model"]);
    }
    let net = (entry.build)(&model.settings, Some(input))?;
    if net.layout().len() > MOST_PARAMETERS {
        let what = format!("{} parameters; at most {MOST_PARAMETERS} are possible", net.layout().len());
        return in_section(Err(PathError::new("model", what)), &[]);
    }
    net.layout().check()?;
    Ok(net)
}

impl Experiment {
    /// Builds the network over the data and compiles every arm.
    pub(crate) fn compiled(recipe: &Recipe, data: Arc<Dataset>) -> Result<Experiment, LabError> {
        let (section, _) = in_section(DataSection::read(&recipe.data.kind, &recipe.data.value()), &["data"])?;
        let mut labels = section.labels();
        let (model, _) =
            in_section(ModelSection::read(&recipe.model.kind, &recipe.model.value()), &["model"])?;
        let net = built(&model, &data)?;
        let objective = model.objective;
        let base = in_section(section.rules(&serde_json::Map::new()), &["data"])?;
        let truth = Labelling::new(&base, &data, &mut labels)?;
        let (test_truth, train_truth) = (truth.truth(&data.test, &data), truth.truth(&data.train, &data));
        let mut out = Experiment {
            recipe: recipe.clone(),
            section,
            data,
            labels,
            net,
            arms: Vec::new(),
            test_truth,
            train_truth,
            loaded: BTreeMap::new(),
            widths: Vec::new(),
            objective: objective.clone(),
            shapes: BTreeMap::new(),
            grown: BTreeMap::new(),
        };
        out.name_kinds()?;
        let own = out.own_networks()?;
        for (i, arm) in recipe.arms.iter().enumerate() {
            let plan = match own.get(&i) {
                Some(net) => Experiment { net: net.clone(), ..out.clone() }.compile(arm, &objective)?,
                None => out.compile(arm, &objective)?,
            };
            out.arms.push(plan);
        }
        for (i, net) in own {
            let own = Experiment { net, shapes: BTreeMap::new(), ..out.clone() };
            out.shapes.insert(i, Arc::new(own));
        }
        out.check_frozen()?;
        // What no stream of batches can be drawn from is refused here, not by the arm that asks for it.
        let batches: BTreeSet<usize> = out.trained().map(|a| out.recipe.train_of(&a.arm).batch).collect();
        batches.into_iter().try_for_each(|batch| out.stream(0, batch).map(drop))?;
        Ok(out)
    }

    /// The networks of arms that change settings of `[model]`, and of those that start from such an arm. Arms with
    /// the same changes share one.
    fn own_networks(&self) -> Result<BTreeMap<usize, Arc<dyn Network>>, LabError> {
        let mut out: BTreeMap<usize, Arc<dyn Network>> = BTreeMap::new();
        let arms = &self.recipe.arms;
        for (i, arm) in arms.iter().enumerate() {
            let like = |other: &Arm| !arm.model.is_empty() && other.model == arm.model;
            let same = arms[..i].iter().position(|a| like(a) || Some(&a.name) == arm.from.as_ref());
            if let Some(net) = same.and_then(|at| out.get(&at)).cloned() {
                out.insert(i, net);
            } else if !arm.model.is_empty() {
                let section = &self.recipe.model;
                let mut settings = section.params.clone();
                settings.extend(arm.model.clone());
                let path = ["arms", arm.name.as_str(), "model"];
                let read = ModelSection::read(&section.kind, &Value::Object(settings));
                out.insert(i, built(&in_section(read, &path)?.0, &self.data)?);
            }
        }
        Ok(out)
    }

    /// Takes what a stage read from files: a network with another number of units is that of its arms.
    pub(crate) fn take(&mut self, stage: &str, model: Imported) -> Result<(), LabError> {
        let Imported { net, params, notes } = model;
        let fingerprint = fingerprint(&*net, &params);
        self.loaded.insert(stage.to_owned(), Loaded { fingerprint, notes });
        if difference(&*net, &*self.net).is_some() {
            self.shape(stage, net)?;
        }
        Ok(())
    }

    /// Gives the arms of a `load` stage, and those that go on from them, a network of their own.
    fn shape(&mut self, stage: &str, net: Arc<dyn Network>) -> Result<(), LabError> {
        let named = self.recipe.stage(stage).map_or(&[][..], |s| &s.arms);
        let mine = |a: &Arm| named.contains(&a.name) || a.from.as_ref().is_some_and(|f| named.contains(f));
        let arms: Vec<usize> = (0..self.arms.len()).filter(|i| mine(&self.arms[*i].arm)).collect();
        let mut own = Experiment { net, shapes: BTreeMap::new(), ..self.clone() };
        for arm in &arms {
            own.arms[*arm] = own.compile(&own.arms[*arm].arm, &self.objective)?;
        }
        let own = Arc::new(own);
        self.shapes.extend(arms.into_iter().map(|arm| (arm, own.clone())));
        Ok(())
    }

    /// The experiment over an arm's own network.
    pub(crate) fn of_arm(&self, arm: usize) -> &Experiment {
        self.shapes.get(&arm).map_or(self, |own| own)
    }

    /// The arms that some stage trains from scratch.
    pub(crate) fn trained(&self) -> impl Iterator<Item = &ArmPlan> {
        let stages = || self.recipe.stages.iter().filter(|s| s.trains());
        self.arms.iter().filter(move |a| stages().any(|s| s.arms.contains(&a.arm.name)))
    }

    /// All held-out examples whose true label `keep` accepts, at most `most` of each.
    pub fn held_out(&self, keep: impl Fn(LabelId) -> bool, most: usize) -> Batch {
        lobe_train::held_out(&self.data.test, &self.test_truth, keep, most)
    }

    /// What is evaluated again and again along the way: the same, and fewer where sequences are long.
    pub(crate) fn along_the_way(&self, keep: impl Fn(LabelId) -> bool, most: usize) -> Batch {
        let enough = if self.data.is_text() { (TOKENS / self.data.width().max(1)).max(32) } else { most };
        self.held_out(keep, most.min(enough))
    }

    /// The network's layout.
    pub fn layout(&self) -> &Layout {
        self.net.layout()
    }

    /// A named region of the recipe against the network.
    ///
    /// # Errors
    /// If it names no unit.
    pub fn region(&self, name: &str) -> Result<Selection, LabError> {
        let text = self.recipe.regions.iter().find(|r| r.name == name).map_or("", |r| r.text.as_str());
        let region: Result<Region, _> = text.parse();
        let resolved = region.and_then(|r| r.resolve(self.layout().sites()));
        resolved.map_err(|e| {
            let message = e.to_string();
            let message = message.strip_prefix("region: ").unwrap_or(&message);
            LabError::setting(&PathError::new(&format!("regions.{name}"), message))
        })
    }

    /// Texts of an arm's regions, in its order.
    pub(crate) fn region_texts(&self, arm: &Arm) -> Vec<&str> {
        let text = |name: &String| self.recipe.regions.iter().find(|r| r.name == *name);
        arm.regions.iter().filter_map(text).map(|r| r.text.as_str()).collect()
    }

    /// Adds the labels of the kinds of steps that the arms' methods have.
    fn name_kinds(&mut self) -> Result<(), LabError> {
        let mut all = self.labels.clone();
        for arm in self.recipe.arms.iter().filter(|a| a.kind != ArmKind::PostHoc) {
            let kinds = localize(arm)?.0.kinds(&self.labels).map_err(|e| in_recipe(&e));
            all = with_kinds(&all, &in_section(kinds, &["arms", &arm.name])?);
        }
        self.labels = all;
        Ok(())
    }

    /// The key everything random of a seed comes from.
    pub fn key(seed: u64) -> Key {
        Key::root(seed).child("experiment")
    }

    /// Labels of the training data for an arm and a seed.
    ///
    /// # Errors
    /// If the rules do not fit the data.
    pub fn labels_of(&self, arm: usize, seed: u64) -> Result<Labels, LabError> {
        Ok(self.arms[arm].labelling.apply(&self.data, Self::key(seed).child("labels"))?)
    }

    /// The order in which a seed sees the data, the same for all arms with this batch size.
    ///
    /// # Errors
    /// If a class has fewer examples than a batch.
    pub fn stream(&self, seed: u64, batch: usize) -> Result<Stream, LabError> {
        let own = &self.section.own;
        let config =
            StreamConfig { batch, mix: own.batches, last: own.last, weights: own.class_weights.clone() };
        // Steps of one kind are steps of one *true* label: the labeller comes later, and differs per arm.
        let groups: Vec<u16> = self.train_truth.iter().map(|l| u16::from(l.0)).collect();
        Ok(Stream::new(Self::key(seed).child("stream"), &groups, &config)?)
    }

    /// Whether an arm may train on an example that truly is `truth` and carries `label`.
    pub fn keeps(&self, arm: usize, truth: LabelId, label: LabelId) -> bool {
        let a = &self.arms[arm];
        let by_data = match a.arm.data {
            ArmData::ForgetOnly => truth == FORGET,
            ArmData::Nothing => false,
            _ => !a.unseen.contains(&truth),
        };
        by_data && !matches!(&a.trains_on, TrainsOn::Without(topics) if topics.contains(&label))
    }

    /// Labels that held-out data carries, in label order.
    pub fn test_labels(&self) -> Vec<LabelId> {
        let ids = (0..self.labels.len()).map(|i| LabelId(i as u8));
        ids.filter(|l| self.test_truth.contains(l)).collect()
    }
}
