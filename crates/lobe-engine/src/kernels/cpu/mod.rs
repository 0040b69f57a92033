//! The processor: loops compiled for its vectors, products by the `gemm` kernels. Single-threaded, since shards are
//! the parallelism.

mod activation;
mod attention;
mod edits;
mod gemm;
mod lookup;
mod loss;
mod matrix;
mod norm;
mod pair;
mod rows;
mod simd;
mod update;

use super::{
    Act, AdamStep, Affine, Attended, Blend, Descent, Distance, Edit, Function, Heads, Kernels, Lookup,
    NormGrads, NormSaved, Over, Pair, Picked, Place, Rotary, Scales, Slope, View, ViewMut,
};

pub use simd::on;

/// The processor that the program runs on.
#[derive(Debug, Clone, Copy)]
pub struct Cpu;

impl Kernels for Cpu {
    #[inline]
    fn gemm(c: ViewMut<'_>, alpha: f32, a: View<'_>, b: View<'_>, accumulate: bool) {
        gemm::gemm(c, alpha, a, b, accumulate);
    }

    #[inline]
    fn add(y: &mut [f32], x: &[f32]) {
        simd::add(y, x);
    }

    #[inline]
    fn scale(y: &mut [f32], s: f32) {
        simd::scale(y, s);
    }

    #[inline]
    fn scaled(y: &mut [f32], s: f32, x: &[f32]) {
        simd::scaled(y, s, x);
    }

    #[inline]
    fn squares(x: &[f32]) -> f64 {
        matrix::squares(x)
    }

    #[inline]
    fn copy(to: ViewMut<'_>, from: View<'_>, accumulate: bool) {
        matrix::copy(to, from, accumulate);
    }

    #[inline]
    fn add_row(y: &mut [f32], x: Option<&[f32]>, row: &[f32]) {
        matrix::add_row(y, x, row);
    }

    #[inline]
    fn scale_rows(x: ViewMut<'_>, by: Scales<'_>) {
        matrix::scale_rows(x, by);
    }

    #[inline]
    fn route_rows(x: ViewMut<'_>, by: Scales<'_>) {
        matrix::route_rows(x, by);
    }

    #[inline]
    fn column_sums(sums: &mut [f32], x: View<'_>, by: &[Scales<'_>]) {
        matrix::column_sums(sums, x, by);
    }

    #[inline]
    fn pack_rows(to: &mut [f32], x: View<'_>, by: &[Scales<'_>], scaled: bool) -> usize {
        matrix::pack_rows(to, x, by, scaled)
    }

    #[inline]
    fn gather_rows(y: &mut [f32], x: &[f32], d: usize, ids: &[u32]) {
        lookup::gather_rows(y, x, d, ids);
    }

    #[inline]
    fn scatter_rows(y: &mut [f32], x: &[f32], d: usize, place: Place<'_>, by: Scales<'_>) {
        lookup::scatter_rows(y, x, d, place, by);
    }

    #[inline]
    fn embed(y: &mut [f32], d: usize, tokens: Lookup<'_>, positions: Option<Lookup<'_>>) {
        lookup::embed(y, d, tokens, positions);
    }

    #[inline]
    fn norm(y: &mut [f32], stats: &mut [f32], x: &[f32], how: &Affine<'_>) {
        norm::norm(y, stats, x, how);
    }

    #[inline]
    fn norm_grad(to: NormGrads<'_>, dy: &[f32], saved: &NormSaved<'_>) {
        norm::norm_grad(to, dy, saved);
    }

    #[inline]
    fn activate(u: &mut [f32], slope: Option<&mut [f32]>, bias: Option<&[f32]>, n: usize, act: Act) {
        activation::activate(u, slope, bias, n, act);
    }

    #[inline]
    fn activate_grad(dy: ViewMut<'_>, slope: Slope<'_>, by: Scales<'_>) {
        activation::activate_grad(dy, slope, by);
    }

    #[inline]
    fn gated(y: &mut [f32], x: &[f32], n: usize) {
        activation::gated(y, x, n);
    }

    #[inline]
    fn gated_grad(dx: &mut [f32], dy: &[f32], x: &[f32], n: usize) {
        activation::gated_grad(dx, dy, x, n);
    }

    #[inline]
    fn map(y: &mut [f32], x: &[f32], f: Function) {
        activation::map(y, x, f);
    }

    #[inline]
    fn map_grad(g: &mut [f32], x: &[f32], f: Function) {
        activation::map_grad(g, x, f);
    }

    #[inline]
    fn pair(y: &mut [f32], a: View<'_>, f: Pair, b: View<'_>) {
        pair::pair(y, a, f, b);
    }

    #[inline]
    fn pair_grad_left(g: &mut [f32], a: View<'_>, f: Pair, b: View<'_>) {
        pair::pair_grad_left(g, a, f, b);
    }

    #[inline]
    fn pair_grad_right(db: &mut [f32], g: &[f32], a: View<'_>, f: Pair, b: View<'_>) {
        pair::pair_grad_right(db, g, a, f, b);
    }

    #[inline]
    fn reduce(y: &mut [f32], x: View<'_>, over: Over) {
        pair::reduce(y, x, over);
    }

    #[inline]
    fn reduce_grad(dx: &mut [f32], g: &[f32], x: View<'_>, y: &[f32], over: Over) {
        pair::reduce_grad(dx, g, x, y, over);
    }

    #[inline]
    fn attention_room(of: &Heads) -> usize {
        attention::attention_room(of)
    }

    #[inline]
    fn rotate(x: &mut [f32], of: &Heads, rotary: Rotary, back: bool) {
        attention::rotate(x, of, rotary, back);
    }

    #[inline]
    fn attention(
        out: (&mut [f32], &mut [f32]),
        room: &mut [f32],
        qkv: &[f32],
        of: &Heads,
        present: impl Fn(usize) -> bool,
    ) {
        attention::attention(out, room, qkv, of, present);
    }

    #[inline]
    fn attention_grad(
        dqkv: &mut [f32],
        room: [&mut [f32]; 2],
        dout: &[f32],
        saved: &Attended<'_>,
        of: &Heads,
        takes_part: impl Fn(usize) -> bool,
    ) {
        attention::attention_grad(dqkv, room, dout, saved, of, takes_part);
    }

    #[inline]
    fn cross_entropy(z: ViewMut<'_>, of: Picked<'_>, losses: Option<ViewMut<'_>>) {
        loss::cross_entropy(z, of, losses);
    }

    #[inline]
    fn surprise(z: View<'_>, of: Picked<'_>, losses: ViewMut<'_>) {
        loss::surprise(z, of, losses);
    }

    #[inline]
    fn teach(z: ViewMut<'_>, rows: &[u32], teacher: View<'_>, weights: Scales<'_>, out: &mut [f32]) {
        loss::teach(z, rows, teacher, weights, out);
    }

    #[inline]
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

    #[inline]
    fn l1(g: Option<&mut [f32]>, x: View<'_>, weights: Scales<'_>) -> (f64, f64) {
        loss::l1(g, x, weights)
    }

    #[inline]
    fn from_uniform(z: &[f32], weight: f64, grad: &mut [f32]) -> f64 {
        rows::from_uniform(z, weight, grad)
    }

    #[inline]
    fn divergence(z: &[f32], teacher: &[f32], weight: f64, grad: &mut [f32], scratch: &mut [f32]) -> f64 {
        rows::divergence(z, teacher, weight, grad, scratch)
    }

    #[inline]
    fn negative_entropy(z: &[f32], weight: f64, grad: &mut [f32]) -> f64 {
        rows::negative_entropy(z, weight, grad)
    }

    #[inline]
    fn bias_gradient(
        of: (&[f32], &[f32]),
        y: usize,
        scale: f32,
        grad: &mut [f32],
        scratch: &mut [f32],
    ) -> f32 {
        rows::bias_gradient(of, y, scale, grad, scratch)
    }

    #[inline]
    fn edit(x: ViewMut<'_>, edit: &Edit) {
        edits::edit(x, edit);
    }

    #[inline]
    fn edit_grad(g: ViewMut<'_>, seen: View<'_>, edit: &Edit) {
        edits::edit_grad(g, seen, edit);
    }

    #[inline]
    fn sgd(p: &mut [f32], m: Option<&mut [f32]>, g: &[f32], step: &Descent) {
        update::sgd(p, m, g, step);
    }

    #[inline]
    fn adam(p: &mut [f32], moments: [&mut [f32]; 2], g: &[f32], step: &AdamStep) {
        update::adam(p, moments, g, step);
    }

    #[inline]
    fn amsgrad(p: &mut [f32], moments: [&mut [f32]; 3], g: &[f32], step: &AdamStep) {
        update::amsgrad(p, moments, g, step);
    }

    #[inline]
    fn blend(x: &mut [f32], m: &mut [f32], g: &[f32], how: &Blend) {
        update::blend(x, m, g, how);
    }

    #[inline]
    fn follow(p: &mut [f32], x: &[f32], keep: f32, lr: f32) {
        update::follow(p, x, keep, lr);
    }
}
