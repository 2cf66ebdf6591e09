//! One-hot inputs, given as the number of the element that is 1.

use core::marker::PhantomData;

use super::bidirectional::{last, run};
use super::{
    Bidirectional, CandidateActivation, Frame, GateActivation, Gru, Layer, MergeVariant, ResetVariant, State,
    WindowLayer, sealed::Sealed, token,
};
use crate::cast::Line;
use crate::format::Format;
use crate::kernel::Hot;
use crate::spec::LayerSpec;

/// A [`Gru`], [`Dense`](super::Dense) or [`Bidirectional`] layer `L` of `V` inputs that takes one-hot vectors as tokens from 0 to
/// `V - 1`: `OneHot<Gru<27, 64>>` has one input. It adds the token's row of the kernel, and multiplies nothing by it.
///
/// The outputs are those of `L` for the vector of zeros with a 1 at the token, bit for bit but for the sign of a zero; in
/// [`Int8`](crate::Int8), for that vector with 32,767 units for the 1.
///
/// It is the first layer of its network, and a blob holds it as two: [`LayerSpec::OneHot`] and `L`. Wired by hand
/// ([`Weights`](super::Weights)), it takes the weights of any such `L`. **If** a token is not a whole number from 0 to
/// `V - 1` **then** the nearest of these is meant; a NaN means 0.
#[derive(Debug)]
pub struct OneHot<L>(PhantomData<L>);

impl<L> Sealed for OneHot<L> {}

/// A layer that multiplies its inputs by a kernel.
pub trait TakesOneHot: Layer {
    /// Bytes on the stack that a step takes for operands and sums.
    const ONE_HOT_SCRATCH: usize;

    /// [`Layer::step`] on a one-hot vector.
    fn step_one_hot(tensors: &[Line], state: &mut Self::State, hot: Hot) -> Self::Output;
}

impl<L: TakesOneHot> Layer for OneHot<L>
where
    [<L::Format as Format>::Unit; 1]: Frame<L::Format>,
{
    type Format = L::Format;
    type Input = [<L::Format as Format>::Unit; 1];
    type Output = L::Output;
    type State = L::State;
    const SPEC: LayerSpec = L::SPEC;
    const ONE_HOT: bool = true;
    const SCRATCH: usize = L::ONE_HOT_SCRATCH;

    #[inline]
    fn step(tensors: &[Line], state: &mut L::State, x: &Self::Input) -> L::Output {
        let inputs = const { L::SPEC.inputs() };
        L::step_one_hot(tensors, state, Hot { inputs, token: token::<L::Format>(inputs, x) })
    }
}

impl<const I: usize, const H: usize, const O: usize, M, F, R, G, C> WindowLayer
    for OneHot<Bidirectional<I, H, O, M, F, R, G, C>>
where
    M: MergeVariant,
    F: Format,
    R: ResetVariant,
    G: GateActivation,
    C: CandidateActivation,
    [F::Unit; H]: State<F>,
{
    type Format = F;
    type Input = [F::Unit; 1];
    type Output = [F::Unit; O];
    const SPEC: LayerSpec = <Bidirectional<I, H, O, M, F, R, G, C> as WindowLayer>::SPEC;
    const ONE_HOT: bool = true;
    const SCRATCH: usize = <OneHot<Gru<I, H, F, R, G, C>> as Layer>::SCRATCH;

    fn run(tensors: &[Line], xs: &[[F::Unit; 1]], ys: &mut [[F::Unit; O]]) {
        run::<H, O, M, OneHot<Gru<I, H, F, R, G, C>>>(tensors, xs, ys);
    }

    fn last(tensors: &[Line], xs: &[[F::Unit; 1]]) -> [F::Unit; O] {
        last::<H, O, M, OneHot<Gru<I, H, F, R, G, C>>>(tensors, xs)
    }
}
