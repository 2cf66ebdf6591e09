//! The matrix products, all of them.
//!
//! Every element of a product is one sum that starts at a bias, or at what is there, and adds its products in index order.
//! Vectors hold neighbouring columns and registers hold a few rows, so that tile sizes never change a result.

use std::array;

use super::Real;
use super::simd::{Isa, Kernel, dispatch};

/// Columns of a packed panel, and of a tile.
pub(super) const PANEL: usize = 16;

/// Rows that [`accumulate_outer`] takes at a time, so that their columns stay in the first-level cache.
const OUTER_ROWS: usize = 64;

/// Elements of a packed matrix (depth, columns): the columns are padded to whole panels.
pub(super) fn packed_len(depth: usize, columns: usize) -> usize {
    columns.div_ceil(PANEL) * PANEL * depth
}

/// Packs a matrix (depth, columns), whose rows begin `stride` apart, into panels (columns / 16, depth, 16).
pub(super) fn pack<R: Real>(source: &[R], stride: usize, depth: usize, columns: usize, packed: &mut [R]) {
    for (p, panel) in packed[..packed_len(depth, columns)].chunks_exact_mut((PANEL * depth).max(1)).enumerate() {
        let width = PANEL.min(columns - p * PANEL);
        for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
            row[..width].copy_from_slice(&source[k * stride + p * PANEL..][..width]);
            row[width..].fill(R::ZERO);
        }
    }
}

/// Packs the transpose (depth, columns) of a matrix (columns, depth), whose rows begin `stride` apart.
pub(super) fn pack_transposed<R: Real>(source: &[R], stride: usize, depth: usize, columns: usize, packed: &mut [R]) {
    for (p, panel) in packed[..packed_len(depth, columns)].chunks_exact_mut((PANEL * depth).max(1)).enumerate() {
        let width = PANEL.min(columns - p * PANEL);
        if width < PANEL {
            panel.fill(R::ZERO);
        }
        for n in 0..width {
            let column = &source[(p * PANEL + n) * stride..][..depth];
            for (row, &value) in panel.chunks_exact_mut(PANEL).zip(column) {
                row[n] = value;
            }
        }
    }
}

/// One product of a sum of products: a matrix (rows, depth), whose rows begin `stride` apart, times a packed matrix
/// (depth, columns).
#[derive(Clone, Copy)]
pub(super) struct Term<'a, R> {
    pub left: &'a [R],
    pub stride: usize,
    pub depth: usize,
    pub packed: &'a [R],
}

/// What each sum starts from.
#[derive(Clone, Copy)]
pub(super) enum Start<'a, R> {
    /// A bias (columns), the same for every row.
    Bias(&'a [R]),
    /// 0.
    Zero,
    /// What the output holds.
    Output,
}

/// `out = start + Σ left · packed` for `out` (rows, columns), whose rows begin `stride` apart.
pub(super) fn multiply<R: Real, const TERMS: usize>(
    rows: usize,
    columns: usize,
    start: Start<'_, R>,
    terms: &[Term<'_, R>; TERMS],
    out: &mut [R],
    stride: usize,
) {
    dispatch(Multiply { rows, columns, start, terms, out, stride });
}

struct Multiply<'a, R, const TERMS: usize> {
    rows: usize,
    columns: usize,
    start: Start<'a, R>,
    terms: &'a [Term<'a, R>; TERMS],
    out: &'a mut [R],
    stride: usize,
}

impl<R: Real, const TERMS: usize> Kernel for Multiply<'_, R, TERMS> {
    #[inline(always)]
    fn run<I: Isa>(mut self) {
        for panel in 0..self.columns.div_ceil(PANEL) {
            let mut row = 0;
            if R::TILE_ROWS == 4 {
                while row + 4 <= self.rows {
                    self.tile::<I, 4>(panel, row);
                    row += 4;
                }
            }
            while row + 2 <= self.rows {
                self.tile::<I, 2>(panel, row);
                row += 2;
            }
            if row < self.rows {
                self.tile::<I, 1>(panel, row);
            }
        }
    }
}

impl<R: Real, const TERMS: usize> Multiply<'_, R, TERMS> {
    #[inline(always)]
    fn tile<I: Isa, const M: usize>(&mut self, panel: usize, row: usize) {
        let from = panel * PANEL;
        let width = PANEL.min(self.columns - from);
        let out_at = |m: usize| (row + m) * self.stride + from;
        if width == PANEL {
            let zeros = [R::ZERO; PANEL];
            // By reference, because a choice between values would be made number by number.
            let sums = self.sums::<I, M>(
                panel,
                row,
                match self.start {
                    Start::Bias(bias) => [full(bias, from); M],
                    Start::Zero => [&zeros; M],
                    Start::Output => array::from_fn(|m| full(self.out, out_at(m))),
                },
            );
            for (m, sum) in sums.iter().enumerate() {
                self.out[out_at(m)..][..PANEL].copy_from_slice(sum);
            }
        } else {
            let mut start = [[R::ZERO; PANEL]; M];
            for (m, start) in start.iter_mut().enumerate() {
                match self.start {
                    Start::Bias(bias) => start[..width].copy_from_slice(&bias[from..][..width]),
                    Start::Zero => {}
                    Start::Output => start[..width].copy_from_slice(&self.out[out_at(m)..][..width]),
                }
            }
            let sums = self.sums::<I, M>(panel, row, start.each_ref());
            for (m, sum) in sums.iter().enumerate() {
                self.out[out_at(m)..][..width].copy_from_slice(&sum[..width]);
            }
        }
    }

    #[inline(always)]
    fn sums<I: Isa, const M: usize>(&self, panel: usize, row: usize, start: [&[R; PANEL]; M]) -> [[R; PANEL]; M] {
        let mut sums = [[R::ZERO; PANEL]; M];
        sums.iter_mut().zip(start).for_each(|(sum, start)| *sum = *start);
        for term in self.terms {
            let depth = term.depth;
            let right = term.packed[panel * PANEL * depth..][..PANEL * depth].as_chunks().0;
            let left = array::from_fn(|m| &term.left[(row + m) * term.stride..][..depth]);
            sums = add_product::<I, R, M>(sums, left, right);
        }
        sums
    }
}

/// The sixteen numbers from `at` on.
#[inline(always)]
fn full<R>(values: &[R], at: usize) -> &[R; PANEL] {
    values[at..][..PANEL].try_into().expect("a slice of 16 has 16 elements")
}

/// `sums + left · right` for left (M, depth) and right (depth, 16).
#[inline(always)]
fn add_product<I: Isa, R: Real, const M: usize>(
    mut sums: [[R; PANEL]; M],
    left: [&[R]; M],
    right: &[[R; PANEL]],
) -> [[R; PANEL]; M] {
    // Four at a time, because the checks of the indices would cost as much as the arithmetic.
    let (right, right_rest) = right.as_chunks::<4>();
    for (k, b) in right.iter().enumerate() {
        let a: [&[R; 4]; M] = array::from_fn(|m| &left[m].as_chunks().0[k]);
        for q in 0..4 {
            for m in 0..M {
                for n in 0..PANEL {
                    sums[m][n] = I::madd(a[m][q], b[q][n], sums[m][n]);
                }
            }
        }
    }
    for (k, b) in right_rest.iter().enumerate() {
        for m in 0..M {
            let a = left[m][4 * right.len() + k];
            for n in 0..PANEL {
                sums[m][n] = I::madd(a, b[n], sums[m][n]);
            }
        }
    }
    sums
}

/// A matrix as [`accumulate_outer`] reads it: `columns` of each row, rows begin `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, R> {
    pub data: &'a [R],
    pub stride: usize,
    pub columns: usize,
}

/// `out += leftᵀ · right` for left (rows, K), right (rows, N) and `out` (K, N), whose rows begin `stride` apart: the
/// gradient of a weight matrix.
pub(super) fn accumulate_outer<R: Real>(
    rows: usize,
    left: Matrix<'_, R>,
    right: Matrix<'_, R>,
    out: &mut [R],
    stride: usize,
) {
    dispatch(Outer { rows, left, right, out, stride });
}

struct Outer<'a, R> {
    rows: usize,
    left: Matrix<'a, R>,
    right: Matrix<'a, R>,
    out: &'a mut [R],
    stride: usize,
}

impl<R: Real> Kernel for Outer<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(mut self) {
        let mut from = 0;
        while from < self.rows {
            let rows = OUTER_ROWS.min(self.rows - from);
            let mut n = 0;
            n = if R::TILE_ROWS == 4 {
                // Twelve sums in registers, more than the eight that hide the latency of a multiply-add.
                self.columns::<I, 6, PANEL>(from, rows, n)
            } else {
                self.columns::<I, 2, PANEL>(from, rows, n)
            };
            n = self.columns::<I, 4, 8>(from, rows, n);
            n = self.columns::<I, 8, 4>(from, rows, n);
            n = self.columns::<I, 8, 2>(from, rows, n);
            self.columns::<I, 16, 1>(from, rows, n);
            from += rows;
        }
    }
}

impl<R: Real> Outer<'_, R> {
    /// Covers as many of the output's columns, from `n` on, as tiles of `N` can; returns the first column left.
    #[inline(always)]
    fn columns<I: Isa, const M: usize, const N: usize>(&mut self, from: usize, rows: usize, n: usize) -> usize {
        if n + N > self.right.columns {
            return n;
        }
        let mut k = 0;
        // Of eight at the end, four and four rather than six and two: sums in too few registers wait for themselves.
        while k + M <= self.left.columns && k + M + 2 != self.left.columns {
            self.tiles::<I, M, N>(from, rows, k, n);
            k += M;
        }
        while k + 4 <= self.left.columns {
            self.tiles::<I, 4, N>(from, rows, k, n);
            k += 4;
        }
        while k + 2 <= self.left.columns {
            self.tiles::<I, 2, N>(from, rows, k, n);
            k += 2;
        }
        if k < self.left.columns {
            self.tiles::<I, 1, N>(from, rows, k, n);
        }
        n + (self.right.columns - n) / N * N
    }

    /// The tiles of `M` of the output's rows, from `k` on, and of its columns from `n` on.
    #[inline(always)]
    fn tiles<I: Isa, const M: usize, const N: usize>(&mut self, from: usize, rows: usize, k: usize, mut n: usize) {
        // Copied together: rows a power of two apart would push each other out of the cache.
        let mut left = [[R::ZERO; M]; OUTER_ROWS];
        let rows_from = self.left.data[from * self.left.stride + k..].chunks(self.left.stride);
        for (a, row) in left[..rows].iter_mut().zip(rows_from) {
            a.copy_from_slice(&row[..M]);
        }
        while n + N <= self.right.columns {
            let mut sums = [[R::ZERO; N]; M];
            for (m, sum) in sums.iter_mut().enumerate() {
                sum.copy_from_slice(&self.out[(k + m) * self.stride + n..][..N]);
            }
            let right = self.right.data[from * self.right.stride + n..].chunks(self.right.stride);
            for (a, right) in left[..rows].iter().zip(right) {
                let b: &[R; N] = right[..N].try_into().expect("a slice of N has N elements");
                for (sum, &a) in sums.iter_mut().zip(a) {
                    for (s, &b) in sum.iter_mut().zip(b) {
                        *s = I::madd(a, b, *s);
                    }
                }
            }
            for (m, sum) in sums.iter().enumerate() {
                self.out[(k + m) * self.stride + n..][..N].copy_from_slice(sum);
            }
            n += N;
        }
    }
}

/// `out += Σ rows` for a matrix (rows, N) and `out` (N): the gradient of a bias.
pub(super) fn accumulate_rows<R: Real>(rows: usize, matrix: Matrix<'_, R>, out: &mut [R]) {
    dispatch(Rows { rows, matrix, out });
}

struct Rows<'a, R> {
    rows: usize,
    matrix: Matrix<'a, R>,
    out: &'a mut [R],
}

impl<R: Real> Kernel for Rows<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(mut self) {
        let mut n = 0;
        n = self.columns::<{ 4 * PANEL }>(n);
        n = self.columns::<PANEL>(n);
        self.columns::<1>(n);
    }
}

impl<R: Real> Rows<'_, R> {
    /// Sums as many columns, from `n` on, as groups of `N`, held in registers, cover; returns the first column left.
    #[inline(always)]
    fn columns<const N: usize>(&mut self, mut n: usize) -> usize {
        while n + N <= self.matrix.columns {
            let out = &mut self.out[n..][..N];
            let mut sums = [R::ZERO; N];
            sums.copy_from_slice(out);
            for row in self.matrix.data[n..].chunks(self.matrix.stride).take(self.rows) {
                let values: &[R; N] = row[..N].try_into().expect("a slice of N has N elements");
                sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
            }
            out.copy_from_slice(&sums);
            n += N;
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matrix of values without a pattern, all within ±1.
    fn matrix<R: Real>(len: usize, seed: f64) -> Vec<R> {
        (0..len).map(|i| R::from_f64(libm::sin(seed + 1.7 * i as f64))).collect()
    }

    struct One<'a, R>(&'a mut R, R, R);
    impl<R: Real> Kernel for One<'_, R> {
        #[inline(always)]
        fn run<I: Isa>(self) {
            *self.0 = I::madd(self.1, self.2, *self.0);
        }
    }

    /// One multiply-add as this processor's kernels round it.
    fn madd<R: Real>(a: R, b: R, mut sum: R) -> R {
        dispatch(One(&mut sum, a, b));
        sum
    }

    fn products_are_the_textbook_loops<R: Real>() {
        for (rows, depth, columns) in [(8, 5, 33), (7, 16, 16), (1, 1, 1), (3, 2, 15), (9, 130, 6)] {
            let (stride, out_stride) = (depth + 2, columns + 3);
            let left: Vec<R> = matrix(rows * stride, 0.1);
            let right: Vec<R> = matrix(depth * columns, 0.2);
            let transposed: Vec<R> = (0..depth * columns).map(|i| right[i % depth * columns + i / depth]).collect();
            let bias: Vec<R> = matrix(columns, 0.3);
            let there: Vec<R> = matrix(rows * out_stride, 0.4);

            let mut packed = vec![R::from_f64(f64::NAN); packed_len(depth, columns)];
            let mut packed_again = packed.clone();
            pack(&right, columns, depth, columns, &mut packed);
            pack_transposed(&transposed, depth, depth, columns, &mut packed_again);
            assert_eq!(packed, packed_again);

            let term = Term { left: &left, stride, depth, packed: &packed };
            for start in [Start::Bias(&bias[..]), Start::Zero, Start::Output] {
                let mut out = there.clone();
                multiply(rows, columns, start, &[term, term], &mut out, out_stride);
                let mut expected = there.clone();
                for r in 0..rows {
                    for n in 0..columns {
                        let mut sum = match start {
                            Start::Bias(bias) => bias[n],
                            Start::Zero => R::ZERO,
                            Start::Output => there[r * out_stride + n],
                        };
                        for _ in 0..2 {
                            for k in 0..depth {
                                sum = madd(left[r * stride + k], right[k * columns + n], sum);
                            }
                        }
                        expected[r * out_stride + n] = sum;
                    }
                }
                assert_eq!(out, expected);
            }
        }
    }

    #[test]
    fn products_are_the_textbook_loops_f32() {
        products_are_the_textbook_loops::<f32>();
    }

    #[test]
    fn products_are_the_textbook_loops_f64() {
        products_are_the_textbook_loops::<f64>();
    }

    fn outer_products_are_the_textbook_loops<R: Real>() {
        for (rows, k, n) in [(70, 5, 31), (1, 1, 1), (200, 18, 16), (9, 17, 1), (5, 9, 15), (7, 8, 33), (3, 10, 16)] {
            let (left_stride, right_stride, stride) = (k + 1, n + 2, n + 3);
            let left: Vec<R> = matrix(rows * left_stride, 0.5);
            let right: Vec<R> = matrix(rows * right_stride, 0.6);
            let mut out: Vec<R> = matrix(k * stride, 0.7);
            let mut expected = out.clone();
            for i in 0..k {
                for j in 0..n {
                    for r in 0..rows {
                        let sum = &mut expected[i * stride + j];
                        *sum = madd(left[r * left_stride + i], right[r * right_stride + j], *sum);
                    }
                }
            }
            let left = Matrix { data: &left, stride: left_stride, columns: k };
            let right = Matrix { data: &right, stride: right_stride, columns: n };
            accumulate_outer(rows, left, right, &mut out, stride);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn outer_products_are_the_textbook_loops_f32() {
        outer_products_are_the_textbook_loops::<f32>();
    }

    #[test]
    fn outer_products_are_the_textbook_loops_f64() {
        outer_products_are_the_textbook_loops::<f64>();
    }
}
