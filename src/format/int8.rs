//! The integer format.

use super::{Format, sealed};
use crate::cast::{self, Line};
use crate::kernel::Hot;
use crate::layer::pool;
use crate::spec::{Activation, Candidate, Gate, Merge, Storage};
use crate::{fixed, kernel, math};

/// Weights of 8 bits with a scale for each row, units of 16 bits, sums of 32 bits: integers only, and the same number of
/// instructions whatever the data.
///
/// # What a number stands for
/// - A **unit** is an `i16` with a real value per unit that belongs to the layer: 2⁻¹⁵ where the layer's activation is
///   bounded (tanh, sigmoid, softmax), and from calibration where it is not (ReLU, linear) and for the network's inputs.
///   Beyond ±32,767 units it saturates.
/// - An **operand** is an input unit as it is, or a unit of state divided by a power of two that the layer states, to the
///   nearest. That brings both to one real value per operand, so that one product takes them together; the exporter
///   picks the power such that the input's weights do not take the recurrent weights' bits.
/// - A product's **sum** is exact in 32 bits (the exporter proves it from the weights), and rescaled once, to the nearest,
///   into what its activation takes: [`fixed::ARGUMENT`] for sigmoid and, of twice the argument, tanh; 2⁻¹⁶ of the result
///   for hard sigmoid; the layer's units for ReLU and linear; [`fixed::EXPONENT`] for softmax.
/// - An **embedding**'s table has 8 bits for each element; its units are 256 of these.
/// - The 1 of a **one-hot** input is 32,767 units, [`kernel::int8::ONE`], exactly.
/// - A **mean** over time is an exact sum of 32 bits, in two units, divided to the nearest; the maximum is one of its
///   inputs. The units of a pool are those of its inputs.
/// - A **bidirectional** layer's states have one real value per unit, u. Merged, a mean's units are worth u, a sum's 2·u (both
///   are half the sum of two states, to the nearest), a product's 2¹⁵·u² (it is 2⁻¹⁵ of the product of two states, to the
///   nearest).
/// - A **gate** is an `i32` in Q16, from 0 to 65,535.
///
/// The real inputs and outputs of [`Stream::step`](crate::Stream::step) are converted in `f32`;
/// [`Stream::step_raw`](crate::Stream::step_raw) takes and gives units.
#[derive(Clone, Copy, Debug)]
pub enum Int8 {}

impl sealed::Sealed for Int8 {}

/// What an [`Int8`] layer states besides its matrices.
#[derive(Clone, Copy, Debug)]
pub struct Int8Parameters {
    /// An operand of state is a unit divided by 2 to this power, at most 15.
    shift: u32,
}

/// How much a step counts in a mean of [`Int8`].
#[derive(Clone, Copy, Debug)]
pub struct Int8Weight {
    divisor: fixed::Divisor,
    /// 1 where older steps fade, else 0.
    fades: i32,
}

/// Two units as one number of 32 bits.
#[inline(always)]
fn join(high: i16, low: i16) -> i32 {
    i32::from(high) << 16 | i32::from(low as u16)
}

impl Format for Int8 {
    type Unit = i16;
    type Sum = i32;
    type Gate = i32;
    type Parameters = Int8Parameters;
    type Weight = Int8Weight;
    const STORAGE: Storage = Storage::Int8;
    const GROUP: usize = 2;

    #[inline(always)]
    fn parameters(tensors: &mut &[Line]) -> Int8Parameters {
        let line = cast::integers(crate::layer::take(tensors, 1));
        Int8Parameters { shift: line.first().map_or(0, |&shift| shift as u32 & 15) }
    }

    #[inline(always)]
    fn product(matrix: &[Line], operands: &[i16], sums: &mut [i32]) {
        kernel::int8::product(cast::integers(matrix), operands, sums);
    }

    #[inline(always)]
    fn one_hot_product(matrix: &[Line], hot: Hot, operands: &[i16], sums: &mut [i32]) {
        kernel::int8::one_hot_product(cast::integers(matrix), hot, operands, sums);
    }

    #[inline(always)]
    fn operand(unit: i16, Int8Parameters { shift }: Int8Parameters) -> i16 {
        fixed::shift_right(unit, shift)
    }

    #[inline(always)]
    fn gate(gate: Gate, sum: i32) -> i32 {
        fixed::gate(gate, sum)
    }

    #[inline(always)]
    fn candidate(candidate: Candidate, sum: i32) -> i16 {
        match candidate {
            Candidate::Tanh => fixed::tanh_half(sum) as i16,
            Candidate::Relu => fixed::saturate(sum.max(0)),
            Candidate::Linear => fixed::saturate(sum),
        }
    }

    #[inline(always)]
    fn activation(activation: Activation, sums: &mut [i32], outputs: &mut [i16]) {
        if activation == Activation::Softmax {
            return fixed::softmax(sums, outputs);
        }
        for (output, &sum) in outputs.iter_mut().zip(&*sums) {
            *output = match activation {
                Activation::Linear | Activation::Softmax => fixed::saturate(sum),
                Activation::Sigmoid => (fixed::gate(Gate::Sigmoid, sum) >> 1) as i16,
                Activation::HardSigmoid => (fixed::gate(Gate::HardSigmoid, sum) >> 1) as i16,
                Activation::Tanh => fixed::tanh_half(sum) as i16,
                Activation::Relu => fixed::saturate(sum.max(0)),
            };
        }
    }

    #[inline(always)]
    fn count(unit: i16) -> u32 {
        u32::from(unit as u16)
    }

    #[inline(always)]
    fn counted(steps: u32) -> i16 {
        steps as i16
    }

    #[inline(always)]
    fn weight(before: u32) -> Int8Weight {
        let fades = before / pool::LIMIT;
        Int8Weight { divisor: fixed::Divisor::new(before + 1 - fades), fades: fades as i32 }
    }

    #[inline(always)]
    fn mean(high: &mut i16, low: &mut i16, x: i16, Int8Weight { divisor, fades }: Int8Weight) -> i16 {
        let sum = join(*high, *low);
        let mean = sum.wrapping_add(pool::LIMIT as i32 / 2) >> pool::LIMIT.ilog2();
        let sum = sum.wrapping_sub(mean * fades).wrapping_add(x.into());
        (*high, *low) = ((sum >> 16) as i16, sum as i16);
        divisor.divide(sum)
    }

    fn sanitize_mean(high: &mut i16, low: &mut i16, steps: u32) {
        let steps = steps as i32;
        let sum = join(*high, *low).clamp(-32_768 * steps, 32_767 * steps);
        (*high, *low) = ((sum >> 16) as i16, sum as i16);
    }

    #[inline(always)]
    fn larger(a: i16, b: i16) -> i16 {
        // Without a branch on a Cortex-M0 too, where a comparison has one.
        let (a, b) = (i32::from(a), i32::from(b));
        (a + (b - a).max(0)) as i16
    }

    #[inline(always)]
    fn merge(merge: Merge, forward: i16, backward: i16) -> i16 {
        let (f, b) = (i32::from(forward), i32::from(backward));
        match merge {
            Merge::Concat => forward,
            Merge::Sum | Merge::Ave => ((f + b + 1) >> 1) as i16,
            Merge::Mul => fixed::saturate((f * b + (1 << 14)) >> 15),
        }
    }

    #[inline(always)]
    fn token(unit: i16) -> usize {
        unit.max(0) as usize
    }

    #[inline(always)]
    fn vector(table: &[Line], first: usize, outputs: &mut [i16]) {
        for (index, output) in outputs.iter_mut().enumerate() {
            let at = first.wrapping_add(index);
            let word = cast::integers(table).get(at / 4).copied().unwrap_or(0);
            // The byte, in the upper half.
            *output = ((word >> (at % 4 * 8)) as i16) << 8;
        }
    }

    #[inline(always)]
    fn reset(r: i32, h: i16) -> i16 {
        fixed::scale(r, h)
    }

    #[inline(always)]
    fn reset_sum(r: i32, h: i32) -> i32 {
        fixed::scale_sum(r, h)
    }

    #[inline(always)]
    fn add(x: i32, h: i32) -> i32 {
        x.wrapping_add(h)
    }

    #[inline(always)]
    fn blend(z: i32, c: i16, h: i16) -> i16 {
        fixed::blend(z, c, h)
    }

    #[inline(always)]
    fn from_real(x: f32, mean: f32, scale: f32) -> i16 {
        let x = (x - mean) * scale;
        let x = if x < 0.0 { x - 0.5 } else { x + 0.5 };
        #[cfg(feature = "saturations")]
        crate::saturations::count(&crate::saturations::INPUTS, x.abs() >= 32_768.0);
        // The cast saturates, and takes a NaN to 0.
        x as i16
    }

    #[inline(always)]
    fn to_real(unit: i16, scale: f32, offset: f32) -> f32 {
        math::finite(f32::from(unit) * scale + offset)
    }

    #[inline(always)]
    fn sanitize(unit: i16) -> i16 {
        unit
    }

    fn golden(golden: &crate::blob::Golden) -> Option<u64> {
        golden.exact
    }
}
