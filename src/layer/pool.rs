//! Pooling over time: the mean or the maximum of all steps so far.

use core::fmt;
use core::iter;
use core::marker::PhantomData;

use super::{Layer, State, copy, sealed::Sealed, size};
use crate::cast::{Line, Plain};
use crate::format::{Exact, Format};
use crate::spec::{LayerSpec, Pooling};

/// The steps that a mean weighs alike. It is a power of two, and sums of so many 16-bit units fit 31 bits.
pub const LIMIT: u32 = 1 << 15;

/// Pools `N` channels over time, each by itself: `P` is [`Mean`] or [`Max`], `F` the format. It has no weights.
///
/// At every step it gives the value over all steps since the stream was reset, this one included. So at the last step of a
/// series that is what Keras's `GlobalAveragePooling1D` or `GlobalMaxPooling1D` gives for the whole of it.
///
/// ```text
/// m = m + (x - m) / min(n, 32768)      Mean, at step n = 1, 2, …
/// m = max(m, x)                        Max
/// ```
/// **If** a stream runs for more than 32,768 steps without a reset **then** its mean fades: each further step weighs
/// 1/32,768, and what lies behind loses as much. So a mean follows its inputs for ever, and the count stops there.
#[derive(Debug)]
pub struct Pool<const N: usize, P, F = Exact>(PhantomData<(P, F)>);

/// What a [`Pool`] gives: [`Mean`] or [`Max`].
pub trait PoolingVariant: Sealed + 'static {
    /// The same as data.
    const POOLING: Pooling;
    /// What it keeps of `N` channels.
    type State<F: Format, const N: usize>: State<F>;

    /// One step of `N` channels.
    fn step<F: Format, const N: usize>(state: &mut Self::State<F, N>, x: &[F::Unit; N]) -> [F::Unit; N];
}

/// The mean of all steps so far. In `f32` its error is a few units in the last place of the largest input, after any
/// number of steps; in integers it is exact up to 32,768 steps, then rounded to the nearest, ties up.
#[derive(Clone, Copy, Debug)]
pub enum Mean {}

/// The largest of all steps so far.
#[derive(Clone, Copy, Debug)]
pub enum Max {}

/// What a mean keeps of `N` channels, see [`Format::mean`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanState<U, const N: usize> {
    /// `f32`: the means. Integers: the upper halves of the sums.
    pub high: [U; N],
    /// `f32`: what the means' last places lack. Integers: the lower halves of the sums.
    pub low: [U; N],
    /// Steps, at most [`LIMIT`].
    pub count: U,
}

/// What a maximum keeps of `N` channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxState<U, const N: usize> {
    /// The largest so far.
    pub max: [U; N],
    /// 0 before the first step, 1 after it.
    pub count: U,
}

impl Sealed for Mean {}

impl PoolingVariant for Mean {
    const POOLING: Pooling = Pooling::Mean;
    type State<F: Format, const N: usize> = MeanState<F::Unit, N>;

    #[inline]
    fn step<F: Format, const N: usize>(state: &mut Self::State<F, N>, x: &[F::Unit; N]) -> [F::Unit; N] {
        let mut y = [F::Unit::default(); N];
        mean::<F>(&mut state.high, &mut state.low, &mut state.count, x, &mut y);
        y
    }
}

impl Sealed for Max {}

impl PoolingVariant for Max {
    const POOLING: Pooling = Pooling::Max;
    type State<F: Format, const N: usize> = MaxState<F::Unit, N>;

    #[inline]
    fn step<F: Format, const N: usize>(state: &mut Self::State<F, N>, x: &[F::Unit; N]) -> [F::Unit; N] {
        max::<F>(&mut state.max, &mut state.count, x);
        state.max
    }
}

impl<F: Format<Unit = U>, U: Plain + fmt::Debug, const N: usize> State<F> for MeanState<U, N> {
    const ZERO: Self = Self { high: [U::ZERO; N], low: [U::ZERO; N], count: U::ZERO };

    fn sanitize(&mut self) {
        sanitize_mean::<F>(&mut self.high, &mut self.low, &mut self.count);
    }

    /// None: what a pool has seen is not handed over.
    fn units(&self) -> impl Iterator<Item = &[U]> {
        iter::empty()
    }

    fn units_mut(&mut self) -> impl Iterator<Item = &mut [U]> {
        iter::empty()
    }
}

impl<F: Format<Unit = U>, U: Plain + fmt::Debug, const N: usize> State<F> for MaxState<U, N> {
    const ZERO: Self = Self { max: [U::ZERO; N], count: U::ZERO };

    fn sanitize(&mut self) {
        self.max = self.max.map(F::sanitize);
    }

    /// None: what a pool has seen is not handed over.
    fn units(&self) -> impl Iterator<Item = &[U]> {
        iter::empty()
    }

    fn units_mut(&mut self) -> impl Iterator<Item = &mut [U]> {
        iter::empty()
    }
}

impl<const N: usize, P, F> Sealed for Pool<N, P, F> {}

impl<const N: usize, P: PoolingVariant, F: Format> Layer for Pool<N, P, F> {
    type Format = F;
    type Input = [F::Unit; N];
    type Output = [F::Unit; N];
    type State = P::State<F, N>;
    const SPEC: LayerSpec = LayerSpec::Pool { inputs: size(N), over: P::POOLING };
    const SCRATCH: usize = 0;

    #[inline]
    fn step(_: &[Line], state: &mut Self::State, x: &[F::Unit; N]) -> [F::Unit; N] {
        P::step::<F, N>(state, x)
    }
}

/// One step of a pool of `x.len()` channels, whose `state` has the fields of [`MeanState`] or [`MaxState`] one after the other.
#[inline(always)]
pub(crate) fn step<F: Format>(over: Pooling, state: &mut [F::Unit], x: &[F::Unit], y: &mut [F::Unit]) {
    let Some((values, count)) = cut::<F>(state) else {
        return;
    };
    match over {
        Pooling::Mean => {
            if let Some((high, low)) = values.split_at_mut_checked(x.len()) {
                mean::<F>(high, low, count, x, y);
            }
        }
        Pooling::Max => {
            max::<F>(values, count, x);
            copy(y, values);
        }
    }
}

/// Makes a pool's `state` of sanitised units safe to compute with.
pub(crate) fn sanitize<F: Format>(over: Pooling, state: &mut [F::Unit]) {
    if let (Pooling::Mean, Some((values, count))) = (over, cut::<F>(state))
        && let Some((high, low)) = values.split_at_mut_checked(values.len() / 2)
    {
        sanitize_mean::<F>(high, low, count);
    }
}

/// The values of a state, and its count.
fn cut<F: Format>(state: &mut [F::Unit]) -> Option<(&mut [F::Unit], &mut F::Unit)> {
    state.split_last_mut().map(|(count, values)| (values, count))
}

#[inline(always)]
fn mean<F: Format>(high: &mut [F::Unit], low: &mut [F::Unit], count: &mut F::Unit, x: &[F::Unit], y: &mut [F::Unit]) {
    let before = F::count(*count).min(LIMIT);
    let weight = F::weight(before);
    for (((y, &x), high), low) in y.iter_mut().zip(x).zip(high).zip(low) {
        *y = F::mean(high, low, x, weight);
    }
    *count = F::counted((before + 1).min(LIMIT));
}

#[inline(always)]
fn max<F: Format>(max: &mut [F::Unit], count: &mut F::Unit, x: &[F::Unit]) {
    if F::count(*count) == 0 {
        copy(max, x);
    }
    for (max, &x) in max.iter_mut().zip(x) {
        *max = F::larger(*max, x);
    }
    *count = F::counted(1);
}

fn sanitize_mean<F: Format>(high: &mut [F::Unit], low: &mut [F::Unit], count: &mut F::Unit) {
    let before = F::count(*count).min(LIMIT);
    for (high, low) in high.iter_mut().zip(low) {
        F::sanitize_mean(high, low, before);
    }
    *count = F::counted(before);
}
