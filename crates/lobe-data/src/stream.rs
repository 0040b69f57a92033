//! Batches as a pure function of (key, step): resumable by construction and shared by all arms.

use lobe_core::{Key, Rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Result, setting};

/// How steps draw examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Examples per step.
    pub batch: usize,
    /// Whether a step mixes classes or holds one.
    pub mix: Mix,
    /// What happens to the incomplete batch at the end of an epoch.
    pub last: Last,
    /// With `mix = "one-class"`: relative share of steps per class, in class order. Empty: in
    /// proportion to the classes' sizes.
    pub weights: Vec<f64>,
}

impl Default for StreamConfig {
    fn default() -> Self {
        StreamConfig { batch: 32, mix: Mix::Mixed, last: Last::Drop, weights: Vec::new() }
    }
}

/// Whether a step mixes classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mix {
    /// A seeded permutation of everything, per epoch.
    Mixed,
    /// Each step holds one true class (SGTM): the class follows a seeded shuffled schedule.
    OneClass,
}

/// The short batch at the end of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Last {
    /// Yield it.
    Keep,
    /// Leave it out; other examples are left out in the next epoch.
    Drop,
}

/// What one step trains on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// Indices into the training examples.
    pub indices: Vec<u32>,
    /// The class, when the whole step is one true class.
    pub class: Option<u16>,
    /// Pass over the data (over the class, for one-class steps), from 0.
    pub epoch: u64,
}

/// One pool of examples with its own permutation per epoch.
#[derive(Debug, Clone)]
struct Pool {
    members: Vec<u32>,
    key: Key,
    /// Batches per epoch.
    batches: u64,
    cached: Option<u64>,
    order: Vec<u32>,
}

impl Pool {
    fn new(members: Vec<u32>, key: Key, config: &StreamConfig, what: &str) -> Result<Pool> {
        let (n, b) = (members.len(), config.batch);
        let batches = match config.last {
            Last::Keep => n.div_ceil(b),
            Last::Drop => n / b,
        };
        if batches == 0 {
            return setting(format!("{what} has {n} examples, fewer than a batch of {b}"));
        }
        Ok(Pool { order: Vec::with_capacity(n), members, key, batches: batches as u64, cached: None })
    }

    /// Batch number `at`, counted over all epochs; returns the epoch.
    fn take(&mut self, at: u64, batch: usize, out: &mut Vec<u32>) -> u64 {
        let epoch = at / self.batches;
        if self.cached != Some(epoch) {
            self.order.clear();
            self.order.extend_from_slice(&self.members);
            self.key.index(epoch).rng().shuffle(&mut self.order);
            self.cached = Some(epoch);
        }
        let start = (at % self.batches) as usize * batch;
        let end = self.order.len().min(start + batch);
        out.extend_from_slice(&self.order[start..end]);
        epoch
    }
}

/// The order in which all arms of one seed see the data.
#[derive(Debug, Clone)]
pub struct Stream {
    key: Key,
    batch: usize,
    /// One pool, or one per scheduled class.
    pools: Vec<Pool>,
    /// Class of each pool; empty when mixed.
    class: Vec<u16>,
    /// Steps per class within one period of the schedule.
    steps: Vec<u64>,
    period: u64,
    cached: Option<u64>,
    /// (pool, how often it came before in this period) for each step of the period.
    schedule: Vec<(u16, u32)>,
}

/// A schedule shorter than this could not keep the classes' shares.
const SHORTEST_PERIOD: u64 = 256;

impl Stream {
    /// A stream over all examples, whose true classes are `class`. Any other grouping will do as
    /// well, such as the true labels from [`crate::Labelling::truth`].
    ///
    /// # Errors
    /// If the batch is empty or larger than what it draws from, or the weights do not fit.
    pub fn new(key: Key, class: &[u16], config: &StreamConfig) -> Result<Stream> {
        let all: Vec<u32> = (0..class.len() as u32).collect();
        Stream::over(key, class, &all, config)
    }

    /// A stream over the examples `subset` only, as attacks and control arms need it.
    ///
    /// # Errors
    /// As [`Stream::new`]; also if an index is out of range.
    pub fn over(key: Key, class: &[u16], subset: &[u32], config: &StreamConfig) -> Result<Stream> {
        if config.batch == 0 {
            return setting("batch = 0");
        }
        if let Some(i) = subset.iter().find(|&&i| i as usize >= class.len()) {
            return setting(format!("stream: example {i} of {}", class.len()));
        }
        let empty = Stream {
            key,
            batch: config.batch,
            pools: Vec::new(),
            class: Vec::new(),
            steps: Vec::new(),
            period: 1,
            cached: None,
            schedule: Vec::new(),
        };
        match config.mix {
            Mix::Mixed => {
                if !config.weights.is_empty() {
                    return setting("weights need mix = \"one-class\"");
                }
                let pool = Pool::new(subset.to_vec(), key.child("order"), config, "the stream")?;
                Ok(Stream { pools: vec![pool], ..empty })
            }
            Mix::OneClass => empty.one_class(class, subset, config),
        }
    }

    fn one_class(mut self, class: &[u16], subset: &[u32], config: &StreamConfig) -> Result<Stream> {
        let classes = class.iter().max().map_or(0, |&c| c as usize + 1);
        let mut members = vec![Vec::new(); classes];
        for &i in subset {
            members[class[i as usize] as usize].push(i);
        }
        let w = &config.weights;
        if !w.is_empty() && w.len() != classes {
            return setting(format!("{} weights for {classes} classes", w.len()));
        }
        if w.iter().any(|x| !x.is_finite() || *x < 0.0) {
            return setting("a stream weight is negative or not finite");
        }
        let mut shares = Vec::new();
        for (c, members) in members.into_iter().enumerate() {
            let share = w.get(c).copied().unwrap_or(members.len() as f64);
            if share > 0.0 {
                let key = self.key.child("class").index(c as u64);
                self.pools.push(Pool::new(members, key, config, &format!("class {c}"))?);
                self.class.push(c as u16);
                shares.push(share);
            }
        }
        let total: f64 = shares.iter().sum();
        if total <= 0.0 {
            return setting("the stream has no class to draw from");
        }
        let wanted = self.pools.iter().map(|p| p.batches).sum::<u64>().max(SHORTEST_PERIOD) as f64;
        self.steps = shares.iter().map(|s| ((s / total * wanted).round() as u64).max(1)).collect();
        self.period = self.steps.iter().sum();
        Ok(self)
    }

    /// Steps in one pass over the data (one period of the schedule, for one-class streams).
    pub fn steps_per_epoch(&self) -> u64 {
        if self.class.is_empty() { self.pools[0].batches } else { self.period }
    }

    /// The batch of `step`. Equal whatever was asked before.
    pub fn batch(&mut self, step: u64) -> Batch {
        let mut out = Batch::default();
        (out.class, out.epoch) = self.batch_into(step, &mut out.indices);
        out
    }

    /// Replaces `indices` by those of `step`; returns (class, epoch). Allocates nothing once
    /// `indices` has held a batch and the epoch's permutation exists.
    pub fn batch_into(&mut self, step: u64, indices: &mut Vec<u32>) -> (Option<u16>, u64) {
        indices.clear();
        if self.class.is_empty() {
            return (None, self.pools[0].take(step, self.batch, indices));
        }
        let (period, at) = (step / self.period, step % self.period);
        self.plan(period);
        let (pool, before) = self.schedule[at as usize];
        let nth = period * self.steps[pool as usize] + u64::from(before);
        let epoch = self.pools[pool as usize].take(nth, self.batch, indices);
        (Some(self.class[pool as usize]), epoch)
    }

    fn plan(&mut self, period: u64) {
        if self.cached == Some(period) {
            return;
        }
        self.schedule.clear();
        for (pool, &n) in self.steps.iter().enumerate() {
            self.schedule.extend((0..n).map(|_| (pool as u16, 0)));
        }
        let mut rng: Rng = self.key.child("schedule").index(period).rng();
        rng.shuffle(&mut self.schedule);
        // Numbering in order of appearance makes each class walk its own permutation in order.
        for pool in 0..self.pools.len() as u16 {
            let of_pool = self.schedule.iter_mut().filter(|s| s.0 == pool);
            of_pool.zip(0..).for_each(|(s, before)| s.1 = before);
        }
        self.cached = Some(period);
    }
}
