//! One case per kernel: drawn inputs, the call, and everything that it may have written.

use lobe_engine::kernels::{
    Act, Affine, Attended, Cpu, Function, Heads, Kernels, Lookup, Naive, NormGrads, NormSaved, Over, Pair,
    Place, Rotary, Slope,
};

use super::draw::{Draw, Mat};
use super::ends::{
    adam, amsgrad, bias_gradient, blend, cross_entropy, distance, divergence, edit, edit_grad, follow,
    from_uniform, l1, negative_entropy, sgd, surprise, teach,
};

pub(crate) type Results = Vec<Vec<f32>>;

/// A kernel, called through both implementations, and how far apart they may be.
pub(crate) struct Case {
    pub(crate) kernel: &'static str,
    pub(crate) cpu: fn(&mut Draw) -> Results,
    pub(crate) naive: fn(&mut Draw) -> Results,
    /// Share of the right value.
    pub(crate) relative: f32,
    pub(crate) absolute: f32,
}

/// Sums of at most a few hundred products of numbers near 1, in f32.
const SUM: f32 = 1e-5;
/// A handful of operations.
const FEW: f32 = 1e-6;
/// Functions whose polynomials are good to about 3e-7, times numbers near 1.
const POLYNOMIAL: f32 = 3e-6;
/// Copies and multiplications by one number: the same bits, or one rounding apart.
const EXACT: f32 = 1.2e-7;

macro_rules! cases {
    ($($kernel:ident: $tolerance:expr),* $(,)?) => {
        pub(crate) const CASES: &[Case] = &[$(Case {
            kernel: stringify!($kernel),
            cpu: $kernel::<Cpu>,
            naive: $kernel::<Naive>,
            relative: $tolerance,
            absolute: if $tolerance == EXACT { 0.0 } else { $tolerance },
        }),*];
    };
}

cases! {
    gemm: SUM, add: EXACT, scale: EXACT, scaled: EXACT, squares: FEW,
    copy: EXACT, add_row: EXACT, scale_rows: EXACT, route_rows: EXACT, column_sums: SUM, pack_rows: EXACT,
    gather_rows: EXACT, scatter_rows: SUM, embed: EXACT,
    norm: SUM, norm_grad: SUM,
    activate: POLYNOMIAL, activate_grad: FEW, gated: POLYNOMIAL, gated_grad: POLYNOMIAL,
    map: POLYNOMIAL, map_grad: POLYNOMIAL, pair: FEW, pair_grad_left: FEW, pair_grad_right: SUM,
    reduce: FEW, reduce_grad: FEW,
    rotate: SUM, attention: SUM, attention_grad: SUM,
    cross_entropy: SUM, surprise: SUM, teach: SUM, distance: SUM, l1: FEW,
    from_uniform: FEW, divergence: FEW, negative_entropy: FEW, bias_gradient: SUM,
    edit: SUM, edit_grad: SUM,
    sgd: FEW, adam: SUM, amsgrad: SUM, blend: FEW, follow: FEW,
}

fn gemm<K: Kernels>(d: &mut Draw) -> Results {
    let (m, n, k) = (d.rows(), d.cols(), d.of(&[0, 1, 2, 7, 33, 70]));
    let (turn_a, turn_b) = (d.of(&[false, true]), d.of(&[false, true]));
    let a = if turn_a { d.mat(k, m) } else { d.mat(m, k) };
    let b = if turn_b { d.mat(n, k) } else { d.mat(k, n) };
    let mut c = d.mat(m, n);
    let (alpha, accumulate) = (d.of(&[1.0, -0.5]), d.of(&[false, true]));
    K::gemm(c.view_mut(), alpha, a.turned(turn_a), b.turned(turn_b), accumulate);
    vec![c.data]
}

/// Two vectors of one length.
pub(crate) fn two(d: &mut Draw) -> (Vec<f32>, Vec<f32>) {
    let n = d.rows() * d.cols();
    (d.normals(n), d.normals(n))
}

fn add<K: Kernels>(d: &mut Draw) -> Results {
    let (mut y, x) = two(d);
    K::add(&mut y, &x);
    vec![y]
}

fn scale<K: Kernels>(d: &mut Draw) -> Results {
    let (mut y, _) = two(d);
    K::scale(&mut y, d.of(&[0.0, 0.3, -2.0]));
    vec![y]
}

fn scaled<K: Kernels>(d: &mut Draw) -> Results {
    let (mut y, x) = two(d);
    K::scaled(&mut y, d.of(&[0.0, 0.3, -2.0]), &x);
    vec![y]
}

fn squares<K: Kernels>(d: &mut Draw) -> Results {
    let (x, y) = two(d);
    // The vector beside its sum shows how long it was.
    vec![vec![K::squares(&x) as f32], y]
}

fn copy<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut to, from) = (d.mat(rows, cols), d.mat(rows, cols));
    K::copy(to.view_mut(), from.view(), d.of(&[false, true]));
    vec![to.data]
}

fn add_row<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut y, x, row) = (d.normals(rows * cols), d.normals(rows * cols), d.normals(cols));
    K::add_row(&mut y, d.of(&[false, true]).then_some(&x), &row);
    vec![y]
}

fn scale_rows<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut x, by) = (d.mat(rows, cols), d.factors(rows));
    K::scale_rows(x.view_mut(), by.scales());
    vec![x.data]
}

fn route_rows<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut x, by) = (d.mat(rows, cols), d.factors(rows));
    // What is not finite is absent, too, and stays where it is not routed away.
    x.data.iter_mut().step_by(3).for_each(|x| *x = f32::NAN);
    K::route_rows(x.view_mut(), by.scales());
    vec![x.data]
}

fn column_sums<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (x, mut sums) = (d.mat(rows, cols), d.normals(cols));
    let by = [d.factors(rows), d.factors(rows)];
    let count = d.of(&[1, 2]);
    K::column_sums(&mut sums, x.view(), &[by[0].scales(), by[1].scales()][..count]);
    vec![sums]
}

fn pack_rows<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (x, mut to) = (d.mat(rows, cols), d.normals(rows * cols));
    let by = [d.factors(rows), d.factors(rows)];
    let kept = K::pack_rows(&mut to, x.view(), &[by[0].scales(), by[1].scales()], d.of(&[false, true]));
    vec![to, vec![kept as f32]]
}

fn gather_rows<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (table, ids) = (d.normals(9 * cols), d.ids(rows, 9));
    let mut y = d.normals(rows * cols);
    K::gather_rows(&mut y, &table, cols, &ids);
    vec![y]
}

/// The places of some rows in a table of nine.
fn place<'a>(d: &mut Draw, ids: &'a [u32]) -> Place<'a> {
    if d.of(&[false, true]) { Place::Ids(ids) } else { Place::Cycle(d.of(&[1, 2, 9])) }
}

fn scatter_rows<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut table, x, ids) = (d.normals(9 * cols), d.normals(rows * cols), d.ids(rows, 9));
    let by = d.factors(rows);
    K::scatter_rows(&mut table, &x, cols, place(d, &ids), by.scales());
    vec![table]
}

fn embed<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (tokens, positions, ids) = (d.normals(9 * cols), d.normals(9 * cols), d.ids(rows, 9));
    let mut y = d.normals(rows * cols);
    let at = Lookup { table: &positions, place: place(d, &ids) };
    let tokens = Lookup { table: &tokens, place: Place::Ids(&ids) };
    K::embed(&mut y, cols, tokens, d.of(&[false, true]).then_some(at));
    vec![y]
}

fn norm<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (x, gain, shift) = (d.normals(rows * cols), d.normals(cols), d.normals(cols));
    let (mut y, mut stats) = (d.normals(rows * cols), d.normals(rows * 2));
    let shift = d.of(&[false, true]).then_some(&shift[..]);
    K::norm(&mut y, &mut stats, &x, &Affine { gain: &gain, shift, rms: d.of(&[false, true]), eps: 0.1 });
    vec![y, stats]
}

fn norm_grad<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (x, dy, gain) = (d.mat(rows, cols), d.normals(rows * cols), d.normals(cols));
    // Means are near 0 and deviations near 1 for any statistics, not only for those of x.
    let stats: Vec<f32> = (0..rows).flat_map(|_| [d.of(&[0.0, 0.2]), d.of(&[0.7, 1.1])]).collect();
    let (mut dx, mut dg, mut db) = (d.normals(rows * cols), d.normals(cols), d.normals(cols));
    let (gains, shifts) = (d.factors(rows), d.factors(rows));
    let saved = NormSaved { x: x.view(), stats: &stats, gain: &gain, rms: d.of(&[false, true]) };
    let wanted = d.of(&[(true, true), (true, false), (false, true)]);
    let to = NormGrads {
        dx: wanted.0.then_some((&mut dx[..], d.of(&[false, true]))),
        sums: wanted.1.then_some([(&mut dg[..], gains.scales()), (&mut db[..], shifts.scales())]),
    };
    K::norm_grad(to, &dy, &saved);
    vec![dx, dg, db]
}

fn activate<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut u, mut slope, bias) = (d.normals(rows * cols), d.normals(rows * cols), d.normals(cols));
    let act = d.of(&[Act::Identity, Act::Relu, Act::Gelu, Act::GeluTanh, Act::Silu]);
    let wanted = d.of(&[false, true]).then_some(&mut slope[..]);
    K::activate(&mut u, wanted, d.of(&[false, true]).then_some(&bias), cols, act);
    vec![u, slope]
}

fn activate_grad<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut dy, mut other, by) = (d.mat(rows, cols), d.mat(rows, cols), d.factors(rows));
    // Outputs of a ReLU.
    let sign = d.of(&[false, true]);
    other.data.iter_mut().filter(|_| sign).for_each(|x| *x = x.max(0.0));
    let slope = if sign { Slope::Sign(other.view()) } else { Slope::Kept(other.view()) };
    K::activate_grad(dy.view_mut(), slope, by.scales());
    vec![dy.data]
}

fn gated<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (x, mut y) = (d.normals(2 * rows * cols), d.normals(rows * cols));
    K::gated(&mut y, &x, cols);
    vec![y]
}

fn gated_grad<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (x, dy, mut dx) = (d.normals(2 * rows * cols), d.normals(rows * cols), d.normals(2 * rows * cols));
    K::gated_grad(&mut dx, &dy, &x, cols);
    vec![dx]
}

/// A function and numbers in its domain.
fn of_function(d: &mut Draw) -> (Function, Vec<f32>) {
    let f = d.of(&[
        Function::Scale(-2.0),
        Function::Shift(1.5),
        Function::Abs,
        Function::Square,
        Function::Sqrt,
        Function::Exp,
        Function::Log,
        Function::Softplus,
        Function::Relu,
        Function::Sigmoid,
        Function::Tanh,
        Function::Gelu,
        Function::GeluTanh,
        Function::Silu,
    ]);
    let (mut x, _) = two(d);
    if matches!(f, Function::Sqrt | Function::Log) {
        for x in &mut x {
            *x = x.abs() + 0.1;
        }
    }
    (f, x)
}

fn map<K: Kernels>(d: &mut Draw) -> Results {
    let (f, x) = of_function(d);
    let mut y = d.normals(x.len());
    K::map(&mut y, &x, f);
    vec![y]
}

fn map_grad<K: Kernels>(d: &mut Draw) -> Results {
    let (f, x) = of_function(d);
    let mut g = d.normals(x.len());
    K::map_grad(&mut g, &x, f);
    vec![g]
}

/// Two matrices of which the second may be broadcast, and a function of them.
fn of_pair(d: &mut Draw) -> (Mat, Pair, Mat, usize) {
    let (rows, cols) = (d.rows(), d.cols());
    let (br, bc) = (d.of(&[rows, 1]), d.of(&[cols, 1]));
    let (a, mut b) = (d.mat(rows, cols), d.mat(br, bc));
    // Nothing is divided by a number near 0.
    b.data.iter_mut().for_each(|x| *x = 0.5f32.copysign(*x) + *x);
    (a, d.of(&[Pair::Add, Pair::Sub, Pair::Mul, Pair::Div]), b, rows * cols)
}

fn pair<K: Kernels>(d: &mut Draw) -> Results {
    let (a, f, b, len) = of_pair(d);
    let mut y = d.normals(len);
    K::pair(&mut y, a.view(), f, b.view());
    vec![y]
}

fn pair_grad_left<K: Kernels>(d: &mut Draw) -> Results {
    let (a, f, b, len) = of_pair(d);
    let mut g = d.normals(len);
    K::pair_grad_left(&mut g, a.view(), f, b.view());
    vec![g]
}

fn pair_grad_right<K: Kernels>(d: &mut Draw) -> Results {
    let (a, f, b, len) = of_pair(d);
    let (g, (rows, cols)) = (d.normals(len), b.view().shape());
    let mut db = d.normals(rows * cols);
    K::pair_grad_right(&mut db, &g, a.view(), f, b.view());
    vec![db]
}

/// What is reduced, and over what; no row, no logarithm of a sum.
fn of_reduction(d: &mut Draw) -> (Mat, Over, usize) {
    let (rows, cols) = (d.rows(), d.cols());
    let over = d.of(&[Over::Sum, Over::Mean, Over::RowSum, Over::ColumnMean, Over::RowLogSumExp]);
    let len = match over {
        Over::Sum | Over::Mean => 1,
        Over::RowSum | Over::RowLogSumExp => rows,
        Over::ColumnMean => cols,
    };
    (d.mat(rows, cols), over, len)
}

fn reduce<K: Kernels>(d: &mut Draw) -> Results {
    let (x, over, len) = of_reduction(d);
    let mut y = d.normals(len);
    K::reduce(&mut y, x.view(), over);
    vec![y]
}

fn reduce_grad<K: Kernels>(d: &mut Draw) -> Results {
    let (x, over, len) = of_reduction(d);
    let (g, y, (rows, cols)) = (d.normals(len), d.normals(len), x.view().shape());
    let mut dx = d.normals(rows * cols);
    K::reduce_grad(&mut dx, &g, x.view(), &y, over);
    vec![dx]
}

/// A shape of attention, its number of rows, and which heads take part.
fn of_attention(d: &mut Draw) -> (Heads, usize, [bool; 4]) {
    let (heads, kv_heads) = d.of(&[(1, 1), (2, 2), (4, 2), (3, 1)]);
    let of = Heads {
        // Shorter and longer than a block of queries.
        seq: d.of(&[1, 2, 5, 17, 70, 131]),
        heads,
        kv_heads,
        head_dim: d.of(&[2, 4, 6, 16, 34]),
        scale: d.of(&[0.7, 0.2]),
        window: d.of(&[None, None, Some(1), Some(3), Some(66)]),
    };
    (of, of.seq * d.rows().min(2), [(); 4].map(|()| d.of(&[true, true, true, false])))
}

fn rotate<K: Kernels>(d: &mut Draw) -> Results {
    let (of, rows, _) = of_attention(d);
    let mut x = d.normals(rows * of.width());
    let rotary = Rotary { base: d.of(&[10.0, 10_000.0]), stretch: d.of(&[4.0, 8.0]) };
    K::rotate(&mut x, &of, rotary, d.of(&[false, true]));
    vec![x]
}

fn attention<K: Kernels>(d: &mut Draw) -> Results {
    let (of, rows, present) = of_attention(d);
    let qkv = d.normals(rows * of.width());
    let (mut context, mut lse) = (d.normals(rows * of.heads * of.head_dim), d.normals(rows * of.heads));
    let mut room = vec![f32::NAN; K::attention_room(&of)];
    K::attention((&mut context, &mut lse), &mut room, &qkv, &of, |h| present[h]);
    vec![context, lse]
}

fn attention_grad<K: Kernels>(d: &mut Draw) -> Results {
    let (of, rows, takes_part) = of_attention(d);
    let (qkv, dout) = (d.normals(rows * of.width()), d.normals(rows * of.heads * of.head_dim));
    let (mut context, mut lse) = (vec![0.0; dout.len()], vec![0.0; rows * of.heads]);
    // The same forward pass for both, so that each backward pass reads the same numbers.
    Naive::attention((&mut context, &mut lse), &mut [], &qkv, &of, |_| true);
    let mut dqkv = d.normals(qkv.len());
    let mut room = [(); 2].map(|()| vec![f32::NAN; K::attention_room(&of)]);
    let [a, b] = &mut room;
    let saved = Attended { qkv: &qkv, context: &context, lse: &lse };
    K::attention_grad(&mut dqkv, [a, b], &dout, &saved, &of, |h| takes_part[h]);
    vec![dqkv]
}
