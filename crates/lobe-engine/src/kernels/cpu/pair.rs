//! Element-wise functions of two variables, and reductions.

use super::simd;
use crate::kernels::{Over, Pair, View};

/// The row of b that belongs to row r of a.
fn row_of(b: &View<'_>, r: usize) -> usize {
    if b.shape().0 == 1 { 0 } else { r }
}

/// The column of b that belongs to column c of a.
fn col_of(b: &View<'_>, c: usize) -> usize {
    if b.shape().1 == 1 { 0 } else { c }
}

/// Sums of rows are what guests and residuals write, so they are vectors.
fn by_row(f: Pair, a: &View<'_>, b: &View<'_>) -> bool {
    matches!(f, Pair::Add) && b.shape().1 == a.shape().1
}

pub(super) fn pair(y: &mut [f32], a: View<'_>, f: Pair, b: View<'_>) {
    let (rows, cols) = a.shape();
    if by_row(f, &a, &b) {
        for (r, y) in y.chunks_exact_mut(cols.max(1)).enumerate() {
            y.copy_from_slice(a.row(r));
            simd::add(y, b.row(row_of(&b, r)));
        }
        return;
    }
    for r in 0..rows {
        for c in 0..cols {
            let (x, z) = (a.at(r, c), b.at(row_of(&b, r), col_of(&b, c)));
            y[r * cols + c] = match f {
                Pair::Add => x + z,
                Pair::Sub => x - z,
                Pair::Mul => x * z,
                Pair::Div => x / z,
            };
        }
    }
}

pub(super) fn pair_grad_left(g: &mut [f32], a: View<'_>, f: Pair, b: View<'_>) {
    let (rows, cols) = a.shape();
    let changed = matches!(f, Pair::Mul | Pair::Div);
    for r in (0..rows).filter(|_| changed) {
        for c in 0..cols {
            let z = b.at(row_of(&b, r), col_of(&b, c));
            match f {
                Pair::Add | Pair::Sub => {}
                Pair::Mul => g[r * cols + c] *= z,
                Pair::Div => g[r * cols + c] /= z,
            }
        }
    }
}

pub(super) fn pair_grad_right(db: &mut [f32], g: &[f32], a: View<'_>, f: Pair, b: View<'_>) {
    let ((rows, cols), width) = (a.shape(), b.shape().1);
    if by_row(f, &a, &b) {
        for (r, g) in g.chunks_exact(cols.max(1)).enumerate() {
            simd::add(&mut db[row_of(&b, r) * cols..][..cols], g);
        }
        return;
    }
    for r in 0..rows {
        for c in 0..cols {
            let (i, br, bc) = (r * cols + c, row_of(&b, r), col_of(&b, c));
            db[br * width + bc] += match f {
                Pair::Add => g[i],
                Pair::Sub => -g[i],
                Pair::Mul => g[i] * a.at(r, c),
                Pair::Div => -g[i] * a.at(r, c) / (b.at(br, bc) * b.at(br, bc)),
            };
        }
    }
}

/// Long sums in f64: a mean over a batch of tokens would lose digits in f32.
fn total(x: impl Iterator<Item = f32>) -> f64 {
    x.map(f64::from).sum()
}

pub(super) fn reduce(y: &mut [f32], x: View<'_>, over: Over) {
    let (rows, cols) = x.shape();
    let all = || (0..rows).flat_map(|r| x.row(r).iter().copied());
    match over {
        Over::Sum => y[0] = total(all()) as f32,
        Over::Mean => y[0] = (total(all()) / (rows * cols).max(1) as f64) as f32,
        Over::RowSum => {
            (0..rows).for_each(|r| y[r] = total(x.row(r).iter().copied()) as f32);
        }
        Over::ColumnMean => {
            for j in 0..cols {
                y[j] = (total((0..rows).map(|r| x.at(r, j))) / rows.max(1) as f64) as f32;
            }
        }
        Over::RowLogSumExp => {
            for r in 0..rows {
                let x = x.row(r);
                let top = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                y[r] = top + x.iter().map(|x| (x - top).exp()).sum::<f32>().ln();
            }
        }
    }
}

pub(super) fn reduce_grad(dx: &mut [f32], g: &[f32], x: View<'_>, y: &[f32], over: Over) {
    let (rows, cols) = x.shape();
    for r in 0..rows {
        for c in 0..cols {
            dx[r * cols + c] = match over {
                Over::Sum => g[0],
                Over::Mean => g[0] / (rows * cols) as f32,
                Over::RowSum => g[r],
                Over::ColumnMean => g[c] / rows as f32,
                Over::RowLogSumExp => g[r] * (x.at(r, c) - y[r]).exp(),
            };
        }
    }
}
