//! An embedding on a shard of a batch: a row of its table for each token.

use super::Real;
use super::one_hot::number;

/// An embedding's shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Embedding {
    pub vocabulary: usize,
    pub outputs: usize,
}

impl Embedding {
    /// The place of a token's vector in the table.
    fn vector<R: Real>(&self, x: R) -> std::ops::Range<usize> {
        let token = number(x, self.vocabulary);
        token * self.outputs..(token + 1) * self.outputs
    }

    /// The vectors (rows, D) of tokens (rows) from the table (V, D).
    pub fn forward<R: Real>(&self, table: &[R], tokens: &[R], out: &mut [R]) {
        for (out, &token) in out.chunks_exact_mut(self.outputs).zip(tokens) {
            out.copy_from_slice(&table[self.vector(token)]);
        }
    }

    /// From the gradient of the vectors (rows, D) to that of the table (V, D).
    pub fn backward<R: Real>(&self, tokens: &[R], d: &[R], gradients: &mut [R]) {
        gradients.fill(R::ZERO);
        for (d, &token) in d.chunks_exact(self.outputs).zip(tokens) {
            gradients[self.vector(token)].iter_mut().zip(d).for_each(|(sum, &d)| *sum += d);
        }
    }
}
