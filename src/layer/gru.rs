//! The gated recurrent unit (Cho et al. 2014), in both places of its reset gate.

use core::marker::PhantomData;

use super::{
    CandidateActivation, GateActivation, Layer, ResetBefore, ResetVariant, Sigmoid, State, Tanh, Zero, cut,
    sealed::Sealed, size,
};
use crate::cast::Line;
use crate::format::{Exact, Format};
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
    F: Format<Unit: Zero>,
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

    #[inline]
    fn step(tensors: &[Line], h: &mut [F::Unit; H], x: &[F::Unit; I]) -> [F::Unit; H] {
        let mut sums = [[F::Sum::default(); H]; 2];
        let mut gates = [[F::Unit::ZERO; H]; 2];
        let (kind, scratch) =
            (Kind { reset: R::RESET, gate: G::GATE, candidate: C::CANDIDATE }, (&mut sums, &mut gates));
        step::<F>(tensors, kind, h, x, scratch.0.as_flattened_mut(), scratch.1.as_flattened_mut());
        *h
    }
}

/// The variants that a GRU comes in.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub reset: Reset,
    pub gate: Gate,
    pub candidate: Candidate,
}

/// One step of a GRU: `h` from the state before to the state after. `sums` and `gates` are scratch of `2·h.len()`.
#[inline(always)]
pub(crate) fn step<F: Format>(
    mut tensors: &[Line],
    kind: Kind,
    h: &mut [F::Unit],
    x: &[F::Unit],
    sums: &mut [F::Sum],
    gates: &mut [F::Unit],
) {
    let Kind { reset, gate, candidate } = kind;
    let spec = LayerSpec::Gru { inputs: x.len() as u16, hidden: h.len() as u16, reset, gate, candidate };
    let matrices = spec.matrices().map(|matrix| cut::<F>(&mut tensors, matrix));

    F::product(matrices[0], x, h, sums);
    for (unit, &sum) in gates.iter_mut().zip(&*sums) {
        *unit = F::gate(gate, sum);
    }
    let Some((z, r)) = gates.split_at_mut_checked(h.len()) else {
        return;
    };
    let Some((c, of_x)) = sums.split_at_mut_checked(h.len()) else {
        return;
    };
    match reset {
        Reset::Before => {
            for (r, &h) in r.iter_mut().zip(&*h) {
                *r = F::reset(*r, h);
            }
            F::product(matrices[1], x, r, c);
        }
        Reset::After => {
            F::product(matrices[1], &[], h, c);
            F::product(matrices[2], x, &[], of_x);
            for ((c, &r), &of_x) in c.iter_mut().zip(&*r).zip(&*of_x) {
                *c = F::reset_after(r, *c, of_x);
            }
        }
    }
    for ((h, &z), &c) in h.iter_mut().zip(&*z).zip(&*c) {
        *h = F::blend(z, F::candidate(candidate, c), *h);
    }
}
