//! Two GRUs over a window, one of which reads it from its end (Schuster and Paliwal 1997).

use core::marker::PhantomData;

use super::{
    CandidateActivation, Concat, GateActivation, Gru, Layer, MergeVariant, ResetBefore, ResetVariant, Sigmoid, State,
    Tanh, WindowLayer, copy, sealed::Sealed, size,
};
use crate::cast::{Line, Plain};
use crate::format::{Exact, Format};
use crate::spec::{LayerSpec, Merge};

/// Two [`Gru`]s of `I` inputs and `H` hidden units each, whose states are merged by `M` into `O` outputs: 2·`H` of them with
/// [`Concat`], else `H`. Format `F`, reset variant `R`, gate activation `G` and candidate activation `C` as of a [`Gru`].
///
/// The forward GRU reads the series x₁ … x_T from its start, the backward one from its end, both from a zero state:
///
/// ```text
/// f_t = GRU(x_t, f_(t-1))                 b_t = GRU'(x_t, b_(t+1))
/// y_t = [f_t; b_t]   f_t + b_t   f_t⊙b_t   (f_t + b_t) / 2        Concat, Sum, Mul, Ave
/// ```
/// Where the last output alone counts, and no later layer has a state, it is that of f_T and b₁: what each has read the whole
/// series for, and what Keras gives for `return_sequences=False`.
///
/// It cannot answer before the series is complete: a network with such a layer has a [`Window`](crate::Window), and no
/// [`Stream`](crate::Stream). `O` follows from `H`, but Rust cannot yet compute with it in a type; any other is a compile error.
#[derive(Debug)]
pub struct Bidirectional<
    const I: usize,
    const H: usize,
    const O: usize,
    M = Concat,
    F = Exact,
    R = ResetBefore,
    G = Sigmoid,
    C = Tanh,
>(PhantomData<(M, F, R, G, C)>);

impl<const I: usize, const H: usize, const O: usize, M, F, R, G, C> Sealed for Bidirectional<I, H, O, M, F, R, G, C> {}

impl<const I: usize, const H: usize, const O: usize, M, F, R, G, C> WindowLayer
    for Bidirectional<I, H, O, M, F, R, G, C>
where
    M: MergeVariant,
    F: Format,
    R: ResetVariant,
    G: GateActivation,
    C: CandidateActivation,
    [F::Unit; H]: State<F>,
{
    type Format = F;
    type Input = [F::Unit; I];
    type Output = [F::Unit; O];
    const SPEC: LayerSpec = {
        let spec = LayerSpec::Bidirectional {
            inputs: size(I),
            hidden: size(H),
            reset: R::RESET,
            gate: G::GATE,
            candidate: C::CANDIDATE,
            merge: M::MERGE,
        };
        assert!(
            spec.outputs() == O,
            "Bidirectional<I, H, O> has O = 2·H outputs with Concat, which is the default, and O = H with Sum, Mul or Ave"
        );
        spec
    };
    const SCRATCH: usize = <Gru<I, H, F, R, G, C> as Layer>::SCRATCH;

    fn run(tensors: &[Line], xs: &[[F::Unit; I]], ys: &mut [[F::Unit; O]]) {
        run::<H, O, M, Gru<I, H, F, R, G, C>>(tensors, xs, ys);
    }

    fn last(tensors: &[Line], xs: &[[F::Unit; I]]) -> [F::Unit; O] {
        last::<H, O, M, Gru<I, H, F, R, G, C>>(tensors, xs)
    }
}

/// A unit of layer `L`.
type Unit<L> = <<L as Layer>::Format as Format>::Unit;

/// [`WindowLayer::run`] of two GRUs `L`.
pub(crate) fn run<const H: usize, const O: usize, M: MergeVariant, L>(
    tensors: &[Line],
    xs: &[L::Input],
    ys: &mut [[Unit<L>; O]],
) where
    L: Layer<State = [Unit<L>; H], Output = [Unit<L>; H]>,
{
    let (forward, backward) = directions(tensors);
    let (mut f, mut b) = ([Unit::<L>::ZERO; H], [Unit::<L>::ZERO; H]);
    for (x, y) in xs.iter().zip(ys.iter_mut()) {
        L::step(forward, &mut f, x);
        copy(y, &f);
    }
    for (x, y) in xs.iter().zip(ys).rev() {
        L::step(backward, &mut b, x);
        merge::<L::Format>(M::MERGE, y, &b);
    }
}

/// [`WindowLayer::last`] of two GRUs `L`.
pub(crate) fn last<const H: usize, const O: usize, M: MergeVariant, L>(
    tensors: &[Line],
    xs: &[L::Input],
) -> [Unit<L>; O]
where
    L: Layer<State = [Unit<L>; H], Output = [Unit<L>; H]>,
{
    let (forward, backward) = directions(tensors);
    let (mut f, mut b) = ([Unit::<L>::ZERO; H], [Unit::<L>::ZERO; H]);
    for x in xs {
        L::step(forward, &mut f, x);
    }
    for x in xs.iter().rev() {
        L::step(backward, &mut b, x);
    }
    let mut y = [Unit::<L>::ZERO; O];
    copy(&mut y, &f);
    merge::<L::Format>(M::MERGE, &mut y, &b);
    y
}

/// The tensors of the forward GRU and those of the backward one.
pub(crate) fn directions(tensors: &[Line]) -> (&[Line], &[Line]) {
    tensors.split_at_checked(tensors.len() / 2).unwrap_or_default()
}

/// Takes the backward state `b` into `y`, which starts with the forward one and has place for the outputs.
#[inline(always)]
pub(crate) fn merge<F: Format>(merge: Merge, y: &mut [F::Unit], b: &[F::Unit]) {
    if merge == Merge::Concat {
        copy(y.get_mut(b.len()..).unwrap_or_default(), b);
    } else {
        for (y, &b) in y.iter_mut().zip(b) {
            *y = F::merge(merge, *y, b);
        }
    }
}
