//! Losses row by row, from log-probabilities in f64.

use super::functions::{function, log_softmax};
use super::{each, set};
use crate::kernels::{Distance, Function, Picked, Scales, View, ViewMut};

pub(super) fn cross_entropy(mut z: ViewMut<'_>, of: Picked<'_>, mut losses: Option<ViewMut<'_>>) {
    for (i, r) in of.rows.iter().map(|r| *r as usize).enumerate() {
        let (p, y) = (log_softmax(z.row(i)), of.targets[r] as usize);
        if let Some(losses) = &mut losses {
            losses.row(r)[0] = -p[y] as f32;
        }
        for (c, z) in z.row(i).iter_mut().enumerate() {
            *z = (f64::from(of.weights.at(r)) * (p[c].exp() - f64::from(u8::from(c == y)))) as f32;
        }
    }
}

pub(super) fn surprise(z: View<'_>, of: Picked<'_>, mut losses: ViewMut<'_>) {
    for (i, r) in of.rows.iter().map(|r| *r as usize).enumerate() {
        let (p, y) = (log_softmax(z.row(i)), of.targets[r] as usize);
        losses.row(r)[0] = -p[y] as f32;
        if losses.shape().1 > 1 {
            losses.row(r)[1] = f32::from(u8::from(z.row(i).iter().all(|v| *v <= z.row(i)[y])));
        }
    }
}

pub(super) fn teach(
    mut z: ViewMut<'_>,
    rows: &[u32],
    teacher: View<'_>,
    weights: Scales<'_>,
    out: &mut [f32],
) {
    for (i, r) in rows.iter().map(|r| *r as usize).enumerate() {
        let (p, q) = (log_softmax(z.row(i)), log_softmax(teacher.row(r)));
        out[r] = q.iter().zip(&p).map(|(q, p)| q.exp() * (q - p)).sum::<f64>() as f32;
        for (c, z) in z.row(i).iter_mut().enumerate() {
            *z = (f64::from(weights.at(r)) * (p[c].exp() - q[c].exp())) as f32;
        }
    }
}

pub(super) fn distance(
    out: &mut [f32],
    mut g: Option<&mut [f32]>,
    x: View<'_>,
    target: View<'_>,
    kind: Distance,
    weights: Scales<'_>,
) {
    let (rows, cols) = x.shape();
    for r in 0..rows {
        let e: Vec<f64> = (0..cols).map(|c| f64::from(x.at(r, c)) - f64::from(target.at(r, c))).collect();
        out[2 * r] = e.iter().map(|e| e * e).sum::<f64>() as f32;
        out[2 * r + 1] = e.iter().map(|e| e.abs()).sum::<f64>() as f32;
        let Some(g) = &mut g else { continue };
        for (c, e) in e.iter().enumerate() {
            let slope = match kind {
                Distance::Squared => 2.0 * e,
                Distance::Absolute => function(Function::Abs, *e).1,
            };
            set(&mut g[r * cols + c], |g| g + f64::from(weights.at(r)) * slope);
        }
    }
}

pub(super) fn l1(mut g: Option<&mut [f32]>, x: View<'_>, weights: Scales<'_>) -> (f64, f64) {
    let mut sums = (0.0, 0.0);
    each(x.shape(), |r, c| {
        let (w, x, cols) = (f64::from(weights.at(r)), f64::from(x.at(r, c)), x.shape().1);
        sums.0 += if w == 0.0 { 0.0 } else { x.abs() };
        sums.1 += w * x.abs();
        if let Some(g) = &mut g {
            g[r * cols + c] = (w * function(Function::Abs, x).1) as f32;
        }
    });
    sums
}
