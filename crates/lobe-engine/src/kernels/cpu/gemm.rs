//! The one call into the `gemm` kernels (single-threaded: shards are the parallelism).

use crate::kernels::{View, ViewMut};

#[allow(clippy::needless_pass_by_value, reason = "a writable view is a borrow that this uses up")]
pub(super) fn gemm(c: ViewMut<'_>, alpha: f32, a: View<'_>, b: View<'_>, accumulate: bool) {
    assert!(c.rows == a.rows && a.cols == b.rows && c.cols == b.cols, "gemm shapes");
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    if a.cols == 0 {
        if !accumulate {
            for row in c.data.chunks_mut(c.row_stride).take(c.rows) {
                row[..c.cols].fill(0.0);
            }
        }
        return;
    }
    let s = |n: usize| n as isize;
    #[allow(unsafe_code, reason = "the kernel takes raw pointers")]
    // SAFETY: every view was built with `rows`, `cols` and strides that stay inside its slice
    // (`reach`), shapes agree (asserted above), and `c` is an exclusive borrow.
    // The kernels want a column-major destination, so this computes cᵀ = bᵀ aᵀ.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            c.cols,
            c.rows,
            a.cols,
            c.data.as_mut_ptr(),
            s(c.row_stride),
            1,
            accumulate,
            b.data.as_ptr(),
            s(b.row_stride),
            s(b.col_stride),
            a.data.as_ptr(),
            s(a.row_stride),
            s(a.col_stride),
            1.0,
            alpha,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_agrees_with_the_definition() {
        let mut rng = lobe_core::Key::root(1).rng();
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (64, 33, 17), (17, 130, 64), (2, 3, 0)] {
            let mut random = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
            let (a, b, c0) = (random(m * k), random(k * n), random(m * (n + 2)));
            for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
                let at = |i, j| if ta { a[j * m + i] } else { a[i * k + j] };
                let bt = |i, j| if tb { b[j * k + i] } else { b[i * n + j] };
                let av = if ta { View::new(&a, k, m).t() } else { View::new(&a, m, k) };
                let bv = if tb { View::new(&b, n, k).t() } else { View::new(&b, k, n) };
                let mut c = c0.clone();
                gemm(ViewMut::strided(&mut c, m, n, n + 2), 0.5, av, bv, true);
                for i in 0..m {
                    for j in 0..n {
                        let want: f32 =
                            c0[i * (n + 2) + j] + 0.5 * (0..k).map(|l| at(i, l) * bt(l, j)).sum::<f32>();
                        assert!((c[i * (n + 2) + j] - want).abs() < 1e-3, "{m} {n} {k} {ta} {tb}");
                    }
                }
            }
        }
    }
}
