//! The attacker's workbench in memory, over a [`Task`]. The lab has another over a run directory.

use std::sync::Arc;

use lobe_core::{FORGET, Key, LabelId, Selection};
use lobe_engine::{Buf, Member, Plan, SiteId};
use lobe_methods::objective::{Distance, Examples, Minimise, Whole, ordinary};
use lobe_methods::remove::ablate::reinit;
use lobe_methods::{Attack, Bench, BenchError, Budget, Loot, Losses, Start, Trial, Variant};
use lobe_nets::{Batch, Network};

use crate::attacker::{self, LANES};
use crate::data::{collect, push};
use crate::error::TrainError;
use crate::forward::Forward;
use crate::journal::InMemory;
use crate::scores::{Job, Scores, evaluate};
use crate::task::{Task, refused};
use crate::trainer::{At, Source, Trainee, train};

/// A model under attack.
pub struct Workbench<'a> {
    task: &'a Task,
    victim: Vec<f32>,
    original: Option<Vec<f32>>,
    cut: Option<Selection>,
    seed: u64,
    /// What was kept so far.
    pub trials: Vec<Trial>,
}

fn other(e: TrainError) -> BenchError {
    match e {
        TrainError::Engine(e) => BenchError::Engine(e),
        e => BenchError::Other(e.to_string()),
    }
}

impl Task {
    /// All variants of an attack on a model, from which `cut` was cut out.
    ///
    /// # Errors
    /// If the network is no language model, or the attack asks for what a task does not have.
    pub fn attack(
        &self,
        attack: &dyn Attack,
        model: &[f32],
        cut: Option<&Selection>,
        seed: u64,
    ) -> Result<Vec<Trial>, TrainError> {
        let mut bench = Workbench::new(self, model, cut.cloned(), seed)?;
        let cases = attack.cases(&bench);
        attack.run(&mut bench, &cases).map_err(refused)?;
        Ok(bench.trials)
    }
}

impl<'a> Workbench<'a> {
    /// A model of the task's network, from which `cut` was cut out, on the bench.
    ///
    /// # Errors
    /// If the network is no language model, or the parameters are not its own.
    pub fn new(
        task: &'a Task,
        victim: &[f32],
        cut: Option<Selection>,
        seed: u64,
    ) -> Result<Workbench<'a>, TrainError> {
        if task.net.language().is_none() {
            return Err(refused("an attack needs a language model"));
        }
        if victim.len() != task.net.layout().len() {
            return Err(refused("the parameters are not those of the task's network"));
        }
        Ok(Workbench { task, victim: victim.to_vec(), original: None, cut, seed, trials: Vec::new() })
    }

    /// The same with the model from before the removal, for attacks that make use of it.
    #[must_use]
    pub fn with_original(self, original: &[f32]) -> Workbench<'a> {
        Workbench { original: Some(original.to_vec()), ..self }
    }

    /// Numbers of the training examples of `loot`, in an order that depends on the seed alone.
    fn pool(&self, loot: Loot) -> Vec<usize> {
        let forget = loot != Loot::Retain;
        let all = self.task.label.iter().enumerate();
        let mut of: Vec<usize> = all.filter(|(_, l)| (**l == FORGET) == forget).map(|(i, _)| i).collect();
        self.key().child("examples").rng().shuffle(&mut of);
        let half = of.len() / 2;
        match loot {
            Loot::FirstHalf => of.truncate(half),
            Loot::SecondHalf => drop(of.drain(..half)),
            Loot::Forget | Loot::Retain => {}
        }
        of
    }

    fn by_label(&self, scores: &Scores) -> Losses {
        let loss = |l: usize| scores.loss(LabelId(l as u8)).filter(|v| v.is_finite());
        (0..self.task.labels.len()).map(loss).collect()
    }

    fn one(&self, v: &Variant) -> Result<Trial, TrainError> {
        if v.rank.is_some() || v.watch.is_some() {
            return Err(refused("low-rank adapters and watched halves need a recipe"));
        }
        let mut params = Buf::from_slice(&self.victim);
        if let (Start::Reinit, Some(region)) = (v.start, &self.cut) {
            reinit(self.task.net.layout(), &mut params, region, Key::root(self.seed).child("reinit"));
        }
        let mut pools = [self.pool(v.loot), self.pool(Loot::Retain)];
        pools[0].truncate(v.examples.unwrap_or(usize::MAX));
        let kept = ((v.batch as f64 * v.retain_share).round() as usize).min(v.batch - 1);
        let counts = [(v.batch - kept).min(pools[0].len()), kept.min(pools[1].len())];
        if counts[0] == 0 || (kept > 0 && counts[1] == 0) {
            return Err(refused("there is no data to train on"));
        }
        let have = pools.each_ref().map(Vec::len);
        let batch = self.task.empty(1);
        let source = Draw { task: self.task, pools, counts, key: self.key().child("batch"), batch };
        let terms = Arc::new(ordinary(&*self.task.net, Distance::Squared));
        let (model, parameters) = ((self.task.net.clone(), params), self.victim.len() as u64);
        let journal = Box::<InMemory>::default();
        let mut t =
            Trainee::new(model, self.task.net.plain(), terms, Box::new(source), attacker::spec(v), journal)?;
        t.eval = Some(&self.task.eval);
        let labels = &self.task.labels;
        train(&self.task.runner, labels, std::slice::from_mut(&mut t), &|| false, &|_, _| {})?;
        let curve = attacker::curve(labels.names(), t.journal.readings());
        let examples = have.iter().zip(counts).map(|(all, n)| (*all as u64).min(t.done() * n as u64)).sum();
        let budget = Budget { steps: t.done(), tokens: t.targets, examples, parameters };
        Ok(Trial::new(&v.name, curve, budget))
    }
}

impl Bench for Workbench<'_> {
    fn net(&self) -> &Arc<dyn Network> {
        &self.task.net
    }
    fn victim(&self) -> &[f32] {
        &self.victim
    }
    fn original(&self) -> Option<&[f32]> {
        self.original.as_deref()
    }
    fn cut(&self) -> Option<&Selection> {
        self.cut.as_ref()
    }
    fn key(&self) -> Key {
        Key::root(self.seed).child("attack")
    }
    fn labels(&self) -> &[String] {
        self.task.labels.names()
    }
    fn target(&self) -> usize {
        FORGET.index()
    }

    fn examples(&mut self, loot: Loot, n: usize) -> Result<Batch, BenchError> {
        let chosen: Vec<_> = self.pool(loot).into_iter().take(n).map(|i| (i, self.task.label[i])).collect();
        let batch = Some(collect(&self.task.data.train, &chosen, Some(1))).filter(|b| !b.is_empty());
        batch.ok_or_else(|| BenchError::Missing(format!("no training examples ({loot:?})")))
    }

    fn held_out(&mut self, label: usize, n: usize) -> Result<Batch, BenchError> {
        let all = &self.task.eval;
        let mut batch = Batch::tokens(self.net().context(), 1);
        let mine = (0..all.shards()).filter(|s| all.row_label(*s, 0).index() == label);
        for s in mine.take(n) {
            let (inputs, targets, _) = all.text(s);
            batch.push_pair(inputs, targets, all.row_label(s, 0), None);
        }
        let none = || BenchError::Missing(format!("no held-out examples of {:?}", self.labels()[label]));
        Some(batch).filter(|b| !b.is_empty()).ok_or_else(none)
    }

    fn keep(&mut self, trial: Trial) -> Result<(), BenchError> {
        self.trials.push(trial);
        Ok(())
    }

    fn fine_tune(&mut self, variants: &[Variant]) -> Result<Vec<Trial>, BenchError> {
        variants.iter().map(|v| self.one(v).map_err(other)).collect()
    }

    fn losses(&mut self, params: &[f32], plan: &Plan) -> Result<Losses, BenchError> {
        let Task { net, runner, labels, eval, .. } = self.task;
        let job = Job { net: &**net, params, batch: eval };
        Ok(self.by_label(&evaluate(runner, labels, Some(plan), &[job])?.remove(0)))
    }

    fn losses_after(&mut self, params: &[f32], prefix: &[u32], room: usize) -> Result<Losses, BenchError> {
        let batch = attacker::behind(prefix, &self.task.eval, room, self.net().context())?;
        let Task { net, runner, labels, .. } = self.task;
        let job = Job { net: &**net, params, batch: &batch };
        Ok(self.by_label(&evaluate(runner, labels, None, &[job])?.remove(0)))
    }

    fn activations(
        &mut self,
        params: &[f32],
        batch: &Batch,
        sites: &[SiteId],
    ) -> Result<Vec<Vec<f32>>, BenchError> {
        let forward = Forward::new(&*self.task.net, &self.task.runner, params);
        attacker::activations(&forward, batch, sites)
    }

    fn gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        plan: &Plan,
    ) -> Result<(f64, Vec<f32>), BenchError> {
        let net = &*self.task.net;
        let terms = ordinary(net, Distance::Squared);
        let mut member = Member::new(Buf::from_slice(params), plan.clone(), LANES)?;
        let program = Minimise::new(net, &terms, Whole::new(batch, self.task.labels.len()));
        let report = self.task.runner.gradients(net.layout(), &mut member, &program)?;
        Ok((report.objective, member.gradient()))
    }

    fn knowledge(&mut self, _: &[f32], _: Loot) -> Result<Option<f64>, BenchError> {
        Ok(None)
    }

    fn site_gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        site: SiteId,
    ) -> Result<(f64, Vec<f32>), BenchError> {
        attacker::site_gradient((&*self.task.net, params), &self.task.runner, batch, site)
    }

    fn progress(&mut self, _: f64) -> Result<(), BenchError> {
        Ok(())
    }
}

/// What a fine-tuning attack trains on: so many examples of each pool a step.
struct Draw<'a> {
    task: &'a Task,
    pools: [Vec<usize>; 2],
    counts: [usize; 2],
    key: Key,
    batch: Batch,
}

impl Source for Draw<'_> {
    fn load(&mut self, at: At<'_>) -> Result<usize, TrainError> {
        self.batch.clear();
        let mut rng = self.key.index(at.step).rng();
        for (pool, n) in self.pools.iter().zip(self.counts) {
            for at in 0..n {
                // A step that takes as many as there are takes each of them once.
                let i = if n == pool.len() { pool[at] } else { *rng.choose(pool) };
                push(&mut self.batch, &self.task.data.train, i, self.task.label[i]);
            }
        }
        Ok(self.batch.targets())
    }

    fn examples(&self) -> Box<dyn Examples + '_> {
        Box::new(Whole::new(&self.batch, self.task.labels.len()))
    }
}
