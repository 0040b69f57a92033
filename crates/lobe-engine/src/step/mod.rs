//! One training step: a map of (member, lane) tasks over workers, then one ordered reduction.
//!
//! Lane `l` of `n` takes shards `l, l + n, …` in order, and lanes are summed in order, so the
//! result does not depend on how many threads there are.

mod coupled;
mod frozen;
mod member;

use std::sync::Mutex;

use rayon::prelude::*;

pub use self::member::Member;
use crate::error::EngineError;
use crate::layout::Layout;
use crate::optim::Optimiser;
use crate::tape::factors::ShardRows;
use crate::tape::plan::Plan;
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
