//! Matrix views and the one door to the `gemm` kernels (single-threaded: shards are the
//! parallelism).

use std::ops::Range;

/// A read-only strided matrix.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A writable matrix with unit column stride.
pub struct ViewMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

fn reach(rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> usize {
    if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + (cols - 1) * col_stride + 1 }
}

impl<'a> View<'a> {
    /// A row-major matrix; `data` may be longer.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> View<'a> {
        View::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows are `row_stride` apart.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> View<'a> {
        assert!(data.len() >= reach(rows, cols, row_stride, 1), "view reaches past its data");
        View { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// (rows, columns).
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// The transpose.
    pub fn t(self) -> View<'a> {
        View {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// A block of rows.
    pub fn rows(self, r: Range<usize>) -> View<'a> {
        assert!(r.start <= r.end && r.end <= self.rows, "row block outside of the matrix");
        let data =
            if r.is_empty() || self.cols == 0 { &[][..] } else { &self.data[r.start * self.row_stride..] };
        View { data, rows: r.len(), ..self }
    }

    /// A block of columns.
    pub fn cols(self, r: Range<usize>) -> View<'a> {
        self.t().rows(r).t()
    }
}

impl<'a> ViewMut<'a> {
    /// A row-major matrix; `data` may be longer.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> ViewMut<'a> {
        ViewMut::strided(data, rows, cols, cols)
    }

    /// A row-major matrix whose rows are `row_stride` apart.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> ViewMut<'a> {
        assert!(data.len() >= reach(rows, cols, row_stride, 1), "view reaches past its data");
        ViewMut { data, rows, cols, row_stride }
    }

    /// A block of rows and columns.
    pub fn block(self, rows: Range<usize>, cols: Range<usize>) -> ViewMut<'a> {
        assert!(rows.end <= self.rows && cols.end <= self.cols, "block outside of the matrix");
        if rows.is_empty() || cols.is_empty() {
            return ViewMut {
                data: &mut [],
                rows: rows.len(),
                cols: cols.len(),
                row_stride: self.row_stride,
            };
        }
        let start = rows.start * self.row_stride + cols.start;
        ViewMut {
            data: &mut self.data[start..],
            rows: rows.len(),
            cols: cols.len(),
            row_stride: self.row_stride,
        }
    }
}

/// `c = alpha * a b`, or `c += alpha * a b` when `accumulate`.
///
/// # Panics
/// If the shapes do not fit. Operations check shapes before they come here.
#[allow(clippy::needless_pass_by_value, reason = "a writable view is a borrow that this uses up")]
pub fn gemm(c: ViewMut<'_>, alpha: f32, a: View<'_>, b: View<'_>, accumulate: bool) {
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
