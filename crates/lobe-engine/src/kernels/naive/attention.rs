//! Causal attention by its definition: one query and one key at a time.

use super::functions::log_sum_exp;
use crate::kernels::{Attended, Heads, Rotary};

pub(super) fn rotate(x: &mut [f32], of: &Heads, rotary: Rotary, back: bool) {
    let (hd, half, width) = (of.head_dim, of.head_dim / 2, of.width());
    for at in 0..x.len() / width.max(1) * (of.heads + of.kv_heads) * half {
        let (i, rest) = (at % half, at / half);
        let (h, r) = (rest % (of.heads + of.kv_heads), rest / (of.heads + of.kv_heads));
        let position = (r % of.seq) as f64 / f64::from(rotary.stretch);
        let angle = position * f64::from(rotary.base).powf(-2.0 * i as f64 / hd as f64);
        let (sin, cos) = (if back { -angle } else { angle }).sin_cos();
        let first = r * width + h * hd + i;
        let (a, b) = (f64::from(x[first]), f64::from(x[first + half]));
        x[first] = (a * cos - b * sin) as f32;
        x[first + half] = (a * sin + b * cos) as f32;
    }
}

/// Σ over the width of a head of two places in two rows.
fn dot(x: &[f32], i: usize, y: &[f32], j: usize, n: usize) -> f64 {
    (0..n).map(|c| f64::from(x[i + c]) * f64::from(y[j + c])).sum()
}

/// Where query `q` and key `k` (rows) have the parts of head `h`.
fn places(of: &Heads, h: usize, q: usize, k: usize) -> (usize, usize, usize) {
    let (w, (cq, ck, cv)) = (of.width(), of.columns(h));
    (q * w + cq, k * w + ck, k * w + cv)
}

/// The rows of the keys that row `q` sees.
fn keys(of: &Heads, q: usize) -> std::ops::RangeInclusive<usize> {
    let position = q % of.seq;
    let back = of.window.map_or(position, |w| position.min(w - 1));
    q - back..=q
}

fn logits(qkv: &[f32], of: &Heads, h: usize, q: usize) -> Vec<f64> {
    let logit = |k| {
        let (at, key, _) = places(of, h, q, k);
        f64::from(of.scale) * dot(qkv, at, qkv, key, of.head_dim)
    };
    keys(of, q).map(logit).collect()
}

pub(super) fn attention(
    (context, lse): (&mut [f32], &mut [f32]),
    qkv: &[f32],
    of: &Heads,
    present: impl Fn(usize) -> bool,
) {
    let (hd, rows) = (of.head_dim, lse.len() / of.heads);
    for (q, h) in (0..rows).flat_map(|q| (0..of.heads).map(move |h| (q, h))) {
        let mut sum = vec![0.0; hd];
        if present(h) {
            let s = logits(qkv, of, h, q);
            let total = log_sum_exp(&s);
            for (s, k) in s.iter().zip(keys(of, q)) {
                let (_, _, v) = places(of, h, q, k);
                (0..hd).for_each(|c| sum[c] += (s - total).exp() * f64::from(qkv[v + c]));
            }
            lse[q * of.heads + h] = total as f32;
        }
        (0..hd).for_each(|c| context[(q * of.heads + h) * hd + c] = sum[c] as f32);
    }
}

pub(super) fn attention_grad(
    dqkv: &mut [f32],
    dout: &[f32],
    saved: &Attended<'_>,
    of: &Heads,
    takes_part: impl Fn(usize) -> bool,
) {
    let (hd, rows, qkv) = (of.head_dim, saved.lse.len() / of.heads.max(1), saved.qkv);
    let mut d = vec![0.0; dqkv.len()];
    for (q, h) in (0..rows).flat_map(|q| (0..of.heads).map(move |h| (q, h))).filter(|(_, h)| takes_part(*h)) {
        let s = logits(qkv, of, h, q);
        let total = log_sum_exp(&s);
        let p: Vec<f64> = s.iter().map(|s| (s - total).exp()).collect();
        let o = (q * of.heads + h) * hd;
        // The gradient of each probability, and its mean under them: softmax's own derivative.
        let dp: Vec<f64> = keys(of, q).map(|k| dot(dout, o, qkv, places(of, h, q, k).2, hd)).collect();
        let mean: f64 = p.iter().zip(&dp).map(|(p, d)| p * d).sum();
        for ((p, dp), k) in p.iter().zip(&dp).zip(keys(of, q)) {
            let (at, key, value) = places(of, h, q, k);
            let ds = p * (dp - mean) * f64::from(of.scale);
            for c in 0..hd {
                d[at + c] += ds * f64::from(qkv[key + c]);
                d[key + c] += ds * f64::from(qkv[at + c]);
                d[value + c] += p * f64::from(dout[o + c]);
            }
        }
    }
    dqkv.iter_mut().zip(d).for_each(|(x, d)| *x = (f64::from(*x) + d) as f32);
}
