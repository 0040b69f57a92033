//! A network, data, and which of it is to be forgotten: what there is to train, to cut and to attack.

use std::sync::Arc;

use lobe_core::{FORGET, Key, LabelId, LabelSet, RETAIN, Region, Selection};
use lobe_data::{Dataset, Stream, StreamConfig};
use lobe_engine::optim::AdamW;
use lobe_engine::{Buf, Optimiser, Plan, Runner, Schedule};
use lobe_methods::localize::{check_regions, check_silence, silence};
use lobe_methods::objective::{Distance, Examples, Whole, ordinary, sparse};
use lobe_methods::{Context, Localize, ParamError, TrainsOn, Trial};
use lobe_nets::{Batch, Network};

use crate::attacker::EVALUATED;
use crate::data::{collect, held_out, push};
use crate::error::TrainError;
use crate::journal::InMemory;
use crate::scores::{Job, Scores, evaluate};
use crate::trainer::{At, Source, Spec, Trainee, train};

/// How a model is trained.
#[derive(Debug, Clone)]
pub struct Training {
    /// The optimiser with its schedule.
    pub optimiser: Optimiser,
    /// Optimiser steps.
    pub steps: u64,
    /// Examples per step.
    pub batch: usize,
    /// Gradient lanes: results depend on their number, and not on that of the threads.
    pub lanes: usize,
    /// Decides initial weights and the order of the data. Models of one seed share both.
    pub seed: u64,
}

impl Default for Training {
    /// 200 steps of AdamW at a rate of 0.003, 16 examples each.
    fn default() -> Self {
        let rule = Optimiser::new(AdamW::default(), Schedule::constant(3e-3));
        Training {
            optimiser: Optimiser { clip: Some(1.0), ..rule },
            steps: 200,
            batch: 16,
            lanes: 2,
            seed: 0,
        }
    }
}

/// A network, data, and which of its classes are to be forgotten; the others are to be kept.
pub struct Task {
    pub(crate) net: Arc<dyn Network>,
    pub(crate) data: Arc<Dataset>,
    pub(crate) labels: LabelSet,
    /// Label of each training example.
    pub(crate) label: Vec<LabelId>,
    /// Held-out examples with their labels.
    pub(crate) eval: Batch,
    pub(crate) runner: Runner,
}

/// Settings that do not fit each other.
pub(crate) fn refused(e: impl std::fmt::Display) -> TrainError {
    TrainError::Refused(e.to_string())
}

impl Task {
    /// A task over `data` whose classes called `forget` are to be forgotten.
    ///
    /// # Errors
    /// If there is no such class, or no workers can be started.
    pub fn new(net: Arc<dyn Network>, data: Dataset, forget: &[&str]) -> Result<Task, TrainError> {
        let mut gone = Vec::new();
        for name in forget {
            gone.push(data.class(name)?);
        }
        let of = |class: &[u16]| -> Vec<LabelId> {
            class.iter().map(|c| if gone.contains(c) { FORGET } else { RETAIN }).collect()
        };
        let (label, test) = (of(&data.train.class), of(&data.test.class));
        let eval = held_out(&data.test, &test, |_| true, EVALUATED);
        let (labels, runner) = (LabelSet::default(), Runner::new(0)?);
        Ok(Task { net, data: Arc::new(data), labels, label, eval, runner })
    }

    /// The network.
    pub fn net(&self) -> &dyn Network {
        &*self.net
    }

    /// The units that a region's text selects: `blocks.*.mlp.post[-32..]`.
    ///
    /// # Errors
    /// If it is no region of this network.
    pub fn region(&self, text: &str) -> Result<Selection, TrainError> {
        text.parse::<Region>().and_then(|r| r.resolve(self.net.layout().sites())).map_err(refused)
    }

    /// Trains a model under a method, from its own initial weights. A method that takes a region is given
    /// `region`; one that takes none is given `None`.
    ///
    /// # Errors
    /// If the method asks for what a task does not have (another number of regions, steps of one label, kinds of
    /// steps of its own), or training fails.
    pub fn train(
        &self,
        method: &dyn Localize,
        region: Option<&Selection>,
        how: &Training,
    ) -> Result<Buf, TrainError> {
        let param = |e: ParamError| refused(e);
        let regions: Vec<Selection> = region.into_iter().cloned().collect();
        check_regions("the method", method.regions(), regions.len(), &["region"]).map_err(refused)?;
        if method.needs_uniform_steps() || !method.kinds(&self.labels).map_err(param)?.is_empty() {
            return Err(refused(
                "the method needs steps of one label, which a recipe has and a task has not",
            ));
        }
        let context = Context { labels: &self.labels, regions: &["region".to_owned()][..regions.len()] };
        let table = method.table(&context).map_err(param)?;
        let plan = Plan::new(self.net.layout(), &self.labels, &regions, &table)?;
        let key = Key::root(how.seed);
        let mut params = self.net.layout().init(key.child("init"));
        let mut terms = ordinary(&*self.net, Distance::Squared);
        if let Some(region) = region {
            if method.zero_start() {
                check_silence(self.net.layout(), region).map_err(refused)?;
                silence(self.net.layout(), &mut params, region);
            }
            if method.l1() != 0.0 {
                terms.extend(sparse(&*self.net, region, method.l1()));
            }
        }
        let stream = StreamConfig { batch: how.batch, ..StreamConfig::default() };
        let source = Labelled {
            task: self,
            trains_on: method.trains_on(&self.labels).map_err(param)?,
            stream: Stream::new(key.child("stream"), &self.data.train.class, &stream)?,
            indices: Vec::new(),
            batch: self.empty(how.batch.div_ceil(how.lanes)),
        };
        let spec = Spec {
            optimiser: how.optimiser.clone(),
            steps: how.steps,
            lanes: how.lanes,
            log_every: u64::MAX,
            eval_every: u64::MAX,
            checkpoint_secs: None,
        };
        let model = (self.net.clone(), params);
        let mut trainee =
            Trainee::new(model, plan, Arc::new(terms), Box::new(source), spec, Box::<InMemory>::default())?;
        train(&self.runner, &self.labels, std::slice::from_mut(&mut trainee), &|| false, &|_, _| {})?;
        match trainee.failed {
            Some(why) => Err(TrainError::Diverged(why)),
            None => Ok(trainee.member.params),
        }
    }

    /// An empty batch for the task's data: whole sequences, or `rows` rows to a shard.
    pub(crate) fn empty(&self, rows: usize) -> Batch {
        collect(&self.data.train, &[], Some(if self.data.is_text() { 1 } else { rows }))
    }

    /// Held-out numbers of a model; [`Scores::loss`] is the mean loss of a label.
    ///
    /// # Errors
    /// If the parameters are not of this network.
    pub fn score(&self, params: &[f32]) -> Result<Scores, TrainError> {
        let job = Job { net: &*self.net, params, batch: &self.eval };
        Ok(evaluate(&self.runner, &self.labels, None, &[job])?.remove(0))
    }
}

/// The lowest held-out loss of `label` that any variant of an attack reached: the worst case.
pub fn worst(trials: &[Trial], label: LabelId) -> Option<f64> {
    let all = trials.iter().flat_map(|t| &t.curve).filter_map(|(_, losses)| *losses.get(label.index())?);
    all.min_by(f64::total_cmp)
}

/// The task's training data under a method's filter.
struct Labelled<'a> {
    task: &'a Task,
    trains_on: TrainsOn,
    stream: Stream,
    indices: Vec<u32>,
    batch: Batch,
}

impl Source for Labelled<'_> {
    fn load(&mut self, at: At<'_>) -> Result<usize, TrainError> {
        self.stream.batch_into(at.step, &mut self.indices);
        self.batch.clear();
        for i in self.indices.iter().map(|i| *i as usize) {
            let label = self.task.label[i];
            if self.trains_on.counts(label, 1.0) {
                push(&mut self.batch, &self.task.data.train, i, label);
            }
        }
        Ok(self.batch.targets())
    }

    fn examples(&self) -> Box<dyn Examples + '_> {
        Box::new(Whole::new(&self.batch, self.task.labels.len()))
    }
}
