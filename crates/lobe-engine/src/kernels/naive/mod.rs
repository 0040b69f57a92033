//! The reference: every kernel by its formula, in plain loops and f64, rounded once at the end. For tests.

mod attention;
mod functions;
mod loss;
mod update;

use self::functions::{activation, function, log_softmax, log_sum_exp, pair, wide};
use super::types::product;
use super::{
    Act, AdamStep, Affine, Attended, Blend, Descent, Distance, Edit, Function, Heads, Kernels, Lookup,
    NormGrads, NormSaved, Over, Pair, Picked, Place, Rotary, Scales, Slope, View, ViewMut,
};

/// The reference that other implementations are held against.
#[derive(Debug, Clone, Copy)]
pub struct Naive;

/// `f` of every row and column of a shape.
fn each((rows, cols): (usize, usize), mut f: impl FnMut(usize, usize)) {
    (0..rows).for_each(|r| (0..cols).for_each(|c| f(r, c)));
}

/// `x = f(x)` in f64.
fn set(x: &mut f32, f: impl FnOnce(f64) -> f64) {
    *x = f(f64::from(*x)) as f32;
}

/// Row and column of b for row and column of a.
fn broadcast(b: &View<'_>, r: usize, c: usize) -> (usize, usize) {
    let (rows, cols) = b.shape();
    (if rows == 1 { 0 } else { r }, if cols == 1 { 0 } else { c })
}

impl Kernels for Naive {
    fn gemm(mut c: ViewMut<'_>, alpha: f32, a: View<'_>, b: View<'_>, accumulate: bool) {
        assert!(c.shape() == (a.shape().0, b.shape().1) && a.shape().1 == b.shape().0, "gemm shapes");
        each(c.shape(), |i, j| {
            let sum: f64 = (0..a.shape().1).map(|k| f64::from(a.at(i, k)) * f64::from(b.at(k, j))).sum();
            set(&mut c.row(i)[j], |c| if accumulate { c } else { 0.0 } + f64::from(alpha) * sum);
        });
    }

    fn add(y: &mut [f32], x: &[f32]) {
        (0..y.len()).for_each(|i| set(&mut y[i], |y| y + f64::from(x[i])));
    }

    fn scale(y: &mut [f32], s: f32) {
        (0..y.len()).for_each(|i| set(&mut y[i], |y| y * f64::from(s)));
    }

    fn scaled(y: &mut [f32], s: f32, x: &[f32]) {
        (0..y.len()).for_each(|i| y[i] = (f64::from(s) * f64::from(x[i])) as f32);
    }

    fn squares(x: &[f32]) -> f64 {
        wide(x).iter().map(|x| x * x).sum()
    }

    fn copy(mut to: ViewMut<'_>, from: View<'_>, accumulate: bool) {
        each(from.shape(), |r, c| {
            set(&mut to.row(r)[c], |y| if accumulate { y } else { 0.0 } + f64::from(from.at(r, c)));
        });
    }

    fn add_row(y: &mut [f32], x: Option<&[f32]>, row: &[f32]) {
        for i in 0..y.len() {
            y[i] = (x.map_or(0.0, |x| f64::from(x[i])) + f64::from(row[i % row.len()])) as f32;
        }
    }

    fn scale_rows(mut x: ViewMut<'_>, by: Scales<'_>) {
        each(x.shape(), |r, c| set(&mut x.row(r)[c], |x| x * f64::from(by.at(r))));
    }

    fn route_rows(mut x: ViewMut<'_>, by: Scales<'_>) {
        each(x.shape(), |r, c| {
            let f = f64::from(by.at(r));
            set(&mut x.row(r)[c], |x| if f == 0.0 { 0.0 } else { x * f });
        });
    }

    fn column_sums(sums: &mut [f32], x: View<'_>, by: &[Scales<'_>]) {
        for (c, sum) in sums.iter_mut().enumerate() {
            let rows = (0..x.shape().0).filter(|r| product(by, *r) != 0.0);
            let all: f64 = rows.map(|r| f64::from(product(by, r)) * f64::from(x.at(r, c))).sum();
            set(sum, |s| s + all);
        }
    }

    fn pack_rows(to: &mut [f32], x: View<'_>, by: &[Scales<'_>], scaled: bool) -> usize {
        let kept: Vec<usize> = (0..x.shape().0).filter(|r| product(by, *r) != 0.0).collect();
        each((kept.len(), x.shape().1), |i, c| {
            let f = if scaled { f64::from(product(by, kept[i])) } else { 1.0 };
            to[i * x.shape().1 + c] = (f * f64::from(x.at(kept[i], c))) as f32;
        });
        kept.len()
    }

    fn gather_rows(y: &mut [f32], x: &[f32], d: usize, ids: &[u32]) {
        each((ids.len(), d), |i, c| y[i * d + c] = x[ids[i] as usize * d + c]);
    }

    fn scatter_rows(y: &mut [f32], x: &[f32], d: usize, place: Place<'_>, by: Scales<'_>) {
        let mut sums = wide(y);
        each((x.len() / d.max(1), d), |i, c| {
            sums[place.of(i) * d + c] += f64::from(by.at(i)) * f64::from(x[i * d + c]);
        });
        y.iter_mut().zip(sums).for_each(|(y, s)| *y = s as f32);
    }

    fn embed(y: &mut [f32], d: usize, tokens: Lookup<'_>, positions: Option<Lookup<'_>>) {
        let of = |l: Lookup<'_>, i, c| f64::from(l.table[l.place.of(i) * d + c]);
        each((y.len() / d.max(1), d), |i, c| {
            y[i * d + c] = (of(tokens, i, c) + positions.map_or(0.0, |p| of(p, i, c))) as f32;
        });
    }

    fn norm(y: &mut [f32], stats: &mut [f32], x: &[f32], how: &Affine<'_>) {
        let d = how.gain.len();
        for r in 0..x.len() / d.max(1) {
            let row = wide(&x[r * d..][..d]);
            let mean = if how.rms { 0.0 } else { row.iter().sum::<f64>() / d as f64 };
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / d as f64;
            let rs = 1.0 / (variance + f64::from(how.eps)).sqrt();
            (stats[2 * r], stats[2 * r + 1]) = (mean as f32, rs as f32);
            for c in 0..d {
                let shift = how.shift.map_or(0.0, |b| f64::from(b[c]));
                y[r * d + c] = ((row[c] - mean) * rs * f64::from(how.gain[c]) + shift) as f32;
            }
        }
    }

    fn norm_grad(to: NormGrads<'_>, dy: &[f32], saved: &NormSaved<'_>) {
        let (d, dy) = (saved.gain.len(), wide(dy));
        let rows = dy.len() / d.max(1);
        let rs = |r: usize| f64::from(saved.stats[2 * r + 1]);
        let hat = |r: usize, c: usize| (f64::from(saved.x.at(r, c)) - f64::from(saved.stats[2 * r])) * rs(r);
        if let Some([(dg, gains), (db, shifts)]) = to.sums {
            for c in 0..d {
                let sum = |f: &dyn Fn(usize) -> f64| (0..rows).map(f).sum::<f64>();
                set(&mut dg[c], |g| g + sum(&|r| f64::from(gains.at(r)) * dy[r * d + c] * hat(r, c)));
                set(&mut db[c], |b| b + sum(&|r| f64::from(shifts.at(r)) * dy[r * d + c]));
            }
        }
        let Some((dx, add)) = to.dx else { return };
        for r in 0..rows {
            let t: Vec<f64> = (0..d).map(|c| dy[r * d + c] * f64::from(saved.gain[c])).collect();
            let mean = if saved.rms { 0.0 } else { t.iter().sum::<f64>() / d as f64 };
            let along = (0..d).map(|c| t[c] * hat(r, c)).sum::<f64>() / d as f64;
            for c in 0..d {
                let g = rs(r) * (t[c] - mean - hat(r, c) * along);
                set(&mut dx[r * d + c], |x| if add { x } else { 0.0 } + g);
            }
        }
    }

    fn activate(u: &mut [f32], mut slope: Option<&mut [f32]>, bias: Option<&[f32]>, n: usize, act: Act) {
        for i in 0..u.len() {
            let (y, s) = activation(act, f64::from(u[i]) + bias.map_or(0.0, |b| f64::from(b[i % n])));
            u[i] = y as f32;
            if let Some(slope) = &mut slope {
                slope[i] = s as f32;
            }
        }
    }

    fn activate_grad(mut dy: ViewMut<'_>, slope: Slope<'_>, by: Scales<'_>) {
        each(dy.shape(), |r, c| {
            let s = match slope {
                Slope::Kept(s) => f64::from(s.at(r, c)),
                Slope::Sign(y) => f64::from(u8::from(y.at(r, c) != 0.0)),
            };
            let f = f64::from(by.at(r));
            set(&mut dy.row(r)[c], |dy| if f == 0.0 { 0.0 } else { dy * s * f });
        });
    }

    fn gated(y: &mut [f32], x: &[f32], n: usize) {
        each((y.len() / n.max(1), n), |r, c| {
            let (gate, up) = (f64::from(x[r * 2 * n + c]), f64::from(x[r * 2 * n + n + c]));
            y[r * n + c] = (activation(Act::Silu, gate).0 * up) as f32;
        });
    }

    fn gated_grad(dx: &mut [f32], dy: &[f32], x: &[f32], n: usize) {
        each((dy.len() / n.max(1), n), |r, c| {
            let (g, u) = (r * 2 * n + c, r * 2 * n + n + c);
            let (value, slope) = activation(Act::Silu, f64::from(x[g]));
            dx[g] = (f64::from(dy[r * n + c]) * f64::from(x[u]) * slope) as f32;
            dx[u] = (f64::from(dy[r * n + c]) * value) as f32;
        });
    }

    fn map(y: &mut [f32], x: &[f32], f: Function) {
        (0..y.len()).for_each(|i| y[i] = function(f, f64::from(x[i])).0 as f32);
    }

    fn map_grad(g: &mut [f32], x: &[f32], f: Function) {
        (0..g.len()).for_each(|i| set(&mut g[i], |g| g * function(f, f64::from(x[i])).1));
    }

    fn pair(y: &mut [f32], a: View<'_>, f: Pair, b: View<'_>) {
        each(a.shape(), |r, c| {
            let (br, bc) = broadcast(&b, r, c);
            y[r * a.shape().1 + c] = pair(f, f64::from(a.at(r, c)), f64::from(b.at(br, bc))).0 as f32;
        });
    }

    fn pair_grad_left(g: &mut [f32], a: View<'_>, f: Pair, b: View<'_>) {
        each(a.shape(), |r, c| {
            let (br, bc) = broadcast(&b, r, c);
            let slope = pair(f, f64::from(a.at(r, c)), f64::from(b.at(br, bc))).1;
            set(&mut g[r * a.shape().1 + c], |g| g * slope);
        });
    }

    fn pair_grad_right(db: &mut [f32], g: &[f32], a: View<'_>, f: Pair, b: View<'_>) {
        let mut sums = wide(db);
        each(a.shape(), |r, c| {
            let (br, bc) = broadcast(&b, r, c);
            let slope = pair(f, f64::from(a.at(r, c)), f64::from(b.at(br, bc))).2;
            sums[br * b.shape().1 + bc] += f64::from(g[r * a.shape().1 + c]) * slope;
        });
        db.iter_mut().zip(sums).for_each(|(y, s)| *y = s as f32);
    }

    fn reduce(y: &mut [f32], x: View<'_>, over: Over) {
        let (rows, cols) = x.shape();
        let row = |r: usize| (0..cols).map(|c| f64::from(x.at(r, c))).collect::<Vec<f64>>();
        let sum = |r: usize| row(r).iter().sum::<f64>();
        let all: f64 = (0..rows).map(sum).sum();
        for (i, y) in y.iter_mut().enumerate() {
            *y = match over {
                Over::Sum => all,
                Over::Mean => all / (rows * cols).max(1) as f64,
                Over::RowSum => sum(i),
                Over::ColumnMean => {
                    (0..rows).map(|r| f64::from(x.at(r, i))).sum::<f64>() / rows.max(1) as f64
                }
                Over::RowLogSumExp => log_sum_exp(&row(i)),
            } as f32;
        }
    }

    fn reduce_grad(dx: &mut [f32], g: &[f32], x: View<'_>, y: &[f32], over: Over) {
        let (rows, cols) = x.shape();
        each((rows, cols), |r, c| {
            dx[r * cols + c] = match over {
                Over::Sum => f64::from(g[0]),
                Over::Mean => f64::from(g[0]) / (rows * cols) as f64,
                Over::RowSum => f64::from(g[r]),
                Over::ColumnMean => f64::from(g[c]) / rows as f64,
                Over::RowLogSumExp => f64::from(g[r]) * (f64::from(x.at(r, c)) - f64::from(y[r])).exp(),
            } as f32;
        });
    }

    fn attention_room(_: &Heads) -> usize {
        0
    }

    fn rotate(x: &mut [f32], of: &Heads, rotary: Rotary, back: bool) {
        attention::rotate(x, of, rotary, back);
    }

    fn attention(
        out: (&mut [f32], &mut [f32]),
        _: &mut [f32],
        qkv: &[f32],
        of: &Heads,
        present: impl Fn(usize) -> bool,
    ) {
        attention::attention(out, qkv, of, present);
    }

    fn attention_grad(
        dqkv: &mut [f32],
        _: [&mut [f32]; 2],
        dout: &[f32],
        saved: &Attended<'_>,
        of: &Heads,
        takes_part: impl Fn(usize) -> bool,
    ) {
        attention::attention_grad(dqkv, dout, saved, of, takes_part);
    }

    fn cross_entropy(z: ViewMut<'_>, of: Picked<'_>, losses: Option<ViewMut<'_>>) {
        loss::cross_entropy(z, of, losses);
    }

    fn surprise(z: View<'_>, of: Picked<'_>, losses: ViewMut<'_>) {
        loss::surprise(z, of, losses);
    }

    fn teach(z: ViewMut<'_>, rows: &[u32], teacher: View<'_>, weights: Scales<'_>, out: &mut [f32]) {
        loss::teach(z, rows, teacher, weights, out);
    }

    fn distance(
        out: &mut [f32],
        g: Option<&mut [f32]>,
        x: View<'_>,
        target: View<'_>,
        kind: Distance,
        weights: Scales<'_>,
    ) {
        loss::distance(out, g, x, target, kind, weights);
    }

    fn l1(g: Option<&mut [f32]>, x: View<'_>, weights: Scales<'_>) -> (f64, f64) {
        loss::l1(g, x, weights)
    }

    fn from_uniform(z: &[f32], weight: f64, grad: &mut [f32]) -> f64 {
        let (p, even) = (log_softmax(z), 1.0 / z.len() as f64);
        (0..z.len()).for_each(|i| grad[i] = (weight * (p[i].exp() - even)) as f32);
        p.iter().map(|p| even * (even.ln() - p)).sum()
    }

    fn divergence(z: &[f32], teacher: &[f32], weight: f64, grad: &mut [f32], _: &mut [f32]) -> f64 {
        let (p, q) = (log_softmax(z), log_softmax(teacher));
        (0..z.len()).for_each(|i| grad[i] = (weight * (p[i].exp() - q[i].exp())) as f32);
        p.iter().zip(&q).map(|(p, q)| q.exp() * (q - p)).sum()
    }

    fn negative_entropy(z: &[f32], weight: f64, grad: &mut [f32]) -> f64 {
        let p = log_softmax(z);
        let s: f64 = p.iter().map(|p| p.exp() * p).sum();
        (0..z.len()).for_each(|i| grad[i] = (weight * p[i].exp() * (p[i] - s)) as f32);
        s
    }

    fn bias_gradient(
        (z, bias): (&[f32], &[f32]),
        y: usize,
        scale: f32,
        grad: &mut [f32],
        _: &mut [f32],
    ) -> f32 {
        let x: Vec<f64> = z.iter().zip(bias).map(|(z, b)| f64::from(*z) + f64::from(*b)).collect();
        let total = log_sum_exp(&x);
        for (c, x) in x.iter().enumerate() {
            let slope = (x - total).exp() - f64::from(u8::from(c == y));
            set(&mut grad[c], |g| g + f64::from(scale) * slope);
        }
        (total - x[y]) as f32
    }

    fn edit(mut x: ViewMut<'_>, edit: &Edit) {
        for r in 0..x.shape().0 {
            let before = wide(x.row(r));
            let along = |u: &[f32]| before.iter().zip(u).map(|(x, u)| x * f64::from(*u)).sum::<f64>();
            for (c, x) in x.row(r).iter_mut().enumerate() {
                *x = match edit {
                    Edit::Set(v) => f64::from(v[c]),
                    Edit::Add(v) => before[c] + f64::from(v[c]),
                    Edit::ProjectOut(u) => before[c] - along(u) * f64::from(u[c]),
                    Edit::Clamp(lo, hi) => before[c].clamp(f64::from(*lo), f64::from(*hi)),
                } as f32;
            }
        }
    }

    fn edit_grad(mut g: ViewMut<'_>, seen: View<'_>, edit: &Edit) {
        match edit {
            Edit::Set(_) => Self::scale_rows(g, Scales::One(0.0)),
            Edit::Add(_) => {}
            // A projection is its own transpose.
            Edit::ProjectOut(_) => Self::edit(g, edit),
            Edit::Clamp(lo, hi) => each(seen.shape(), |r, c| {
                let inside = seen.at(r, c) > *lo && seen.at(r, c) < *hi;
                set(&mut g.row(r)[c], |g| if inside { g } else { 0.0 });
            }),
        }
    }

    fn sgd(p: &mut [f32], m: Option<&mut [f32]>, g: &[f32], step: &Descent) {
        update::sgd(p, m, g, step);
    }

    fn adam(p: &mut [f32], moments: [&mut [f32]; 2], g: &[f32], step: &AdamStep) {
        let [m, v] = moments;
        let mut w = vec![0.0; p.len()];
        update::adam(p, m, v, (&mut w, false), g, step);
    }

    fn amsgrad(p: &mut [f32], moments: [&mut [f32]; 3], g: &[f32], step: &AdamStep) {
        let [m, v, w] = moments;
        update::adam(p, m, v, (w, true), g, &AdamStep { l2: 0.0, ..*step });
    }

    fn blend(x: &mut [f32], m: &mut [f32], g: &[f32], how: &Blend) {
        update::blend(x, m, g, how);
    }

    fn follow(p: &mut [f32], x: &[f32], keep: f32, lr: f32) {
        (0..p.len()).for_each(|i| set(&mut p[i], |p| p * f64::from(keep) - f64::from(lr) * f64::from(x[i])));
    }
}
