//! The matrix products, all of them.
//!
//! Every element of a product is one sum that starts at a bias, or at what is there, and adds its products in index order.
//! Vectors hold neighbouring columns and registers hold a few rows, so that tile sizes never change a result.

use super::Real;
use super::simd::{Isa, Kernel, dispatch};

/// Columns of a packed panel, and of a tile.
pub(super) const PANEL: usize = 16;

/// Rows and columns of the left matrix that [`outer_product`] takes at a time: they and as many rows of a panel of the right
/// one stay in the first-level cache.
const OUTER_ROWS: usize = 96;
const OUTER_COLUMNS: usize = 48;

/// Elements of a packed matrix (depth, columns): the columns are padded to whole panels.
pub(super) fn packed_len(depth: usize, columns: usize) -> usize {
    columns.div_ceil(PANEL) * PANEL * depth
}

/// Packs a matrix (depth, columns), whose rows begin `stride` apart, into panels (columns / 16, depth, 16).
pub(super) fn pack<R: Real>(source: &[R], stride: usize, depth: usize, columns: usize, packed: &mut [R]) {
    for (p, panel) in packed[..packed_len(depth, columns)].chunks_exact_mut((PANEL * depth).max(1)).enumerate() {
        let width = PANEL.min(columns - p * PANEL);
        for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
            let source = &source[k * stride + p * PANEL..][..width];
            if width == PANEL {
                copy::<R, true>(source, row);
            } else {
                row.fill(R::ZERO);
                copy::<R, false>(source, row);
            }
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
        let mut row = 0;
        while row + 8 <= self.rows {
            // As many rows as keep all sums in registers.
            match (R::TILE_ROWS, I::WIDE) {
                (4, true) => self.rows::<I, 8, 1>(row),
                (4, false) | (_, true) => self.rows::<I, 4, 2>(row),
                (_, false) => self.rows::<I, 2, 4>(row),
            }
            row += 8;
        }
        if (R::TILE_ROWS == 4 || I::WIDE) && row + 4 <= self.rows {
            self.rows::<I, 4, 1>(row);
            row += 4;
        }
        while row + 2 <= self.rows {
            self.rows::<I, 2, 1>(row);
            row += 2;
        }
        if row < self.rows {
            self.rows::<I, 1, 1>(row);
        }
    }
}

impl<R: Real, const TERMS: usize> Multiply<'_, R, TERMS> {
    /// `TILES` tiles of `M` rows from `row` on. What they read of a panel is found once for all of them: a short product
    /// takes little longer than that.
    #[inline(always)]
    fn rows<I: Isa, const M: usize, const TILES: usize>(&mut self, row: usize) {
        // Loops rather than `array::from_fn`, which may be left as a call, and compiled for the baseline.
        let mut lefts: [[[&[R]; M]; TERMS]; TILES] = [[[&[]; M]; TERMS]; TILES];
        for (tile, lefts) in lefts.iter_mut().enumerate() {
            for (lefts, term) in lefts.iter_mut().zip(self.terms) {
                for (m, left) in lefts.iter_mut().enumerate() {
                    *left = &term.left[(row + tile * M + m) * term.stride..][..term.depth];
                }
            }
        }
        let whole = self.columns / PANEL;
        for panel in 0..whole {
            self.panel::<I, M, TILES, true>(panel, row, &lefts);
        }
        if whole * PANEL < self.columns {
            self.panel::<I, M, TILES, false>(whole, row, &lefts);
        }
    }

    /// The columns of one panel, which are sixteen if it is `WHOLE`.
    #[inline(always)]
    fn panel<I: Isa, const M: usize, const TILES: usize, const WHOLE: bool>(
        &mut self,
        panel: usize,
        row: usize,
        lefts: &[[[&[R]; M]; TERMS]; TILES],
    ) {
        let from = panel * PANEL;
        let width = if WHOLE { PANEL } else { self.columns - from };
        let mut rights: [&[[R; PANEL]]; TERMS] = [&[]; TERMS];
        for (right, term) in rights.iter_mut().zip(self.terms) {
            *right = term.packed[panel * PANEL * term.depth..][..PANEL * term.depth].as_chunks().0;
        }
        let mut bias = [R::ZERO; PANEL];
        if let Start::Bias(all) = self.start {
            copy::<R, WHOLE>(&all[from..][..width], &mut bias);
        }
        for (tile, lefts) in lefts.iter().enumerate() {
            let out = &mut self.out[(row + tile * M) * self.stride + from..][..(M - 1) * self.stride + width];
            let mut sums = [bias; M];
            if let Start::Output = self.start {
                for (m, sum) in sums.iter_mut().enumerate() {
                    copy::<R, WHOLE>(&out[m * self.stride..][..width], sum);
                }
            }
            for (left, right) in lefts.iter().zip(rights) {
                // Longer bodies of the widest tiles would not be turned into vectors.
                sums = if M < 8 {
                    add_product::<I, R, M, 4>(sums, left, right)
                } else {
                    add_product::<I, R, M, 2>(sums, left, right)
                };
            }
            for (m, sum) in sums.iter().enumerate() {
                copy::<R, WHOLE>(sum, &mut out[m * self.stride..][..width]);
            }
        }
    }
}

/// Copies as many numbers as both have: sixteen if they are `WHOLE`, which then stay in registers.
#[inline(always)]
fn copy<R: Real, const WHOLE: bool>(from: &[R], to: &mut [R]) {
    if WHOLE {
        let to: &mut [R; PANEL] = to.first_chunk_mut().expect("a whole panel has 16 columns");
        *to = *from.first_chunk().expect("a whole panel has 16 columns");
    } else {
        to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
    }
}

/// `sums + left · right` for left (M, depth) and right (depth, 16).
#[inline(always)]
fn add_product<I: Isa, R: Real, const M: usize, const Q: usize>(
    mut sums: [[R; PANEL]; M],
    left: &[&[R]; M],
    right: &[[R; PANEL]],
) -> [[R; PANEL]; M] {
    // `Q` at a time and of lengths that the compiler knows to be the same, because the checks of the indices would cost as
    // much as the arithmetic.
    let (right, right_rest) = right.as_chunks::<Q>();
    let (mut groups, mut rests): ([&[[R; Q]]; M], [&[R]; M]) = ([&[]; M], [&[]; M]);
    for m in 0..M {
        let (group, rest) = left[m].as_chunks();
        (groups[m], rests[m]) = (&group[..right.len()], &rest[..right_rest.len()]);
    }
    for (k, b) in right.iter().enumerate() {
        for q in 0..Q {
            for m in 0..M {
                let a = groups[m][k][q];
                for n in 0..PANEL {
                    sums[m][n] = I::madd(a, b[q][n], sums[m][n]);
                }
            }
        }
    }
    for (k, b) in right_rest.iter().enumerate() {
        for m in 0..M {
            let a = rests[m][k];
            for n in 0..PANEL {
                sums[m][n] = I::madd(a, b[n], sums[m][n]);
            }
        }
    }
    sums
}

/// A matrix as [`outer_product`] reads it: `columns` of each row, rows begin `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, R> {
    pub data: &'a [R],
    pub stride: usize,
    pub columns: usize,
}

/// `out = leftᵀ · right` for left (rows, K), right (rows, N) and `out` (K, N), whose rows begin `stride` apart: the
/// gradient of a weight matrix. There is at least one row.
pub(super) fn outer_product<R: Real>(
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
        // Copied: rows a power of two apart would push each other out of the cache.
        let mut block = [[R::ZERO; OUTER_COLUMNS]; OUTER_ROWS];
        for from in (0..self.rows).step_by(OUTER_ROWS) {
            let rows = OUTER_ROWS.min(self.rows - from);
            for k in (0..self.left.columns).step_by(OUTER_COLUMNS) {
                let columns = OUTER_COLUMNS.min(self.left.columns - k);
                let source = self.left.data[from * self.left.stride + k..].chunks(self.left.stride);
                for (row, source) in block[..rows].iter_mut().zip(source) {
                    let (whole, rest) = source[..columns].as_chunks::<8>();
                    let (row_whole, row_rest) = row[..columns].as_chunks_mut();
                    row_whole.iter_mut().zip(whole).for_each(|(to, from)| *to = *from);
                    row_rest.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                }
                let block = Block { rows: &block[..rows], from, column: k, columns };
                let mut n = if columns < 4 { self.narrow::<I>(block) } else { 0 };
                n = if R::TILE_ROWS == 4 {
                    // Twelve sums in registers, more than the eight that hide the latency of a multiply-add.
                    self.columns::<I, 6, PANEL>(block, n)
                } else {
                    self.columns::<I, 2, PANEL>(block, n)
                };
                n = self.columns::<I, 4, 8>(block, n);
                n = self.columns::<I, 8, 4>(block, n);
                n = self.columns::<I, 8, 2>(block, n);
                self.columns::<I, 16, 1>(block, n);
            }
        }
    }
}

/// A part of the left matrix: rows from `from` on, and so many columns from `column` on.
#[derive(Clone, Copy)]
struct Block<'a, R> {
    rows: &'a [[R; OUTER_COLUMNS]],
    from: usize,
    column: usize,
    columns: usize,
}

impl<R: Real> Outer<'_, R> {
    /// Covers as many of the output's columns as rows of 64 sums can, which make up for few columns of the left matrix; returns
    /// the first column left.
    #[inline(always)]
    fn narrow<I: Isa>(&mut self, block: Block<'_, R>) -> usize {
        let mut n = 0;
        while n + 4 * PANEL <= self.right.columns {
            for k in 0..block.columns {
                self.tile::<I, 1, { 4 * PANEL }>(block, k, n);
            }
            n += 4 * PANEL;
        }
        n
    }

    /// Covers as many of the output's columns, from `n` on, as tiles of `N` can; returns the first column left.
    #[inline(always)]
    fn columns<I: Isa, const M: usize, const N: usize>(&mut self, block: Block<'_, R>, mut n: usize) -> usize {
        while n + N <= self.right.columns {
            let mut k = 0;
            // Of eight at the end, four and four rather than six and two: sums in too few registers wait for themselves.
            while k + M <= block.columns && k + M + 2 != block.columns {
                self.tile::<I, M, N>(block, k, n);
                k += M;
            }
            while k + 4 <= block.columns {
                self.tile::<I, 4, N>(block, k, n);
                k += 4;
            }
            while k + 2 <= block.columns {
                self.tile::<I, 2, N>(block, k, n);
                k += 2;
            }
            if k < block.columns {
                self.tile::<I, 1, N>(block, k, n);
            }
            n += N;
        }
        n
    }

    /// The tile of `M` of the output's rows, those of the block's columns from `k` on, and of its `N` columns from `n` on.
    #[inline(always)]
    fn tile<I: Isa, const M: usize, const N: usize>(&mut self, block: Block<'_, R>, k: usize, n: usize) {
        let out = &mut self.out[(block.column + k) * self.stride + n..][..(M - 1) * self.stride + N];
        let mut sums = [[R::ZERO; N]; M];
        if block.from > 0 {
            for (m, sum) in sums.iter_mut().enumerate() {
                sum.copy_from_slice(&out[m * self.stride..][..N]);
            }
        }
        let stride = self.right.stride;
        let right = &self.right.data[block.from * stride + n..][..(block.rows.len() - 1) * stride + N];
        let mut start = 0;
        for row in block.rows {
            let a: &[R; M] = row[k..k + M].try_into().expect("a slice of M has M elements");
            let b: &[R; N] = right[start..start + N].try_into().expect("a slice of N has N elements");
            for m in 0..M {
                for j in 0..N {
                    sums[m][j] = I::madd(a[m], b[j], sums[m][j]);
                }
            }
            start += stride;
        }
        for (m, sum) in sums.iter().enumerate() {
            out[m * self.stride..][..N].copy_from_slice(sum);
        }
    }
}

/// `out = Σ rows` for a matrix (rows, N) and `out` (N): the gradient of a bias.
pub(super) fn sum_rows<R: Real>(rows: usize, matrix: Matrix<'_, R>, out: &mut [R]) {
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
        for (rows, k, n) in [
            (70, 5, 31),
            (1, 1, 1),
            (200, 18, 16),
            (9, 17, 1),
            (5, 9, 15),
            (7, 8, 33),
            (3, 10, 16),
            (97, 49, 17),
            (96, 104, 2),
            (40, 3, 80),
        ] {
            let (left_stride, right_stride, stride) = (k + 1, n + 2, n + 3);
            let left: Vec<R> = matrix(rows * left_stride, 0.5);
            let right: Vec<R> = matrix(rows * right_stride, 0.6);
            let mut out: Vec<R> = matrix(k * stride, 0.7);
            let mut expected = out.clone();
            for i in 0..k {
                for j in 0..n {
                    expected[i * stride + j] = R::ZERO;
                    for r in 0..rows {
                        let sum = &mut expected[i * stride + j];
                        *sum = madd(left[r * left_stride + i], right[r * right_stride + j], *sum);
                    }
                }
            }
            let left = Matrix { data: &left, stride: left_stride, columns: k };
            let right = Matrix { data: &right, stride: right_stride, columns: n };
            outer_product(rows, left, right, &mut out, stride);
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
