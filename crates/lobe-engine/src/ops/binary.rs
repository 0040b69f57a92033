//! Element-wise functions of two variables; the second may be a row, a column or a scalar.

use crate::error::{EngineError, same};
use crate::simd;
use crate::tape::{Tape, Var};

/// The function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a ∘ b
    Mul,
    /// a / b
    Div,
}

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Binary {
    a: Var,
    b: Var,
    out: Var,
    f: Pair,
}

/// Index into `b` `[br, bc]` for element (r, c) of `a`.
fn at((br, bc): (usize, usize), r: usize, c: usize) -> usize {
    (if br == 1 { 0 } else { r }) * bc + if bc == 1 { 0 } else { c }
}

impl Tape<'_> {
    /// `a ∘ b` for a `[r, c]` and b `[r, c]`, `[1, c]`, `[r, 1]` or `[1, 1]`.
    ///
    /// # Errors
    /// If `b` has another shape.
    pub fn pair(&mut self, a: Var, f: Pair, b: Var) -> Result<Var, EngineError> {
        let ((rows, cols), bs) = (self.shape(a), self.shape(b));
        if (bs.0 != 1 && bs.0 != rows) || (bs.1 != 1 && bs.1 != cols) {
            same("pair", "shapes (the second may be broadcast)", (rows, cols), bs)?;
        }
        let mut value = self.ws.pool.take(rows * cols);
        let (av, bv) = (self.value(a), self.value(b));
        // Sums of rows are what guests and residuals write, so they are vectors.
        let by_row = matches!(f, Pair::Add) && bs.1 == cols;
        if by_row {
            value.copy_from_slice(av);
            for (r, y) in value.chunks_exact_mut(cols.max(1)).enumerate() {
                simd::add(y, &bv[if bs.0 == 1 { 0 } else { r * cols }..][..cols]);
            }
        }
        for r in (0..rows).filter(|_| !by_row) {
            for c in 0..cols {
                let (x, y) = (av[r * cols + c], bv[at(bs, r, c)]);
                value[r * cols + c] = match f {
                    Pair::Add => x + y,
                    Pair::Sub => x - y,
                    Pair::Mul => x * y,
                    Pair::Div => x / y,
                };
            }
        }
        let needs = self.needs(a) || self.needs(b);
        let out = self.push("pair", rows, cols, value, needs);
        self.record_op(out, Binary { a, b, out, f });
        Ok(out)
    }
}

impl Binary {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(mut g) = t.take_grad(self.out) else { return };
        let ((rows, cols), bs) = (t.shape(self.a), t.shape(self.b));
        if t.needs(self.b) {
            let (mut db, sum) = t.grad_slot(self.b);
            if !sum {
                db.fill(0.0);
            }
            let (av, bv) = (t.value(self.a), t.value(self.b));
            let by_row = matches!(self.f, Pair::Add) && bs.1 == cols;
            for (r, g) in g.chunks_exact(cols.max(1)).enumerate().filter(|_| by_row) {
                simd::add(&mut db[if bs.0 == 1 { 0 } else { r * cols }..][..cols], g);
            }
            for r in (0..rows).filter(|_| !by_row) {
                for c in 0..cols {
                    let (i, j) = (r * cols + c, at(bs, r, c));
                    db[j] += match self.f {
                        Pair::Add => g[i],
                        Pair::Sub => -g[i],
                        Pair::Mul => g[i] * av[i],
                        Pair::Div => -g[i] * av[i] / (bv[j] * bv[j]),
                    };
                }
            }
            t.put_grad(self.b, db);
        }
        if t.needs(self.a) {
            let bv = t.value(self.b);
            let changed = matches!(self.f, Pair::Mul | Pair::Div);
            for r in (0..rows).filter(|_| changed) {
                for c in 0..cols {
                    let y = bv[at(bs, r, c)];
                    match self.f {
                        Pair::Add | Pair::Sub => {}
                        Pair::Mul => g[r * cols + c] *= y,
                        Pair::Div => g[r * cols + c] /= y,
                    }
                }
            }
            t.move_grad(self.a, g);
        } else {
            t.release(g);
        }
    }
}
