//! A table of vectors: the layer that takes tokens.

use core::marker::PhantomData;

use super::{Layer, sealed::Sealed, size, token};
use crate::cast::Line;
use crate::format::{Exact, Format};
use crate::spec::LayerSpec;

/// A table of `V` vectors of `D` elements each, in format `F`: its one input is a token, the number of a vector, from 0.
///
/// As the first layer of a network it takes a token as a real number. **If** that is not a whole number from 0 to `V - 1`
/// **then** the nearest of these is meant; a NaN means 0.
#[derive(Debug)]
pub struct Embedding<const V: usize, const D: usize, F = Exact>(PhantomData<F>);

impl<const V: usize, const D: usize, F> Sealed for Embedding<V, D, F> {}

impl<const V: usize, const D: usize, F: Format> Layer for Embedding<V, D, F> {
    type Format = F;
    type Input = [F::Unit; 1];
    type Output = [F::Unit; D];
    type State = ();
    const SPEC: LayerSpec = LayerSpec::Embedding { vocabulary: size(V), outputs: size(D) };
    const SCRATCH: usize = 0;

    #[inline]
    fn step(tensors: &[Line], _: &mut (), x: &[F::Unit; 1]) -> [F::Unit; D] {
        let mut y = [F::Unit::default(); D];
        step::<F>(tensors, V, x, &mut y);
        y
    }
}

/// `y`, the vector of the token `x`, from a table of `vocabulary`.
#[inline(always)]
pub(crate) fn step<F: Format>(table: &[Line], vocabulary: usize, x: &[F::Unit], y: &mut [F::Unit]) {
    let token = token::<F>(vocabulary, x);
    // At most 65,534 · 65,535, which a 32-bit word holds.
    F::vector(table, token.wrapping_mul(y.len()), y);
}
