//! Matrices as kernels see them: numbers with a shape and strides.

use std::ops::Range;

/// A read-only strided matrix.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

/// A writable matrix with unit column stride.
pub struct ViewMut<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
}

/// How many numbers a matrix of this shape spans.
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

    /// The number in row `r` and column `c`.
    #[inline(always)]
    pub fn at(&self, r: usize, c: usize) -> f32 {
        self.data[r * self.row_stride + c * self.col_stride]
    }

    /// One row of a matrix whose columns are neighbours.
    ///
    /// # Panics
    /// If they are not (the transpose of a row-major matrix).
    #[inline(always)]
    pub fn row(&self, r: usize) -> &'a [f32] {
        assert!(self.col_stride == 1 || self.cols <= 1, "rows of a transpose are no slices");
        if self.cols == 0 { &[] } else { &self.data[r * self.row_stride..][..self.cols] }
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

    /// (rows, columns).
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// One row.
    #[inline(always)]
    pub fn row(&mut self, r: usize) -> &mut [f32] {
        if self.cols == 0 { &mut [] } else { &mut self.data[r * self.row_stride..][..self.cols] }
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
