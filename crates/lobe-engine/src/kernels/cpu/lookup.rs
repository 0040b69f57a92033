//! Rows of tables: gathered and scattered.

use super::simd;
use crate::kernels::{Lookup, Place, Scales};

pub(super) fn gather_rows(y: &mut [f32], x: &[f32], d: usize, ids: &[u32]) {
    for (y, id) in y.chunks_exact_mut(d.max(1)).zip(ids) {
        y.copy_from_slice(&x[*id as usize * d..][..d]);
    }
}

pub(super) fn scatter_rows(y: &mut [f32], x: &[f32], d: usize, place: Place<'_>, by: Scales<'_>) {
    for (i, x) in x.chunks_exact(d.max(1)).enumerate() {
        let (y, f) = (&mut y[place.of(i) * d..][..d], by.at(i));
        if f == 1.0 {
            simd::add(y, x);
        } else {
            y.iter_mut().zip(x).for_each(|(y, x)| *y += f * x);
        }
    }
}

pub(super) fn embed(y: &mut [f32], d: usize, tokens: Lookup<'_>, positions: Option<Lookup<'_>>) {
    for (i, y) in y.chunks_exact_mut(d.max(1)).enumerate() {
        y.copy_from_slice(&tokens.table[tokens.place.of(i) * d..][..d]);
        if let Some(p) = positions {
            simd::add(y, &p.table[p.place.of(i) * d..][..d]);
        }
    }
}
