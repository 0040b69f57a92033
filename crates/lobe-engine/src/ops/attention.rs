//! Causal multi-head attention over packed sequences: grouped queries, rotary positions, local
//! windows. Probabilities are recomputed in the backward pass from the stored log-sum-exp, in
//! blocks of queries that only touch the keys they can see.

use crate::buffer::Buf;
use crate::error::{EngineError, same};
use crate::factors::Kind;
use crate::gemm::{View, ViewMut, gemm};
use crate::layout::SiteId;
use crate::plan::PLAIN;
use crate::simd;
use crate::tape::{Tape, Var};

/// Queries per block.
const BLOCK: usize = 64;

/// Rotary positions. Pairs are (i, i + head_dim/2); pair i turns by
/// `position / stretch · base^(-2i/head_dim)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotary {
    /// Base of the angles (10,000 in Llama).
    pub base: f32,
    /// What positions are divided by: 1, or the factor of "linear" scaling for longer contexts
    /// (Chen et al. 2023, arXiv:2306.15595).
    pub stretch: f32,
}

impl Rotary {
    /// Positions as they are.
    pub fn plain(base: f32) -> Rotary {
        Rotary { base, stretch: 1.0 }
    }
}

/// Shape and options. The input row is `[q heads | k heads | v heads]`, each `head_dim` wide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionSpec {
    /// Sequence length; rows must be a multiple of it.
    pub seq: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Scale on the logits.
    pub scale: f32,
    /// How many positions back a query sees, itself included; `None` is all.
    pub window: Option<usize>,
    /// Rotation of queries and keys; `None` for none.
    pub rotary: Option<Rotary>,
    /// The site at the context vectors; its units are heads.
    pub site: Option<SiteId>,
}

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    qkv: Var,
    out: Var,
    /// `[rows, heads]` log-sum-exp of the logits.
    lse: Var,
    spec: AttentionSpec,
}

impl AttentionSpec {
    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }
    /// Columns of head `h`'s query, key and value.
    fn columns(&self, h: usize) -> (usize, usize, usize) {
        let g = h / (self.heads / self.kv_heads);
        let hd = self.head_dim;
        (h * hd, (self.heads + g) * hd, (self.heads + self.kv_heads + g) * hd)
    }
    /// First key that the block of queries starting at `q0` may see.
    fn first_key(&self, q0: usize) -> usize {
        self.window.map_or(0, |w| (q0 + 1).saturating_sub(w))
    }
}

impl Tape<'_> {
    /// Attention over `qkv` `[rows, (heads + 2 kv_heads) head_dim]`; result `[rows, heads head_dim]`.
    /// With `rotary`, queries and keys in `qkv` are rotated in place.
    ///
    /// # Errors
    /// If the width does not fit, rows are no multiple of `seq`, heads do not divide, or what stands
    /// at the site does not fit.
    pub fn attention(&mut self, qkv: Var, spec: AttentionSpec) -> Result<Var, EngineError> {
        let (rows, width) = self.shape(qkv);
        same("attention", "width of qkv", (rows, width), (rows, spec.width()))?;
        if spec.kv_heads == 0 || !spec.heads.is_multiple_of(spec.kv_heads) || spec.window == Some(0) {
            return Err(EngineError::Invalid(format!(
                "attention: {} heads over {} key/value heads, window {:?}",
                spec.heads, spec.kv_heads, spec.window
            )));
        }
        if spec.seq == 0 || !rows.is_multiple_of(spec.seq) {
            return Err(EngineError::Shape {
                op: "attention",
                what: "rows must be a multiple of the sequence length",
                left: (rows, width),
                right: (spec.seq, width),
            });
        }
        if let Some(rotary) = spec.rotary {
            let mut v = std::mem::take(&mut self.ws.vars[qkv.0].value);
            rotate(&mut v, &spec, rotary, false);
            self.ws.vars[qkv.0].value = v;
        }
        let n = spec.heads * spec.head_dim;
        let mut out = self.ws.pool.take(rows * n);
        let mut lse = self.ws.pool.take(rows * spec.heads);
        let mut p = self.ws.pool.take(BLOCK.min(spec.seq) * spec.seq);
        for h in 0..spec.heads {
            if self.head_factor(&spec, h, Kind::Forward) {
                for row in out.chunks_exact_mut(n) {
                    row[h * spec.head_dim..(h + 1) * spec.head_dim].fill(0.0);
                }
                continue;
            }
            head_forward(self.value(qkv), &mut out, &mut lse, &mut p, &spec, h);
        }
        self.release(p);
        let needs = self.needs(qkv);
        let out = self.push("attention", rows, n, out, needs);
        let lse = self.push("attention lse", rows, spec.heads, lse, false);
        self.record_op(out, Attention { qkv, out, lse, spec });
        match spec.site {
            // The backward pass reads the context vectors, so nothing may rewrite them in place.
            Some(site) if self.rewrites(site) => self.site(out, site),
            Some(site) => {
                self.mark_site(out, site)?;
                Ok(out)
            }
            None => Ok(out),
        }
    }

    /// Whether a route, an intervention or an addition changes values at `site` other than by dropping
    /// heads.
    fn rewrites(&self, site: SiteId) -> bool {
        let keeps = |c| self.factor(Kind::Forward, c).is(1.0) || self.factor(Kind::Forward, c).is(0.0);
        self.rewritten(site) || !self.plan.site(site).iter().all(|s| keeps(s.class))
    }

    /// Whether the factor of head `h` is zero for the whole shard.
    fn head_factor(&self, spec: &AttentionSpec, h: usize, kind: Kind) -> bool {
        let segments = spec.site.map_or(&[][..], |s| self.plan.site(s));
        let class = segments.iter().find(|s| s.range.contains(&h)).map_or(PLAIN, |s| s.class);
        self.factor(kind, class).is(0.0)
    }
}

/// Rotates pairs (i, i + half) of every query and key head by position; `back` is the inverse.
fn rotate(x: &mut [f32], spec: &AttentionSpec, rotary: Rotary, back: bool) {
    let (hd, half) = (spec.head_dim, spec.head_dim / 2);
    for (r, row) in x.chunks_exact_mut(spec.width()).enumerate() {
        let pos = (r % spec.seq) as f32 / rotary.stretch;
        for i in 0..half {
            let angle = pos * rotary.base.powf(-2.0 * i as f32 / hd as f32);
            let (sin, cos) = angle.sin_cos();
            let sin = if back { -sin } else { sin };
            for h in 0..spec.heads + spec.kv_heads {
                let (a, b) = (row[h * hd + i], row[h * hd + i + half]);
                row[h * hd + i] = a * cos - b * sin;
                row[h * hd + i + half] = a * sin + b * cos;
            }
        }
    }
}

/// Softmax of `s[from..to]` in place, zero elsewhere; returns the log-sum-exp.
#[inline(always)]
fn softmax_row(s: &mut [f32], from: usize, to: usize) -> f32 {
    s[..from].fill(0.0);
    s[to..].fill(0.0);
    let v = &mut s[from..to];
    let top = simd::max(v);
    let total = simd::exp_sum(v, top);
    let inv = 1.0 / total;
    for x in v.iter_mut() {
        *x *= inv;
    }
    top + total.ln()
}

fn head_forward(
    qkv: &[f32],
    out: &mut [f32],
    lse: &mut [f32],
    p: &mut [f32],
    spec: &AttentionSpec,
    h: usize,
) {
    let (w, hd, n, heads) = (spec.width(), spec.head_dim, spec.heads * spec.head_dim, spec.heads);
    let (cq, ck, cv) = spec.columns(h);
    for s0 in (0..lse.len() / heads).step_by(spec.seq) {
        for q0 in (0..spec.seq).step_by(BLOCK) {
            let q1 = (q0 + BLOCK).min(spec.seq);
            let k0 = spec.first_key(q0);
            let (nq, nk) = (q1 - q0, q1 - k0);
            let q = View::strided(&qkv[(s0 + q0) * w + cq..], nq, hd, w);
            let k = View::strided(&qkv[(s0 + k0) * w + ck..], nk, hd, w);
            let v = View::strided(&qkv[(s0 + k0) * w + cv..], nk, hd, w);
            gemm(ViewMut::new(p, nq, nk), spec.scale, q, k.t(), false);
            simd::on(
                #[inline(always)]
                || {
                    for i in 0..nq {
                        let from = spec.first_key(q0 + i) - k0;
                        let l = softmax_row(&mut p[i * nk..(i + 1) * nk], from, q0 + i + 1 - k0);
                        lse[(s0 + q0 + i) * heads + h] = l;
                    }
                },
            );
            let o = ViewMut::strided(&mut out[(s0 + q0) * n + h * hd..], nq, hd, n);
            gemm(o, 1.0, View::new(p, nq, nk), v, false);
        }
    }
}

impl Attention {
    /// P = softmax(scale q kᵀ); dV = Pᵀ dO; dP = dO Vᵀ; dS = P ∘ (dP - rowsum(dO ∘ O)) scale;
    /// dQ = dS K; dK = dSᵀ Q.
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(dout) = t.take_grad(self.out) else { return };
        let (rows, width) = t.shape(self.qkv);
        let spec = self.spec;
        let mut d = t.ws.pool.take_zeroed(rows * width);
        let block = BLOCK.min(spec.seq) * spec.seq;
        let mut scratch = [t.ws.pool.take(block), t.ws.pool.take(block)];
        for h in 0..spec.heads {
            if !t.head_factor(&spec, h, Kind::Flow) {
                self.head_backward(t, &dout, &mut d, &mut scratch, h);
            }
        }
        if let Some(rotary) = spec.rotary {
            rotate(&mut d, &spec, rotary, true);
        }
        for s in scratch {
            t.release(s);
        }
        t.release(dout);
        t.move_grad(self.qkv, d);
    }

    fn head_backward(&self, t: &Tape<'_>, dout: &[f32], d: &mut [f32], [p, dp]: &mut [Buf; 2], h: usize) {
        let spec = &self.spec;
        let (qkv, out, lse) = (t.value(self.qkv), t.value(self.out), t.value(self.lse));
        let (w, hd, n, heads) = (spec.width(), spec.head_dim, spec.heads * spec.head_dim, spec.heads);
        let (cq, ck, cv) = spec.columns(h);
        for s0 in (0..dout.len() / n).step_by(spec.seq) {
            for q0 in (0..spec.seq).step_by(BLOCK) {
                let q1 = (q0 + BLOCK).min(spec.seq);
                let k0 = spec.first_key(q0);
                let (nq, nk) = (q1 - q0, q1 - k0);
                let q = View::strided(&qkv[(s0 + q0) * w + cq..], nq, hd, w);
                let k = View::strided(&qkv[(s0 + k0) * w + ck..], nk, hd, w);
                let v = View::strided(&qkv[(s0 + k0) * w + cv..], nk, hd, w);
                let o0 = (s0 + q0) * n + h * hd;
                let go = View::strided(&dout[o0..], nq, hd, n);
                gemm(ViewMut::new(p, nq, nk), spec.scale, q, k.t(), false);
                gemm(ViewMut::new(dp, nq, nk), 1.0, go, v.t(), false);
                simd::on(
                    #[inline(always)]
                    || {
                        for i in 0..nq {
                            let (go, o) = (&dout[o0 + i * n..][..hd], &out[o0 + i * n..][..hd]);
                            let delta = simd::sum(
                                [go, o],
                                #[inline(always)]
                                |[go, o]| go * o,
                            );
                            let l = lse[(s0 + q0 + i) * heads + h];
                            let (from, to) = (spec.first_key(q0 + i) - k0, q0 + i + 1 - k0);
                            let (p, dp) = (&mut p[i * nk..(i + 1) * nk], &mut dp[i * nk..(i + 1) * nk]);
                            p[..from].fill(0.0);
                            dp[..from].fill(0.0);
                            for (p, dp) in p[from..to].iter_mut().zip(&mut dp[from..to]) {
                                *p = simd::exp(*p - l);
                                *dp = *p * (*dp - delta) * spec.scale;
                            }
                            p[to..].fill(0.0);
                            dp[to..].fill(0.0);
                        }
                    },
                );
                let (pv, dpv) = (View::new(p, nq, nk), View::new(dp, nq, nk));
                gemm(ViewMut::strided(&mut d[(s0 + q0) * w + cq..], nq, hd, w), 1.0, dpv, k, true);
                gemm(ViewMut::strided(&mut d[(s0 + k0) * w + ck..], nk, hd, w), 1.0, dpv.t(), q, true);
                gemm(ViewMut::strided(&mut d[(s0 + k0) * w + cv..], nk, hd, w), 1.0, pv.t(), go, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretched_positions_turn_by_a_part_of_the_angle_and_back() {
        let spec = |rotary| AttentionSpec {
            seq: 4,
            heads: 1,
            kv_heads: 1,
            head_dim: 2,
            scale: 1.0,
            window: None,
            rotary: Some(rotary),
            site: None,
        };
        let turned = |rotary: Rotary| {
            // Query, key and value of four positions; the first pair turns by the position itself.
            let mut x: Vec<f32> = (0..4).flat_map(|_| [1.0, 0.0, 0.0, 1.0, 5.0, 6.0]).collect();
            let whole = x.clone();
            rotate(&mut x, &spec(rotary), rotary, false);
            let last = x[18..].to_vec();
            rotate(&mut x, &spec(rotary), rotary, true);
            assert!(x.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-6));
            last
        };
        for (rotary, angle) in [(Rotary::plain(100.0), 3.0f32), (Rotary { base: 100.0, stretch: 4.0 }, 0.75)]
        {
            let want = [angle.cos(), angle.sin(), -angle.sin(), angle.cos(), 5.0, 6.0];
            assert!(turned(rotary).iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{rotary:?}");
        }
    }
}
