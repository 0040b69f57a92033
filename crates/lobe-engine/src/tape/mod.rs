//! The tape: a list of coarse operations over recycled buffers, and the door to sites.

pub(crate) mod doors;
pub(crate) mod factors;
pub(crate) mod plan;

use self::doors::Asked;
use self::factors::{Factor, Kind, Run, ShardRows};
use self::plan::Plan;
use crate::buffer::{Buf, Pool};
use crate::error::EngineError;
use crate::kernels::{Device, Kernels};
use crate::layout::{Layout, ParamId, SiteId};
use crate::moving::Gradients;
use crate::ops::Op;

/// A matrix on the tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var(pub(crate) usize);

#[derive(Debug)]
pub(crate) struct VarData {
    pub rows: usize,
    pub cols: usize,
    pub value: Buf,
    /// Empty while no gradient has arrived.
    pub grad: Buf,
    /// The value before the interventions at its site, where their backward pass needs it.
    pub before: Buf,
    /// Whether anything trainable lies upstream.
    pub needs: bool,
    /// The site whose routes and interventions were applied to it.
    pub site: Option<SiteId>,
    /// The site that downstream sees it leave: `site`, unless a guest answered.
    pub leaves: Option<SiteId>,
    pub name: &'static str,
}

/// Everything a worker keeps between shards: buffers, nodes, and nothing that allocates again.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(crate) pool: Pool,
    pub(crate) vars: Vec<VarData>,
    pub(crate) nodes: Vec<Op>,
    pub(crate) ids: Vec<u32>,
    /// Room for a backward pass that needs a part of `ids` while `ids` grows.
    pub(crate) held: Vec<u32>,
    pub(crate) factors: Vec<[Factor; 3]>,
    pub(crate) runs: Vec<Vec<Run>>,
    /// Values that are added at a site in this pass, row by row.
    pub(crate) injected: Vec<(SiteId, Buf)>,
    /// Sites whose gradient somebody wants, and what arrived.
    pub(crate) watched: Vec<(SiteId, Buf)>,
    objective: f64,
    records: Vec<(f64, f64)>,
    touched: Vec<bool>,
}

impl Workspace {
    /// How many buffers were ever allocated; constant once a step has been seen.
    pub fn allocations(&self) -> usize {
        self.pool.allocations()
    }

    fn reset(&mut self) {
        for v in self.vars.drain(..) {
            self.pool.give(v.value);
            self.pool.give(v.grad);
            self.pool.give(v.before);
        }
        self.nodes.clear();
        self.ids.clear();
        for f in self.factors.drain(..).flatten() {
            if let Factor::Rows(buf) = f {
                self.pool.give(buf);
            }
        }
        for (_, buf) in self.injected.drain(..).chain(self.watched.drain(..)) {
            self.pool.give(buf);
        }
        self.objective = 0.0;
        self.records.clear();
    }
}

/// One shard on its way through a network.
pub struct Tape<'a> {
    pub(crate) ws: &'a mut Workspace,
    pub(crate) layout: &'a Layout,
    pub(crate) params: &'a [f32],
    pub(crate) grads: Option<Gradients<'a>>,
    pub(crate) plan: &'a Plan,
    /// Set while the guests at a weight are asked.
    pub(crate) asked: Option<Asked>,
    rows: usize,
}

impl<'a> Tape<'a> {
    /// Starts a shard. `grads` holds one number for each parameter that the plan moves ([`Plan::moving`]) and
    /// is added to; without it nothing is recorded and nothing can be differentiated.
    ///
    /// # Panics
    /// If `grads` has another length.
    pub fn new(
        ws: &'a mut Workspace,
        layout: &'a Layout,
        params: &'a [f32],
        grads: Option<&'a mut [f32]>,
        plan: &'a Plan,
        shard: ShardRows<'_>,
    ) -> Tape<'a> {
        ws.reset();
        ws.touched.clear();
        ws.touched.resize(layout.tensors().len(), false);
        factors::compile(ws, plan, shard);
        let grads = grads.map(|all| Gradients::new(all, plan.gradients()));
        Tape { ws, layout, params, grads, plan, asked: None, rows: shard.rows }
    }

    /// Takes up a shard whose forward pass is still in `ws`, to run its backward pass.
    pub fn resume(
        ws: &'a mut Workspace,
        layout: &'a Layout,
        params: &'a [f32],
        grads: &'a mut [f32],
        plan: &'a Plan,
        rows: usize,
    ) -> Tape<'a> {
        let grads = Some(Gradients::new(grads, plan.gradients()));
        Tape { ws, layout, params, grads, plan, asked: None, rows }
    }

    /// Whether gradients are wanted.
    pub fn training(&self) -> bool {
        self.grads.is_some()
    }

    /// Number of rows of the shard.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The network's layout.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Value of a variable, row-major.
    pub fn value(&self, v: Var) -> &[f32] {
        &self.ws.vars[v.0].value
    }

    /// Gradient that has arrived at a variable, if any.
    pub fn grad(&self, v: Var) -> Option<&[f32]> {
        let g = &self.ws.vars[v.0].grad;
        (!g.is_empty()).then_some(g)
    }

    /// (rows, columns).
    pub fn shape(&self, v: Var) -> (usize, usize) {
        (self.ws.vars[v.0].rows, self.ws.vars[v.0].cols)
    }

    /// The variable that leaves a site in this pass: what everything downstream sees.
    pub fn at_site(&self, site: SiteId) -> Option<Var> {
        self.ws.vars.iter().rposition(|v| v.leaves == Some(site)).map(Var)
    }

    /// Values of a tensor.
    pub fn param(&self, p: ParamId) -> &'a [f32] {
        &self.params[self.layout.get(p).span()]
    }

    /// Adds to the objective whose gradient the step follows.
    pub fn add_objective(&mut self, value: f64) {
        self.ws.objective += value;
    }

    /// The objective of this shard so far.
    pub fn objective(&self) -> f64 {
        self.ws.objective
    }

    /// Adds to a running (sum, count) that the step report returns; slots are the program's.
    pub fn record(&mut self, slot: usize, sum: f64, count: f64) {
        if self.ws.records.len() <= slot {
            self.ws.records.resize(slot + 1, (0.0, 0.0));
        }
        let r = &mut self.ws.records[slot];
        *r = (r.0 + sum, r.1 + count);
    }

    /// The records of this shard.
    pub fn records(&self) -> &[(f64, f64)] {
        &self.ws.records
    }

    /// Tensors that took part in some backward pass of this workspace (or were left out by a
    /// route that says so).
    pub(crate) fn touched(&self) -> &[bool] {
        &self.ws.touched
    }

    /// Puts a matrix on the tape that nothing upstream produced.
    pub fn input(&mut self, rows: usize, cols: usize, fill: impl FnOnce(&mut [f32])) -> Var {
        let mut buf = self.ws.pool.take(rows * cols);
        fill(&mut buf);
        self.push("input", rows, cols, buf, false)
    }

    pub(crate) fn push(
        &mut self,
        name: &'static str,
        rows: usize,
        cols: usize,
        value: Buf,
        needs: bool,
    ) -> Var {
        let needs = needs && self.training();
        self.ws.vars.push(VarData {
            rows,
            cols,
            value,
            grad: Buf::default(),
            before: Buf::default(),
            needs,
            site: None,
            leaves: None,
            name,
        });
        Var(self.ws.vars.len() - 1)
    }

    /// Records an operation if anything upstream of its output can be trained.
    pub(crate) fn record_op(&mut self, out: Var, op: impl Into<Op>) {
        if self.ws.vars[out.0].needs {
            self.ws.nodes.push(op.into());
        }
    }

    pub(crate) fn needs(&self, v: Var) -> bool {
        self.ws.vars[v.0].needs
    }

    pub(crate) fn param_needs(&self, p: ParamId) -> bool {
        self.training() && self.plan.trainable(p)
    }

    /// Clears the gradient of what does not move in `p`, where that is a part of it. Whoever adds more to a
    /// gradient than what moves calls it; what does not move then never has one.
    pub(crate) fn keep_movable(&mut self, p: ParamId) {
        if self.plan.movable(p).is_none() {
            return;
        }
        let tensor = self.layout.get(p);
        let Some(grads) = self.grads.as_mut().and_then(|g| g.of(p)) else { return };
        let mut at = 0;
        self.plan.within_movable((p, tensor), tensor.span(), |r| {
            grads[at..r.start - tensor.offset].fill(0.0);
            at = r.end - tensor.offset;
        });
        grads[at..].fill(0.0);
    }

    pub(crate) fn touch(&mut self, p: ParamId) {
        self.ws.touched[p.0] = true;
    }

    /// The gradient of `v` with the backward side of its site applied; `None` if none arrived.
    pub(crate) fn take_grad(&mut self, v: Var) -> Option<Buf> {
        let mut g = self.take_raw_grad(v)?;
        if let Some(site) = self.ws.vars[v.0].site {
            let var = &self.ws.vars[v.0];
            let cols = var.cols;
            self.plan.edit_grad(site, &mut g, &var.value, &var.before, cols);
            self.scale_site(&mut g, cols, site, Kind::Flow);
        }
        Some(g)
    }

    /// The gradient of `v` as it arrived.
    pub(crate) fn take_raw_grad(&mut self, v: Var) -> Option<Buf> {
        let g = std::mem::take(&mut self.ws.vars[v.0].grad);
        if g.is_empty() {
            return None;
        }
        if let Some(site) = self.ws.vars[v.0].leaves
            && let Some(n) = self.ws.watched.iter().position(|(s, _)| *s == site)
        {
            let mut kept = self.ws.pool.take(g.len());
            kept.copy_from_slice(&g);
            self.ws.watched[n].1 = kept;
        }
        Some(g)
    }

    /// A buffer for the gradient of `v`, and whether it already holds a sum to add to.
    pub(crate) fn grad_slot(&mut self, v: Var) -> (Buf, bool) {
        let g = std::mem::take(&mut self.ws.vars[v.0].grad);
        if g.is_empty() {
            let len = self.ws.vars[v.0].rows * self.ws.vars[v.0].cols;
            (self.ws.pool.take(len), false)
        } else {
            (g, true)
        }
    }

    pub(crate) fn put_grad(&mut self, v: Var, g: Buf) {
        self.ws.vars[v.0].grad = g;
    }

    /// Gives `g` to `v` as its gradient, or adds it to the one there.
    pub(crate) fn move_grad(&mut self, v: Var, g: Buf) {
        if !self.ws.vars[v.0].needs {
            return self.release(g);
        }
        if self.ws.vars[v.0].grad.is_empty() {
            self.ws.vars[v.0].grad = g;
        } else {
            Device::add(&mut self.ws.vars[v.0].grad, &g);
            self.release(g);
        }
    }

    /// Adds a copy of `g` to the gradient of `v`.
    pub(crate) fn add_grad(&mut self, v: Var, g: &[f32]) {
        if self.needs(v) {
            let mut buf = self.ws.pool.take(g.len());
            buf.copy_from_slice(g);
            self.move_grad(v, buf);
        }
    }

    pub(crate) fn release(&mut self, buf: Buf) {
        self.ws.pool.give(buf);
    }

    /// A buffer of `len` numbers, whatever they are, for a program's own work; [`Tape::give_back`] takes it
    /// for the next shard, so that a warm step allocates nothing.
    pub fn scratch(&mut self, len: usize) -> Buf {
        self.ws.pool.take(len)
    }

    /// Takes a buffer from [`Tape::scratch`] back.
    pub fn give_back(&mut self, buf: Buf) {
        self.ws.pool.give(buf);
    }

    /// Seeds the gradient of a scalar: the step will reduce `weight * v`.
    ///
    /// # Errors
    /// If `v` is not 1 × 1.
    pub fn minimise(&mut self, v: Var, weight: f32) -> Result<(), EngineError> {
        crate::error::same("minimise", "the objective must be a scalar", self.shape(v), (1, 1))?;
        let value = f64::from(self.value(v)[0]) * f64::from(weight);
        self.add_objective(value);
        if self.needs(v) {
            let (mut g, sum) = self.grad_slot(v);
            g[0] = if sum { g[0] + weight } else { weight };
            self.put_grad(v, g);
        }
        Ok(())
    }

    /// Adds `g` (row-major, the shape of `v`) to the gradient of `v`: the door for objectives
    /// that couple the whole batch.
    ///
    /// # Errors
    /// If the length is wrong.
    pub fn seed_grad(&mut self, v: Var, g: &[f32]) -> Result<(), EngineError> {
        crate::error::same("seed_grad", "lengths", (1, g.len()), (1, self.value(v).len()))?;
        self.add_grad(v, g);
        Ok(())
    }

    /// Runs all recorded operations backwards, summing into the lane's gradients.
    ///
    /// # Errors
    /// If the objective is not finite.
    pub fn backward(&mut self, shard: usize) -> Result<(), EngineError> {
        self.check_finite(shard)?;
        while let Some(node) = self.ws.nodes.pop() {
            node.backward(self);
        }
        Ok(())
    }

    /// Names the first operation whose output is not finite, if the objective is not.
    pub(crate) fn check_finite(&self, shard: usize) -> Result<(), EngineError> {
        if self.ws.objective.is_finite() {
            return Ok(());
        }
        let bad = self.ws.vars.iter().find(|v| v.value.iter().any(|x| !x.is_finite()));
        let place = bad.map_or("the loss itself".to_owned(), |v| match v.site {
            Some(s) => format!("{} at {}", v.name, self.layout.sites()[s.0].name),
            None => v.name.to_owned(),
        });
        Err(EngineError::NonFinite { place, shard })
    }
}
