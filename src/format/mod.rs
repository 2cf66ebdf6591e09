//! Number formats: what a weight, a unit of state and a sum are, and the arithmetic between them.

mod float;
mod int8;

pub use float::Exact;
#[cfg(feature = "micromath")]
pub use float::Fast;
pub use int8::{Int8, Int8Parameters, Int8Weight};

use crate::cast::{Line, Plain};
use crate::kernel::Hot;
use crate::spec::{Activation, Candidate, Gate, Merge, Storage};

mod sealed {
    pub trait Sealed {}
}

/// The numbers that a network computes in. One GRU step serves every format.
///
/// Units are what layers exchange and keep: inputs, outputs, states. A product takes **operands**: the inputs as they are
/// and the state through [`operand`](Self::operand). Its sums go through an activation, which gives a gate or a unit.
pub trait Format: sealed::Sealed + Copy + 'static {
    /// An input, an output or an element of state.
    type Unit: Plain + Default + PartialEq + core::fmt::Debug;
    /// A sum of products, before its activation.
    type Sum: Plain + Default;
    /// A gate's value, from 0 to 1.
    type Gate: Copy;
    /// What a layer needs to know besides its matrices.
    type Parameters: Copy;
    /// How much a step counts in a running mean.
    type Weight: Copy;
    /// How the blob stores the weights.
    const STORAGE: Storage;
    /// Operands of inputs, and those of state, are each filled up to a multiple of so many; the weights there are 0.
    const GROUP: usize;

    /// A layer's parameters, from the start of its `tensors`, which move on past them.
    fn parameters(tensors: &mut &[Line]) -> Self::Parameters;
    /// `sums[o] = bias[o] + Σ weights[o][i]·operands[i]`, over a matrix of `sums.len()` outputs.
    fn product(matrix: &[Line], operands: &[Self::Unit], sums: &mut [Self::Sum]);
    /// [`product`](Self::product) over a one-hot input and then `operands`: `sums[o] = bias[o] + weights[o][token]·1 +
    /// Σ weights[o][inputs + i]·operands[i]`.
    fn one_hot_product(matrix: &[Line], hot: Hot, operands: &[Self::Unit], sums: &mut [Self::Sum]);
    /// The operand that stands for an element of state.
    fn operand(unit: Self::Unit, parameters: Self::Parameters) -> Self::Unit;
    /// A gate's activation.
    fn gate(gate: Gate, sum: Self::Sum) -> Self::Gate;
    /// A candidate's activation.
    fn candidate(candidate: Candidate, sum: Self::Sum) -> Self::Unit;
    /// A dense layer's activation, from `sums` to `outputs`, of one length. `sums` may be overwritten.
    fn activation(activation: Activation, sums: &mut [Self::Sum], outputs: &mut [Self::Unit]);
    /// `r·h` of an operand of state: the reset gate before the matmul.
    fn reset(r: Self::Gate, h: Self::Unit) -> Self::Unit;
    /// `r·h` of a sum: the reset gate after the matmul.
    fn reset_sum(r: Self::Gate, h: Self::Sum) -> Self::Sum;
    /// `x + h` of the two sums of a candidate.
    fn add(x: Self::Sum, h: Self::Sum) -> Self::Sum;
    /// `(1 - z)·c + z·h`.
    fn blend(z: Self::Gate, c: Self::Unit, h: Self::Unit) -> Self::Unit;

    /// The steps that an element of a pool's state counts.
    fn count(unit: Self::Unit) -> u32;
    /// The element of a pool's state that counts so many steps, at most [`LIMIT`](crate::layer::pool::LIMIT).
    fn counted(steps: u32) -> Self::Unit;
    /// How much a step counts after so many, at most [`LIMIT`](crate::layer::pool::LIMIT).
    fn weight(before: u32) -> Self::Weight;
    /// The mean with `x` taken in. `high` and `low` are what is kept of it.
    fn mean(high: &mut Self::Unit, low: &mut Self::Unit, x: Self::Unit, weight: Self::Weight) -> Self::Unit;
    /// `high` and `low` from outside, of so many steps, made safe to compute with.
    fn sanitize_mean(high: &mut Self::Unit, low: &mut Self::Unit, steps: u32);
    /// The larger one.
    fn larger(a: Self::Unit, b: Self::Unit) -> Self::Unit;

    /// What a bidirectional layer makes of an element of its forward and its backward state: their sum, product or mean.
    fn merge(merge: Merge, forward: Self::Unit, backward: Self::Unit) -> Self::Unit;

    /// The token that an input means; too small and NaN is 0.
    fn token(unit: Self::Unit) -> usize;
    /// The elements of an embedding's table from `first` on.
    fn vector(table: &[Line], first: usize, outputs: &mut [Self::Unit]);
    /// A unit from a real input: `(x - mean)·scale`, saturated; a NaN becomes 0.
    fn from_real(x: f32, mean: f32, scale: f32) -> Self::Unit;
    /// A real output from a unit: `unit·scale + offset`, saturated.
    fn to_real(unit: Self::Unit, scale: f32, offset: f32) -> f32;
    /// A unit from outside, made safe to compute with.
    fn sanitize(unit: Self::Unit) -> Self::Unit;
    /// The hash that a blob's golden self-test expects of this format, if it has one.
    fn golden(golden: &crate::blob::Golden) -> Option<u64>;
}
