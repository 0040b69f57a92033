//! The four operations, all their problems, and wrong answers that lie close to the right one.

use lobe_core::{Key, Rng};

/// An operation. The order is that of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
}

impl Op {
    pub(super) const ALL: [Op; 4] = [Op::Add, Op::Sub, Op::Mul, Op::Div];

    pub(super) fn name(self) -> &'static str {
        ["add", "sub", "mul", "div"][self as usize]
    }

    pub(super) fn sign(self) -> &'static str {
        ["+", "-", "*", "/"][self as usize]
    }
}

/// `a op b = result`, whole and not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) op: Op,
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) result: usize,
}

impl Problem {
    /// From two operands as they are drawn: the larger one is subtracted from, and division takes a
    /// product apart.
    fn new(op: Op, x: usize, y: usize) -> Problem {
        let (a, b, result) = match op {
            Op::Add => (x, y, x + y),
            Op::Sub => (x.max(y), x.min(y), x.abs_diff(y)),
            Op::Mul => (x, y, x * y),
            Op::Div => (x * y, y, x),
        };
        Problem { op, a, b, result }
    }
}

/// All problems of an operation, cut in two.
#[derive(Debug, Clone)]
pub(super) struct Problems {
    pub(super) train: Vec<Problem>,
    /// Never in training.
    pub(super) held_out: Vec<Problem>,
    /// The different results, ascending.
    results: Vec<usize>,
}

impl Problems {
    /// Operands from 1 to `largest`; `share` of the problems, at least one, is held out.
    pub(super) fn new(op: Op, largest: usize, share: f64, key: Key) -> Problems {
        let pairs = (1..=largest).flat_map(|x| (1..=largest).map(move |y| (x, y)));
        let mut train: Vec<Problem> =
            pairs.filter(|(x, y)| op != Op::Sub || x >= y).map(|(x, y)| Problem::new(op, x, y)).collect();
        let mut results: Vec<usize> = train.iter().map(|p| p.result).collect();
        results.sort_unstable();
        results.dedup();
        key.rng().shuffle(&mut train);
        let n = ((train.len() as f64 * share).round() as usize).clamp(1, train.len() - 1);
        let held_out = train.drain(..n).collect();
        Problems { train, held_out, results }
    }

    /// The result among its neighbours in the list of all results, `n` choices in a random order,
    /// and the place of the right one. The result may be the smallest of them or the largest, so
    /// that guessing the middle is no way to find it.
    pub(super) fn choices(&self, result: usize, n: usize, rng: &mut Rng) -> (Vec<usize>, usize) {
        let at = self.results.partition_point(|r| *r < result);
        let below = rng.below(n);
        let first = at.saturating_sub(below).min(self.results.len().saturating_sub(n));
        let mut out: Vec<usize> = self.results.iter().skip(first).take(n).copied().collect();
        out.retain(|r| *r != result);
        rng.shuffle(&mut out);
        let answer = rng.below(out.len() + 1);
        out.insert(answer, result);
        (out, answer)
    }
}
