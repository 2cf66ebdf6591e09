//! Number formats: what a weight, a unit of state and a sum are, and the arithmetic between them.

use crate::cast::{self, Line};
use crate::spec::{Activation, Candidate, Gate, Storage};
use crate::{kernel, math};

mod sealed {
    pub trait Sealed {}
}

/// The numbers that a network computes in. One GRU step serves every format.
///
/// Units are what layers exchange and keep: inputs, outputs, gates, states. Sums are what a product of weights and units
/// gives before an activation.
pub trait Format: sealed::Sealed + Copy + 'static {
    /// An input, an output, a gate or an element of state.
    type Unit: Copy + Default + PartialEq + core::fmt::Debug + 'static;
    /// A sum of products, before its activation.
    type Sum: Copy + Default + 'static;
    /// How the blob stores the weights.
    const STORAGE: Storage;

    /// `sums[o] = bias[o] + Σ weights[o][i]·[x; h][i]`, over a matrix of `sums.len()` outputs and `x.len() + h.len()` inputs.
    fn product(matrix: &[Line], x: &[Self::Unit], h: &[Self::Unit], sums: &mut [Self::Sum]);
    /// A gate's activation.
    fn gate(gate: Gate, sum: Self::Sum) -> Self::Unit;
    /// A candidate's activation.
    fn candidate(candidate: Candidate, sum: Self::Sum) -> Self::Unit;
    /// A dense layer's activation, from `sums` to `outputs`, of one length. `sums` may be overwritten.
    fn activation(activation: Activation, sums: &mut [Self::Sum], outputs: &mut [Self::Unit]);
    /// `gate · unit`.
    fn reset(gate: Self::Unit, unit: Self::Unit) -> Self::Unit;
    /// `x + gate · h`, the candidate's sum when the reset gate comes after the matmul.
    fn reset_after(gate: Self::Unit, h: Self::Sum, x: Self::Sum) -> Self::Sum;
    /// `(1 - z)·c + z·h`.
    fn blend(z: Self::Unit, c: Self::Unit, h: Self::Unit) -> Self::Unit;

    /// A unit from a real input: `(x - mean)·scale`, saturated; a NaN becomes 0.
    fn from_real(x: f32, mean: f32, scale: f32) -> Self::Unit;
    /// A real output from a unit: `unit·scale + offset`, saturated.
    fn to_real(unit: Self::Unit, scale: f32, offset: f32) -> f32;
    /// A unit from outside, made safe to compute with.
    fn sanitize(unit: Self::Unit) -> Self::Unit;
    /// The hash that a blob's golden self-test expects of this format, if it has one.
    fn golden(golden: &crate::blob::Golden) -> Option<u64>;
}

/// `f32` throughout, with [`math::tanh`] and [`math::sigmoid`] and libm's `expf` for softmax. The default.
#[derive(Clone, Copy, Debug)]
pub enum Exact {}

/// `f32` throughout, with the cheaper activations of [`math::fast`]: gates are within 7e-5, candidates within 1.4e-4 of
/// [`Exact`]'s. Reads the same blobs.
#[cfg(feature = "micromath")]
#[derive(Clone, Copy, Debug)]
pub enum Fast {}

/// The two `f32` formats differ in three functions.
macro_rules! float_format {
    ($Format:ident, $tanh:path, $sigmoid:path, $exp:path, $golden:expr) => {
        impl sealed::Sealed for $Format {}

        impl Format for $Format {
            type Unit = f32;
            type Sum = f32;
            const STORAGE: Storage = Storage::F32;

            #[inline(always)]
            fn product(matrix: &[Line], x: &[f32], h: &[f32], sums: &mut [f32]) {
                kernel::product(cast::floats(matrix), x, h, sums);
            }

            #[inline(always)]
            fn gate(gate: Gate, sum: f32) -> f32 {
                match gate {
                    Gate::Sigmoid => $sigmoid(sum),
                    Gate::HardSigmoid => math::hard_sigmoid(sum),
                }
            }

            #[inline(always)]
            fn candidate(candidate: Candidate, sum: f32) -> f32 {
                match candidate {
                    Candidate::Tanh => $tanh(sum),
                    Candidate::Relu => math::relu(sum),
                    Candidate::Linear => math::finite(sum),
                }
            }

            #[inline(always)]
            fn activation(activation: Activation, sums: &mut [f32], outputs: &mut [f32]) {
                if activation == Activation::Softmax {
                    math::softmax(sums, $exp);
                }
                for (output, &sum) in outputs.iter_mut().zip(sums.iter()) {
                    *output = match activation {
                        Activation::Linear => math::finite(sum),
                        Activation::Sigmoid => $sigmoid(sum),
                        Activation::HardSigmoid => math::hard_sigmoid(sum),
                        Activation::Tanh => $tanh(sum),
                        Activation::Relu => math::relu(sum),
                        Activation::Softmax => sum,
                    };
                }
            }

            #[inline(always)]
            fn reset(gate: f32, unit: f32) -> f32 {
                gate * unit
            }

            #[inline(always)]
            fn reset_after(gate: f32, h: f32, x: f32) -> f32 {
                x + gate * h
            }

            #[inline(always)]
            fn blend(z: f32, c: f32, h: f32) -> f32 {
                (1.0 - z) * c + z * h
            }

            #[inline(always)]
            fn from_real(x: f32, mean: f32, scale: f32) -> f32 {
                math::finite((x - mean) * scale)
            }

            #[inline(always)]
            fn to_real(unit: f32, scale: f32, offset: f32) -> f32 {
                math::finite(unit * scale + offset)
            }

            #[inline(always)]
            fn sanitize(unit: f32) -> f32 {
                math::finite(unit)
            }

            fn golden(golden: &crate::blob::Golden) -> Option<u64> {
                $golden(golden)
            }
        }
    };
}

float_format!(Exact, math::tanh, math::sigmoid, libm::expf, |golden: &crate::blob::Golden| golden.exact);
#[cfg(feature = "micromath")]
float_format!(Fast, math::fast::tanh, math::fast::sigmoid, math::fast::exp, |golden: &crate::blob::Golden| golden.fast);
