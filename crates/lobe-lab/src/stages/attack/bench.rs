//! The attacker's workbench over a member of a run: data, evaluation, gradients, fine-tuning.

use lobe_core::{Key, LabelId, Selection};
use std::sync::Arc;

use lobe_engine::ops::head::{HeadSpec, RowWeights};
use lobe_engine::{Buf, Member, Plan, SiteId};
use lobe_methods::objective::{Distance, Minimise, Term, Whole, ordinary};
use lobe_methods::{Bench, BenchError, Case, Loot, Losses, Trial, Variant};
use lobe_nets::{Batch, Network};
use lobe_train::Forward;
use lobe_train::attacker::{self, EVALUATED, LANES};

use super::loot::Half;
use super::variants::Sweep;
use super::{loot, tune};
use crate::error::LabError;
use crate::graph::{Context, ModelRef, Work, cut, read_model, whole};
use crate::plan::parent;
use crate::recipe;
use crate::stages::measure::probes;

/// Most bytes of activations that are held at a time.
const MEMORY: usize = 2 << 30;

/// One attacked model with everything around it.
pub(in crate::stages) struct Desk<'a> {
    pub(in crate::stages) c: Context<'a>,
    net: Arc<dyn Network>,
    /// Ordinary training.
    terms: Arc<Vec<Term>>,
    /// The label whose capability the attack tries to restore.
    pub(in crate::stages) label: LabelId,
    pub(in crate::stages) seed: u64,
    /// The stage, arm and seed that the victim comes from.
    model: (String, usize, u64),
    victim: Buf,
    original: Option<Buf>,
    cut: Option<Selection>,
    pub(in crate::stages) eval: Batch,
    /// Takes gradients; made when first needed.
    member: Option<Member>,
    base: u64,
    name: String,
    /// The variants of the attack that is being made.
    pub(super) sweep: Option<Sweep>,
    /// Variants to be run, and those that are done.
    share: (usize, usize),
}

impl<'a> Desk<'a> {
    pub(in crate::stages) fn new(
        c: &Context<'a>,
        stage: &recipe::Stage,
        work: &Work,
        label: &str,
    ) -> Result<Self, LabError> {
        let x = c.experiment;
        if x.net.language().is_none() {
            return Err(LabError::other(format!("{}: needs a language model", stage.does)));
        }
        let arm = &x.arms[work.arm].arm.name;
        let Some((source, from)) = parent(c.experiment, stage, work.arm) else {
            return Err(LabError::other(format!("{}: no model to attack", stage.name)));
        };
        // Tensors of another width cannot be laid into this model.
        let original = match whole(c, stage, work.seed).filter(|(_, arm)| c.same_shape(*arm)) {
            Some((first, baseline)) => {
                let arm = &x.arms[baseline].arm.name;
                let model = ModelRef { stage: &first.name, arm, seed: work.seed };
                Some(read_model(c, &model)?.params)
            }
            None => None,
        };
        Ok(Desk {
            c: *c,
            net: x.net.clone(),
            terms: Arc::new(ordinary(&*x.net, Distance::Squared)),
            label: x.labels.find(label).unwrap_or(lobe_core::FORGET),
            seed: work.seed,
            model: (source.to_owned(), from, work.seed),
            victim: work.model(c, stage)?.params,
            original,
            cut: cut(c, stage, work.arm)?,
            eval: x.along_the_way(|_| true, EVALUATED),
            member: None,
            base: work.base,
            name: format!("{arm}, seed {}", work.seed),
            sweep: None,
            share: (1, 0),
        })
    }

    /// Begins with a sweep; returns the variants that have to be run.
    pub(super) fn begin(&mut self, sweep: Sweep) -> Vec<Case> {
        let todo = sweep.todo();
        self.share = (todo.len().max(1), 0);
        self.sweep = Some(sweep);
        todo
    }

    /// `f` on another model of the same seed in the victim's place, with a network of its own shape.
    pub(in crate::stages) fn over<T>(
        &mut self,
        stage: &str,
        arm: usize,
        f: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, LabError> {
        let model = (stage.to_owned(), arm, self.seed);
        if model == self.model {
            return Ok(f(self));
        }
        let name = &self.c.experiment.arms[arm].arm.name;
        let params = read_model(&self.c, &ModelRef { stage, arm: name, seed: self.seed })?.params;
        let c = self.c.made_by(stage, arm);
        let net = std::mem::replace(&mut self.net, c.experiment.net.clone());
        let own = (self.c, net, self.model.clone(), std::mem::replace(&mut self.victim, params));
        (self.c, self.model, self.member) = (c, model, None);
        let out = f(self);
        (self.c, self.net, self.model, self.victim) = own;
        self.member = None;
        Ok(out)
    }

    fn scores(&self, params: &[f32], plan: &Plan, set: &Batch) -> Result<Losses, BenchError> {
        let x = self.c.experiment;
        let scores = self.c.scores(params, Some(plan), set).map_err(other)?;
        // An evaluation does not raise what is not finite; a number it is not.
        let loss = |l: usize| scores.loss(LabelId(l as u8)).filter(|v| v.is_finite());
        Ok((0..x.labels.len()).map(loss).collect())
    }

    fn read_out(&self) -> Result<HeadSpec, BenchError> {
        let none = || BenchError::Missing("the network predicts no token".into());
        self.net.language().map(|(_, head)| head).ok_or_else(none)
    }

    /// A [`BenchError`] if somebody asked to stop.
    pub(in crate::stages) fn check(&self) -> Result<(), BenchError> {
        self.c.options.check_stop().map_err(|_| BenchError::Interrupted)
    }

    /// How much of a sweep is done when `share` of the next `n` variants is.
    pub(in crate::stages) fn overall(&self, n: usize, share: f64) -> f64 {
        (self.share.1 as f64 + n as f64 * share) / self.share.0 as f64
    }

    /// Tells the user what is going on; `share` of the member's work is done.
    pub(in crate::stages) fn say(&self, share: f64, what: &str) {
        let done = self.base as f64 + share.clamp(0.0, 1.0);
        self.c.options.progress.advance(done, &format!("{}: {what}", self.name));
    }
}

/// An error of the lab on its way through an attack.
pub(in crate::stages) fn other(e: LabError) -> BenchError {
    match e {
        LabError::Engine(e) => BenchError::Engine(e),
        LabError::Interrupted => BenchError::Interrupted,
        e => BenchError::Other(e.to_string()),
    }
}

impl Bench for Desk<'_> {
    fn net(&self) -> &Arc<dyn Network> {
        &self.net
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
        loot::key(self.seed)
    }
    fn labels(&self) -> &[String] {
        self.c.experiment.labels.names()
    }
    fn target(&self) -> usize {
        self.label.index()
    }

    fn examples(&mut self, which: Loot, n: usize) -> Result<Batch, BenchError> {
        let x = self.c.experiment;
        let pool = loot::pool(x, self.label, which, self.seed);
        let batch = Some(loot::batch(x, &pool, n)).filter(|b| !b.is_empty());
        batch.ok_or_else(|| BenchError::Missing(format!("no training examples ({which:?})")))
    }

    fn held_out(&mut self, label: usize, n: usize) -> Result<Batch, BenchError> {
        let batch = self.c.experiment.along_the_way(|l| l.index() == label, n.min(EVALUATED));
        let none = || BenchError::Missing(format!("no held-out examples of {:?}", self.labels()[label]));
        Some(batch).filter(|b| !b.is_empty()).ok_or_else(none)
    }

    fn keep(&mut self, trial: Trial) -> Result<(), BenchError> {
        self.share.1 += 1;
        self.sweep.as_mut().map_or(Ok(()), |s| s.keep(trial)).map_err(other)
    }

    fn side_by_side(&self) -> usize {
        tune::at_a_time(self)
    }

    fn fine_tune(&mut self, variants: &[Variant]) -> Result<Vec<Trial>, BenchError> {
        tune::run(self, variants)
    }

    fn losses(&mut self, params: &[f32], plan: &Plan) -> Result<Losses, BenchError> {
        self.check()?;
        self.scores(params, plan, &self.eval)
    }

    fn before(&mut self) -> Result<Losses, BenchError> {
        if let Some(known) = self.c.known.before.borrow().get(&self.model) {
            return Ok(known.clone());
        }
        let losses = self.losses(&self.victim.clone(), &self.net.plain())?;
        self.c.known.before.borrow_mut().insert(self.model.clone(), losses.clone());
        Ok(losses)
    }

    fn losses_after(&mut self, params: &[f32], prefix: &[u32], room: usize) -> Result<Losses, BenchError> {
        self.check()?;
        let batch = attacker::behind(prefix, &self.eval, room, self.net.context())?;
        let plan = self.net.plain();
        self.scores(params, &plan, &batch)
    }

    fn activations(
        &mut self,
        params: &[f32],
        batch: &Batch,
        sites: &[SiteId],
    ) -> Result<Vec<Vec<f32>>, BenchError> {
        self.check()?;
        let widest = self.net.widest();
        let bytes = batch.targets().saturating_mul(widest).saturating_mul(4 * sites.len());
        if bytes > MEMORY {
            let size = bytes >> 20;
            return Err(BenchError::Missing(format!("activations need {size} MiB; take fewer examples")));
        }
        let forward = Forward::new(&*self.net, self.c.runner, params);
        attacker::activations(&forward, batch, sites)
    }

    fn gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        plan: &Plan,
    ) -> Result<(f64, Vec<f32>), BenchError> {
        self.check()?;
        let net = self.net.clone();
        let layout = net.layout();
        if self.member.is_none() {
            self.member = Some(Member::new(Buf::from_slice(params), plan.clone(), LANES)?);
        }
        let Some(member) = &mut self.member else { unreachable!("made above") };
        member.params.copy_from_slice(params);
        member.plan = plan.clone();
        let program = Minimise::new(&*net, &self.terms, Whole::new(batch, self.c.experiment.labels.len()));
        let report = self.c.runner.gradients(layout, member, &program)?;
        let gradient = member.gradient();
        member.clear();
        Ok((report.objective, gradient))
    }

    fn loss_on(&mut self, params: &[f32], batch: &Batch) -> Result<f64, BenchError> {
        self.check()?;
        let head = self.read_out()?;
        let weight = 1.0 / batch.targets().max(1) as f32;
        let forward = Forward::new(&*self.net, self.c.runner, params);
        let parts = forward.each_shard(batch, |tape, ran, s| -> Result<f64, BenchError> {
            tape.cross_entropy(ran.end(0)?, head, batch.text(s).1, RowWeights::One(weight))?;
            Ok(tape.objective())
        })?;
        Ok(parts.into_iter().sum())
    }

    fn knowledge(&mut self, params: &[f32], half: Loot) -> Result<Option<f64>, BenchError> {
        self.check()?;
        let Some(about) = Half::new(self.c.experiment, half, self.seed) else { return Ok(None) };
        probes::knowledge(&self.c, params, self.label, &about).map_err(other)
    }

    fn site_gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        site: SiteId,
    ) -> Result<(f64, Vec<f32>), BenchError> {
        self.check()?;
        attacker::site_gradient((&*self.net, params), self.c.runner, batch, site)
    }

    fn progress(&mut self, share: f64) -> Result<(), BenchError> {
        self.check()?;
        self.say(share, &format!("{:.0} %", 100.0 * share.clamp(0.0, 1.0)));
        Ok(())
    }
}
