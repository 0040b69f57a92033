//! A network being trained: its parameters, gradients and state, and its side of a step.

use super::frozen::Frozen;
use super::{Lane, Program, StepReport, coupled};
use crate::buffer::Buf;
use crate::error::EngineError;
use crate::kernels::{Device, Kernels};
use crate::layout::Layout;
use crate::optim::{Cut, Cutting, MOST_LANES, Masked, Optimiser, OptimiserState, Target, cut};
use crate::tape::factors::RowLabels;
use crate::tape::plan::Plan;

/// One network being trained.
#[derive(Debug)]
pub struct Member {
    /// Flat parameters.
    pub params: Buf,
    /// Its routes.
    pub plan: Plan,
    /// Its optimiser's moments.
    pub state: OptimiserState,
    pub(super) grads: Vec<Buf>,
    pub(super) lanes: Vec<Lane>,
    norms: Vec<f64>,
    pub(super) coupled: coupled::Scratch,
    /// By what decides over them beside the plan.
    pieces: Vec<((Frozen, Cutting), Vec<Cut>)>,
    /// The plan whose moving tensors the gradients and moments belong to, and the pieces.
    cut_for: Plan,
    /// Whether every tensor was seen to get a gradient under that plan.
    checked: bool,
}

impl Member {
    /// A member with `lanes` gradient lanes.
    ///
    /// # Errors
    /// With no lane or more than [`MOST_LANES`].
    pub fn new(params: Buf, plan: Plan, lanes: usize) -> Result<Member, EngineError> {
        if lanes == 0 || lanes > MOST_LANES {
            return Err(EngineError::Invalid(format!("lanes must be in 1..={MOST_LANES}, not {lanes}")));
        }
        let grads = (0..lanes).map(|_| Buf::zeros(plan.gradients().len())).collect();
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
        let moving = self.cut_for.gradients();
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
        self.grads.iter_mut().for_each(|g| Device::scale(g, factor));
    }

    /// Clears all gradients.
    pub fn clear(&mut self) {
        self.grads.iter_mut().for_each(|g| g.fill(0.0));
    }
}

impl Member {
    pub(super) fn report(&self, lr: f32, grad_norm: Option<f32>) -> StepReport {
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

    pub(super) fn finish(
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

    /// Updates the parameters with the gradients that [`super::Runner::gradients`] summed into the lanes, and
    /// clears them: for steps made of several passes. Does not ask whether every tensor got one.
    pub fn update(&mut self, layout: &Layout, optimiser: &Optimiser, step: u64) -> StepReport {
        self.recut();
        self.apply(layout, Frozen::default(), optimiser, step)
    }

    /// Forgets what belonged to another plan.
    pub(super) fn recut(&mut self) {
        if self.cut_for == self.plan {
            return;
        }
        let (before, now) = (self.cut_for.gradients(), self.plan.gradients());
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
        let target = Target { params, state, moving: plan.gradients().len(), lanes: grads, norms };
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
