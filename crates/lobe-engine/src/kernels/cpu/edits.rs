//! Fixed interventions on rows.

use crate::kernels::{Edit, View, ViewMut};

pub(super) fn edit(mut x: ViewMut<'_>, edit: &Edit) {
    for r in 0..x.shape().0 {
        let row = x.row(r);
        match edit {
            Edit::Set(v) => row.copy_from_slice(v),
            Edit::Add(v) => row.iter_mut().zip(v).for_each(|(x, v)| *x += v),
            Edit::ProjectOut(u) => project_out(row, u),
            Edit::Clamp(lo, hi) => row.iter_mut().for_each(|x| *x = x.clamp(*lo, *hi)),
        }
    }
}

pub(super) fn edit_grad(mut g: ViewMut<'_>, seen: View<'_>, edit: &Edit) {
    for r in 0..g.shape().0 {
        let row = g.row(r);
        match edit {
            Edit::Set(_) => row.fill(0.0),
            Edit::Add(_) => {}
            Edit::ProjectOut(u) => project_out(row, u),
            Edit::Clamp(lo, hi) => {
                for (g, y) in row.iter_mut().zip(seen.row(r)) {
                    if *y <= *lo || *y >= *hi {
                        *g = 0.0;
                    }
                }
            }
        }
    }
}

fn project_out(row: &mut [f32], u: &[f32]) {
    let dot: f32 = row.iter().zip(u).map(|(x, u)| x * u).sum();
    row.iter_mut().zip(u).for_each(|(x, u)| *x -= dot * u);
}
