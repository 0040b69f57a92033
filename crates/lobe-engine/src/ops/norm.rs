//! Layer norm and RMS norm over the columns of each row.

use crate::error::{EngineError, same};
use crate::factors::Kind;
use crate::layout::ParamId;
use crate::simd;
use crate::tape::{Tape, Var};

/// `y = (x - mean) / sqrt(var + eps) * gain + shift`; RMS norm has no mean and usually no shift.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    x: Var,
    out: Var,
    /// `[rows, 2]`: mean and reciprocal deviation.
    stats: Var,
    rms: bool,
    gain: ParamId,
    shift: Option<ParamId>,
}

impl Tape<'_> {
    /// Layer norm; with `rms`, no mean is subtracted.
    ///
    /// # Errors
    /// If gain or shift have another width than `x`.
    pub fn norm(
        &mut self,
        x: Var,
        gain: ParamId,
        shift: Option<ParamId>,
        rms: bool,
        eps: f32,
    ) -> Result<Var, EngineError> {
        let (rows, d) = self.shape(x);
        for p in [Some(gain), shift].into_iter().flatten() {
            let t = self.layout.get(p);
            same("norm", "width of gain or shift", (1, d), (t.rows, t.cols))?;
        }
        let mut out = self.ws.pool.take(rows * d);
        let mut stats = self.ws.pool.take(rows * 2);
        let how = Affine { gain: self.param(gain), shift: shift.map(|p| self.param(p)), rms, eps };
        forward(self.value(x), &mut out, &mut stats, &how);
        let needs = self.needs(x) || self.param_needs(gain) || shift.is_some_and(|s| self.param_needs(s));
        let out = self.push("norm", rows, d, out, needs);
        let stats = self.push("norm stats", rows, 2, stats, false);
        self.record_op(out, Norm { x, out, stats, rms, gain, shift });
        Ok(out)
    }
}

/// How rows are normalised, and what then happens to each column.
struct Affine<'a> {
    gain: &'a [f32],
    shift: Option<&'a [f32]>,
    rms: bool,
    eps: f32,
}

fn forward(x: &[f32], y: &mut [f32], stats: &mut [f32], how: &Affine<'_>) {
    let (g, rms, eps, d) = (how.gain, how.rms, how.eps, how.gain.len());
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

impl Norm {
    /// With x̂ the normalised row and t = dy ∘ gain:
    /// dx = rs (t - mean(t) - x̂ mean(t ∘ x̂)), dgain = Σ dy ∘ x̂, dshift = Σ dy.
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(dy) = t.take_grad(self.out) else { return };
        let (_, d) = t.shape(self.x);
        let wanted = t.param_needs(self.gain) || self.shift.is_some_and(|s| t.param_needs(s));
        let mut dg = t.ws.pool.take_zeroed(d);
        let mut db = t.ws.pool.take_zeroed(d);
        let needs = t.needs(self.x);
        let (mut dx, sum) = if needs { t.grad_slot(self.x) } else { (t.ws.pool.take(0), false) };
        {
            let x = &t.ws.vars[self.x.0].value;
            let stats = &t.ws.vars[self.stats.0].value;
            let gain = &t.params[t.layout.get(self.gain).span()][..d];
            let factor_of = |p| &t.ws.factors[t.plan.whole(p)][Kind::Update as usize];
            let (gains, shifts) = (factor_of(self.gain), factor_of(self.shift.unwrap_or(self.gain)));
            let (rms, dg, db) = (self.rms, &mut dg[..d], &mut db[..d]);
            simd::on(
                #[inline(always)]
                || {
                    for (r, (dy, x)) in dy.chunks_exact(d).zip(x.chunks_exact(d)).enumerate() {
                        let (mean, rs) = (stats[2 * r], stats[2 * r + 1]);
                        let (f, fs) = (gains.at(r), shifts.at(r));
                        if wanted && (f != 0.0 || fs != 0.0) {
                            for j in 0..d {
                                dg[j] = (dy[j] * f).mul_add((x[j] - mean) * rs, dg[j]);
                                db[j] += dy[j] * fs;
                            }
                        }
                        if needs {
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
                            if sum {
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
        if needs {
            t.put_grad(self.x, dx);
        }
        for (p, sums) in [(Some(self.gain), &dg), (self.shift, &db)] {
            let Some(p) = p.filter(|p| t.param_needs(*p)) else { continue };
            t.touch(p);
            if let Some(grads) = t.grads.as_mut().and_then(|g| g.of(p)) {
                simd::add(grads, sums);
            }
        }
        t.release(dg);
        t.release(db);
        t.release(dy);
    }
}
