//! The seam between operations and the device that computes them.
//!
//! [`Kernels`] is the list of everything that a device must provide: one function per kernel, each over whole
//! matrices. Operations ([`crate::ops`]) hold shapes, routes and the tape and call the list on [`Device`];
//! optimiser rules do the same. [`Cpu`] is the implementation that runs, in vectorised loops. [`Naive`] is the
//! reference: the formulas in plain loops and f64, which the tests hold `Cpu` against.
//!
//! The trait is used by its name and never as `dyn`, so every call is a direct one that may be inlined.
//! Matrices are row-major unless they are views. Kernels trust their callers with shapes: a wrong one panics.

mod cpu;
mod naive;
mod types;
mod view;

use std::ops::Range;

pub use self::cpu::{Cpu, on};
pub use self::naive::Naive;
pub use self::types::{
    Act, AdamStep, Affine, Attended, Blend, Descent, Distance, Edit, Function, Heads, Lookup, NormGrads,
    NormSaved, Over, Pair, Picked, Place, Rotary, Scales, Slope,
};
pub use self::view::{View, ViewMut};

/// The device that this build computes on.
pub type Device = Cpu;

/// `c = alpha * a b`, or `c += alpha * a b` when `accumulate`, on this build's device.
///
/// # Panics
/// If the shapes do not fit. Operations check shapes before they come here.
#[inline]
pub fn gemm(c: ViewMut<'_>, alpha: f32, a: View<'_>, b: View<'_>, accumulate: bool) {
    Device::gemm(c, alpha, a, b, accumulate);
}

/// What a device must provide.
///
/// In the formulas `∘` is the product of elements and `r` a row. "Added to" means that the kernel adds to what
/// is there; everything else is overwritten.
pub trait Kernels {
    /// `c = alpha a b`, or `c += alpha a b` when `accumulate`: a `[m, k]`, b `[k, n]`, c `[m, n]`.
    fn gemm(c: ViewMut<'_>, alpha: f32, a: View<'_>, b: View<'_>, accumulate: bool);

    /// `y += x`, of one length.
    fn add(y: &mut [f32], x: &[f32]);
    /// `y *= s`.
    fn scale(y: &mut [f32], s: f32);
    /// `y = s x`, of one length.
    fn scaled(y: &mut [f32], s: f32, x: &[f32]);
    /// `Σ x²` in f64, in order.
    fn squares(x: &[f32]) -> f64;

    /// `to = from`, or `to += from` when `accumulate`, of one shape. `from` is no transpose.
    fn copy(to: ViewMut<'_>, from: View<'_>, accumulate: bool);
    /// `y[r] = row`, or `x[r] + row` where there is an `x` of the shape of `y` `[rows, n]`; row `[n]`.
    fn add_row(y: &mut [f32], x: Option<&[f32]>, row: &[f32]);
    /// `x[r] *= by[r]`.
    fn scale_rows(x: ViewMut<'_>, by: Scales<'_>);
    /// `x[r] *= by[r]`; where a factor is 0 the row becomes 0, also if it is not finite: what a route makes
    /// absent.
    fn route_rows(x: ViewMut<'_>, by: Scales<'_>);
    /// `sums += Σ_r by[r] x[r]`, by the product of all factors: x `[rows, n]`, sums `[n]`, added to.
    fn column_sums(sums: &mut [f32], x: View<'_>, by: &[Scales<'_>]);
    /// The rows of x whose product of factors is not 0, one after the other in `to`; times that product when
    /// `scaled`. Returns how many there are.
    fn pack_rows(to: &mut [f32], x: View<'_>, by: &[Scales<'_>], scaled: bool) -> usize;

    /// `y[i] = x[ids[i]]`: y `[n, d]`, x `[·, d]`.
    fn gather_rows(y: &mut [f32], x: &[f32], d: usize, ids: &[u32]);
    /// `y[place(i)] += by[i] x[i]`, in the order of the rows: x `[n, d]`, y `[·, d]`, added to.
    fn scatter_rows(y: &mut [f32], x: &[f32], d: usize, place: Place<'_>, by: Scales<'_>);
    /// `y[i] = tokens[i] + positions[i]`: y `[n, d]`.
    fn embed(y: &mut [f32], d: usize, tokens: Lookup<'_>, positions: Option<Lookup<'_>>);

    /// `y = (x - mean) / √(var + eps) ∘ gain + shift` for each row; RMS norm has mean 0. x and y `[rows, d]`,
    /// stats `[rows, 2]`: mean and 1 / √(var + eps).
    fn norm(y: &mut [f32], stats: &mut [f32], x: &[f32], how: &Affine<'_>);
    /// With x̂ the normalised row, s its reciprocal deviation and t = dy ∘ gain:
    /// dx = s (t - mean(t) - x̂ mean(t ∘ x̂)), without mean(t) for RMS norm; gain's sum += Σ_r f_r dy ∘ x̂;
    /// shift's sum += Σ_r f_r dy.
    fn norm_grad(to: NormGrads<'_>, dy: &[f32], saved: &NormSaved<'_>);

    /// `u = act(u + bias)` and, where it is wanted, `slope = act'(u + bias)`: u and slope `[rows, n]`, bias
    /// `[n]`.
    fn activate(u: &mut [f32], slope: Option<&mut [f32]>, bias: Option<&[f32]>, n: usize, act: Act);
    /// `dy[r] = by[r] dy[r] ∘ slope[r]`; where a factor is 0 the row becomes 0.
    fn activate_grad(dy: ViewMut<'_>, slope: Slope<'_>, by: Scales<'_>);
    /// `y = silu(x[:, ..n]) ∘ x[:, n..]`: x `[rows, 2n]`, y `[rows, n]`.
    fn gated(y: &mut [f32], x: &[f32], n: usize);
    /// dx of [`Kernels::gated`]: `dy ∘ up ∘ silu'(gate)` beside `dy ∘ silu(gate)`.
    fn gated_grad(dx: &mut [f32], dy: &[f32], x: &[f32], n: usize);

    /// `y = f(x)`.
    fn map(y: &mut [f32], x: &[f32], f: Function);
    /// `g *= f'(x)`.
    fn map_grad(g: &mut [f32], x: &[f32], f: Function);
    /// `y = f(a, b)`: a and y `[r, c]`; b of the same shape or `[1, c]`, `[r, 1]`, `[1, 1]`.
    fn pair(y: &mut [f32], a: View<'_>, f: Pair, b: View<'_>);
    /// `g *= ∂f/∂a`: g `[r, c]`.
    fn pair_grad_left(g: &mut [f32], a: View<'_>, f: Pair, b: View<'_>);
    /// `db += g ∘ ∂f/∂b`, summed where b is broadcast: db of the shape of b, added to.
    fn pair_grad_right(db: &mut [f32], g: &[f32], a: View<'_>, f: Pair, b: View<'_>);
    /// `y` = x reduced; sums in f64.
    fn reduce(y: &mut [f32], x: View<'_>, over: Over);
    /// dx of [`Kernels::reduce`], from x, y and y's gradient g: dx `[rows, cols]`.
    fn reduce_grad(dx: &mut [f32], g: &[f32], x: View<'_>, y: &[f32], over: Over);

    /// How many numbers of scratch the two attention kernels need.
    fn attention_room(of: &Heads) -> usize;
    /// Rotates queries and keys of x `[rows, width]` by their positions; `back` is the inverse.
    fn rotate(x: &mut [f32], of: &Heads, rotary: Rotary, back: bool);
    /// For each head that is present: P = softmax(scale q kᵀ) over the keys from `first_key` to the query
    /// itself, context = P v, lse = ln Σ exp of the logits. A head that is not present gets context 0, and
    /// its lse is left alone. qkv `[rows, width]`, context `[rows, heads head_dim]`, lse `[rows, heads]`.
    fn attention(
        out: (&mut [f32], &mut [f32]),
        room: &mut [f32],
        qkv: &[f32],
        of: &Heads,
        present: impl Fn(usize) -> bool,
    );
    /// dqkv, added to, for each head that takes part: dV = Pᵀ dO; dP = dO Vᵀ;
    /// dS = P ∘ (dP - rowsum(dO ∘ O)) scale; dQ = dS K; dK = dSᵀ Q.
    fn attention_grad(
        dqkv: &mut [f32],
        room: [&mut [f32]; 2],
        dout: &[f32],
        saved: &Attended<'_>,
        of: &Heads,
        takes_part: impl Fn(usize) -> bool,
    );

    /// For each row: `losses[rows[i]][0] = lse(z) - z_y` and `z = weight (softmax(z) - onehot(y))`: z
    /// `[n, vocab]`, losses one row per row of the shard.
    fn cross_entropy(z: ViewMut<'_>, of: Picked<'_>, losses: Option<ViewMut<'_>>);
    /// The same losses without the gradient; a second column of `losses` says whether no logit is larger than
    /// z_y (0 or 1).
    fn surprise(z: View<'_>, of: Picked<'_>, losses: ViewMut<'_>);
    /// `out[rows[i]] = KL(softmax(p) ‖ softmax(z))` and `z = weight (softmax(z) - softmax(p))`: z `[n, vocab]`,
    /// teacher `[rows of the shard, vocab]`.
    fn teach(z: ViewMut<'_>, rows: &[u32], teacher: View<'_>, weights: Scales<'_>, out: &mut [f32]);
    /// Squared and absolute distance of x to target, `[rows, 2]`; the gradient of `weight · kind` is added to g.
    fn distance(
        out: &mut [f32],
        g: Option<&mut [f32]>,
        x: View<'_>,
        target: View<'_>,
        kind: Distance,
        weights: Scales<'_>,
    );
    /// Σ |x| over the rows whose weight is not 0, and Σ weight |x|, in f64; `g = weight sign(x)`.
    fn l1(g: Option<&mut [f32]>, x: View<'_>, weights: Scales<'_>) -> (f64, f64);

    /// KL(uniform ‖ softmax(z)) of one row; `grad = weight (softmax(z) - 1/n)`. Exponentials in f64.
    fn from_uniform(z: &[f32], weight: f64, grad: &mut [f32]) -> f64;
    /// KL(softmax(teacher) ‖ softmax(z)) of one row; `grad = weight (softmax(z) - softmax(teacher))`.
    /// Exponentials in f64; `scratch` is one more row.
    fn divergence(z: &[f32], teacher: &[f32], weight: f64, grad: &mut [f32], scratch: &mut [f32]) -> f64;
    /// s = Σ p ln p of p = softmax(z) of one row; `grad = weight p (ln p - s)`. Exponentials in f64.
    fn negative_entropy(z: &[f32], weight: f64, grad: &mut [f32]) -> f64;
    /// lse(z + bias) - (z + bias)_y of one row; `grad += scale (softmax(z + bias) - onehot(y))`. `scratch` is
    /// one more row.
    fn bias_gradient(
        of: (&[f32], &[f32]),
        y: usize,
        scale: f32,
        grad: &mut [f32],
        scratch: &mut [f32],
    ) -> f32;

    /// An intervention on each row: x `[rows, n]`, as many values as columns.
    fn edit(x: ViewMut<'_>, edit: &Edit);
    /// The gradient of an intervention's input, in place; `seen` is what entered it or, where nothing stands
    /// behind it, what left it.
    fn edit_grad(g: ViewMut<'_>, seen: View<'_>, edit: &Edit);

    /// `d = shrink g + decay p`; with momentum `m = momentum m + d` stands in place of d; `p -= lr d`.
    fn sgd(p: &mut [f32], m: Option<&mut [f32]>, g: &[f32], step: &Descent);
    /// `d = shrink g + l2 p; m += (1 - β₁)(d - m); v += (1 - β₂)(d² - v);
    /// p = keep p - lr c₁ m / (√(c₂ v) + eps)`, c what undoes the bias.
    fn adam(p: &mut [f32], moments: [&mut [f32]; 2], g: &[f32], step: &AdamStep);
    /// The same with `l2` left out and `w = max(w, v)` in place of v in the last line.
    fn amsgrad(p: &mut [f32], moments: [&mut [f32]; 3], g: &[f32], step: &AdamStep);
    /// `d = shrink g; m += (1 - momentum)(d - m)`; `x = m`, or `d + momentum (m - d)` with Nesterov.
    fn blend(x: &mut [f32], m: &mut [f32], g: &[f32], how: &Blend);
    /// `p = keep p - lr x`.
    fn follow(p: &mut [f32], x: &[f32], keep: f32, lr: f32);
}

/// Columns `range` of a row-major matrix `[·, cols]`.
pub(crate) fn columns(x: &mut [f32], cols: usize, range: Range<usize>) -> ViewMut<'_> {
    let rows = x.len() / cols.max(1);
    ViewMut::new(x, rows, cols).block(0..rows, range)
}
