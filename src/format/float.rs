//! The `f32` formats: [`Exact`], and `Fast`.

use super::{Format, sealed};
use crate::cast::{self, Line};
use crate::kernel::Hot;
use crate::layer::pool;
use crate::spec::{Activation, Candidate, Gate, Merge, Storage};
use crate::{kernel, math};

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
            type Gate = f32;
            type Parameters = ();
            type Weight = f32;
            const STORAGE: Storage = Storage::F32;
            const GROUP: usize = 1;

            #[inline(always)]
            fn parameters(_: &mut &[Line]) {}

            #[inline(always)]
            fn product(matrix: &[Line], operands: &[f32], sums: &mut [f32]) {
                kernel::product(cast::floats(matrix), operands, sums);
            }

            #[inline(always)]
            fn one_hot_product(matrix: &[Line], hot: Hot, operands: &[f32], sums: &mut [f32]) {
                kernel::one_hot_product(cast::floats(matrix), hot, operands, sums);
            }

            #[inline(always)]
            fn operand(unit: f32, (): ()) -> f32 {
                unit
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
            fn count(unit: f32) -> u32 {
                // The cast saturates, and takes a NaN to 0.
                unit as u32
            }

            #[inline(always)]
            fn counted(steps: u32) -> f32 {
                steps as f32
            }

            #[inline(always)]
            fn weight(before: u32) -> f32 {
                1.0 / (before + 1).min(pool::LIMIT) as f32
            }

            #[inline(always)]
            fn mean(high: &mut f32, low: &mut f32, x: f32, weight: f32) -> f32 {
                math::running_mean(high, low, x, weight)
            }

            #[inline(always)]
            fn sanitize_mean(high: &mut f32, low: &mut f32, _: u32) {
                (*high, *low) = (math::finite(*high), math::finite(*low));
            }

            #[inline(always)]
            fn larger(a: f32, b: f32) -> f32 {
                if b > a { b } else { a }
            }

            #[inline(always)]
            fn merge(merge: Merge, forward: f32, backward: f32) -> f32 {
                // Unbounded states may be as large as the limit.
                math::finite(match merge {
                    Merge::Concat => forward,
                    Merge::Sum => forward + backward,
                    Merge::Mul => forward * backward,
                    Merge::Ave => (forward + backward) * 0.5,
                })
            }

            #[inline(always)]
            fn token(unit: f32) -> usize {
                // The cast saturates, and takes a NaN to 0.
                (unit + 0.5) as usize
            }

            #[inline(always)]
            fn vector(table: &[Line], first: usize, outputs: &mut [f32]) {
                let elements = cast::floats(table).get(first..).unwrap_or_default();
                for (output, &element) in outputs.iter_mut().zip(elements) {
                    *output = math::finite(element);
                }
            }

            #[inline(always)]
            fn reset(r: f32, h: f32) -> f32 {
                r * h
            }

            #[inline(always)]
            fn reset_sum(r: f32, h: f32) -> f32 {
                r * h
            }

            #[inline(always)]
            fn add(x: f32, h: f32) -> f32 {
                x + h
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
