//! Causal attention, head by head, in blocks of queries that only touch the keys they can see.

use super::gemm::gemm;
use super::simd;
use crate::kernels::{Attended, Heads, Rotary, View, ViewMut};

/// Queries per block.
const BLOCK: usize = 64;

pub(super) fn attention_room(of: &Heads) -> usize {
    BLOCK.min(of.seq) * of.seq
}

pub(super) fn rotate(x: &mut [f32], of: &Heads, rotary: Rotary, back: bool) {
    let (hd, half) = (of.head_dim, of.head_dim / 2);
    for (r, row) in x.chunks_exact_mut(of.width().max(1)).enumerate() {
        let pos = (r % of.seq) as f32 / rotary.stretch;
        for i in 0..half {
            let angle = pos * rotary.base.powf(-2.0 * i as f32 / hd as f32);
            let (sin, cos) = angle.sin_cos();
            let sin = if back { -sin } else { sin };
            for h in 0..of.heads + of.kv_heads {
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

/// A block of queries of one sequence and the keys that they see.
#[derive(Clone, Copy)]
struct Block {
    /// First row of the sequence.
    s0: usize,
    /// First query and first key, as positions.
    q0: usize,
    k0: usize,
    /// How many of each.
    nq: usize,
    nk: usize,
}

/// The blocks of all sequences in `rows` rows, in order.
fn blocks(of: &Heads, rows: usize) -> impl Iterator<Item = Block> + '_ {
    (0..rows).step_by(of.seq).flat_map(move |s0| {
        (0..of.seq).step_by(BLOCK).map(move |q0| {
            let (q1, k0) = ((q0 + BLOCK).min(of.seq), of.first_key(q0));
            Block { s0, q0, k0, nq: q1 - q0, nk: q1 - k0 }
        })
    })
}

impl Block {
    /// Queries, keys and values of head `h`.
    fn views<'a>(&self, of: &Heads, qkv: &'a [f32], h: usize) -> [View<'a>; 3] {
        let (w, hd) = (of.width(), of.head_dim);
        let (cq, ck, cv) = of.columns(h);
        [
            View::strided(&qkv[(self.s0 + self.q0) * w + cq..], self.nq, hd, w),
            View::strided(&qkv[(self.s0 + self.k0) * w + ck..], self.nk, hd, w),
            View::strided(&qkv[(self.s0 + self.k0) * w + cv..], self.nk, hd, w),
        ]
    }

    /// The keys that query `i` of the block sees, counted from the block's first.
    #[inline(always)]
    fn seen(&self, of: &Heads, i: usize) -> (usize, usize) {
        (of.first_key(self.q0 + i) - self.k0, self.q0 + i + 1 - self.k0)
    }
}

pub(super) fn attention(
    (context, lse): (&mut [f32], &mut [f32]),
    room: &mut [f32],
    qkv: &[f32],
    of: &Heads,
    present: impl Fn(usize) -> bool,
) {
    let n = of.heads * of.head_dim;
    for h in 0..of.heads {
        if present(h) {
            head(context, lse, room, qkv, of, h);
        } else {
            for row in context.chunks_exact_mut(n.max(1)) {
                row[h * of.head_dim..(h + 1) * of.head_dim].fill(0.0);
            }
        }
    }
}

fn head(out: &mut [f32], lse: &mut [f32], p: &mut [f32], qkv: &[f32], of: &Heads, h: usize) {
    let (hd, n, heads) = (of.head_dim, of.heads * of.head_dim, of.heads);
    for b in blocks(of, lse.len() / heads) {
        let Block { s0, q0, nq, nk, .. } = b;
        let [q, k, v] = b.views(of, qkv, h);
        gemm(ViewMut::new(p, nq, nk), of.scale, q, k.t(), false);
        simd::on(
            #[inline(always)]
            || {
                for i in 0..nq {
                    let (from, to) = b.seen(of, i);
                    let l = softmax_row(&mut p[i * nk..(i + 1) * nk], from, to);
                    lse[(s0 + q0 + i) * heads + h] = l;
                }
            },
        );
        let o = ViewMut::strided(&mut out[(s0 + q0) * n + h * hd..], nq, hd, n);
        gemm(o, 1.0, View::new(p, nq, nk), v, false);
    }
}

pub(super) fn attention_grad(
    d: &mut [f32],
    [p, dp]: [&mut [f32]; 2],
    dout: &[f32],
    saved: &Attended<'_>,
    of: &Heads,
    takes_part: impl Fn(usize) -> bool,
) {
    for h in (0..of.heads).filter(|h| takes_part(*h)) {
        head_grad(d, [&mut *p, &mut *dp], dout, saved, of, h);
    }
}

fn head_grad(
    d: &mut [f32],
    [p, dp]: [&mut [f32]; 2],
    dout: &[f32],
    saved: &Attended<'_>,
    of: &Heads,
    h: usize,
) {
    let Attended { qkv, context: out, lse } = *saved;
    let (w, hd, n, heads) = (of.width(), of.head_dim, of.heads * of.head_dim, of.heads);
    let (cq, ck, cv) = of.columns(h);
    for b in blocks(of, lse.len() / heads) {
        let Block { s0, q0, k0, nq, nk } = b;
        let [q, k, v] = b.views(of, qkv, h);
        let o0 = (s0 + q0) * n + h * hd;
        let go = View::strided(&dout[o0..], nq, hd, n);
        gemm(ViewMut::new(p, nq, nk), of.scale, q, k.t(), false);
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
                    let (from, to) = b.seen(of, i);
                    let (p, dp) = (&mut p[i * nk..(i + 1) * nk], &mut dp[i * nk..(i + 1) * nk]);
                    p[..from].fill(0.0);
                    dp[..from].fill(0.0);
                    for (p, dp) in p[from..to].iter_mut().zip(&mut dp[from..to]) {
                        *p = simd::exp(*p - l);
                        *dp = *p * (*dp - delta) * of.scale;
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
