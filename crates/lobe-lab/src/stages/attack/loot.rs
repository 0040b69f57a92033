//! The data an attacker draws from: training examples by their true label, in an order that depends on
//! the seed alone, so that every arm is attacked with the same batches.

use lobe_core::{Key, LabelId};
use lobe_methods::objective::{Examples, Whole};
use lobe_methods::{Loot, Variant};
use lobe_nets::Batch;
use lobe_train::{At, Source, TrainError, collect, push};

use crate::error::LabError;
use crate::plan::{Experiment, empty};

/// Root of everything random in the attacks of a seed.
pub(in crate::stages) fn key(seed: u64) -> Key {
    Experiment::key(seed).child("attack")
}

/// Numbers of the training examples of `loot`, for the capability `label`.
pub(in crate::stages) fn pool(x: &Experiment, label: LabelId, loot: Loot, seed: u64) -> Vec<usize> {
    let all = 0..x.train_truth.len();
    let mut of: Vec<usize> = match loot {
        Loot::Retain => all.filter(|i| x.train_truth[*i] != label).collect(),
        _ => all.filter(|i| x.train_truth[*i] == label).collect(),
    };
    key(seed).child("examples").rng().shuffle(&mut of);
    if let Some(about) = Half::new(x, loot, seed) {
        of.retain(|i| about.holds(x.data.train.row(*i)));
        return of;
    }
    let half = of.len() / 2;
    match loot {
        Loot::FirstHalf => of.truncate(half),
        Loot::SecondHalf => drop(of.drain(..half)),
        Loot::Forget | Loot::Retain => {}
    }
    of
}

/// One half of the names in the data, so that what tells of the one half tells nothing of the other. (Where
/// stories are packed end to end, a row may begin in the middle of one whose names stand in the row before.)
pub(in crate::stages) struct Half {
    mine: Vec<u32>,
    others: Vec<u32>,
}

impl Half {
    /// `None` where `loot` is no half or nobody knows the names.
    pub(in crate::stages) fn new(x: &Experiment, loot: Loot, seed: u64) -> Option<Half> {
        let mut mine = x.data.names.clone();
        key(seed).child("names").rng().shuffle(&mut mine);
        let others = mine.split_off(mine.len() / 2);
        match loot {
            _ if mine.is_empty() => None,
            Loot::FirstHalf => Some(Half { mine, others }),
            Loot::SecondHalf => Some(Half { mine: others, others: mine }),
            Loot::Forget | Loot::Retain => None,
        }
    }

    /// Whether these tokens name somebody, and nobody of the other half.
    pub(in crate::stages) fn holds(&self, tokens: &[u32]) -> bool {
        let any = |of: &[u32]| tokens.iter().any(|t| of.contains(t));
        any(&self.mine) && !any(&self.others)
    }
}

/// The first `n` examples of a pool, each a shard of its own.
pub(in crate::stages) fn batch(x: &Experiment, pool: &[usize], n: usize) -> Batch {
    let chosen: Vec<_> = pool.iter().take(n).map(|i| (*i, x.train_truth[*i])).collect();
    collect(&x.data.train, &chosen, Some(1))
}

/// What a fine-tuning attack trains on.
pub(in crate::stages) struct Draw<'a> {
    x: &'a Experiment,
    main: Vec<usize>,
    retain: Vec<usize>,
    /// How many of each a step takes.
    counts: (usize, usize),
    key: Key,
    batch: Batch,
}

impl<'a> Draw<'a> {
    pub(in crate::stages) fn new(
        x: &'a Experiment,
        label: LabelId,
        v: &Variant,
        seed: u64,
        lanes: usize,
    ) -> Result<Draw<'a>, LabError> {
        let mut main = pool(x, label, v.loot, seed);
        main.truncate(v.examples.unwrap_or(usize::MAX));
        Draw::over(x, (main, pool(x, label, Loot::Retain, seed)), v, key(seed), lanes)
    }

    /// The same from these training examples, by number.
    pub(in crate::stages) fn over(
        x: &'a Experiment,
        (main, retain): (Vec<usize>, Vec<usize>),
        v: &Variant,
        key: Key,
        lanes: usize,
    ) -> Result<Draw<'a>, LabError> {
        let kept = ((v.batch as f64 * v.retain_share).round() as usize).min(v.batch - 1);
        if main.is_empty() || (kept > 0 && retain.is_empty()) {
            return Err(LabError::other("attack: there is no data to train on"));
        }
        let counts = ((v.batch - kept).min(main.len()), kept.min(retain.len()));
        let batch = empty(x, v.batch, lanes, None);
        Ok(Draw { x, main, retain, counts, key: key.child("batch"), batch })
    }

    /// Different examples that so many steps can have drawn.
    pub(in crate::stages) fn drawn(&self) -> impl Fn(u64) -> u64 + use<> {
        let of = |pool: &[usize], n: usize| (pool.len() as u64, n as u64);
        let both = [of(&self.main, self.counts.0), of(&self.retain, self.counts.1)];
        move |steps| both.iter().map(|(all, n)| (*all).min(steps * n)).sum()
    }
}

impl Source for Draw<'_> {
    fn load(&mut self, at: At<'_>) -> Result<usize, TrainError> {
        let Draw { x, main, retain, counts, key, batch } = self;
        batch.clear();
        let mut rng = key.index(at.step).rng();
        for (pool, n) in [(main, counts.0), (retain, counts.1)] {
            for at in 0..n {
                // A step that takes as many as there are takes each of them once.
                let i = if n == pool.len() { pool[at] } else { *rng.choose(pool) };
                push(batch, &x.data.train, i, x.train_truth[i]);
            }
        }
        Ok(batch.targets())
    }

    fn examples(&self) -> Box<dyn Examples + '_> {
        Box::new(Whole::new(&self.batch, self.x.labels.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Written;
    use crate::schedule::resolve;

    #[test]
    fn the_halves_of_the_forget_data_tell_of_nobody_in_common() {
        let recipe = r#"
            name = "halves"
            data = { kind = "bilingual", stories = 200, test_stories = 4, forget = { class = "es" } }
            model = { kind = "gpt", layers = 1, width = 8, heads = 1, mlp = 8 }
            train = { steps = 1 }
            arms.baseline.method = "none"
            stage = [{ do = "train" }]
        "#;
        let (recipe, _) = resolve(&Written::from_str("halves.toml", recipe).unwrap()).unwrap();
        let x = Experiment::open(&recipe).unwrap();
        let named = |loot, seed| {
            let pool = pool(&x, lobe_core::FORGET, loot, seed);
            assert!(pool.len() >= 20, "{loot:?}: {} of 200", pool.len());
            assert!(pool.iter().all(|i| x.train_truth[*i] == lobe_core::FORGET));
            let all = pool.iter().flat_map(|i| x.data.train.row(*i).iter().copied());
            let mut names: Vec<u32> = all.filter(|t| x.data.names.contains(t)).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let (first, second) = (named(Loot::FirstHalf, 0), named(Loot::SecondHalf, 0));
        assert!(first.iter().all(|n| !second.contains(n)), "{first:?} {second:?}");
        assert_ne!(first, named(Loot::FirstHalf, 1), "another seed, other halves");
        // A question about somebody belongs to that one's half, a question about a town to none.
        let of = |loot| Half::new(&x, loot, 0).unwrap();
        let asked = |about: &Half| x.data.probes.iter().filter(|p| about.holds(&p.prompt)).count();
        let (a, b) = (asked(&of(Loot::FirstHalf)), asked(&of(Loot::SecondHalf)));
        let towns = x.data.probes.iter().filter(|p| ["mark", "crop"].contains(&p.kind.as_str())).count();
        assert!(a > 0 && b > 0 && towns > 0);
        assert_eq!(a + b + towns, x.data.probes.len());
        assert!(Half::new(&x, Loot::Forget, 0).is_none());
    }
}
