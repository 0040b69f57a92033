//! The cases of losses, interventions and updates.

use lobe_engine::kernels::{AdamStep, Blend, Descent, Distance, Edit, Kernels, Picked, View, ViewMut};

use super::cases::{Results, two};
use super::draw::Draw;

/// Rows of a shard, those that count, targets of all, and the size of the vocabulary.
fn of_loss(d: &mut Draw) -> (usize, Vec<u32>, Vec<u32>, usize) {
    let (rows, vocab) = (d.rows(), d.cols());
    (rows, d.some(rows), d.ids(rows, vocab), vocab)
}

pub(crate) fn cross_entropy<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, active, targets, vocab) = of_loss(d);
    let (n, weights) = (active.len(), d.factors(rows));
    let (mut z, mut losses) = (d.logits(n * vocab), d.mat(rows, 1));
    let wanted = d.of(&[false, true]).then(|| losses.view_mut());
    let of = Picked { rows: &active, targets: &targets, weights: weights.scales() };
    K::cross_entropy(ViewMut::new(&mut z, n, vocab), of, wanted);
    vec![z, losses.data]
}

pub(crate) fn surprise<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, active, targets, vocab) = of_loss(d);
    let (n, weights, columns) = (active.len(), d.factors(rows), d.of(&[1, 2]));
    let (z, mut losses) = (d.logits(n * vocab), d.mat(rows, columns));
    let of = Picked { rows: &active, targets: &targets, weights: weights.scales() };
    K::surprise(View::new(&z, n, vocab), of, losses.view_mut());
    vec![losses.data]
}

pub(crate) fn teach<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, active, _, vocab) = of_loss(d);
    let (n, weights) = (active.len(), d.factors(rows));
    let (mut z, teacher, mut out) = (d.logits(n * vocab), d.mat(rows, vocab), d.normals(rows));
    K::teach(ViewMut::new(&mut z, n, vocab), &active, teacher.view(), weights.scales(), &mut out);
    vec![z, out]
}

pub(crate) fn distance<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (x, target, weights) = (d.mat(rows, cols), d.mat(rows, cols), d.factors(rows));
    let (mut out, mut g) = (d.normals(2 * rows), d.normals(rows * cols));
    let (wanted, kind) = (d.of(&[false, true]), d.of(&[Distance::Squared, Distance::Absolute]));
    let slope = wanted.then_some(&mut g[..]);
    K::distance(&mut out, slope, x.view(), target.view(), kind, weights.scales());
    vec![out, g]
}

pub(crate) fn l1<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut x, weights, mut g) = (d.mat(rows, cols), d.factors(rows), d.normals(rows * cols));
    // The slope at 0 is 0.
    x.data.iter_mut().step_by(3).for_each(|x| *x = 0.0);
    let slope = d.of(&[false, true]).then_some(&mut g[..]);
    let (total, weighted) = K::l1(slope, x.view(), weights.scales());
    vec![g, vec![total as f32, weighted as f32]]
}

pub(crate) fn from_uniform<K: Kernels>(d: &mut Draw) -> Results {
    let n = d.cols();
    let (z, mut grad) = (d.logits(n), d.normals(n));
    let value = K::from_uniform(&z, 0.7, &mut grad);
    vec![vec![value as f32], grad]
}

pub(crate) fn divergence<K: Kernels>(d: &mut Draw) -> Results {
    let n = d.cols();
    let (z, teacher, mut grad) = (d.logits(n), d.logits(n), d.normals(n));
    let value = K::divergence(&z, &teacher, 0.7, &mut grad, &mut vec![f32::NAN; n]);
    vec![vec![value as f32], grad]
}

pub(crate) fn negative_entropy<K: Kernels>(d: &mut Draw) -> Results {
    let n = d.cols();
    let (z, mut grad) = (d.logits(n), d.normals(n));
    let value = K::negative_entropy(&z, 0.7, &mut grad);
    vec![vec![value as f32], grad]
}

pub(crate) fn bias_gradient<K: Kernels>(d: &mut Draw) -> Results {
    let n = d.cols();
    let (z, bias, mut grad, y) = (d.logits(n), d.normals(n), d.normals(n), d.ids(1, n)[0]);
    let value = K::bias_gradient((&z, &bias), y as usize, 0.7, &mut grad, &mut vec![f32::NAN; n]);
    vec![vec![value], grad]
}

fn of_edit(d: &mut Draw, n: usize) -> Edit {
    let values = d.normals(n);
    let norm = values.iter().map(|x| x * x).sum::<f32>().sqrt();
    let unit = values.iter().map(|x| x / norm).collect();
    match d.of(&[0, 1, 2, 3]) {
        0 => Edit::Set(values),
        1 => Edit::Add(values),
        2 => Edit::ProjectOut(unit),
        _ => Edit::Clamp(-0.4, 0.7),
    }
}

pub(crate) fn edit<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut x, edit) = (d.mat(rows, cols), of_edit(d, cols));
    K::edit(x.view_mut(), &edit);
    vec![x.data]
}

pub(crate) fn edit_grad<K: Kernels>(d: &mut Draw) -> Results {
    let (rows, cols) = (d.rows(), d.cols());
    let (mut g, seen, edit) = (d.mat(rows, cols), d.mat(rows, cols), of_edit(d, cols));
    K::edit_grad(g.view_mut(), seen.view(), &edit);
    vec![g.data]
}

pub(crate) fn sgd<K: Kernels>(d: &mut Draw) -> Results {
    let (mut p, g) = two(d);
    let mut m = d.normals(p.len());
    let step = Descent { lr: 0.1, decay: d.of(&[0.0, 0.2]), shrink: d.of(&[1.0, 0.4]), momentum: 0.9 };
    K::sgd(&mut p, d.of(&[false, true]).then_some(&mut m[..]), &g, &step);
    vec![p, m]
}

fn adam_step(d: &mut Draw) -> AdamStep {
    AdamStep {
        lr: 0.01,
        shrink: d.of(&[1.0, 0.4]),
        l2: d.of(&[0.0, 0.2]),
        keep: d.of(&[1.0, 0.99]),
        betas: [0.9, 0.99],
        unbias: [d.of(&[10.0, 1.5]), d.of(&[50.0, 3.0])],
        eps: 1e-3,
    }
}

/// Parameters, gradients and moments of which the second and third are not negative.
fn moments(d: &mut Draw) -> (Vec<f32>, Vec<f32>, [Vec<f32>; 3]) {
    let (p, g) = two(d);
    let positive = |d: &mut Draw| d.normals(p.len()).into_iter().map(f32::abs).collect();
    let all = [d.normals(p.len()), positive(d), positive(d)];
    (p, g, all)
}

pub(crate) fn adam<K: Kernels>(d: &mut Draw) -> Results {
    let (mut p, g, [mut m, mut v, _]) = moments(d);
    K::adam(&mut p, [&mut m, &mut v], &g, &adam_step(d));
    vec![p, m, v]
}

pub(crate) fn amsgrad<K: Kernels>(d: &mut Draw) -> Results {
    let (mut p, g, [mut m, mut v, mut w]) = moments(d);
    K::amsgrad(&mut p, [&mut m, &mut v, &mut w], &g, &adam_step(d));
    vec![p, m, v, w]
}

pub(crate) fn blend<K: Kernels>(d: &mut Draw) -> Results {
    let (mut x, g) = two(d);
    let mut m = d.normals(x.len());
    let how = Blend { momentum: 0.95, shrink: d.of(&[1.0, 0.4]), nesterov: d.of(&[false, true]) };
    K::blend(&mut x, &mut m, &g, &how);
    vec![x, m]
}

pub(crate) fn follow<K: Kernels>(d: &mut Draw) -> Results {
    let (mut p, x) = two(d);
    K::follow(&mut p, &x, 0.99, 0.1);
    vec![p]
}
