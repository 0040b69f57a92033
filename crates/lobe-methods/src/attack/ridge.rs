//! The closed-form graft: a ridge regression of the way down on what the last MLP's output matrix reads.

use lobe_engine::ops::head::IGNORE;
use lobe_engine::{SiteId, View, ViewMut, gemm};

use super::places::Places;
use super::sparse_graft::Host;
use super::{Bench, BenchError, Budget, Trial};

/// Root mean square.
fn rms(x: &[f32]) -> f64 {
    (x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len().max(1) as f64).sqrt()
}

/// X·W for X `[n, m]` and W `[m, d]`.
fn product(x: &[f32], m: usize, w: &[f32], d: usize) -> Vec<f32> {
    let n = x.len() / m;
    let mut out = vec![0.0; n * d];
    gemm(ViewMut::new(&mut out, n, d), 1.0, View::new(x, n, m), View::new(w, m, d), false);
    out
}

/// Δ = (XᵀX + λ·t·I)⁻¹ Xᵀ Y with t the mean of XᵀX's diagonal; X is `[n, m]`, Y `[n, d]`. `None` if
/// that matrix is not positive definite (X is zero).
fn ridge(x: &[f32], m: usize, y: &[f32], d: usize, lambda: f64) -> Option<Vec<f32>> {
    let n = x.len() / m;
    let (mut xx, mut xy) = (vec![0.0f32; m * m], vec![0.0f32; m * d]);
    gemm(ViewMut::new(&mut xx, m, m), 1.0, View::new(x, n, m).t(), View::new(x, n, m), false);
    gemm(ViewMut::new(&mut xy, m, d), 1.0, View::new(x, n, m).t(), View::new(y, n, d), false);
    let mut l: Vec<f64> = xx.iter().map(|v| f64::from(*v)).collect();
    let trace: f64 = (0..m).map(|i| l[i * m + i]).sum::<f64>() / m as f64;
    (0..m).for_each(|i| l[i * m + i] += lambda * trace);
    let z = solve(l, xy.iter().map(|v| f64::from(*v)).collect(), d)?;
    Some(z.iter().map(|v| *v as f32).collect())
}

/// Solves A X = B for a symmetric positive definite A `[m, m]` and B `[m, d]` (Cholesky); `None` if it is not.
pub(super) fn solve(mut l: Vec<f64>, mut z: Vec<f64>, d: usize) -> Option<Vec<f64>> {
    let m = z.len() / d;
    for i in 0..m {
        for j in 0..=i {
            let dot: f64 = l[i * m..][..j].iter().zip(&l[j * m..][..j]).map(|(a, b)| a * b).sum();
            let rest = l[i * m + j] - dot;
            if i == j && !(rest > 0.0 && rest.is_finite()) {
                return None;
            }
            l[i * m + j] = if i == j { rest.sqrt() } else { rest / l[j * m + j] };
        }
    }
    let less = |z: &mut [f64], i: usize, j: usize, w: f64| {
        for c in 0..d {
            z[i * d + c] -= w * z[j * d + c];
        }
    };
    for i in 0..m {
        (0..i).for_each(|j| less(&mut z, i, j, l[i * m + j]));
        z[i * d..(i + 1) * d].iter_mut().for_each(|v| *v /= l[i * m + i]);
    }
    for i in (0..m).rev() {
        (i + 1..m).for_each(|j| less(&mut z, i, j, l[j * m + i]));
        z[i * d..(i + 1) * d].iter_mut().for_each(|v| *v /= l[i * m + i]);
    }
    Some(z)
}

/// The closed form, whatever its reach.
pub(super) struct Solved {
    /// Where the matrix starts.
    offset: usize,
    cols: usize,
    /// Rows outside of the cut.
    free: Vec<bool>,
    /// Δ `[rows, cols]`.
    delta: Vec<f32>,
    /// Root mean squares of the residual and of what Δ adds to it.
    residual: f64,
    added: f64,
}

/// Solves for Δ.
pub(super) fn solved(
    bench: &mut dyn Bench,
    host: &Host,
    places: &Places<'_>,
    lambda: f64,
) -> Result<Solved, BenchError> {
    let missing = |what: &str| BenchError::Missing(format!("sparse-graft: ridge {what}"));
    let block = format!("blocks.{}", bench.net().blocks().saturating_sub(1));
    let site = |name: &str| places.layout.find_site(&format!("{block}.{name}"));
    let (Some(post), Some(resid), Some(weight)) =
        (site("mlp.post"), site("resid_post"), places.layout.find(&format!("{block}.mlp.out.weight")))
    else {
        return Err(missing("needs a last MLP"));
    };
    let t = places.layout.get(weight);
    let (m, d) = (t.rows, t.cols);
    let mut read = |at: SiteId| bench.activations(&host.victim, &host.pool, &[at]).map(|mut a| a.pop());
    let (Some(mut x), Some(r)) = (read(post)?, read(resid)?) else {
        return Err(missing("found no activations"));
    };
    let (_, g) = bench.site_gradient(&host.victim, &host.pool, resid)?;
    // The gradient has a row for every position; only those with a target have an activation beside them.
    let targets = (0..host.pool.shards()).flat_map(|s| host.pool.text(s).1);
    let counted = g.chunks_exact(d).zip(targets).filter(|(_, t)| **t != IGNORE);
    let down: Vec<f32> = counted.flat_map(|(row, _)| row.iter().map(|g| -g)).collect();
    if x.len() / m != down.len() / d {
        return Err(missing("has activations and gradients of different length"));
    }
    let free: Vec<bool> = (0..m).map(|i| places.free(t.offset + i * d)).collect();
    x.chunks_exact_mut(m).for_each(|row| (0..m).filter(|i| !free[*i]).for_each(|i| row[i] = 0.0));
    let delta = ridge(&x, m, &down, d, lambda).ok_or_else(|| missing("reads only zeros"))?;
    let added = rms(&product(&x, m, &delta, d));
    Ok(Solved { offset: t.offset, cols: d, free, delta, residual: rms(&r), added })
}

impl Solved {
    /// The model with a Δ that adds `reach` times the residual.
    pub(super) fn trial(
        &self,
        bench: &mut dyn Bench,
        host: &Host,
        name: String,
        reach: f64,
    ) -> Result<Trial, BenchError> {
        let c = (reach * self.residual / self.added.max(1e-30)) as f32;
        let d = self.cols;
        let mut params = host.victim.clone();
        for i in (0..self.free.len()).filter(|i| self.free[*i]) {
            for j in 0..d {
                params[self.offset + i * d + j] += c * self.delta[i * d + j];
            }
        }
        let n = (self.free.iter().filter(|f| **f).count() * d) as u64;
        let curve = vec![(0, host.before.clone()), (1, bench.losses(&params, &host.plan)?)];
        let (tokens, examples) = (host.pool.targets() as u64, host.pool.len() as u64);
        let budget = Budget { steps: 1, tokens, examples, parameters: n };
        Ok(Trial::new(name, curve, budget).with([("changed_parameters", n as f64, "count")]))
    }
}

#[cfg(test)]
mod tests {
    use super::ridge;

    #[test]
    fn ridge_by_hand_and_its_limits() {
        // X = [[1, 0], [0, 2], [0, 0]]: XᵀX = diag(1, 4), t = 2.5; λ = 0.4 adds 1.
        let x = [1.0, 0.0, 0.0, 2.0, 0.0, 0.0];
        let y = [4.0, 2.0, 5.0, 1.0, 9.0, 9.0];
        let got = ridge(&x, 2, &y, 2, 0.4).unwrap();
        got.iter().zip([2.0, 1.0, 2.0, 0.4]).for_each(|(g, w)| assert!((g - w).abs() < 1e-6, "{got:?}"));
        // With coupled columns and (almost) no ridge it solves the system: [[1, 1], [1, 2]] · Δ = y.
        let got = ridge(&[1.0, 1.0, 1.0, 2.0], 2, &[3.0, 5.0], 1, 1e-9).unwrap();
        got.iter().zip([1.0, 2.0]).for_each(|(g, w)| assert!((g - w).abs() < 1e-4, "{got:?}"));
        assert_eq!(ridge(&[0.0; 4], 2, &[1.0; 2], 1, 1e-3), None);
    }
}
