//! Layer norm and RMS norm.

use super::simd;
use crate::kernels::{Affine, NormGrads, NormSaved};

pub(super) fn norm(y: &mut [f32], stats: &mut [f32], x: &[f32], how: &Affine<'_>) {
    let (g, rms, eps, d) = (how.gain, how.rms, how.eps, how.gain.len());
    if d == 0 {
        return;
    }
    let b = how.shift.map(|b| &b[..d]);
    simd::on(
        #[inline(always)]
        || {
            for ((x, y), st) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)).zip(stats.chunks_exact_mut(2)) {
                let mean = if rms {
                    0.0
                } else {
                    simd::sum(
                        [x],
                        #[inline(always)]
                        |[x]| x,
                    ) / d as f32
                };
                let var = simd::sum(
                    [x],
                    #[inline(always)]
                    |[x]| (x - mean) * (x - mean),
                ) / d as f32;
                let rs = 1.0 / (var + eps).sqrt();
                st[0] = mean;
                st[1] = rs;
                match b {
                    Some(b) => (0..d).for_each(|i| y[i] = ((x[i] - mean) * rs).mul_add(g[i], b[i])),
                    None => (0..d).for_each(|i| y[i] = (x[i] - mean) * rs * g[i]),
                }
            }
        },
    );
}

pub(super) fn norm_grad(mut to: NormGrads<'_>, dy: &[f32], saved: &NormSaved<'_>) {
    let NormSaved { x, stats, gain, rms } = *saved;
    let d = gain.len();
    if d == 0 {
        return;
    }
    simd::on(
        #[inline(always)]
        || {
            for (r, dy) in dy.chunks_exact(d).enumerate() {
                let x = &x.row(r)[..d];
                let (mean, rs) = (stats[2 * r], stats[2 * r + 1]);
                if let Some([(dg, gains), (db, shifts)]) = &mut to.sums {
                    let (f, fs) = (gains.at(r), shifts.at(r));
                    if f != 0.0 || fs != 0.0 {
                        let (dg, db) = (&mut dg[..d], &mut db[..d]);
                        for j in 0..d {
                            dg[j] = (dy[j] * f).mul_add((x[j] - mean) * rs, dg[j]);
                            db[j] += dy[j] * fs;
                        }
                    }
                }
                if let Some((dx, sum)) = &mut to.dx {
                    let dx = &mut dx[r * d..(r + 1) * d];
                    let a = if rms {
                        0.0
                    } else {
                        simd::sum(
                            [dy, gain],
                            #[inline(always)]
                            |[dy, gain]| dy * gain,
                        ) / d as f32
                    };
                    let c = simd::sum(
                        [dy, gain, x],
                        #[inline(always)]
                        |[dy, gain, x]| dy * gain * (x - mean),
                    ) * rs
                        / d as f32;
                    if *sum {
                        for j in 0..d {
                            dx[j] += rs * (dy[j] * gain[j] - a - (x[j] - mean) * rs * c);
                        }
                    } else {
                        for j in 0..d {
                            dx[j] = rs * (dy[j] * gain[j] - a - (x[j] - mean) * rs * c);
                        }
                    }
                }
            }
        },
    );
}
