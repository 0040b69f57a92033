//! How a step is made of the terms' gradients: at once, at sharpened weights, under an adversary in the
//! residual stream, or at weights a simulated attacker reached.

use lobe_engine::ops::head::RowWeights;
use lobe_engine::optim::Adam;
use lobe_engine::{
    EngineError, Member, Optimiser, Plan, Program, Runner, Schedule, ShardRows, SiteId, Tape, Var,
};
use lobe_methods::unlearn::{Drive, Side};
use lobe_nets::Gpt;

use super::program::Terms;
use crate::error::LabError;

/// Gradient lanes of the simulated attacker.
const LANES: usize = 2;

/// How a member is updated.
pub struct Driver<'a> {
    net: &'a Gpt,
    runner: &'a Runner,
    drive: Drive,
    optimiser: Optimiser,
    /// The weights of the step while a pass is made at others, and a direction.
    here: Vec<f32>,
    pull: Vec<f32>,
    /// The simulated attacker.
    attacker: Option<Member>,
}

impl<'a> Driver<'a> {
    /// Updates by `drive` and `optimiser`.
    pub fn new(net: &'a Gpt, runner: &'a Runner, drive: Drive, optimiser: Optimiser) -> Driver<'a> {
        Driver { net, runner, drive, optimiser, here: Vec::new(), pull: Vec::new(), attacker: None }
    }

    /// One update; returns the objective where the gradient was taken.
    ///
    /// # Errors
    /// If a shape does not fit or a loss is not finite.
    pub fn step(&mut self, m: &mut Member, mut program: Terms<'_>, step: u64) -> Result<f64, LabError> {
        let value = match self.drive {
            Drive::Plain => self.gradients(m, &program)?,
            Drive::Sam { rho } => self.sharpened(m, &program, rho)?,
            Drive::Lat { layer, eps, steps, lr } => {
                self.adversary(m, &mut program, layer, eps, steps, lr)?;
                self.gradients(m, &program)?
            }
            Drive::Tar { steps, ref lrs, every, decay } => {
                let lr = lrs[step as usize % lrs.len().max(1)];
                self.attacked(m, &program, steps, lr, every.max(1), decay)?
            }
        };
        m.update(&self.net.layout, &self.optimiser, step);
        Ok(value)
    }

    fn gradients(&self, m: &mut Member, program: &dyn Program) -> Result<f64, LabError> {
        if program.shards() == 0 {
            return Ok(0.0);
        }
        Ok(self.runner.gradients(&self.net.layout, m, program)?.objective)
    }

    /// Forget gradient at θ + ρ g/|g|, retain gradient at θ.
    fn sharpened(&mut self, m: &mut Member, program: &Terms<'_>, rho: f32) -> Result<f64, LabError> {
        let forget = program.only(Side::Forget);
        self.gradients(m, &forget)?;
        self.pull.resize(m.params.len(), 0.0);
        m.gradient_into(&mut self.pull);
        m.clear();
        let norm = self.pull.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
        self.keep(m);
        if norm > 0.0 {
            m.params.iter_mut().zip(&self.pull).for_each(|(p, g)| *p += rho * g / norm);
        }
        let value = self.gradients(m, &forget);
        m.params.copy_from_slice(&self.here);
        Ok(value? + self.gradients(m, &program.only(Side::Retain))?)
    }

    /// Remembers the weights.
    fn keep(&mut self, m: &Member) {
        self.here.clear();
        self.here.extend_from_slice(&m.params);
    }

    /// Trains a perturbation of the forget examples' residual stream that undoes the removal: it
    /// ascends the forget terms, each row's norm at most `eps`.
    fn adversary(
        &self,
        m: &Member,
        program: &mut Terms<'_>,
        layer: usize,
        eps: f32,
        steps: usize,
        lr: f32,
    ) -> Result<(), LabError> {
        let forget = program.only(Side::Forget);
        let Some(site) = self.net.residual_site(layer) else {
            return Err(LabError::other(format!("unlearn: the network has no block {layer} to perturb")));
        };
        let width = self.net.config.width;
        let mut rows: Vec<Vec<f32>> =
            (0..forget.shards()).map(|s| vec![0.0; forget.rows(s).rows * width]).collect();
        for _ in 0..steps {
            let mut attack = program.only(Side::Forget);
            attack.added = Some((site, rows));
            let gradients = self.site_gradients(&m.params, &attack, site)?;
            rows = attack.added.map(|(_, rows)| rows).unwrap_or_default();
            for (delta, g) in rows.iter_mut().zip(gradients) {
                for (d, g) in delta.chunks_exact_mut(width).zip(g.chunks_exact(width)) {
                    let norm = g.iter().map(|g| g * g).sum::<f32>().sqrt();
                    if norm > 0.0 {
                        d.iter_mut().zip(g).for_each(|(d, g)| *d += lr * g / norm);
                    }
                    let size = d.iter().map(|d| d * d).sum::<f32>().sqrt();
                    if size > eps {
                        let shrink = eps / size;
                        for d in d.iter_mut() {
                            *d *= shrink;
                        }
                    }
                }
            }
        }
        // The retain examples come after and have no rows: nothing is added to them.
        program.added = Some((site, rows));
        Ok(())
    }

    /// dL/d(what leaves `site`) for each shard.
    fn site_gradients(
        &self,
        params: &[f32],
        program: &Terms<'_>,
        site: SiteId,
    ) -> Result<Vec<Vec<f32>>, LabError> {
        let layout = &self.net.layout;
        // No weight gradient is wanted, and nothing below the site.
        let plan = Plan::plain(layout).train_only(|_| false);
        let shards: Vec<usize> = (0..program.shards()).collect();
        let parts = self.runner.map(&shards, |ws, s| -> Result<Vec<f32>, EngineError> {
            let mut tape = Tape::new(ws, layout, params, Some(&mut []), &plan, program.rows(*s));
            tape.watch(site);
            program.forward(*s, &mut tape)?;
            tape.backward(*s)?;
            let none = || EngineError::Invalid("no term reads above the perturbed block".into());
            tape.watched(site).map(<[f32]>::to_vec).ok_or_else(none)
        });
        Ok(parts.into_iter().collect::<Result<_, _>>()?)
    }

    /// Forget gradient averaged over the way of an attacker who fine-tunes on the same forget
    /// examples (first order), later points weighted more; retain gradient at θ.
    fn attacked(
        &mut self,
        m: &mut Member,
        program: &Terms<'_>,
        steps: usize,
        lr: f32,
        every: usize,
        decay: f64,
    ) -> Result<f64, LabError> {
        let layout = &self.net.layout;
        let forget = program.only(Side::Forget);
        let Optimiser { decay_matrices_only, clip, masked, .. } = self.optimiser;
        let rule = Optimiser::new(Adam::default(), Schedule::constant(lr));
        let optimiser = Optimiser { decay_matrices_only, clip, masked, ..rule };
        let mut attacker = if let Some(mut a) = self.attacker.take() {
            a.params.copy_from_slice(&m.params);
            a.state.reset();
            a
        } else {
            Member::new(m.params.clone(), Plan::plain(layout), LANES)?
        };
        self.keep(m);
        // What counted 1 at its own point counts `faded` at the next.
        let faded = (-decay * every as f64).exp();
        let (mut value, mut weights) = (0.0, 0.0);
        for step in 1..=steps {
            self.gradients(&mut attacker, &FineTune { forget: &forget, net: self.net })?;
            attacker.update(layout, &optimiser, step as u64 - 1);
            if step % every == 0 {
                m.scale(faded as f32);
                weights = weights * faded + 1.0;
                m.params.copy_from_slice(&attacker.params);
                value = self.gradients(m, &forget)?;
            }
        }
        m.params.copy_from_slice(&self.here);
        self.attacker = Some(attacker);
        m.scale(1.0 / weights as f32);
        Ok(value + self.gradients(m, &program.only(Side::Retain))?)
    }
}

/// Ordinary fine-tuning on the forget examples of a step: what the simulated attacker does.
struct FineTune<'a> {
    forget: &'a Terms<'a>,
    net: &'a Gpt,
}

impl Program for FineTune<'_> {
    fn shards(&self) -> usize {
        self.forget.shards()
    }
    fn rows(&self, shard: usize) -> ShardRows<'_> {
        self.forget.rows(shard)
    }
    fn forward(&self, shard: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        let (inputs, targets, seq) = self.forget.tokens(shard);
        let h = self.net.hidden(tape, inputs, seq)?;
        let weight = 1.0 / self.forget.targets().max(1) as f32;
        tape.cross_entropy(h, self.net.head(), targets, RowWeights::One(weight))?;
        Ok(None)
    }
}
