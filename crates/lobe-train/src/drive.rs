//! How a step is made of the terms' gradients: at once, at sharpened weights, under an adversary in the
//! residual stream, or at weights a simulated attacker reached.

use lobe_engine::optim::Adam;
use lobe_engine::{EngineError, Member, Optimiser, Program, Runner, Schedule, SiteId, Tape};
use lobe_methods::objective::{Counts, CrossEntropy, Examples, Minimise, Part, Side, Term};
use lobe_methods::unlearn::Drive;
use lobe_nets::Network;

use crate::error::TrainError;

/// Gradient lanes of the simulated attacker.
const LANES: usize = 2;

/// The same step with the examples of one side only.
struct Only<'a> {
    all: &'a dyn Examples,
    shards: Vec<usize>,
    /// As another side, where the terms are of that.
    seen_as: Option<Side>,
}

impl<'a> Only<'a> {
    fn new(all: &'a dyn Examples, side: Side) -> Only<'a> {
        let shards = (0..all.shards()).filter(|s| all.part(*s).side == side).collect();
        Only { all, shards, seen_as: None }
    }
}

impl Examples for Only<'_> {
    fn shards(&self) -> usize {
        self.shards.len()
    }
    fn part(&self, shard: usize) -> Part<'_> {
        self.all.part(self.shards[shard])
    }
    fn counts(&self, side: Side) -> Counts<'_> {
        self.all.counts(self.seen_as.unwrap_or(side))
    }
    fn progress(&self) -> f64 {
        self.all.progress()
    }
}

/// A pass over some of a step's examples.
#[derive(Clone, Copy)]
struct Pass<'a> {
    runner: &'a Runner,
    net: &'a dyn Network,
    terms: &'a [Term],
    examples: &'a dyn Examples,
}

impl<'a> Pass<'a> {
    fn only(&self, side: Side) -> Minimise<'a, Only<'a>> {
        Minimise::new(self.net, self.terms, Only::new(self.examples, side))
    }

    fn gradients(&self, m: &mut Member, program: &dyn Program) -> Result<f64, TrainError> {
        if program.shards() == 0 {
            return Ok(0.0);
        }
        Ok(self.runner.gradients(self.net.layout(), m, program)?.objective)
    }
}

/// How a member is updated.
pub struct Driver {
    drive: Drive,
    /// The weights of the step while a pass is made at others, and a direction.
    here: Vec<f32>,
    pull: Vec<f32>,
    /// The simulated attacker and what it follows.
    attacker: Option<Member>,
    fine_tunes: Vec<Term>,
}

impl Driver {
    /// Updates by `drive`.
    pub fn new(drive: Drive) -> Driver {
        let fine_tunes = vec![Term { side: Side::Forget, ..Term::new(CrossEntropy::default()) }];
        Driver { drive, here: Vec::new(), pull: Vec::new(), attacker: None, fine_tunes }
    }

    /// One update; returns the objective where the gradient was taken.
    ///
    /// # Errors
    /// If a shape does not fit or a loss is not finite.
    pub fn step(
        &mut self,
        runner: &Runner,
        net: &dyn Network,
        m: &mut Member,
        (optimiser, step): (&Optimiser, u64),
        (terms, examples): (&[Term], &dyn Examples),
    ) -> Result<f64, TrainError> {
        let pass = Pass { runner, net, terms, examples };
        let value = match self.drive {
            Drive::Plain => pass.gradients(m, &Minimise::new(net, terms, examples))?,
            Drive::Sam { rho } => self.sharpened(m, pass, rho)?,
            Drive::Lat { layer, eps, steps, lr } => {
                let added = adversary(m, pass, layer, (eps, lr), steps)?;
                let mut program = Minimise::new(net, terms, examples);
                // The retain examples come after and have no rows: nothing is added to them.
                program.added = Some(added);
                pass.gradients(m, &program)?
            }
            Drive::Tar { steps, ref lrs, every, decay } => {
                let lr = lrs[step as usize % lrs.len().max(1)];
                let attack = Attack { steps, lr, every: every.max(1), decay };
                self.attacked(m, pass, optimiser, &attack)?
            }
        };
        m.update(net.layout(), optimiser, step);
        Ok(value)
    }

    /// Forget gradient at θ + ρ g/|g|, retain gradient at θ.
    fn sharpened(&mut self, m: &mut Member, pass: Pass<'_>, rho: f32) -> Result<f64, TrainError> {
        let forget = pass.only(Side::Forget);
        pass.gradients(m, &forget)?;
        self.pull.resize(m.params.len(), 0.0);
        m.gradient_into(&mut self.pull);
        m.clear();
        let norm = self.pull.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
        self.keep(m);
        if norm > 0.0 {
            m.params.iter_mut().zip(&self.pull).for_each(|(p, g)| *p += rho * g / norm);
        }
        let value = pass.gradients(m, &forget);
        m.params.copy_from_slice(&self.here);
        Ok(value? + pass.gradients(m, &pass.only(Side::Retain))?)
    }

    /// Remembers the weights.
    fn keep(&mut self, m: &Member) {
        self.here.clear();
        self.here.extend_from_slice(&m.params);
    }

    /// Forget gradient averaged over the way of an attacker who fine-tunes on the same forget
    /// examples (first order), later points weighted more; retain gradient at θ.
    fn attacked(
        &mut self,
        m: &mut Member,
        pass: Pass<'_>,
        optimiser: &Optimiser,
        attack: &Attack,
    ) -> Result<f64, TrainError> {
        let layout = pass.net.layout();
        let forget = pass.only(Side::Forget);
        let Optimiser { decay_matrices_only, clip, masked, .. } = *optimiser;
        let rule = Optimiser::new(Adam::default(), Schedule::constant(attack.lr));
        let optimiser = Optimiser { decay_matrices_only, clip, masked, ..rule };
        let mut attacker = if let Some(mut a) = self.attacker.take() {
            a.params.copy_from_slice(&m.params);
            a.state.reset();
            a
        } else {
            Member::new(m.params.clone(), pass.net.plain(), LANES)?
        };
        self.keep(m);
        // What counted 1 at its own point counts `faded` at the next.
        let faded = (-attack.decay * attack.every as f64).exp();
        let (mut value, mut weights) = (0.0, 0.0);
        for step in 1..=attack.steps {
            let tuned = Minimise::new(pass.net, &self.fine_tunes, Only::new(pass.examples, Side::Forget));
            pass.gradients(&mut attacker, &tuned)?;
            attacker.update(layout, &optimiser, step as u64 - 1);
            if step % attack.every == 0 {
                m.scale(faded as f32);
                weights = weights * faded + 1.0;
                m.params.copy_from_slice(&attacker.params);
                value = pass.gradients(m, &forget)?;
            }
        }
        m.params.copy_from_slice(&self.here);
        self.attacker = Some(attacker);
        m.scale(1.0 / weights as f32);
        Ok(value + pass.gradients(m, &pass.only(Side::Retain))?)
    }
}

/// The simulated attacker of [`Drive::Tar`].
struct Attack {
    steps: usize,
    lr: f32,
    every: usize,
    decay: f64,
}

/// Trains a perturbation of the forget examples' residual stream that undoes the removal: it ascends the forget
/// terms, each row's norm at most `eps`. Returns the site and the rows of each shard.
fn adversary(
    m: &Member,
    pass: Pass<'_>,
    layer: usize,
    (eps, lr): (f32, f32),
    steps: usize,
) -> Result<(SiteId, Vec<Vec<f32>>), TrainError> {
    let Some(site) = pass.net.after_block(layer) else {
        return Err(TrainError::Refused(format!("unlearn: the network has no block {layer} to perturb")));
    };
    let width = pass.net.width_at(layer + 1);
    let forget = pass.only(Side::Forget);
    let mut rows: Vec<Vec<f32>> =
        (0..forget.shards()).map(|s| vec![0.0; forget.rows(s).rows * width]).collect();
    for _ in 0..steps {
        let mut attack = pass.only(Side::Forget);
        attack.added = Some((site, rows));
        let gradients = site_gradients(&m.params, pass, &attack, site)?;
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
    Ok((site, rows))
}

/// dL/d(what leaves `site`) for each shard.
fn site_gradients(
    params: &[f32],
    pass: Pass<'_>,
    program: &dyn Program,
    site: SiteId,
) -> Result<Vec<Vec<f32>>, TrainError> {
    let layout = pass.net.layout();
    // No weight gradient is wanted, and nothing below the site.
    let plan = pass.net.plain().train_only(|_| false);
    let shards: Vec<usize> = (0..program.shards()).collect();
    let parts = pass.runner.map(&shards, |ws, s| -> Result<Vec<f32>, EngineError> {
        let mut tape = Tape::new(ws, layout, params, Some(&mut []), &plan, program.rows(*s));
        tape.watch(site);
        program.forward(*s, &mut tape)?;
        tape.backward(*s)?;
        let none = || EngineError::Invalid("no term reads above the perturbed block".into());
        tape.watched(site).map(<[f32]>::to_vec).ok_or_else(none)
    });
    Ok(parts.into_iter().collect::<Result<_, _>>()?)
}
