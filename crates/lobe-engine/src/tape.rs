//! The tape: a list of coarse operations over recycled buffers, and the door to sites.

use lobe_core::LabelId;

use crate::buffer::{Buf, Pool};
use crate::error::EngineError;
use crate::layout::{Layout, ParamId, SiteId};
use crate::ops::Op;
use crate::plan::{Class, PLAIN, Plan, Segment};
use crate::simd;

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
    pub site: Option<SiteId>,
    pub name: &'static str,
}

/// Labels of the rows of a shard.
#[derive(Debug, Clone, Copy)]
pub enum RowLabels<'a> {
    /// Every row has the same label: routes are scalars and whole blocks of work are skipped.
    One(LabelId),
    /// One label per row.
    Each(&'a [LabelId]),
}

/// What the routes of a shard depend on.
#[derive(Debug, Clone, Copy)]
pub struct ShardRows<'a> {
    /// Number of rows (tokens, images).
    pub rows: usize,
    /// Their labels.
    pub labels: RowLabels<'a>,
    /// Per-row strength in [0, 1] that interpolates between ordinary training (0) and the route
    /// (1); `None` is 1 everywhere.
    pub strength: Option<&'a [f32]>,
}

impl ShardRows<'_> {
    /// `rows` rows of one label.
    pub fn uniform(rows: usize, label: LabelId) -> ShardRows<'static> {
        ShardRows { rows, labels: RowLabels::One(label), strength: None }
    }
}

/// A route number: the same for all rows, or one per row.
#[derive(Debug, Default)]
pub(crate) enum Factor {
    #[default]
    Unset,
    One(f32),
    Rows(Buf),
}

impl Factor {
    pub(crate) fn at(&self, row: usize) -> f32 {
        match self {
            Factor::Unset => 1.0,
            Factor::One(f) => *f,
            Factor::Rows(r) => r[row],
        }
    }
    pub(crate) fn is(&self, value: f32) -> bool {
        matches!(self, Factor::One(f) if *f == value)
    }
}

/// Which of a route's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Scale on the value.
    Forward,
    /// Scale on the gradient that flows back through the site: forward × backward.
    Flow,
    /// Scale on the owned parameters' gradient.
    Update,
}

/// Neighbouring segments whose factors agree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub start: usize,
    pub end: usize,
    /// Class whose factor holds for the run.
    pub class: Class,
}

/// Everything a worker keeps between shards: buffers, nodes, and nothing that allocates again.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(crate) pool: Pool,
    pub(crate) vars: Vec<VarData>,
    pub(crate) nodes: Vec<Op>,
    pub(crate) ids: Vec<u32>,
    pub(crate) factors: Vec<[Factor; 3]>,
    runs: Vec<Vec<Run>>,
    /// Values that are added at a site in this pass, row by row.
    injected: Vec<(SiteId, Buf)>,
    /// Sites whose gradient somebody wants, and what arrived.
    watched: Vec<(SiteId, Buf)>,
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
    pub(crate) grads: Option<&'a mut [f32]>,
    pub(crate) plan: &'a Plan,
    rows: usize,
}

impl<'a> Tape<'a> {
    /// Starts a shard. Without `grads` nothing is recorded and nothing can be differentiated.
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
        compile_factors(ws, plan, shard);
        Tape { ws, layout, params, grads, plan, rows: shard.rows }
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
        Tape { ws, layout, params, grads: Some(grads), plan, rows }
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

    /// The variable that stands at a site in this pass.
    pub fn at_site(&self, site: SiteId) -> Option<Var> {
        self.ws.vars.iter().rposition(|v| v.site == Some(site)).map(Var)
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

    /// Marks a variable as standing at a site, applying the forward side of its routes in place.
    /// Only for a variable nobody has read yet; operations with a `site` argument call it.
    pub(crate) fn mark_site(&mut self, v: Var, site: SiteId) {
        self.ws.vars[v.0].site = Some(site);
        // A watched gradient has to arrive, also where nothing upstream can be trained.
        self.ws.vars[v.0].needs |= self.training() && self.ws.watched.iter().any(|(s, _)| *s == site);
        let cols = self.ws.vars[v.0].cols;
        let mut value = std::mem::take(&mut self.ws.vars[v.0].value);
        self.scale_site(&mut value, cols, site, Kind::Forward);
        if self.needs(v) && self.plan.needs_before(site) {
            let mut before = self.ws.pool.take(value.len());
            before.copy_from_slice(&value);
            self.ws.vars[v.0].before = before;
        }
        self.plan.edit_value(site, &mut value, cols);
        for (_, delta) in self.ws.injected.iter().filter(|(s, _)| *s == site) {
            assert_eq!(delta.len(), value.len(), "what is added at a site has its shape");
            simd::add(&mut value, delta);
        }
        self.ws.vars[v.0].value = value;
    }

    /// Adds `delta` (row-major, the shape of the site's activation) to what leaves `site` in this
    /// pass, after routes and interventions. Call it before the network writes itself onto the tape.
    pub fn inject(&mut self, site: SiteId, delta: &[f32]) {
        let mut buf = self.ws.pool.take(delta.len());
        buf.copy_from_slice(delta);
        self.ws.injected.push((site, buf));
    }

    /// Keeps the gradient that arrives at `site` in the backward pass, for [`Tape::watched`]. Call it
    /// before the network writes itself onto the tape. Under a plan that trains nothing the backward
    /// pass ends at the lowest watched site and no weight gradient is computed.
    pub fn watch(&mut self, site: SiteId) {
        self.ws.watched.push((site, Buf::default()));
    }

    /// The gradient of the objective with respect to what left `site`, row-major, after
    /// [`Tape::backward`]; `None` if the site was not watched or nothing arrived.
    pub fn watched(&self, site: SiteId) -> Option<&[f32]> {
        let (_, kept) = self.ws.watched.iter().find(|(s, _)| *s == site)?;
        // Where nothing upstream can be trained, no operation may have taken the gradient.
        if kept.is_empty() { self.at_site(site).and_then(|v| self.grad(v)) } else { Some(kept) }
    }

    /// Multiplies the columns of `buf` by the site's factors.
    fn scale_site(&self, buf: &mut [f32], cols: usize, site: SiteId, kind: Kind) {
        let segments = self.plan.site(site);
        let Some(last) = segments.last() else { return };
        let width = cols / last.range.end;
        for seg in segments {
            let range = seg.range.start * width..seg.range.end * width;
            match self.factor(kind, seg.class) {
                Factor::Unset => {}
                Factor::One(f) if *f == 1.0 => {}
                Factor::One(f) => {
                    for row in buf.chunks_exact_mut(cols) {
                        if *f == 0.0 {
                            row[range.clone()].fill(0.0);
                        } else {
                            simd::scale(&mut row[range.clone()], *f);
                        }
                    }
                }
                Factor::Rows(f) => {
                    for (row, f) in buf.chunks_exact_mut(cols).zip(f.iter()) {
                        // Absent is absent, also where the value is not finite.
                        if *f == 0.0 {
                            row[range.clone()].fill(0.0);
                        } else {
                            simd::scale(&mut row[range.clone()], *f);
                        }
                    }
                }
            }
        }
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
        if let Some(site) = self.ws.vars[v.0].site
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
            simd::add(&mut self.ws.vars[v.0].grad, &g);
            self.release(g);
        }
    }

    pub(crate) fn release(&mut self, buf: Buf) {
        self.ws.pool.give(buf);
    }

    pub(crate) fn factor(&self, kind: Kind, class: Class) -> &Factor {
        &self.ws.factors[class][kind as usize]
    }

    /// Merged runs of `segments` (or one run over `0..extent` when nothing is routed). Segments
    /// whose factor of one of `skip` is zero for every row are left out; neighbours are merged
    /// when they agree in `by` (`None`: always).
    pub(crate) fn runs(
        &mut self,
        segments: &[Segment],
        extent: usize,
        by: Option<Kind>,
        skip: &[Kind],
    ) -> Vec<Run> {
        let mut runs = self.ws.runs.pop().unwrap_or_default();
        runs.clear();
        if segments.is_empty() {
            runs.push(Run { start: 0, end: extent, class: PLAIN });
        }
        for seg in segments {
            if skip.iter().any(|k| self.factor(*k, seg.class).is(0.0)) {
                continue;
            }
            if let Some(last) = runs.last_mut()
                && last.end == seg.range.start
                && (last.class == seg.class
                    || by.is_none_or(|by| {
                        same(&self.ws.factors[last.class][by as usize], self.factor(by, seg.class))
                    }))
            {
                last.end = seg.range.end;
                continue;
            }
            runs.push(Run { start: seg.range.start, end: seg.range.end, class: seg.class });
        }
        runs
    }

    pub(crate) fn done(&mut self, runs: Vec<Run>) {
        self.ws.runs.push(runs);
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
        if self.needs(v) {
            let mut buf = self.ws.pool.take(g.len());
            buf.copy_from_slice(g);
            self.move_grad(v, buf);
        }
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

fn same(a: &Factor, b: &Factor) -> bool {
    matches!((a, b), (Factor::One(x), Factor::One(y)) if x == y)
}

/// Turns the label table into scalars where a shard allows it, and into per-row numbers elsewhere.
fn compile_factors(ws: &mut Workspace, plan: &Plan, shard: ShardRows<'_>) {
    // Each of the three numbers is interpolated by itself. Strength 1 must give the route, not
    // 1 + (f - 1) with its rounding.
    let number = |label: LabelId, class: Class, kind: Kind, s: f32| {
        let r = plan.route(label.index(), class);
        let mix = |f: f32| if s == 1.0 { f } else { 1.0 + s * (f - 1.0) };
        match kind {
            Kind::Forward => mix(r.forward),
            Kind::Flow => mix(r.forward) * mix(r.backward),
            Kind::Update => mix(r.update),
        }
    };
    for class in 0..plan.classes() {
        let mut three: [Factor; 3] = Default::default();
        for kind in [Kind::Forward, Kind::Flow, Kind::Update] {
            let at = |i: usize| {
                let label = match shard.labels {
                    RowLabels::One(l) => l,
                    RowLabels::Each(ls) => ls[i],
                };
                number(label, class, kind, shard.strength.map_or(1.0, |s| s[i]))
            };
            three[kind as usize] = match shard {
                ShardRows { labels: RowLabels::One(l), strength: None, .. } => {
                    Factor::One(number(l, class, kind, 1.0))
                }
                _ if shard.rows == 0 => Factor::One(1.0),
                _ => {
                    let first = at(0);
                    if (1..shard.rows).all(|i| at(i) == first) {
                        Factor::One(first)
                    } else {
                        let mut buf = ws.pool.take(shard.rows);
                        (0..shard.rows).for_each(|i| buf[i] = at(i));
                        Factor::Rows(buf)
                    }
                }
            };
        }
        ws.factors.push(three);
    }
}
