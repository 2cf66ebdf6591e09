//! The fully connected layer.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use super::{DenseActivation, Input, Layer, Linear, cut, one_hot::TakesOneHot, sealed::Sealed, size};
use crate::cast::{Line, Operands, arbitrary};
use crate::format::{Exact, Format};
use crate::kernel::Hot;
use crate::spec::{Activation, LayerSpec};

/// A fully connected layer of `I` inputs and `O` outputs, `y = A(W·x + b)`: activation `A`, format `F`.
#[derive(Debug)]
pub struct Dense<const I: usize, const O: usize, A = Linear, F = Exact>(PhantomData<(A, F)>);

impl<const I: usize, const O: usize, A, F> Sealed for Dense<I, O, A, F> {}

impl<const I: usize, const O: usize, A, F> Layer for Dense<I, O, A, F>
where
    A: DenseActivation,
    F: Format,
{
    type Format = F;
    type Input = [F::Unit; I];
    type Output = [F::Unit; O];
    type State = ();
    const SPEC: LayerSpec = LayerSpec::Dense { inputs: size(I), outputs: size(O), activation: A::ACTIVATION };
    const SCRATCH: usize = size_of::<Operands<F::Unit, I, 0>>() + O * size_of::<F::Sum>();

    #[inline]
    fn step(tensors: &[Line], _: &mut (), x: &[F::Unit; I]) -> [F::Unit; O] {
        step_on_stack::<F, I, O>(tensors, A::ACTIVATION, Input::Dense(x))
    }
}

impl<const I: usize, const O: usize, A, F> TakesOneHot for Dense<I, O, A, F>
where
    A: DenseActivation,
    F: Format,
{
    const ONE_HOT_SCRATCH: usize = size_of::<Operands<F::Unit, 0, 0>>() + O * size_of::<F::Sum>();

    #[inline]
    fn step_one_hot(tensors: &[Line], _: &mut (), hot: Hot) -> [F::Unit; O] {
        step_on_stack::<F, 0, O>(tensors, A::ACTIVATION, Input::OneHot(hot))
    }
}

/// [`step`] with scratch on the stack, for operands of `I` inputs.
#[inline(always)]
fn step_on_stack<F: Format, const I: usize, const O: usize>(
    tensors: &[Line],
    activation: Activation,
    x: Input<'_, F>,
) -> [F::Unit; O] {
    let mut operands = MaybeUninit::<Operands<F::Unit, I, 0>>::uninit();
    let mut sums = MaybeUninit::<[F::Sum; O]>::uninit();
    let mut y = [F::Unit::default(); O];
    let (operands, sums) = (arbitrary(&mut operands).as_mut_slice(), arbitrary(&mut sums));
    step::<F>(tensors, activation, x, operands, sums, &mut y);
    y
}

/// `y` from `x`; `operands` is scratch for `x`, filled up to a multiple of [`Format::GROUP`]; `sums` is scratch of `y.len()`.
#[inline(always)]
pub(crate) fn step<F: Format>(
    mut tensors: &[Line],
    activation: Activation,
    x: Input<'_, F>,
    operands: &mut [F::Unit],
    sums: &mut [F::Sum],
    y: &mut [F::Unit],
) {
    let spec = LayerSpec::Dense { inputs: x.len() as u16, outputs: y.len() as u16, activation };
    let [matrix, ..] = spec.matrices();
    let _ = F::parameters(&mut tensors);
    let Some(operands) = operands.get_mut(..x.operands()) else {
        return;
    };
    x.fill(operands);
    x.product(cut::<F>(&mut tensors, matrix), operands, sums);
    F::activation(activation, sums, y);
}
