//! Inputs that belong to a kernel and a round: sizes, numbers, matrices with room around them.

use lobe_core::{Key, Rng};
use lobe_engine::kernels::{Scales, View, ViewMut};

pub(crate) struct Draw {
    rng: Rng,
    round: usize,
}

/// A matrix inside of a larger one.
pub(crate) struct Mat {
    pub(crate) data: Vec<f32>,
    rows: usize,
    cols: usize,
    stride: usize,
    start: usize,
}

impl Mat {
    pub(crate) fn view(&self) -> View<'_> {
        View::strided(&self.data[self.start.min(self.data.len())..], self.rows, self.cols, self.stride)
    }
    pub(crate) fn turned(&self, turn: bool) -> View<'_> {
        if turn { self.view().t() } else { self.view() }
    }
    pub(crate) fn view_mut(&mut self) -> ViewMut<'_> {
        let start = self.start.min(self.data.len());
        ViewMut::strided(&mut self.data[start..], self.rows, self.cols, self.stride)
    }
}

/// Factors of rows with what they borrow.
pub(crate) enum Factors {
    One(f32),
    Rows(Vec<f32>),
    Picked(Vec<f32>, Vec<u32>),
}

impl Factors {
    pub(crate) fn scales(&self) -> Scales<'_> {
        match self {
            Factors::One(s) => Scales::One(*s),
            Factors::Rows(s) => Scales::Rows(s),
            Factors::Picked(of, rows) => Scales::Picked { of, rows },
        }
    }
}

impl Draw {
    pub(crate) fn new(kernel: &str, round: usize) -> Draw {
        Draw { rng: Key::root(13).child(kernel).child(&round.to_string()).rng(), round }
    }

    /// A number of rows: none, one and more by turns.
    pub(crate) fn rows(&mut self) -> usize {
        [0, 1, 2, 3, 7, 17][self.round % 6]
    }

    /// A number of columns: below, at and above the width of vectors, also odd.
    pub(crate) fn cols(&mut self) -> usize {
        self.of(&[1, 2, 3, 5, 15, 16, 17, 31, 33, 64, 70])
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.below(all.len())]
    }

    pub(crate) fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.rng.normal() as f32).collect()
    }

    /// Logits with ties in every other round.
    pub(crate) fn logits(&mut self, n: usize) -> Vec<f32> {
        let ties = self.round % 2 == 1;
        self.normals(n).into_iter().map(|x| if ties { (2.0 * x).round() } else { 3.0 * x }).collect()
    }

    pub(crate) fn ids(&mut self, n: usize, bound: usize) -> Vec<u32> {
        (0..n).map(|_| self.rng.below(bound) as u32).collect()
    }

    /// Some of `n` rows, in order.
    pub(crate) fn some(&mut self, n: usize) -> Vec<u32> {
        (0..n).filter(|_| self.rng.below(3) > 0).map(|r| r as u32).collect()
    }

    /// A matrix with zero to three columns around it.
    pub(crate) fn mat(&mut self, rows: usize, cols: usize) -> Mat {
        let (left, right) = (self.rng.below(3), self.rng.below(2));
        let stride = left + cols + right;
        Mat { data: self.normals(rows * stride), rows, cols, stride, start: left }
    }

    /// Factors of `rows` rows, some of them 0 and 1.
    pub(crate) fn factors(&mut self, rows: usize) -> Factors {
        let number = |d: &mut Draw| d.of(&[0.0, 1.0, -0.5, 0.3, 2.0]);
        match self.rng.below(3) {
            0 => Factors::One(number(self)),
            1 => Factors::Rows((0..rows).map(|_| number(self)).collect()),
            _ => Factors::Picked((0..9).map(|_| number(self)).collect(), self.ids(rows, 9)),
        }
    }
}
