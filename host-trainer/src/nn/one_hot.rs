//! The product of one-hot inputs with a kernel on a shard of a batch: the kernel's row for each token.

use super::Real;

/// What a layer takes.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, R> {
    /// Inputs (rows, I); where they are one-hot, tokens (rows).
    pub values: &'a [R],
    /// With dropout on one-hot inputs, what the vectors of each series are multiplied by at all steps (B, V), for rows (T, B);
    /// else empty.
    pub mask: &'a [R],
}

impl<R: Real> Input<'_, R> {
    /// Each token's number with what its 1 is in its masked vector.
    fn masked(&self, vocabulary: usize) -> impl Iterator<Item = (usize, R)> {
        self.values.iter().zip(self.mask.chunks_exact(vocabulary).cycle()).map(move |(&token, mask)| {
            let token = number(token, vocabulary);
            (token, mask[token])
        })
    }
}

/// The kernel of a layer whose inputs are one-hot, all of it or some neighbouring columns.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, R> {
    /// From the first row's first column on.
    pub kernel: &'a [R],
    /// Elements from one row to the next.
    pub stride: usize,
    /// Rows.
    pub vocabulary: usize,
}

impl<R: Real> Rows<'_, R> {
    /// Sets each of the `sums`, whose rows begin `stride` apart, to `bias` (columns) and the row of its token (rows).
    pub fn start(&self, input: Input<'_, R>, bias: &[R], sums: &mut [R], stride: usize) {
        if !input.mask.is_empty() {
            for (sums, (token, mask)) in sums.chunks_mut(stride).zip(input.masked(self.vocabulary)) {
                let row = &self.kernel[token * self.stride..];
                for ((sum, &bias), &weight) in sums.iter_mut().zip(bias).zip(row) {
                    *sum = bias + mask * weight;
                }
            }
            return;
        }
        for (sums, &token) in sums.chunks_mut(stride).zip(input.values) {
            let row = &self.kernel[number(token, self.vocabulary) * self.stride..];
            for ((sum, &bias), &weight) in sums.iter_mut().zip(bias).zip(row) {
                *sum = bias + weight;
            }
        }
    }
}

/// From the gradient of the sums (rows, columns) to that of the kernel (V, columns), of which each token (rows) picked a row.
pub(super) fn outer_product<R: Real>(input: Input<'_, R>, d: &[R], columns: usize, kernel: &mut [R]) {
    let vocabulary = kernel.len() / columns;
    kernel.fill(R::ZERO);
    if !input.mask.is_empty() {
        for (d, (token, mask)) in d.chunks_exact(columns).zip(input.masked(vocabulary)) {
            let row = &mut kernel[token * columns..][..columns];
            row.iter_mut().zip(d).for_each(|(sum, &d)| *sum += mask * d);
        }
        return;
    }
    for (d, &token) in d.chunks_exact(columns).zip(input.values) {
        let row = &mut kernel[number(token, vocabulary) * columns..][..columns];
        row.iter_mut().zip(d).for_each(|(sum, &d)| *sum += d);
    }
}

/// The token nearest to `x`, as in the runtime.
pub(super) fn number<R: Real>(x: R, vocabulary: usize) -> usize {
    ((x.to_f64() + 0.5) as usize).min(vocabulary - 1)
}
