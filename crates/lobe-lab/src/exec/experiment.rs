//! A resolved recipe with its data, network and arms, checked and ready to run.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use lobe_core::{FORGET, Key, LabelId, LabelSet, Region, RouteTable, Selection, UNLABELLED};
use lobe_data::{Dataset, Labelling, Labels, Mix, Stream, StreamConfig};
use lobe_engine::ops::distance::Distance;
use lobe_engine::{Layout, Masked, Optimiser, OptimiserKind, Plan, Schedule, ScheduleShape};
use lobe_methods::localize::with_kinds;
use lobe_methods::{Context, LOCALIZE, Localize, TrainsOn, UNLEARN};
use lobe_nets::{Autoencoder, Gpt, Net, Penalties};
use serde_json::Value;

use super::feed::Asks;
use super::settings::{self, DataSection, ModelSection, Objective, in_recipe};
use crate::error::LabError;
use crate::recipe::{self, Arm, ArmData, PathError, Recipe, Train};

/// One arm, compiled.
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
    /// Autoencoders: what it minimises.
    pub objective: Objective,
    /// Weight of the main loss per label.
    pub label_weight: Vec<f32>,
    /// Autoencoders: penalties on the code.
    pub penalties: Penalties,
    /// What its method asks of training beside the routes.
    pub asks: Asks,
}

/// A resolved recipe with its data, network and arms.
pub struct Experiment {
    /// The recipe.
    pub recipe: Recipe,
    /// `[data]`, typed.
    pub section: DataSection,
    /// The data.
    pub data: Dataset,
    /// All labels.
    pub labels: LabelSet,
    /// The network every arm trains.
    pub net: Net,
    /// The arms, in the recipe's order.
    pub arms: Vec<ArmPlan>,
    /// What each held-out example truly is.
    pub test_truth: Vec<LabelId>,
    /// What each training example truly is.
    pub train_truth: Vec<LabelId>,
    /// Fingerprints of what `load` stages read, by stage.
    pub loaded: BTreeMap<String, String>,
}

fn at<T>(result: Result<T, PathError>, path: &[&str]) -> Result<T, LabError> {
    result.map_err(|e| LabError::setting(&e.within(path)))
}

impl Experiment {
    /// Loads the data, builds the network and compiles every arm.
    ///
    /// # Errors
    /// If a file is missing or damaged, or a part of the recipe does not fit another.
    pub fn open(recipe: &Recipe) -> Result<Experiment, LabError> {
        let (section, _) = at(DataSection::read(&recipe.data.kind, &recipe.data.value()), &["data"])?;
        let data = section.source.load(Path::new(&section.own.dir), Key::root(0).child("data"))?;
        Self::with_data(recipe, section, data)
    }

    /// The same with data that is already there.
    ///
    /// # Errors
    /// If a part of the recipe does not fit another.
    pub fn with_data(recipe: &Recipe, section: DataSection, data: Dataset) -> Result<Experiment, LabError> {
        let mut labels = section.labels();
        let (model, _) = at(ModelSection::read(&recipe.model.kind, &recipe.model.value()), &["model"])?;
        let (net, objective) = match model {
            ModelSection::Gpt(c) => {
                if data.tokenizer.is_none() {
                    return Err(LabError::other("model: a gpt needs text, but [data] holds images"));
                }
                (Net::Gpt(Gpt::new(c.resolve(data.vocab, data.width())?)), Objective::default())
            }
            ModelSection::Autoencoder(c, o) => {
                if data.tokenizer.is_some() {
                    return Err(LabError::other("model: an autoencoder needs images, but [data] holds text"));
                }
                (Net::Autoencoder(Autoencoder::new(c.resolve(data.width())?)), o)
            }
        };
        net.layout().check()?;
        let base = at(section.rules(&serde_json::Map::new()), &["data"])?;
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
        };
        out.name_kinds()?;
        for arm in &recipe.arms {
            let plan = out.compile(arm, &objective)?;
            out.arms.push(plan);
        }
        out.check_stages()?;
        out.loaded = crate::stage::fingerprints(&out)?;
        Ok(out)
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
        resolved.map_err(|e| LabError::setting(&PathError::new(&format!("regions.{name}"), e.to_string())))
    }

    /// Adds the labels of the kinds of steps that the arms' methods have.
    fn name_kinds(&mut self) -> Result<(), LabError> {
        let mut all = self.labels.clone();
        for arm in self.recipe.arms.iter().filter(|a| a.from.is_none()) {
            let kinds = localize(arm)?.0.kinds(&self.labels).map_err(|e| in_recipe(&e));
            all = with_kinds(&all, &at(kinds, &["arms", &arm.name])?);
        }
        self.labels = all;
        Ok(())
    }

    fn compile(&self, arm: &Arm, objective: &Objective) -> Result<ArmPlan, LabError> {
        let path = ["arms", arm.name.as_str()];
        if arm.from.is_some() {
            return self.compile_post_hoc(arm, objective);
        }
        let (method, over) = localize(arm)?;
        let (few, most) = method.regions();
        if arm.regions.len() < few || arm.regions.len() > most {
            let what = format!("{} takes {few} to {most} regions, {} given", arm.method, arm.regions.len());
            return at(Err(PathError::new("region", what)), &path);
        }
        if method.needs_uniform_steps() && self.section.own.batches == Mix::Mixed {
            let what = format!("{} needs data.batches = \"one-class\"", arm.method);
            return at(Err(PathError::new("method", what)), &path);
        }
        let regions: Vec<Selection> = arm.regions.iter().map(|r| self.region(r)).collect::<Result<_, _>>()?;
        let context = Context { labels: &self.labels, regions: &arm.regions };
        let table = at(method.table(&context).map_err(|e| in_recipe(&e)), &path)?;
        let plan = Plan::new(self.layout(), &self.labels, &regions, &table)
            .map_err(|e| LabError::setting(&PathError::new("region", e.to_string()).within(&path)))?;
        let rules = at(at_labels(self.section.rules(&arm.labels)), &path)?;
        let labelling = Labelling::new(&rules, &self.data, &mut self.labels.clone())?;
        let objective = at(objective.with(over.as_ref()), &path)?;
        let mut label_weight = vec![1.0; self.labels.len()];
        for (name, w) in &arm.loss_weight {
            let found = self.labels.find(name);
            let known = self.labels.names().iter().map(String::as_str);
            at(recipe::one_of("loss_weight", "label", name, known), &path)?;
            if let Some(l) = found {
                label_weight[l.index()] = *w as f32;
            }
        }
        let penalties = self.penalties(&objective)?;
        let region = regions.into_iter().reduce(|a, b| a.union(&b));
        let asks = Asks::new(method.as_ref(), &self.labels, region.as_ref());
        let asks = at(asks.map_err(|e| in_recipe(&e)), &path)?;
        if !asks.l1.is_empty() && self.net.gpt().is_none() {
            let what = "needs a language model; a code is penalised by [model.objective]";
            return at(Err(PathError::new("l1", what)), &path);
        }
        Ok(ArmPlan {
            arm: arm.clone(),
            plan,
            table,
            region,
            labelling,
            trains_on: method.trains_on(),
            objective,
            label_weight,
            penalties,
            asks,
        })
    }

    /// A post-hoc arm trains plainly on its method's terms; only its labels are its own.
    fn compile_post_hoc(&self, arm: &Arm, objective: &Objective) -> Result<ArmPlan, LabError> {
        let path = ["arms", arm.name.as_str()];
        if !arm.regions.is_empty() {
            let what = "a post-hoc method works on the whole network; it takes no region";
            return at(Err(PathError::new("region", what)), &path);
        }
        let rules = at(at_labels(self.section.rules(&arm.labels)), &path)?;
        Ok(ArmPlan {
            arm: arm.clone(),
            plan: Plan::plain(self.layout()),
            table: RouteTable::plain(),
            region: None,
            labelling: Labelling::new(&rules, &self.data, &mut self.labels.clone())?,
            trains_on: TrainsOn::All,
            objective: objective.clone(),
            label_weight: vec![1.0; self.labels.len()],
            penalties: Penalties::default(),
            asks: Asks::default(),
        })
    }

    fn penalties(&self, o: &Objective) -> Result<Penalties, LabError> {
        let Some(ae) = self.net.autoencoder() else { return Ok(Penalties::default()) };
        let latent = ae.config.latent;
        let part = |from: usize, to: usize| -> Result<Range<usize>, LabError> {
            let to = if to == 0 { latent } else { to };
            if from >= to || to > latent {
                return Err(LabError::other(format!(
                    "objective: {from}..{to} is no part of {latent} latents"
                )));
            }
            Ok(from..to)
        };
        let l1: Result<_, LabError> = o.l1.iter().map(|l| Ok((part(l.from, l.to)?, l.weight))).collect();
        let split = if o.split == 0 { latent / 2 } else { o.split };
        let correlation = (o.correlation != 0.0)
            .then(|| Ok::<_, LabError>((part(0, split)?, part(split, 0)?, o.correlation)));
        Ok(Penalties { l1: l1?, correlation: correlation.transpose()? })
    }

    fn check_stages(&self) -> Result<(), LabError> {
        let regions: Vec<String> = self.recipe.regions.iter().map(|r| r.name.clone()).collect();
        for (i, stage) in self.recipe.stages.iter().enumerate() {
            let path = ["stage".to_owned(), i.to_string()];
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if stage.does == "ablate" {
                let (ablate, _) =
                    at(lobe_methods::Ablate::read(&stage.value()).map_err(|e| in_recipe(&e)), &path)?;
                at(ablate.check(&regions).map_err(|e| in_recipe(&e)), &path)?;
                if !ablate.region.is_empty() {
                    self.region(&ablate.region)?;
                }
                self.check_cuts(stage, &ablate.region, &path)?;
            }
            if stage.does == "unlearn" {
                for name in &stage.arms {
                    if let Some(i) = self.arms.iter().position(|a| a.arm.name == *name) {
                        crate::stage::check_post_hoc(self, i)?;
                    }
                }
            }
            if let Some(built) = settings::attack(&stage.does, &stage.value()) {
                let (attack, _) = at(built.map_err(|e| in_recipe(&e)), &path)?;
                let known = self.labels.names().iter().map(String::as_str);
                at(recipe::one_of("label", "label", attack.label(), known), &path)?;
                if self.net.gpt().is_none() {
                    return at(
                        Err(PathError::new("do", format!("{} needs a language model", stage.does))),
                        &path,
                    );
                }
                if attack.needs_original() && crate::store::Reference::of(&self.recipe).baseline.is_none() {
                    let what = format!(
                        "{} needs an arm that trains plainly on everything, or one called \"baseline\" that is loaded",
                        stage.does
                    );
                    return at(Err(PathError::new("do", what)), &path);
                }
                let label = self.labels.find(attack.label()).unwrap_or(FORGET);
                if !self.train_truth.contains(&label) || !self.test_truth.contains(&label) {
                    let what = format!("no example is truly {:?}", attack.label());
                    return at(Err(PathError::new("label", what)), &path);
                }
            }
        }
        Ok(())
    }

    /// A cut that changes no parameter would make every later number a lie.
    fn check_cuts(&self, stage: &recipe::Stage, named: &str, path: &[&str]) -> Result<(), LabError> {
        for a in self.arms.iter().filter(|a| stage.arms.contains(&a.arm.name)) {
            let region = if named.is_empty() { a.region.clone() } else { Some(self.region(named)?) };
            if region.is_some_and(|r| self.layout().count_owned(&r) == 0) {
                let what = format!(
                    "the region of arm {:?} owns no parameter, so there is nothing to cut",
                    a.arm.name
                );
                return at(Err(PathError::new("region", what)), path);
            }
        }
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
        let weights = if own.batches == Mix::OneClass { own.class_weights.clone() } else { Vec::new() };
        let config = StreamConfig { batch, mix: own.batches, last: own.last, weights };
        // Steps of one kind are steps of one *true* label: the labeller comes later, and differs per arm.
        let groups: Vec<u16> = self.train_truth.iter().map(|l| u16::from(l.0)).collect();
        Ok(Stream::new(Self::key(seed).child("stream"), &groups, &config)?)
    }

    /// Whether an arm may train on an example that truly is `truth` and carries `label`.
    pub fn keeps(&self, arm: usize, truth: LabelId, label: LabelId) -> bool {
        let a = &self.arms[arm];
        let by_data = match a.arm.data {
            ArmData::All => true,
            ArmData::RetainOnly => truth != FORGET,
            ArmData::ForgetOnly => truth == FORGET,
            ArmData::Nothing => false,
        };
        by_data && a.trains_on != TrainsOn::Without(label)
    }

    /// Labels that held-out data carries, in label order.
    pub fn test_labels(&self) -> Vec<LabelId> {
        let ids = (0..self.labels.len()).map(|i| LabelId(i as u8));
        ids.filter(|l| self.test_truth.contains(l)).collect()
    }

    /// One line about an arm that has none of its own.
    pub fn note(&self, arm: &Arm) -> String {
        let all = LOCALIZE.iter().map(|e| e.about).chain(UNLEARN.iter().map(|e| e.about));
        let about = all.into_iter().find(|a| a.name == arm.method).map_or("", |a| a.summary);
        match arm.data {
            ArmData::All => about.to_owned(),
            ArmData::RetainOnly => format!("{about}, but without any forget data"),
            ArmData::ForgetOnly => format!("{about}, on forget data only"),
            ArmData::Nothing => "a network as it was drawn, never trained".to_owned(),
        }
    }

    /// Remarks for the report.
    pub fn notes(&self) -> Vec<String> {
        let layout = self.layout();
        let mut out = vec![format!(
            "{} parameters; {} training and {} held-out examples",
            layout.len(),
            self.data.train.len(),
            self.data.test.len()
        )];
        for r in &self.recipe.regions {
            if let Ok(sel) = self.region(&r.name) {
                let share = 100.0 * layout.count_owned(&sel) as f64 / layout.len().max(1) as f64;
                out.push(format!(
                    "region {}: {} units, {} parameters ({share:.1} %)",
                    r.name,
                    sel.count(),
                    layout.count_owned(&sel)
                ));
            }
        }
        if self.test_truth.contains(&UNLABELLED) {
            out.push("some held-out data belongs to no label and is measured as \"unlabelled\"".into());
        }
        out
    }
}

/// An arm's localisation method, and what the arm overrides of the objective.
fn localize(arm: &Arm) -> Result<(Box<dyn Localize>, Option<Value>), LabError> {
    let entry = LOCALIZE.iter().find(|e| e.about.name == arm.method);
    let Some(entry) = entry else { return Err(LabError::other(format!("no method {:?}", arm.method))) };
    let mut own = arm.params.clone();
    let over = own.remove("objective");
    let built = (entry.build)(&Value::Object(own)).map_err(|e| in_recipe(&e));
    Ok((at(built, &["arms", &arm.name])?.0, over))
}

fn at_labels<T>(r: Result<T, PathError>) -> Result<T, PathError> {
    r.map_err(|e| e.within(&["labels"]))
}

/// The engine's optimiser for `[train]`.
pub(crate) fn optimiser(t: &Train) -> Optimiser {
    let (beta1, beta2, eps) = (t.betas[0] as f32, t.betas[1] as f32, t.eps as f32);
    let kind = match t.optimizer {
        recipe::Optimizer::Adamw => OptimiserKind::AdamW { beta1, beta2, eps },
        recipe::Optimizer::Adam => OptimiserKind::Adam { beta1, beta2, eps },
        recipe::Optimizer::Sgd => OptimiserKind::Sgd { momentum: t.momentum as f32 },
    };
    let shape = match t.schedule {
        recipe::Schedule::Constant => ScheduleShape::Constant,
        recipe::Schedule::Cosine => ScheduleShape::Cosine,
        recipe::Schedule::Linear => ScheduleShape::Linear,
    };
    let masked = match t.masked {
        recipe::Masked::ZeroGrad => Masked::ZeroGrad,
        recipe::Masked::Freeze => Masked::Freeze,
    };
    Optimiser {
        kind,
        schedule: Schedule {
            peak: t.lr as f32,
            warmup: t.warmup,
            steps: t.steps,
            shape,
            floor: t.min_lr as f32,
        },
        weight_decay: t.weight_decay as f32,
        decay_matrices_only: false,
        clip: t.clip.map(|c| c as f32),
        masked,
    }
}

/// The engine's distance.
pub(crate) fn distance(o: &Objective) -> Distance {
    match o.distance {
        settings::Distance::Absolute => Distance::Absolute,
        settings::Distance::Squared => Distance::Squared,
    }
}
