//! The fully connected layer.

use core::marker::PhantomData;

use super::{DenseActivation, Layer, Linear, Zero, cut, sealed::Sealed, size};
use crate::cast::Line;
use crate::format::{Exact, Format};
use crate::spec::{Activation, LayerSpec};

/// A fully connected layer of `I` inputs and `O` outputs, `y = A(W·x + b)`: activation `A`, format `F`.
#[derive(Debug)]
pub struct Dense<const I: usize, const O: usize, A = Linear, F = Exact>(PhantomData<(A, F)>);

impl<const I: usize, const O: usize, A, F> Sealed for Dense<I, O, A, F> {}

impl<const I: usize, const O: usize, A, F> Layer for Dense<I, O, A, F>
where
    A: DenseActivation,
    F: Format<Unit: Zero>,
{
    type Format = F;
    type Input = [F::Unit; I];
    type Output = [F::Unit; O];
    type State = ();
    const SPEC: LayerSpec = LayerSpec::Dense { inputs: size(I), outputs: size(O), activation: A::ACTIVATION };

    #[inline]
    fn step(tensors: &[Line], _: &mut (), x: &[F::Unit; I]) -> [F::Unit; O] {
        let (mut sums, mut y) = ([F::Sum::default(); O], [F::Unit::ZERO; O]);
        step::<F>(tensors, A::ACTIVATION, x, &mut sums, &mut y);
        y
    }
}

/// `y` from `x`; `sums` is scratch of `y.len()`.
#[inline(always)]
pub(crate) fn step<F: Format>(
    mut tensors: &[Line],
    activation: Activation,
    x: &[F::Unit],
    sums: &mut [F::Sum],
    y: &mut [F::Unit],
) {
    let spec = LayerSpec::Dense { inputs: x.len() as u16, outputs: y.len() as u16, activation };
    let [matrix, ..] = spec.matrices();
    F::product(cut::<F>(&mut tensors, matrix), x, &[], sums);
    F::activation(activation, sums, y);
}
