//! Sums, copies and factors over the rows of matrices.

use super::simd;
use crate::kernels::types::product;
use crate::kernels::{Scales, View, ViewMut};

pub(super) fn squares(x: &[f32]) -> f64 {
    x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

pub(super) fn copy(mut to: ViewMut<'_>, from: View<'_>, accumulate: bool) {
    assert_eq!(to.shape(), from.shape(), "shapes of a copy");
    for r in 0..from.shape().0 {
        let (to, from) = (to.row(r), from.row(r));
        if accumulate {
            to.iter_mut().zip(from).for_each(|(y, x)| *y += x);
        } else {
            to.copy_from_slice(from);
        }
    }
}

pub(super) fn add_row(y: &mut [f32], x: Option<&[f32]>, row: &[f32]) {
    let n = row.len();
    if n == 0 {
        return;
    }
    match x {
        Some(x) => simd::on(
            #[inline(always)]
            || {
                for (y, x) in y.chunks_exact_mut(n).zip(x.chunks_exact(n)) {
                    (0..n).for_each(|i| y[i] = x[i] + row[i]);
                }
            },
        ),
        None => y.chunks_exact_mut(n).for_each(|y| y.copy_from_slice(row)),
    }
}

pub(super) fn scale_rows(mut x: ViewMut<'_>, by: Scales<'_>) {
    let rows = x.shape().0;
    simd::on(
        #[inline(always)]
        || {
            for r in 0..rows {
                let f = by.at(r);
                for x in x.row(r) {
                    *x *= f;
                }
            }
        },
    );
}

pub(super) fn route_rows(mut x: ViewMut<'_>, by: Scales<'_>) {
    let rows = x.shape().0;
    simd::on(
        #[inline(always)]
        || {
            for r in 0..rows {
                let f = by.at(r);
                // Absent is absent, also where the value is not finite.
                if f == 0.0 {
                    x.row(r).fill(0.0);
                } else {
                    for x in x.row(r) {
                        *x *= f;
                    }
                }
            }
        },
    );
}

/// The product of factors that are the same for all rows.
fn shared(by: &[Scales<'_>]) -> Option<f32> {
    by.iter().try_fold(1.0, |p, s| match s {
        Scales::One(s) => Some(p * s),
        _ => None,
    })
}

pub(super) fn column_sums(sums: &mut [f32], x: View<'_>, by: &[Scales<'_>]) {
    let (rows, n) = (x.shape().0, sums.len());
    assert_eq!(x.shape().1, n, "columns and their sums");
    match shared(by) {
        Some(0.0) => {}
        Some(scale) => simd::on(
            #[inline(always)]
            || {
                for r in 0..rows {
                    let row = &x.row(r)[..n];
                    for j in 0..n {
                        sums[j] = row[j].mul_add(scale, sums[j]);
                    }
                }
            },
        ),
        None => simd::on(
            #[inline(always)]
            || {
                for r in 0..rows {
                    let (row, f) = (&x.row(r)[..n], product(by, r));
                    for j in 0..n {
                        sums[j] += f * row[j];
                    }
                }
            },
        ),
    }
}

pub(super) fn pack_rows(to: &mut [f32], x: View<'_>, by: &[Scales<'_>], scaled: bool) -> usize {
    let (rows, n) = x.shape();
    let mut kept = 0;
    for r in 0..rows {
        let f = product(by, r);
        if f == 0.0 {
            continue;
        }
        let to = &mut to[kept * n..][..n];
        to.copy_from_slice(x.row(r));
        if scaled {
            simd::scale(to, f);
        }
        kept += 1;
    }
    kept
}
