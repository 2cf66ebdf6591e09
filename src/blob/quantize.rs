//! From trained `f32` weights to those of format [`Int8`](crate::Int8), whose doc says what the numbers stand for.

use alloc::vec;
use alloc::vec::Vec;

use super::write::WriteError;
use super::{Header, LayerWeights};
use crate::fixed::{ARGUMENT, EXPONENT};
use crate::kernel::int8::{ONE, ROWS, block_words};
use crate::spec::{Activation, Candidate, Gate, LayerSpec, Matrix, Merge, Reset, Storage};

/// The largest power of two that operands of state are divided by: 12 bits are left of 16.
const MAX_SHIFT: u32 = 4;

/// What calibration found of one layer: the largest magnitude that its numbers reach, in what the layer computes with
/// (so inputs after normalisation).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Of the inputs. Not used where the layer's inputs are the outputs of another.
    pub input: f32,
    /// Of the outputs, and so of a GRU's state; of a bidirectional layer's states, whatever they merge into. Not used where the
    /// activation is bounded.
    pub output: f32,
}

/// The real values of one unit of a layer's inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Of the inputs.
    pub input: f64,
    /// Of the outputs, and so of a GRU's state. A bidirectional layer's is what its states merge into: see [`Scales::state`].
    pub output: f64,
    /// Whether the inputs are one-hot, so that of a row one weight at a time is added.
    pub one_hot: bool,
}

/// A layer whose outputs are bounded has this scale, Q15.
const BOUNDED: f64 = 1.0 / 32_768.0;

/// Units of one step of an embedding's 8 bits.
const VECTOR_UNITS: f64 = 256.0;

/// Whether a layer's outputs need no calibration: they lie in ±1 whatever its inputs, or have the range of its inputs.
pub fn is_bounded(spec: &LayerSpec) -> bool {
    match spec {
        LayerSpec::Gru { candidate, .. } | LayerSpec::Bidirectional { candidate, .. } => *candidate == Candidate::Tanh,
        LayerSpec::Dense { activation, .. } => !matches!(activation, Activation::Linear | Activation::Relu),
        LayerSpec::Embedding { .. } => false,
        LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => true,
    }
}

impl Scales {
    /// From the ranges of a layer's numbers; `before` is the layer that its inputs come from, with its scales.
    ///
    /// # Errors
    /// If a range that is needed is missing: zero, negative or not finite; or if there are too many tokens.
    pub fn new(index: usize, spec: &LayerSpec, range: Range, before: Option<Scales>) -> Result<Self, WriteError> {
        let token = matches!(spec, LayerSpec::Embedding { .. } | LayerSpec::OneHot { .. });
        if let LayerSpec::Embedding { vocabulary: found @ 32_769.., .. }
        | LayerSpec::OneHot { vocabulary: found @ 32_769.. } = *spec
        {
            return Err(WriteError::Vocabulary { layer: index, found });
        }
        let of = |what, range: f32, largest: f64| {
            if range > 0.0 && range.is_finite() {
                Ok(f64::from(range) / largest)
            } else {
                Err(WriteError::Range { layer: index, what, found: range })
            }
        };
        let input = match before {
            Some(before) => before.output,
            // A token is itself.
            None if token => 1.0,
            None => of("input", range.input, 32_767.0)?,
        };
        let output = match spec {
            LayerSpec::Pool { .. } => input,
            LayerSpec::OneHot { .. } => 1.0 / f64::from(ONE),
            LayerSpec::Embedding { .. } => of("output", range.output, 127.0 * VECTOR_UNITS)?,
            _ if is_bounded(spec) => BOUNDED,
            _ => of("output", range.output, 32_767.0)?,
        };
        Ok(Self {
            input,
            output: match spec {
                LayerSpec::Bidirectional { merge: Merge::Sum, .. } => 2.0 * output,
                LayerSpec::Bidirectional { merge: Merge::Mul, .. } => output * output / BOUNDED,
                _ => output,
            },
            one_hot: false,
        })
    }

    /// The real value of a unit of state of a layer of these scales, which a merge makes other outputs of.
    pub fn state(&self, spec: &LayerSpec) -> f64 {
        match spec {
            LayerSpec::Bidirectional { merge: Merge::Sum, .. } => self.output / 2.0,
            LayerSpec::Bidirectional { merge: Merge::Mul, .. } => libm::sqrt(self.output * BOUNDED),
            _ => self.output,
        }
    }
}

/// The scales of all layers of a network, from one range for each.
///
/// In a chain, a layer's inputs have the range of the outputs of the layer before it. A decoder takes tokens; its GRUs have the
/// scales of those of its encoder, so that a state means the same in both.
///
/// # Errors
/// As [`Scales::new`]; or if there are not as many ranges as layers.
pub fn scales(header: &Header<'_>, ranges: &[Range]) -> Result<Vec<Scales>, WriteError> {
    let layers = &header.layers;
    if ranges.len() != layers.len() {
        let (expected, found) = (layers.len(), ranges.len());
        return Err(WriteError::Shape { tensor: "the list of ranges".into(), expected, found });
    }
    let (encoder, mut ranges) = (header.output.encoder(), ranges.to_vec());
    if encoder > 0 {
        let grus = |part: core::ops::Range<usize>| part.filter(|&index| layers[index].state() > 0);
        for (e, d) in grus(0..encoder).zip(grus(encoder..layers.len())) {
            let larger = ranges[e].output.max(ranges[d].output);
            (ranges[e].output, ranges[d].output) = (larger, larger);
        }
    }
    let linked = header.expect_chain().is_ok() || header.expect_pair().is_ok();
    let mut scales = Vec::<Scales>::with_capacity(layers.len());
    for (index, (spec, &range)) in layers.iter().zip(&ranges).enumerate() {
        let before = scales.last().copied().filter(|_| linked && index != encoder);
        let one_hot = before.is_some() && index > 0 && matches!(layers[index - 1], LayerSpec::OneHot { .. });
        scales.push(Scales { one_hot, ..Scales::new(index, spec, range, before)? });
    }
    Ok(scales)
}

/// A layer in integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizedLayer {
    /// An operand of state is a unit divided by 2 to this power.
    pub shift: u32,
    /// As many as the layer has, see [`LayerSpec::matrices`].
    pub matrices: Vec<QuantizedMatrix>,
    /// An embedding's table, `(V, D)`, in ±127; other layers have none.
    pub table: Vec<i8>,
}

/// One matrix in integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizedMatrix {
    /// Its size.
    pub size: Matrix,
    /// `(outputs, inputs + state)`, row-major, in ±127.
    pub weights: Vec<i8>,
    /// `(outputs)`, in units of the sum.
    pub bias: Vec<i32>,
    /// `(outputs)`: a sum's units per product of a weight and an operand, times 2³².
    pub multiplier: Vec<i32>,
}

/// What a row's sum goes through.
#[derive(Clone, Copy)]
struct Sum {
    /// The real value of a unit of it.
    unit: f64,
    /// Units added to it.
    offset: f64,
}

impl Sum {
    fn units(unit: f64) -> Self {
        Self { unit, offset: 0.0 }
    }

    /// Hard sigmoid is `0.2·x + 0.5` in Q16, then clipped.
    fn hard_sigmoid() -> Self {
        Self { unit: 1.0 / (0.2 * 65_536.0), offset: 32_768.0 }
    }

    fn of_gate(gate: Gate) -> Self {
        match gate {
            Gate::Sigmoid => Self::units(ARGUMENT),
            Gate::HardSigmoid => Self::hard_sigmoid(),
        }
    }

    fn of_candidate(candidate: Candidate, output: f64) -> Self {
        match candidate {
            Candidate::Tanh => Self::units(ARGUMENT / 2.0),
            Candidate::Relu | Candidate::Linear => Self::units(output),
        }
    }

    fn of_activation(activation: Activation, output: f64) -> Self {
        match activation {
            Activation::Linear | Activation::Relu => Self::units(output),
            Activation::Sigmoid => Self::units(ARGUMENT),
            Activation::HardSigmoid => Self::hard_sigmoid(),
            Activation::Tanh => Self::units(ARGUMENT / 2.0),
            Activation::Softmax => Self::units(EXPONENT * core::f64::consts::LN_2),
        }
    }
}

/// Quantises one layer. `weights` must have the sizes of `spec`; `index` is for messages. A bidirectional layer is two GRUs, each
/// quantised by itself with the scale of their states; as a whole it gives nothing.
///
/// Each row has its own scale, the largest of its weights being 127. Nothing overflows whatever the operands are, or this
/// is an error.
///
/// # Errors
/// If a row's sums do not fit 32 bits, or its weights are too large for the unit of its activation.
pub fn quantize(
    index: usize,
    spec: &LayerSpec,
    weights: &LayerWeights<'_>,
    scales: Scales,
) -> Result<QuantizedLayer, WriteError> {
    let (i, o) = (spec.inputs(), spec.outputs());
    let LayerWeights { kernel, recurrent, bias } = *weights;
    if let LayerSpec::Embedding { .. } = spec {
        let step = scales.output * VECTOR_UNITS;
        let table = kernel.iter().map(|&w| round(f64::from(w) / step).clamp(-127, 127) as i8).collect();
        return Ok(QuantizedLayer { shift: 0, matrices: Vec::new(), table });
    }
    if let LayerSpec::Pool { .. } | LayerSpec::Bidirectional { .. } | LayerSpec::OneHot { .. } = spec {
        return Ok(QuantizedLayer { shift: 0, matrices: Vec::new(), table: Vec::new() });
    }
    let largest = |weights: &[f32]| weights.iter().fold(0f32, |max, w| max.max(w.abs()));
    // Divided by so much, an operand of state is worth so much more that the recurrent weights are no smaller than the
    // kernel's.
    let ratio = |shift: u32| {
        let of_kernel = f64::from(largest(kernel)) * scales.input;
        of_kernel <= f64::from(largest(recurrent)) * scales.output * f64::from(1u32 << shift)
    };
    let shift = if spec.state() > 0 { (0..MAX_SHIFT).find(|&shift| ratio(shift)).unwrap_or(MAX_SHIFT) } else { 0 };
    let [of_input, of_state] = [scales.input, scales.output * f64::from(1u32 << shift)];

    let gates = if spec.state() > 0 { 3 } else { 1 };
    let columns = gates * o;
    let sum = |column: usize| match *spec {
        LayerSpec::Gru { gate, .. } if column < 2 * o => Sum::of_gate(gate),
        LayerSpec::Gru { candidate, .. } => Sum::of_candidate(candidate, scales.output),
        LayerSpec::Dense { activation, .. } => Sum::of_activation(activation, scales.output),
        LayerSpec::Embedding { .. }
        | LayerSpec::Pool { .. }
        | LayerSpec::Bidirectional { .. }
        | LayerSpec::OneHot { .. } => {
            unreachable!("it has no sums")
        }
    };
    let matrix = |size: Matrix, first: usize, bias: &dyn Fn(usize) -> f64| {
        let mut matrix = QuantizedMatrix {
            size,
            weights: Vec::with_capacity(size.outputs * (size.inputs + size.state)),
            bias: Vec::with_capacity(size.outputs),
            multiplier: Vec::with_capacity(size.outputs),
        };
        for column in first..first + size.outputs {
            let of_x = (0..size.inputs).map(|i| f64::from(kernel[i * columns + column]) * of_input);
            let of_h = (0..size.state).map(|i| f64::from(recurrent[i * columns + column]) * of_state);
            let row: Vec<f64> = of_x.chain(of_h).collect();
            matrix.push(index, &row, bias(column), sum(column), (scales.one_hot, 32_768 >> shift))?;
        }
        Ok(matrix)
    };

    let [first, second, third] = spec.matrices();
    let input_bias = |column: usize| f64::from(bias[column]);
    let state_bias = |column: usize| f64::from(bias[columns + column]);
    // In `f32`, as a blob of that format keeps it: weights read back from one give the same integers.
    let both_biases = |column: usize| f64::from(bias[column] + bias[columns + column]);
    let matrices = match spec {
        LayerSpec::Gru { reset: Reset::Before, .. } => {
            vec![matrix(first, 0, &input_bias)?, matrix(second, 2 * o, &input_bias)?]
        }
        LayerSpec::Gru { reset: Reset::After, .. } => vec![
            matrix(first, 0, &both_biases)?,
            matrix(second, 2 * o, &state_bias)?,
            matrix(third, 2 * o, &input_bias)?,
        ],
        LayerSpec::Dense { .. } => vec![matrix(first, 0, &input_bias)?],
        LayerSpec::Embedding { .. }
        | LayerSpec::Pool { .. }
        | LayerSpec::Bidirectional { .. }
        | LayerSpec::OneHot { .. } => Vec::new(),
    };
    debug_assert_eq!(kernel.len(), i * columns);
    Ok(QuantizedLayer { shift, matrices, table: Vec::new() })
}

impl QuantizedLayer {
    /// Parameters and matrices, as a blob holds them; or the table; or nothing.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        if !self.table.is_empty() {
            bytes.extend(self.table.iter().map(|&element| element as u8));
            return super::write::pad(bytes);
        }
        if self.matrices.is_empty() {
            return;
        }
        bytes.extend(self.shift.to_le_bytes());
        super::write::pad(bytes);
        for matrix in &self.matrices {
            matrix.encode(bytes);
        }
    }
}

impl QuantizedMatrix {
    /// Adds a row of real weights per operand. One input at a time counts if they are `one_hot`; operands of state are at most
    /// `state` in magnitude.
    fn push(
        &mut self,
        layer: usize,
        row: &[f64],
        bias: f64,
        sum: Sum,
        (one_hot, state): (bool, i64),
    ) -> Result<(), WriteError> {
        let output = self.bias.len();
        let quantum = row.iter().fold(0f64, |max, w| max.max(w.abs())) / 127.0;
        let multiplier = round(quantum / sum.unit * 4_294_967_296.0);
        let bias = round(bias / sum.unit + sum.offset);
        if multiplier >= 1 << 31 {
            return Err(WriteError::Gain { layer, output });
        }
        let weights = row.iter().map(|w| if quantum > 0.0 { round(w / quantum) as i8 } else { 0 });
        self.weights.extend(weights);
        // The largest magnitude of the sum of products, and of what it is rescaled to.
        let (of_x, of_h) = self.weights[output * row.len()..].split_at(self.size.inputs);
        let l1 = |weights: &[i8]| weights.iter().map(|w| i64::from(w.unsigned_abs())).sum::<i64>();
        let largest = |weights: &[i8]| weights.iter().map(|w| i64::from(w.unsigned_abs())).max().unwrap_or(0);
        let products = if one_hot { largest(of_x) } else { l1(of_x) } * 32_768 + l1(of_h) * state;
        let rescaled = ((i128::from(products) * i128::from(multiplier)) >> 32) as i64 + 1 + bias.abs();
        // A candidate with the reset gate after the matmul adds two of these.
        if products >= 1 << 31 || rescaled >= 1 << 30 {
            return Err(WriteError::Overflow { layer, output });
        }
        self.bias.push(bias as i32);
        self.multiplier.push(multiplier as i32);
        Ok(())
    }

    /// The matrix in the kernels' layout, see [`crate::kernel::int8`].
    fn encode(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        let columns = self.size.inputs + self.size.state;
        // The places of operands in a row, of inputs and of state each filled up to an even number.
        let filled =
            |first: usize, count: usize| (0..count.next_multiple_of(2)).map(move |i| (i < count).then_some(first + i));
        let places: Vec<Option<usize>> =
            filled(0, self.size.inputs).chain(filled(self.size.inputs, self.size.state)).collect();
        let weight = |row: usize, place: Option<usize>| match place {
            Some(place) if row < self.size.outputs => i16::from(self.weights[row * columns + place]),
            _ => 0,
        };
        for first in (0..self.size.outputs).step_by(ROWS) {
            for pair in places.chunks_exact(2) {
                for even in (first..first + ROWS).step_by(2) {
                    for &place in pair {
                        bytes.extend((256 * weight(even, place) + weight(even + 1, place)).to_le_bytes());
                    }
                }
            }
            for constants in [&self.bias, &self.multiplier] {
                for row in first..first + ROWS {
                    bytes.extend(constants.get(row).copied().unwrap_or(0).to_le_bytes());
                }
            }
        }
        let pairs = places.len() as u64 / 2;
        debug_assert_eq!(
            (bytes.len() - start) as u64,
            self.size.outputs.div_ceil(ROWS) as u64 * block_words(pairs) * 4
        );
        super::write::pad(bytes);
        debug_assert_eq!((bytes.len() - start) as u64, self.size.lines(Storage::Int8) * 16);
    }
}

/// To the nearest integer; saturated.
fn round(x: f64) -> i64 {
    (if x < 0.0 { x - 0.5 } else { x + 0.5 }) as i64
}
