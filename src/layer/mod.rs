//! Layers: what they compute, on slices, and as types that carry their sizes.
//!
//! A layer type such as [`Gru<6, 32>`](Gru) is never instantiated: it names a computation. Its weights are a [`Weights`],
//! borrowed in place from a blob; its state is a plain array that the caller owns.

mod activation;
pub mod bidirectional;
pub mod dense;
pub mod embedding;
pub mod gru;
pub mod one_hot;
pub mod pool;

use core::fmt;
use core::iter;
use core::marker::PhantomData;

pub use activation::{
    Ave, CandidateActivation, Concat, DenseActivation, GateActivation, HardSigmoid, Linear, MergeVariant, Mul, Relu,
    ResetAfter, ResetBefore, ResetVariant, Sigmoid, Softmax, Sum, Tanh,
};
pub use bidirectional::Bidirectional;
pub use dense::Dense;
pub use embedding::Embedding;
pub use gru::Gru;
pub use one_hot::OneHot;
pub use pool::{Max, Mean, Pool, PoolingVariant};

use crate::cast::{Line, Plain};
use crate::format::Format;
use crate::kernel::Hot;
use crate::spec::{LayerSpec, Matrix};

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A layer with its sizes in its type.
pub trait Layer: sealed::Sealed + 'static {
    /// The numbers it computes in.
    type Format: Format;
    /// One step's inputs: an array of units.
    type Input: Frame<Self::Format>;
    /// One step's outputs: an array of units.
    type Output: Frame<Self::Format>;
    /// What it keeps from one step to the next; all zeros at the start.
    type State: State<Self::Format>;
    /// The same layer as data.
    const SPEC: LayerSpec;
    /// Whether its input is a token that stands for the one-hot vector that `SPEC` takes: see [`OneHot`].
    const ONE_HOT: bool = false;
    /// Bytes on the stack that a step takes for operands and sums.
    const SCRATCH: usize;

    /// One step. `tensors` holds [`LayerSpec::lines`] lines, in the blob's layout.
    fn step(tensors: &[Line], state: &mut Self::State, x: &Self::Input) -> Self::Output;
}

/// A layer that can run over a window, which is a series that is complete before the answer: every [`Layer`], and
/// [`Bidirectional`].
pub trait WindowLayer: sealed::Sealed + 'static {
    /// The numbers it computes in.
    type Format: Format;
    /// One step's inputs: an array of units.
    type Input: Frame<Self::Format>;
    /// One step's outputs: an array of units.
    type Output: Frame<Self::Format>;
    /// The same layer as data.
    const SPEC: LayerSpec;
    /// Whether its input is a token that stands for the one-hot vector that `SPEC` takes: see [`OneHot`].
    const ONE_HOT: bool = false;
    /// Bytes on the stack that it takes for operands and sums.
    const SCRATCH: usize;

    /// The outputs `ys` at every step of the series `xs`, from a zero state. The slices have one length.
    fn run(tensors: &[Line], xs: &[Self::Input], ys: &mut [Self::Output]);

    /// The output after the whole series `xs` alone.
    fn last(tensors: &[Line], xs: &[Self::Input]) -> Self::Output;
}

impl<L: Layer> WindowLayer for L {
    type Format = L::Format;
    type Input = L::Input;
    type Output = L::Output;
    const SPEC: LayerSpec = L::SPEC;
    const ONE_HOT: bool = L::ONE_HOT;
    const SCRATCH: usize = L::SCRATCH;

    fn run(tensors: &[Line], xs: &[L::Input], ys: &mut [L::Output]) {
        let mut state = L::State::ZERO;
        for (x, y) in xs.iter().zip(ys) {
            *y = L::step(tensors, &mut state, x);
        }
    }

    fn last(tensors: &[Line], xs: &[L::Input]) -> L::Output {
        let (mut state, mut y) = (L::State::ZERO, L::Output::ZERO);
        for x in xs {
            y = L::step(tensors, &mut state, x);
        }
        y
    }
}

/// The weights of one layer `L`, borrowed from a blob: what a graph that is no chain is wired from.
///
/// ```
/// # fn wired(encoder: grulet::Weights<grulet::Gru<3, 8>>, decoder: grulet::Weights<grulet::Gru<2, 8>>) {
/// let mut h = [0.0; 8];
/// for x in [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]] {
///     encoder.step(&mut h, &x);
/// }
/// let first = decoder.step(&mut h, &[1.0, 0.0]); // starts from the encoder's state
/// # }
/// ```
pub struct Weights<'a, L> {
    tensors: &'a [Line],
    layer: PhantomData<L>,
}

impl<L> Clone for Weights<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Weights<'_, L> {}

impl<L: Layer> fmt::Debug for Weights<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Weights").field(&L::SPEC).finish()
    }
}

impl<'a, L: Layer> Weights<'a, L> {
    /// `tensors` must have been checked against `L::SPEC`.
    pub(crate) fn new(tensors: &'a [Line]) -> Self {
        Self { tensors, layer: PhantomData }
    }

    /// One step on native units. In `x` NaN becomes 0, infinities ±2⁶⁴. A state that did not come from `step` goes through
    /// [`State::sanitize`] first: a NaN in it would stay.
    pub fn step(&self, state: &mut L::State, x: &L::Input) -> L::Output {
        L::step(self.tensors, state, &x.sanitized())
    }
}

/// An array of units: one step's inputs or outputs.
pub trait Frame<F: Format>: Copy + sealed::Sealed {
    /// The same in real units: `[f32; N]`.
    type Real: Copy + AsRef<[f32]> + fmt::Debug;
    /// Elements.
    const LEN: usize;
    /// All zeros.
    const ZERO: Self;

    /// Each of the `LEN` inputs through its channel's `mean` and `scale` (see [`Format::from_real`]).
    fn from_real(x: &[f32], mean: &[f32], scale: &[f32]) -> Self;
    /// Each output through its `scale` and `offset` (see [`Format::to_real`]).
    fn to_real(&self, scale: &[f32], offset: &[f32]) -> Self::Real;
    /// Each unit made safe to compute with (see [`Format::sanitize`]).
    fn sanitized(&self) -> Self;
}

impl<U, const N: usize> sealed::Sealed for [U; N] {}

impl<F: Format<Unit = U>, U: Plain + Default, const N: usize> Frame<F> for [U; N] {
    type Real = [f32; N];
    const LEN: usize = N;
    const ZERO: Self = [U::ZERO; N];

    #[inline(always)]
    fn from_real(x: &[f32], mean: &[f32], scale: &[f32]) -> Self {
        let mut frame = [U::default(); N];
        for (((unit, &x), &mean), &scale) in frame.iter_mut().zip(x).zip(mean).zip(scale) {
            *unit = F::from_real(x, mean, scale);
        }
        frame
    }

    #[inline(always)]
    fn to_real(&self, scale: &[f32], offset: &[f32]) -> [f32; N] {
        let mut real = [0.0; N];
        for (((real, &unit), &scale), &offset) in real.iter_mut().zip(self).zip(scale).zip(offset) {
            *real = F::to_real(unit, scale, offset);
        }
        real
    }

    #[inline(always)]
    fn sanitized(&self) -> Self {
        self.map(F::sanitize)
    }
}

/// What layers keep between steps: an array of units, nothing, or a tuple of these.
pub trait State<F: Format>: Copy + fmt::Debug {
    /// The state of a stream that has seen nothing.
    const ZERO: Self;
    /// Makes a state from outside safe to compute with.
    fn sanitize(&mut self);
    /// The units of each layer that has any.
    fn units(&self) -> impl Iterator<Item = &[F::Unit]>;
    /// The same, to change them.
    fn units_mut(&mut self) -> impl Iterator<Item = &mut [F::Unit]>;
}

impl<F: Format> State<F> for () {
    const ZERO: Self = ();
    fn sanitize(&mut self) {}
    fn units(&self) -> impl Iterator<Item = &[F::Unit]> {
        iter::empty()
    }
    fn units_mut(&mut self) -> impl Iterator<Item = &mut [F::Unit]> {
        iter::empty()
    }
}

impl<F: Format<Unit = U>, U: Plain + fmt::Debug, const N: usize> State<F> for [U; N] {
    const ZERO: Self = [U::ZERO; N];
    fn sanitize(&mut self) {
        *self = self.map(F::sanitize);
    }
    fn units(&self) -> impl Iterator<Item = &[U]> {
        iter::once(self.as_slice())
    }
    fn units_mut(&mut self) -> impl Iterator<Item = &mut [U]> {
        iter::once(self.as_mut_slice())
    }
}

/// What a layer multiplies by its kernel.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a, F: Format> {
    /// Units.
    Dense(&'a [F::Unit]),
    /// A one-hot vector.
    OneHot(Hot),
}

impl<F: Format> Input<'_, F> {
    /// The one-hot vector of `inputs` elements for the token in `x`: the nearest there is, as for an
    /// [`Embedding`]; of no units, 0.
    #[inline(always)]
    pub fn one_hot(inputs: usize, x: &[F::Unit]) -> Self {
        Input::OneHot(Hot { inputs, token: token::<F>(inputs, x) })
    }

    /// Elements.
    #[inline(always)]
    pub fn len(&self) -> usize {
        match self {
            Input::Dense(x) => x.len(),
            Input::OneHot(hot) => hot.inputs,
        }
    }

    /// The operands that it takes, filled up to a multiple of [`Format::GROUP`]; one-hot, none.
    #[inline(always)]
    pub fn operands(&self) -> usize {
        match self {
            Input::Dense(x) => x.len().next_multiple_of(F::GROUP),
            Input::OneHot(_) => 0,
        }
    }

    /// Puts its operands at the start of `operands`.
    #[inline(always)]
    pub fn fill(&self, operands: &mut [F::Unit]) {
        if let Input::Dense(x) = self {
            copy(operands, x);
        }
    }

    /// The product with `matrix`; in `operands` lie its own, and then perhaps others.
    #[inline(always)]
    pub fn product(&self, matrix: &[Line], operands: &[F::Unit], sums: &mut [F::Sum]) {
        match *self {
            Input::Dense(_) => F::product(matrix, operands, sums),
            Input::OneHot(hot) => F::one_hot_product(matrix, hot, operands, sums),
        }
    }
}

/// The token in `x`, the nearest of so many.
#[inline(always)]
pub(crate) fn token<F: Format>(vocabulary: usize, x: &[F::Unit]) -> usize {
    x.first().map_or(0, |&x| F::token(x)).min(vocabulary.saturating_sub(1))
}

/// Copies `from` to the start of `to`, as far as both reach.
#[inline(always)]
pub(crate) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

/// The first `matrix.lines()` lines of `tensors`, which moves on past them.
#[inline(always)]
pub(crate) fn cut<'a, F: Format>(tensors: &mut &'a [Line], matrix: Matrix) -> &'a [Line] {
    take(tensors, matrix.lines(F::STORAGE) as usize)
}

/// The first `count` lines of `tensors`, which moves on past them; all of them if there are fewer.
#[inline(always)]
pub(crate) fn take<'a>(tensors: &mut &'a [Line], count: usize) -> &'a [Line] {
    let (head, rest) = tensors.split_at_checked(count).unwrap_or((tensors, &[]));
    *tensors = rest;
    head
}

/// A size as the blob states it.
pub(crate) const fn size(n: usize) -> u16 {
    assert!(n > 0 && n <= u16::MAX as usize, "a layer's sizes lie between 1 and 65,535");
    n as u16
}
