//! The data an attacker draws from: training examples by their true label, in an order that depends on
//! the seed alone, so that every arm is attacked with the same batches.

use lobe_core::{Key, LabelId};
use lobe_engine::Program;
use lobe_methods::{Loot, Variant};
use lobe_nets::{LanguageModelling, Net, TokenBatch};

use super::super::exec::{Experiment, Source, Step, empty, push_train};
use crate::error::LabError;

/// Root of everything random in the attacks of a seed.
pub(super) fn key(seed: u64) -> Key {
    Experiment::key(seed).child("attack")
}

/// Numbers of the training examples of `loot`, for the capability `label`.
pub(super) fn pool(x: &Experiment, label: LabelId, loot: Loot, seed: u64) -> Vec<usize> {
    let all = 0..x.train_truth.len();
    let mut of: Vec<usize> = match loot {
        Loot::Retain => all.filter(|i| x.train_truth[*i] != label).collect(),
        _ => all.filter(|i| x.train_truth[*i] == label).collect(),
    };
    key(seed).child("examples").rng().shuffle(&mut of);
    let half = of.len() / 2;
    match loot {
        Loot::FirstHalf => of.truncate(half),
        Loot::SecondHalf => drop(of.drain(..half)),
        Loot::Forget | Loot::Retain => {}
    }
    of
}

/// The first `n` examples of a pool, each a shard of its own.
pub(super) fn batch(x: &Experiment, pool: &[usize], n: usize) -> Option<TokenBatch> {
    let Step::Tokens(mut out) = empty(x, 1, 1, None) else { return None };
    for i in pool.iter().take(n) {
        out.push(x.data.train.row(*i), x.train_truth[*i], None);
    }
    Some(out)
}

/// What a fine-tuning attack trains on.
pub(super) struct Draw {
    main: Vec<usize>,
    retain: Vec<usize>,
    counts: (usize, usize),
    key: Key,
    step: Step,
}

impl Draw {
    pub(super) fn new(
        x: &Experiment,
        label: LabelId,
        v: &Variant,
        seed: u64,
        lanes: usize,
    ) -> Result<Draw, LabError> {
        let mut main = pool(x, label, v.loot, seed);
        main.truncate(v.examples.unwrap_or(usize::MAX));
        Draw::over(x, main, pool(x, label, Loot::Retain, seed), v, seed, lanes)
    }

    /// The same from these training examples, by number.
    pub(super) fn over(
        x: &Experiment,
        main: Vec<usize>,
        retain: Vec<usize>,
        v: &Variant,
        seed: u64,
        lanes: usize,
    ) -> Result<Draw, LabError> {
        let kept = ((v.batch as f64 * v.retain_share).round() as usize).min(v.batch - 1);
        if main.is_empty() || (kept > 0 && retain.is_empty()) {
            return Err(LabError::other("attack: there is no data to train on"));
        }
        let step = empty(x, v.batch, lanes, None);
        Ok(Draw { main, retain, counts: (v.batch - kept, kept), key: key(seed).child("batch"), step })
    }

    /// Different examples it can draw.
    pub(super) fn examples(&self) -> usize {
        self.main.len() + if self.counts.1 > 0 { self.retain.len() } else { 0 }
    }
}

impl Source for Draw {
    fn load(&mut self, x: &Experiment, step: u64) -> Result<usize, LabError> {
        let Step::Tokens(b) = &mut self.step else {
            return Err(LabError::other("attack: needs a language model"));
        };
        b.clear();
        let mut rng = self.key.index(step).rng();
        for (pool, n) in [(&self.main, self.counts.0), (&self.retain, self.counts.1)] {
            for _ in 0..n {
                let i = *rng.choose(pool);
                push_train(x, &mut self.step, i, x.train_truth[i]);
            }
        }
        Ok(match &self.step {
            Step::Tokens(b) => b.targets(),
            Step::Images(b) => b.len(),
        })
    }

    fn program<'a>(&'a self, x: &'a Experiment) -> Box<dyn Program + 'a> {
        match (&self.step, &x.net) {
            (Step::Tokens(batch), Net::Gpt(net)) => Box::new(LanguageModelling { net, batch }),
            _ => unreachable!("checked when the batch was loaded"),
        }
    }
}
