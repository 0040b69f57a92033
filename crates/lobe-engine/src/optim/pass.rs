//! The fused pass over all pieces: lanes summed in order, the norm, the update, and the lanes cleared.

use std::ops::Range;

use rayon::prelude::*;

use super::pieces::Cut;
use super::rule::{MOST_SLOTS, Piece, Step};
use super::{Optimiser, OptimiserState};
use crate::buffer::Buf;
use crate::kernels::{Device, Kernels};

/// Most gradient lanes of a member.
pub const MOST_LANES: usize = 64;

/// What an update reads and writes.
pub(crate) struct Target<'a> {
    pub params: &'a mut [f32],
    pub state: &'a mut OptimiserState,
    /// Number of parameters that may move: the length of each lane.
    pub moving: usize,
    /// Gradients to be summed in this order.
    pub lanes: &'a mut [Buf],
    /// Room for the squared norm of each piece.
    pub norms: &'a mut Vec<f64>,
}

/// One update under way, shared by the threads that work on its pieces.
pub(super) struct Pass<'a> {
    optimiser: &'a Optimiser,
    params: Disjoint<'a>,
    slots: [Disjoint<'a>; MOST_SLOTS],
    // At most so many: fixed arrays keep the step free of allocations.
    lanes: [Option<Disjoint<'a>>; MOST_LANES],
    updates: u64,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        optimiser: &'a Optimiser,
        params: &'a mut [f32],
        state: &'a mut OptimiserState,
        lanes: &'a mut [Buf],
    ) -> Pass<'a> {
        let views = lanes.iter_mut().map(|lane| Disjoint::new(lane));
        Pass::over(optimiser, params, state, views)
    }

    pub(super) fn on_one(
        optimiser: &'a Optimiser,
        params: &'a mut [f32],
        state: &'a mut OptimiserState,
        gradient: &'a mut [f32],
    ) -> Pass<'a> {
        Pass::over(optimiser, params, state, std::iter::once(Disjoint::new(gradient)))
    }

    fn over(
        optimiser: &'a Optimiser,
        params: &'a mut [f32],
        state: &'a mut OptimiserState,
        views: impl Iterator<Item = Disjoint<'a>>,
    ) -> Pass<'a> {
        let updates = state.updates;
        let mut buffers = state.slots.iter_mut();
        let slots = [(); MOST_SLOTS]
            .map(|()| Disjoint::new(buffers.next().map_or(&mut [][..], |slot: &mut Buf| &mut slot[..])));
        let mut lanes = [const { None }; MOST_LANES];
        lanes.iter_mut().zip(views).for_each(|(lane, view)| *lane = Some(view));
        Pass { optimiser, params: Disjoint::new(params), slots, lanes, updates }
    }

    /// All pieces side by side; returns the norm of the gradient where it is clipped.
    pub(super) fn run(&self, step: u64, cuts: &[Cut], norms: &mut Vec<f64>) -> Option<f32> {
        // A matrix is work enough for a task of its own.
        let least = if self.optimiser.rule.whole_matrices() { 1 } else { 4 };
        let norm = self.optimiser.clip.map(|_| {
            norms.clear();
            norms.resize(cuts.len(), 0.0);
            let squares = cuts.par_iter().zip(norms.par_iter_mut()).with_min_len(least);
            squares.for_each(|(cut, n)| *n = self.square(cut));
            norms.iter().sum::<f64>().sqrt() as f32
        });
        let step = self.step(step, norm);
        cuts.par_iter().with_min_len(least).for_each(|cut| self.update(step, cut));
        norm
    }

    /// The same on this thread alone.
    pub(super) fn run_here(&self, step: u64, cuts: &[Cut]) {
        let norm =
            self.optimiser.clip.map(|_| cuts.iter().map(|cut| self.square(cut)).sum::<f64>().sqrt() as f32);
        let step = self.step(step, norm);
        for cut in cuts {
            self.update(step, cut);
        }
    }

    fn step(&self, step: u64, norm: Option<f32>) -> Step {
        let shrink = match (norm, self.optimiser.clip) {
            (Some(n), Some(c)) if n > c => c / n,
            _ => 1.0,
        };
        let (lr, decay) = (self.optimiser.schedule.at(step), self.optimiser.weight_decay);
        Step { lr, decay, shrink, updates: self.updates }
    }

    /// The gradient of a piece summed into the first lane; the others are zero then.
    #[allow(unsafe_code, clippy::mut_from_ref, reason = "pieces of one vector are updated in parallel")]
    /// SAFETY: no two live results may be of overlapping pieces.
    unsafe fn sum(&self, cut: &Cut) -> &'a mut [f32] {
        let mut all = self.lanes.iter().flatten();
        // SAFETY: ranges of disjoint pieces are disjoint (caller); lanes are different vectors.
        let mut get = || all.next().map(|l| unsafe { l.get(&cut.place()) });
        let Some(first) = get() else { return &mut [] };
        while let Some(next) = get() {
            Device::add(first, next);
            next.fill(0.0);
        }
        first
    }

    fn square(&self, cut: &Cut) -> f64 {
        #[allow(unsafe_code, reason = "pieces of one vector are updated in parallel")]
        // SAFETY: pieces are disjoint ranges, each handled by one task.
        let gradient = unsafe { self.sum(cut) };
        Device::squares(gradient)
    }

    fn update(&self, step: Step, cut: &Cut) {
        #[allow(unsafe_code, reason = "pieces of one vector are updated in parallel")]
        // SAFETY: pieces are disjoint ranges, each handled by one task.
        let (gradient, params, state) = unsafe {
            // After the norm pass the later lanes are zero; adding them again changes nothing.
            let gradient = self.sum(cut);
            let [a, b, c, d] = &self.slots;
            let slot = |s: &Disjoint<'a>| s.get(&cut.place());
            (gradient, self.params.get(&cut.range), [slot(a), slot(b), slot(c), slot(d)])
        };
        let decay = if cut.decay { step.decay } else { 0.0 };
        let matrix = cut.matrix.as_ref();
        let piece = Piece { params, gradient: &mut gradient[..], state, matrix };
        self.optimiser.rule.update(Step { decay, ..step }, piece);
        gradient.fill(0.0);
    }
}

/// Mutable access to disjoint ranges of one slice from several threads.
struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    _borrow: std::marker::PhantomData<&'a mut [f32]>,
}

#[allow(unsafe_code, reason = "pieces of one vector are updated in parallel")]
// SAFETY: access goes through `get`, whose caller promises disjoint ranges; f32 has no drop glue.
unsafe impl Sync for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    fn new(slice: &'a mut [f32]) -> Self {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), _borrow: std::marker::PhantomData }
    }

    #[allow(unsafe_code, clippy::mut_from_ref, reason = "pieces of one vector are updated in parallel")]
    /// SAFETY: no two live results may overlap.
    unsafe fn get(&self, range: &Range<usize>) -> &'a mut [f32] {
        if self.len == 0 {
            return &mut [];
        }
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside the slice (asserted) and disjoint from other results (caller).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
