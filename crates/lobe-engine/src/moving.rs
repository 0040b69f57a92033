//! Where gradients and moments of the tensors that may move lie: one after the other, without the others.

use std::ops::Range;

use crate::kernels::{Device, Kernels};
use crate::layout::{Layout, ParamId};

/// The tensors of a layout that may move, and the vector that holds one number for each of their parameters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moving {
    /// Per tensor: its parameters, and where they begin in the vector if it may move.
    tensors: Vec<(Range<usize>, Option<usize>)>,
    len: usize,
}

impl Moving {
    /// All tensors of a layout.
    pub(crate) fn all(layout: &Layout) -> Moving {
        let whole = Moving { tensors: layout.tensors().iter().map(|t| (t.span(), None)).collect(), len: 0 };
        whole.only(|_| true)
    }

    /// Only the tensors that `keep` names, of all there are.
    pub(crate) fn only(mut self, keep: impl Fn(ParamId) -> bool) -> Moving {
        self.len = 0;
        for (i, (params, at)) in self.tensors.iter_mut().enumerate() {
            *at = keep(ParamId(i)).then_some(self.len);
            self.len += at.map_or(0, |_| params.len());
        }
        self
    }

    /// Number of parameters that may move: the length of a gradient.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing moves.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the gradient of `p` lies; `None` if it does not move.
    pub fn of(&self, p: ParamId) -> Option<Range<usize>> {
        let (params, at) = &self.tensors[p.0];
        at.map(|at| at..at + params.len())
    }

    /// Adds a vector over what moves to one over all parameters.
    pub(crate) fn add_to(&self, all: &mut [f32], moving: &[f32]) {
        for (params, at) in self.places() {
            Device::add(&mut all[params], &moving[at]);
        }
    }

    /// Writes a vector over what moves into one over all parameters, with zeros elsewhere.
    ///
    /// # Panics
    /// If a vector is too short.
    pub fn spread(&self, all: &mut [f32], moving: &[f32]) {
        if self.len < all.len() {
            all.fill(0.0);
        }
        for (params, at) in self.places() {
            all[params].copy_from_slice(&moving[at]);
        }
    }

    /// The vector over what moves now, from one over what moved before; zeros where nothing moved.
    pub(crate) fn from(&self, before: &Moving, old: &[f32]) -> crate::buffer::Buf {
        let mut out = crate::buffer::Buf::zeros(self.len);
        for (i, (params, at)) in self.tensors.iter().enumerate() {
            if let (Some(at), Some(from)) = (*at, before.tensors.get(i).and_then(|t| t.1)) {
                out[at..at + params.len()].copy_from_slice(&old[from..from + params.len()]);
            }
        }
        out
    }

    /// Every tensor that moves: its parameters, and their place in the vector.
    fn places(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + '_ {
        let place = |(params, at): &(Range<usize>, Option<usize>)| {
            at.map(|at| (params.clone(), at..at + params.len()))
        };
        self.tensors.iter().filter_map(place)
    }
}

/// The gradients of a shard's lane: the one door of the operations to them.
pub(crate) struct Gradients<'a> {
    all: &'a mut [f32],
    moving: &'a Moving,
}

impl<'a> Gradients<'a> {
    /// # Panics
    /// If `all` does not hold one number for each parameter that moves.
    pub(crate) fn new(all: &'a mut [f32], moving: &'a Moving) -> Gradients<'a> {
        assert!(all.len() == moving.len(), "{} gradients for {} moving parameters", all.len(), moving.len());
        Gradients { all, moving }
    }

    /// The gradient of `p`, row-major; `None` if it does not move.
    pub(crate) fn of(&mut self, p: ParamId) -> Option<&mut [f32]> {
        self.moving.of(p).map(|at| &mut self.all[at])
    }
}
