//! One training step: a map of (member, lane) tasks over workers, then one ordered reduction.
//!
//! Lane `l` of `n` takes shards `l, l + n, …` in order, and lanes are summed in order, so the
//! result does not depend on how many threads there are.

mod coupled;
mod frozen;

use std::sync::Mutex;

use rayon::prelude::*;

use self::frozen::Frozen;
use crate::buffer::Buf;
use crate::error::EngineError;
use crate::factors::{RowLabels, ShardRows};
use crate::layout::Layout;
use crate::optim::{Cut, Cutting, Masked, Optimiser, OptimiserState, Target, cut};
use crate::plan::Plan;
use crate::tape::{Tape, Var, Workspace};

/// What a step computes: a network and an objective over one batch that is cut into shards.
pub trait Program: Sync {
    /// Number of shards of the batch; 0 means that the step is left out.
    fn shards(&self) -> usize;
    /// Routing facts of a shard.
    fn rows(&self, shard: usize) -> ShardRows<'_>;
    /// Builds the shard on the tape: inputs, network, objective. An objective that couples the
    /// whole batch returns the variable whose rows it needs.
    ///
    /// # Errors
    /// If shapes do not fit.
    fn forward(&self, shard: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError>;
    /// The objective that couples the batch, if there is one.
    fn coupling(&self) -> Option<&Coupling<'_>> {
        None
    }
}

/// An objective on all rows of the batch: takes `[rows, cols]` values, adds its gradient, and
/// returns its weighted value, or says what does not fit.
pub type Coupling<'a> = dyn Fn(&[f32], usize, &mut [f32]) -> Result<f64, EngineError> + Sync + 'a;

/// What the shards of a step share.
#[derive(Clone, Copy)]
struct Pass<'a> {
    layout: &'a Layout,
    params: &'a [f32],
    plan: &'a Plan,
    program: &'a dyn Program,
}

/// One worker's share of a member's gradient.
#[derive(Debug, Default)]
pub struct Lane {
    records: Vec<(f64, f64)>,
    objective: f64,
    touched: Vec<bool>,
    error: Option<EngineError>,
    /// Shards whose forward pass waits for the coupled objective.
    waiting: Vec<(usize, Workspace, Var)>,
    spare: Vec<Workspace>,
}

/// One network being trained.
#[derive(Debug)]
pub struct Member {
    /// Flat parameters.
    pub params: Buf,
    /// Its routes.
    pub plan: Plan,
    /// Its optimiser's moments.
    pub state: OptimiserState,
    grads: Vec<Buf>,
    lanes: Vec<Lane>,
    norms: Vec<f64>,
    coupled: coupled::Scratch,
    /// By what decides over them beside the plan.
    pieces: Vec<((Frozen, Cutting), Vec<Cut>)>,
    /// The plan whose moving tensors the gradients and moments belong to, and the pieces.
    cut_for: Plan,
    /// Whether every tensor was seen to get a gradient under that plan.
    checked: bool,
}

/// What a step measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepReport {
    /// The objective summed over the batch.
    pub objective: f64,
    /// (sum, count) of each slot the program records.
    pub records: Vec<(f64, f64)>,
    /// Gradient norm before clipping, when clipping is on.
    pub grad_norm: Option<f32>,
    /// Learning rate of the step.
    pub lr: f32,
}

/// Most gradient lanes of a member.
pub const MOST_LANES: usize = 64;

impl Member {
    /// A member with `lanes` gradient lanes.
    ///
    /// # Errors
    /// With no lane or more than [`MOST_LANES`].
    pub fn new(params: Buf, plan: Plan, lanes: usize) -> Result<Member, EngineError> {
        if lanes == 0 || lanes > MOST_LANES {
            return Err(EngineError::Invalid(format!("lanes must be in 1..={MOST_LANES}, not {lanes}")));
        }
        let grads = (0..lanes).map(|_| Buf::zeros(plan.moving().len())).collect();
        Ok(Member {
            params,
            cut_for: plan.clone(),
            plan,
            state: OptimiserState::default(),
            grads,
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            norms: Vec::new(),
            coupled: coupled::Scratch::default(),
            pieces: Vec::new(),
            checked: false,
        })
    }

    /// Gradients summed over the lanes, for tests and probes: one for each parameter, zero where nothing moves.
    /// Does not clear them.
    pub fn gradient(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.params.len()];
        self.gradient_into(&mut out);
        out
    }

    /// The same into a slice of the parameters' length.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn gradient_into(&self, out: &mut [f32]) {
        assert!(out.len() == self.params.len(), "{} gradients for {}", out.len(), self.params.len());
        let moving = self.cut_for.moving();
        moving.spread(out, &self.grads[0]);
        self.grads[1..].iter().for_each(|g| moving.add_to(out, g));
    }

    /// Bytes of gradients and of the optimiser's state: what training takes beside the parameters.
    pub fn bytes(&self) -> usize {
        let buffers = self.grads.iter().chain(&self.state.slots);
        buffers.map(|b| b.len() * size_of::<f32>()).sum()
    }

    /// Multiplies all gradients.
    pub fn scale(&mut self, factor: f32) {
        self.grads.iter_mut().for_each(|g| crate::simd::scale(g, factor));
    }

    /// Clears all gradients.
    pub fn clear(&mut self) {
        self.grads.iter_mut().for_each(|g| g.fill(0.0));
    }
}

/// The workers. Cheap to share; owns a thread pool and one workspace per thread.
#[derive(Debug)]
pub struct Runner {
    pool: rayon::ThreadPool,
    workspaces: Vec<Mutex<Workspace>>,
}

impl Runner {
    /// A runner with `threads` workers (0: one per core).
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn new(threads: usize) -> Result<Runner, EngineError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("lobe-{i}"))
            .build()
            .map_err(|e| EngineError::Invalid(format!("cannot start worker threads: {e}")))?;
        let workspaces = (0..pool.current_num_threads()).map(|_| Mutex::default()).collect();
        Ok(Runner { pool, workspaces })
    }

    /// Number of workers.
    pub fn threads(&self) -> usize {
        self.workspaces.len()
    }

    /// Buffers allocated so far by all workers; constant once a step has been seen.
    pub fn allocations(&self) -> usize {
        let lock = |w: &Mutex<Workspace>| w.lock().map_or(0, |w| w.allocations());
        self.workspaces.iter().map(lock).sum()
    }

    fn with_workspace<R>(&self, f: impl FnOnce(&mut Workspace) -> R) -> R {
        let i = rayon::current_thread_index().unwrap_or(0);
        // A leaf task never waits for another, so the lock is never contended.
        let mut ws = self.workspaces[i].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        f(&mut ws)
    }

    /// Runs `f` on every task, each with a workspace: evaluation, probes, anything forward-only.
    pub fn map<T: Sync, R: Send>(&self, tasks: &[T], f: impl Fn(&mut Workspace, &T) -> R + Sync) -> Vec<R> {
        self.pool.install(|| tasks.par_iter().map(|t| self.with_workspace(|ws| f(ws, t))).collect())
    }

    /// One step of several members side by side. `step` drives the schedule.
    ///
    /// # Errors
    /// If a shape does not fit, a loss is not finite, or a parameter receives no gradient.
    pub fn step(
        &self,
        layout: &Layout,
        jobs: &mut [(&mut Member, &dyn Program, &Optimiser)],
        step: u64,
    ) -> Result<Vec<StepReport>, EngineError> {
        self.step_each(layout, jobs, step).into_iter().collect()
    }

    /// The same, with a result for each member: one whose step failed is as it was before, the others went on.
    pub fn step_each(
        &self,
        layout: &Layout,
        jobs: &mut [(&mut Member, &dyn Program, &Optimiser)],
        step: u64,
    ) -> Vec<Result<StepReport, EngineError>> {
        self.pool.install(|| {
            jobs.par_iter_mut()
                .map(|(member, program, optimiser)| {
                    if program.shards() == 0 {
                        return Ok(StepReport::default());
                    }
                    self.accumulate(layout, member, *program)?;
                    member.finish(layout, *program, optimiser, step)
                })
                .collect()
        })
    }

    /// Gradients of one batch, summed into the member's lanes, without an update.
    ///
    /// # Errors
    /// If a shape does not fit or a loss is not finite.
    pub fn gradients(
        &self,
        layout: &Layout,
        member: &mut Member,
        program: &dyn Program,
    ) -> Result<StepReport, EngineError> {
        self.pool.install(|| {
            self.accumulate(layout, member, program)?;
            Ok(member.report(0.0, None))
        })
    }

    fn accumulate(
        &self,
        layout: &Layout,
        member: &mut Member,
        program: &dyn Program,
    ) -> Result<(), EngineError> {
        member.recut();
        let n = member.lanes.len();
        let Member { params, plan, grads, lanes, coupled, .. } = member;
        let pass = Pass { layout, params: &params[..], plan: &*plan, program };
        lanes.par_iter_mut().zip(grads.par_iter_mut()).enumerate().for_each(|(l, (lane, grads))| {
            lane.records.clear();
            lane.objective = 0.0;
            // A failed step reports the error of one lane; this one's may be left.
            lane.error = None;
            lane.touched.resize(layout.tensors().len(), false);
            for shard in (l..program.shards()).step_by(n) {
                let result = if program.coupling().is_some() {
                    lane.hold(&pass, grads, shard)
                } else {
                    self.with_workspace(|ws| {
                        let rows = program.rows(shard);
                        let mut tape = Tape::new(ws, layout, pass.params, Some(grads), pass.plan, rows);
                        program.forward(shard, &mut tape)?;
                        tape.backward(shard)?;
                        lane.collect(&tape);
                        Ok(())
                    })
                };
                lane.error = result.err();
                if lane.error.is_some() {
                    return;
                }
            }
        });
        if let Some(couple) = program.coupling() {
            coupled.run(&pass, lanes, grads, couple).inspect_err(|_| member.clear())?;
        }
        let error = member.lanes.iter_mut().find_map(|l| l.error.take());
        // What the other shards left would count as part of the next step.
        error.map_or(Ok(()), |e| {
            member.clear();
            Err(e)
        })
    }
}

impl Lane {
    fn collect(&mut self, tape: &Tape<'_>) {
        self.objective += tape.objective();
        for (i, (sum, count)) in tape.records().iter().enumerate() {
            if self.records.len() <= i {
                self.records.push((0.0, 0.0));
            }
            self.records[i] = (self.records[i].0 + sum, self.records[i].1 + count);
        }
        self.touched.iter_mut().zip(tape.touched()).for_each(|(a, b)| *a |= b);
    }
}

impl Member {
    fn report(&self, lr: f32, grad_norm: Option<f32>) -> StepReport {
        let mut out = StepReport { grad_norm, lr, ..StepReport::default() };
        for lane in &self.lanes {
            out.objective += lane.objective;
            for (i, (sum, count)) in lane.records.iter().enumerate() {
                if out.records.len() <= i {
                    out.records.push((0.0, 0.0));
                }
                out.records[i] = (out.records[i].0 + sum, out.records[i].1 + count);
            }
        }
        out
    }

    fn finish(
        &mut self,
        layout: &Layout,
        program: &dyn Program,
        optimiser: &Optimiser,
        step: u64,
    ) -> Result<StepReport, EngineError> {
        if !self.checked {
            self.check_gradients(layout)?;
        }
        let frozen = match optimiser.masked {
            Masked::ZeroGrad => Frozen::default(),
            Masked::Freeze => self.frozen_classes(program),
        };
        Ok(self.apply(layout, frozen, optimiser, step))
    }

    /// Updates the parameters with the gradients that [`Runner::gradients`] summed into the lanes, and
    /// clears them: for steps made of several passes. Does not ask whether every tensor got one.
    pub fn update(&mut self, layout: &Layout, optimiser: &Optimiser, step: u64) -> StepReport {
        self.recut();
        self.apply(layout, Frozen::default(), optimiser, step)
    }

    /// Forgets what belonged to another plan.
    fn recut(&mut self) {
        if self.cut_for == self.plan {
            return;
        }
        let (before, now) = (self.cut_for.moving(), self.plan.moving());
        if before != now {
            // What goes on moving keeps its gradient and its moments, the others begin with zeros.
            for buf in self.grads.iter_mut().chain(&mut self.state.slots) {
                *buf = now.from(before, buf);
            }
        }
        self.pieces.clear();
        self.cut_for = self.plan.clone();
        self.checked = false;
        self.lanes.iter_mut().for_each(|l| l.touched.fill(false));
    }

    fn apply(&mut self, layout: &Layout, frozen: Frozen, optimiser: &Optimiser, step: u64) -> StepReport {
        let how = optimiser.cutting();
        let key = (frozen, how);
        if !self.pieces.iter().any(|(k, _)| *k == key) {
            self.pieces.push((key, cut(layout, &self.plan, &|c| frozen.has(c), how)));
        }
        let Member { params, plan, state, grads, norms, pieces, .. } = self;
        let list = pieces.iter().find(|(k, _)| *k == key).map_or(&[][..], |(_, l)| l);
        let target = Target { params, state, moving: plan.moving().len(), lanes: grads, norms };
        let norm = optimiser.apply(step, list, target);
        self.report(optimiser.schedule.at(step), norm)
    }

    /// The classes that no row of the batch may update.
    fn frozen_classes(&self, program: &dyn Program) -> Frozen {
        let mut labels = [false; 256];
        for s in 0..program.shards() {
            let rows = program.rows(s);
            // A strength below 1 lets part of an ordinary update through.
            if rows.strength.is_some_and(|s| s.iter().any(|s| *s != 1.0)) {
                return Frozen::default();
            }
            match rows.labels {
                RowLabels::One(l) => labels[l.index()] = true,
                RowLabels::Each(ls) => ls.iter().for_each(|l| labels[l.index()] = true),
            }
        }
        let moves = |c| (0..256).any(|l| labels[l] && self.plan.route(l, c).update != 0.0);
        Frozen::of(self.plan.classes(), |c| !moves(c))
    }

    fn check_gradients(&mut self, layout: &Layout) -> Result<(), EngineError> {
        for (i, t) in layout.tensors().iter().enumerate() {
            let used = self.lanes.iter().any(|l| l.touched.get(i) == Some(&true));
            if !used && self.plan.trainable(crate::layout::ParamId(i)) {
                self.clear();
                return Err(EngineError::NoGradient { name: t.name.clone() });
            }
        }
        self.checked = true;
        Ok(())
    }
}
