//! The gated recurrent unit (Cho et al. 2014), in both places of its reset gate.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use super::{
    CandidateActivation, GateActivation, Input, Layer, ResetBefore, ResetVariant, Sigmoid, State, Tanh, cut,
    one_hot::TakesOneHot, sealed::Sealed, size,
};
use crate::cast::{Line, Operands, arbitrary};
use crate::format::{Exact, Format};
use crate::kernel::Hot;
use crate::spec::{Candidate, Gate, LayerSpec, Reset};

/// A GRU of `I` inputs and `H` hidden units: format `F`, reset variant `R`, gate activation `G`, candidate activation `C`.
///
/// ```text
/// z = G(W_z·x + U_z·h + b_z)
/// r = G(W_r·x + U_r·h + b_r)
/// c = C(W_c·x + U_c·(r⊙h) + b_c)             ResetBefore
/// c = C(W_c·x + b_c + r⊙(U_c·h + b_c'))      ResetAfter
/// h = (1 - z)⊙c + z⊙h
/// ```
#[derive(Debug)]
pub struct Gru<const I: usize, const H: usize, F = Exact, R = ResetBefore, G = Sigmoid, C = Tanh>(
    PhantomData<(F, R, G, C)>,
);

impl<const I: usize, const H: usize, F, R, G, C> Sealed for Gru<I, H, F, R, G, C> {}

impl<const I: usize, const H: usize, F, R, G, C> Layer for Gru<I, H, F, R, G, C>
where
    F: Format,
    R: ResetVariant,
    G: GateActivation,
    C: CandidateActivation,
    [F::Unit; H]: State<F>,
{
    type Format = F;
    type Input = [F::Unit; I];
    type Output = [F::Unit; H];
    type State = [F::Unit; H];
    const SPEC: LayerSpec =
        LayerSpec::Gru { inputs: size(I), hidden: size(H), reset: R::RESET, gate: G::GATE, candidate: C::CANDIDATE };
    const SCRATCH: usize = scratch::<F, I, H>(R::RESET);

    #[inline]
    fn step(tensors: &[Line], h: &mut [F::Unit; H], x: &[F::Unit; I]) -> [F::Unit; H] {
        let kind = Kind { reset: R::RESET, gate: G::GATE, candidate: C::CANDIDATE };
        step_on_stack::<F, I, H>(tensors, kind, h, Input::Dense(x))
    }
}

impl<const I: usize, const H: usize, F, R, G, C> TakesOneHot for Gru<I, H, F, R, G, C>
where
    F: Format,
    R: ResetVariant,
    G: GateActivation,
    C: CandidateActivation,
    [F::Unit; H]: State<F>,
{
    const ONE_HOT_SCRATCH: usize = scratch::<F, 0, H>(R::RESET);

    #[inline]
    fn step_one_hot(tensors: &[Line], h: &mut [F::Unit; H], hot: Hot) -> [F::Unit; H] {
        let kind = Kind { reset: R::RESET, gate: G::GATE, candidate: C::CANDIDATE };
        step_on_stack::<F, 0, H>(tensors, kind, h, Input::OneHot(hot))
    }
}

/// Bytes of scratch for operands of `I` inputs and `H` units.
const fn scratch<F: Format, const I: usize, const H: usize>(reset: Reset) -> usize {
    let sums = match reset {
        Reset::Before => 2 * H,
        Reset::After => 3 * H,
    };
    size_of::<Operands<F::Unit, I, H>>() + sums * size_of::<F::Sum>()
}

/// [`step`] with scratch on the stack, for operands of `I` inputs.
#[inline(always)]
fn step_on_stack<F: Format, const I: usize, const H: usize>(
    tensors: &[Line],
    kind: Kind,
    h: &mut [F::Unit; H],
    x: Input<'_, F>,
) -> [F::Unit; H] {
    let mut operands = MaybeUninit::<Operands<F::Unit, I, H>>::uninit();
    let operands = arbitrary(&mut operands).as_mut_slice();
    match kind.reset {
        Reset::Before => {
            let mut sums = MaybeUninit::<[[F::Sum; H]; 2]>::uninit();
            step::<F>(tensors, kind, h, x, operands, arbitrary(&mut sums).as_flattened_mut());
        }
        Reset::After => {
            let mut sums = MaybeUninit::<[[F::Sum; H]; 3]>::uninit();
            step::<F>(tensors, kind, h, x, operands, arbitrary(&mut sums).as_flattened_mut());
        }
    }
    *h
}

/// The variants that a GRU comes in.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub reset: Reset,
    pub gate: Gate,
    pub candidate: Candidate,
}

/// One step of a GRU: `h` from the state before to the state after. `operands` is scratch for `x` and `h`, each filled up
/// to a multiple of [`Format::GROUP`]; `sums` is scratch of `2·h.len()`, or `3·h.len()` with the
/// reset gate after the matmul.
#[inline(always)]
pub(crate) fn step<F: Format>(
    mut tensors: &[Line],
    kind: Kind,
    h: &mut [F::Unit],
    x: Input<'_, F>,
    operands: &mut [F::Unit],
    sums: &mut [F::Sum],
) {
    let Kind { reset, gate, candidate } = kind;
    let spec = LayerSpec::Gru { inputs: x.len() as u16, hidden: h.len() as u16, reset, gate, candidate };
    let parameters = F::parameters(&mut tensors);
    let matrices = spec.matrices().map(|matrix| cut::<F>(&mut tensors, matrix));
    let (inputs, state) = (x.operands(), h.len().next_multiple_of(F::GROUP));
    let Some(operands) = operands.get_mut(..inputs + state) else {
        return;
    };
    let Some((gates, of_h)) = sums.split_at_mut_checked(2 * h.len()) else {
        return;
    };

    x.fill(operands);
    for (operand, &h) in operands.iter_mut().skip(inputs).zip(&*h) {
        *operand = F::operand(h, parameters);
    }
    x.product(matrices[0], operands, gates);
    let Some((z, r)) = gates.split_at_mut_checked(h.len()) else {
        return;
    };
    // The candidate's sums take the place of the reset gate's.
    match reset {
        Reset::Before => {
            for (h, &r) in operands.iter_mut().skip(inputs).zip(&*r) {
                *h = F::reset(F::gate(gate, r), *h);
            }
            x.product(matrices[1], operands, r);
            for ((h, &z), &c) in h.iter_mut().zip(&*z).zip(&*r) {
                *h = F::blend(F::gate(gate, z), F::candidate(candidate, c), *h);
            }
        }
        Reset::After => {
            let Some((of_input, state)) = operands.split_at_checked(inputs) else {
                return;
            };
            F::product(matrices[1], state, of_h);
            for (of_h, &r) in of_h.iter_mut().zip(&*r) {
                *of_h = F::reset_sum(F::gate(gate, r), *of_h);
            }
            x.product(matrices[2], of_input, r);
            for (((h, &z), &of_x), &of_h) in h.iter_mut().zip(&*z).zip(&*r).zip(&*of_h) {
                let c = F::add(of_x, of_h);
                *h = F::blend(F::gate(gate, z), F::candidate(candidate, c), *h);
            }
        }
    }
}
