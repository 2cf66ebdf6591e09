//! Writing a model: the only place that turns trained weights into the layout of the kernels.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::quantize::{Range, Scales, quantize, scales};
use super::{CHECKSUM, Golden, Header, MAGIC, PREAMBLE, VERSION, checksum};
use crate::any::AnyModel;
use crate::cast::{self, Line};
use crate::error::Error;
use crate::format::{Exact, Int8};
use crate::kernel;
use crate::math::WEIGHT_LIMIT;
use crate::seq2seq::AnySeq2Seq;
use crate::spec::{LayerSpec, Reset, Storage};

/// One layer's weights as Keras lays them out, row-major. A bidirectional layer has each of these twice, the forward GRU's and
/// then the backward one's.
#[derive(Clone, Copy, Debug)]
pub struct LayerWeights<'a> {
    /// GRU `(I, 3H)`, gates in the order z, r, c; dense `(I, O)`; embedding `(V, D)`. A pool and a one-hot layer have no weights.
    pub kernel: &'a [f32],
    /// GRU `(H, 3H)`; empty for others.
    pub recurrent: &'a [f32],
    /// GRU `(3H)`, or `(2, 3H)` with the reset gate after the matmul: the input's bias, then the recurrent one. Dense `(O)`; empty for an embedding.
    pub bias: &'a [f32],
}

impl<'a> LayerWeights<'a> {
    /// Each GRU of a bidirectional layer with its weights; any other layer as it is.
    pub fn parts(&self, spec: &LayerSpec) -> impl Iterator<Item = (LayerSpec, LayerWeights<'a>)> + use<'a> {
        let (all, spec, directions) = match spec.direction() {
            Some(gru) => (*self, gru, 2),
            None => (*self, *spec, 1),
        };
        (0..directions).map(move |direction| {
            let part = |weights: &'a [f32]| {
                let length = weights.len() / directions;
                &weights[direction * length..][..length]
            };
            let weights =
                LayerWeights { kernel: part(all.kernel), recurrent: part(all.recurrent), bias: part(all.bias) };
            (spec, weights)
        })
    }
}

/// Everything that goes into a blob. Empty slices of the affine parts mean "as it is": mean 0, scale 1, offset 0.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// The description. Its golden self-test is filled in by [`write()`] and [`write_int8`].
    pub header: Header<'a>,
    /// One for each layer of the header.
    pub layers: &'a [LayerWeights<'a>],
    /// Subtracted from each input channel.
    pub mean: &'a [f32],
    /// Multiplied with each input channel afterwards.
    pub scale: &'a [f32],
    /// Multiplied with each output.
    pub output_scale: &'a [f32],
    /// Added to each output afterwards.
    pub output_offset: &'a [f32],
    /// Inputs of the self-test in real units, `(steps, inputs)`.
    pub golden: &'a [f32],
}

/// Why a model cannot be written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WriteError {
    /// A tensor has another number of elements than its layer says.
    Shape {
        /// Which tensor.
        tensor: String,
        /// Elements expected.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A weight is NaN, infinite or beyond ±2⁴⁰.
    Weight {
        /// Which tensor.
        tensor: String,
        /// Which element of it.
        index: usize,
        /// The value.
        found: f32,
    },
    /// A range that the integer format needs is zero, negative or not finite.
    Range {
        /// The layer, counted from 0.
        layer: usize,
        /// Whether that of its inputs or of its outputs.
        what: &'static str,
        /// The range.
        found: f32,
    },
    /// A row's sums may leave 32 bits in the integer format.
    Overflow {
        /// The layer, counted from 0.
        layer: usize,
        /// The output of the matrix, counted from 0.
        output: usize,
    },
    /// A row's weights are too large for the unit of its activation in the integer format.
    Gain {
        /// The layer, counted from 0.
        layer: usize,
        /// The output of the matrix, counted from 0.
        output: usize,
    },
    /// More tokens than the integer format can tell apart.
    Vocabulary {
        /// The layer, counted from 0.
        layer: usize,
        /// Its tokens.
        found: u16,
    },
    /// The model is larger than 4 GiB.
    TooLarge,
    /// What was written would not be read: the header is at fault.
    Unreadable(Error),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Shape { tensor, expected, found } => {
                write!(
                    f,
                    "{tensor}: expected {expected} elements, found {found}: pass weights of the network in the header"
                )
            }
            WriteError::Weight { tensor, index, found } => {
                write!(f, "{tensor}[{index}] is {found}, beyond ±2^40: train with a smaller learning rate or clipping")
            }
            WriteError::Range { layer, what, found } => write!(
                f,
                "layer {layer}: the range of its {what} is {found}, but must be positive and finite: calibrate with data that vary"
            ),
            WriteError::Overflow { layer, output } => write!(
                f,
                "layer {layer}, output {output}: its sums may overflow 32 bits in int8: use a smaller layer or smaller biases"
            ),
            WriteError::Gain { layer, output } => write!(
                f,
                "layer {layer}, output {output}: its weights are too large for int8 at the calibrated ranges: calibrate without outliers (`--method percentile`), let the inputs be normalised, train with weight decay, or export as f32"
            ),
            WriteError::Vocabulary { layer, found } => write!(
                f,
                "layer {layer}: {found} tokens are more than the 32,768 that int8 can tell apart: use fewer, or export as f32"
            ),
            WriteError::TooLarge => f.write_str("the model is larger than 4 GiB: use smaller layers"),
            WriteError::Unreadable(error) => write!(f, "the model cannot be written: {error}"),
        }
    }
}

impl core::error::Error for WriteError {}

/// A model's bytes on the heap, aligned as [`Model::from_blob`](crate::Model::from_blob) wants them.
#[derive(Clone, Debug)]
pub struct AlignedBytes {
    lines: Vec<Line>,
    length: usize,
}

impl AlignedBytes {
    /// A copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut lines = vec![Line::default(); bytes.len().div_ceil(Line::BYTES)];
        cast::bytes_mut(&mut lines)[..bytes.len()].copy_from_slice(bytes);
        Self { lines, length: bytes.len() }
    }
}

impl AsRef<[u8]> for AlignedBytes {
    fn as_ref(&self) -> &[u8] {
        &cast::bytes(&self.lines)[..self.length]
    }
}

/// Writes a model in `f32`, with the self-test's hashes computed by running it.
pub fn write(contents: &Contents<'_>) -> Result<AlignedBytes, WriteError> {
    if contents.header.storage == Storage::Int8 {
        // The list of ranges is what `write_int8` takes besides.
        expect("the list of ranges", 0, contents.header.layers.len())?;
    }
    let mut layers = Vec::new();
    for (index, (spec, weights)) in all_layers(contents)?.enumerate() {
        check(index, spec, weights)?;
        for (spec, weights) in weights.parts(spec) {
            layer(&mut layers, &spec, &weights);
        }
    }
    let mut contents = contents.clone();
    contents.header.golden = golden(&contents);
    let draft = encode(&contents, &layers)?;
    if runs_golden(&contents) {
        contents.header.golden.exact = Some(golden_hash::<Exact>(&draft)?);
        #[cfg(feature = "micromath")]
        {
            contents.header.golden.fast = Some(golden_hash::<crate::format::Fast>(&draft)?);
        }
    }
    finish(&contents, &layers)
}

/// Writes a model in the integers of [`Int8`], from weights in `f32` and one [`Range`] for each layer.
///
/// The header's storage is set. In a chain, a layer's inputs have the range of the outputs of the layer before it.
pub fn write_int8(contents: &Contents<'_>, ranges: &[Range]) -> Result<AlignedBytes, WriteError> {
    let mut contents = contents.clone();
    contents.header.storage = Storage::Int8;
    expect("the list of ranges", ranges.len(), contents.header.layers.len())?;
    let scales = scales(&contents.header, ranges)?;
    let mut layers = Vec::new();
    for (index, (spec, weights)) in all_layers(&contents)?.enumerate() {
        check(index, spec, weights)?;
        let scales = Scales { output: scales[index].state(spec), ..scales[index] };
        for (spec, weights) in weights.parts(spec) {
            quantize(index, &spec, &weights, scales)?.encode(&mut layers);
        }
    }

    // A unit's real value is part of the affine steps at both ends.
    let (first, last) = (scales.first().map_or(1.0, |s| s.input), scales.last().map_or(1.0, |s| s.output));
    let scaled = |values: &[f32], count: usize, factor: f64| -> Vec<f32> {
        let ones = vec![1.0; if values.is_empty() { count } else { 0 }];
        values.iter().chain(&ones).map(|&value| (f64::from(value) * factor) as f32).collect()
    };
    let scale = scaled(contents.scale, contents.header.inputs(), 1.0 / first);
    let output_scale = scaled(contents.output_scale, contents.header.outputs(), last);
    (contents.scale, contents.output_scale) = (&scale, &output_scale);

    contents.header.golden = golden(&contents);
    let draft = encode(&contents, &layers)?;
    if runs_golden(&contents) {
        contents.header.golden.exact = Some(golden_hash::<Int8>(&draft)?);
    }
    finish(&contents, &layers)
}

/// Specifications and weights, of which there must be as many.
fn all_layers<'c, 'a>(
    contents: &'c Contents<'a>,
) -> Result<impl Iterator<Item = (&'c LayerSpec, &'c LayerWeights<'a>)>, WriteError> {
    expect("the list of layers", contents.layers.len(), contents.header.layers.len())?;
    Ok(contents.header.layers.iter().zip(contents.layers))
}

/// The self-test before it has run.
fn golden(contents: &Contents<'_>) -> Golden {
    Golden { steps: (contents.golden.len() / contents.header.inputs().max(1)) as u32, exact: None, fast: None }
}

fn runs_golden(contents: &Contents<'_>) -> bool {
    let header = &contents.header;
    header.golden.steps > 0 && (header.expect_chain().is_ok() || header.expect_pair().is_ok())
}

fn golden_hash<F: crate::Format>(draft: &AlignedBytes) -> Result<u64, WriteError> {
    let hash = || match AnyModel::<F>::from_blob(draft) {
        Err(Error::Sequence { .. }) => AnySeq2Seq::<F>::from_blob(draft)?.golden_hash(),
        model => {
            let model = model?;
            model.golden_hash(vec![0; model.golden_capacity()])
        }
    };
    hash().map_err(WriteError::Unreadable)
}

/// The model, if it can be read.
fn finish(contents: &Contents<'_>, layers: &[u8]) -> Result<AlignedBytes, WriteError> {
    let blob = encode(contents, layers)?;
    super::Blob::parse(blob.as_ref()).map_err(WriteError::Unreadable)?;
    Ok(blob)
}

/// Everything, around the encoded `layers`.
fn encode(contents: &Contents<'_>, layers: &[u8]) -> Result<AlignedBytes, WriteError> {
    let header = &contents.header;
    let encoded = postcard::to_allocvec(header)
        .map_err(|_| WriteError::Unreadable(Error::Header { what: "postcard cannot encode it" }))?;
    let mut bytes = Vec::new();
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((encoded.len() as u32).to_le_bytes());
    bytes.extend(header.fingerprint().to_le_bytes());
    bytes.extend([0; 8]);
    debug_assert_eq!(bytes.len(), PREAMBLE);
    bytes.extend(&encoded);
    pad(&mut bytes);

    let (inputs, outputs) = (header.inputs(), header.outputs());
    affine(&mut bytes, "mean", contents.mean, inputs, 0.0)?;
    affine(&mut bytes, "scale", contents.scale, inputs, 1.0)?;
    affine(&mut bytes, "output scale", contents.output_scale, outputs, 1.0)?;
    affine(&mut bytes, "output offset", contents.output_offset, outputs, 0.0)?;
    bytes.extend(layers);
    expect("golden inputs", contents.golden.len(), header.golden.steps as usize * inputs)?;
    floats(&mut bytes, contents.golden.iter().copied());
    pad(&mut bytes);

    let total = u32::try_from(bytes.len() + CHECKSUM).map_err(|_| WriteError::TooLarge)?;
    bytes[24..28].copy_from_slice(&total.to_le_bytes());
    let sum = checksum(&bytes);
    bytes.extend(sum.to_le_bytes());
    Ok(AlignedBytes::new(&bytes))
}

/// Zeros up to the next line.
pub(super) fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(Line::BYTES), 0);
}

fn floats(bytes: &mut Vec<u8>, values: impl Iterator<Item = f32>) {
    bytes.extend(values.flat_map(f32::to_le_bytes));
}

fn expect(tensor: &str, found: usize, expected: usize) -> Result<(), WriteError> {
    if found != expected {
        return Err(WriteError::Shape { tensor: tensor.into(), expected, found });
    }
    Ok(())
}

fn expect_weights(tensor: &str, weights: &[f32], expected: usize) -> Result<(), WriteError> {
    expect(tensor, weights.len(), expected)?;
    match weights.iter().position(|weight| weight.is_nan() || weight.abs() > WEIGHT_LIMIT) {
        Some(index) => Err(WriteError::Weight { tensor: tensor.into(), index, found: weights[index] }),
        None => Ok(()),
    }
}

fn affine(bytes: &mut Vec<u8>, name: &str, values: &[f32], length: usize, default: f32) -> Result<(), WriteError> {
    if values.is_empty() {
        floats(bytes, core::iter::repeat_n(default, length));
    } else {
        expect_weights(name, values, length)?;
        floats(bytes, values.iter().copied());
    }
    pad(bytes);
    Ok(())
}

/// Whether the weights have the sizes of their layer, and values that a model may hold.
fn check(index: usize, spec: &LayerSpec, weights: &LayerWeights<'_>) -> Result<(), WriteError> {
    let (spec, directions) = spec.direction().map_or((*spec, 1), |gru| (gru, 2));
    let (i, o) = (spec.inputs(), spec.outputs());
    let (gates, biases) = match spec {
        LayerSpec::Gru { reset: Reset::Before, .. } => (3, 1),
        LayerSpec::Gru { reset: Reset::After, .. } => (3, 2),
        LayerSpec::Dense { .. } => (1, 1),
        LayerSpec::Embedding { .. } => (1, 0),
        LayerSpec::Pool { .. } | LayerSpec::Bidirectional { .. } | LayerSpec::OneHot { .. } => (0, 0),
    };
    let rows = if let LayerSpec::Embedding { vocabulary, .. } = spec { vocabulary.into() } else { i };
    let name = |tensor| alloc::format!("layer {index}: {tensor}");
    let columns = directions * gates * o;
    expect_weights(&name("kernel"), weights.kernel, rows * columns)?;
    expect_weights(&name("recurrent kernel"), weights.recurrent, if spec.state() > 0 { o * columns } else { 0 })?;
    expect_weights(&name("bias"), weights.bias, biases * columns)
}

/// A layer's matrices, in the order of [`LayerSpec::matrices`].
fn layer(bytes: &mut Vec<u8>, spec: &LayerSpec, weights: &LayerWeights<'_>) {
    let (i, o) = (spec.inputs(), spec.outputs());
    let LayerWeights { kernel, recurrent, bias } = *weights;
    let columns = if spec.state() > 0 { 3 * o } else { o };
    // Column `o` of the whole (gates, units) axis: its weight for input `i` of the kernel, of the recurrent kernel.
    let w = |o: usize, i: usize| kernel[i * columns + o];
    let u = |o: usize, i: usize| recurrent[i * columns + o];
    let wu = |o: usize, k: usize| if k < i { w(o, k) } else { u(o, k - i) };
    match spec {
        LayerSpec::Gru { reset: Reset::Before, .. } => {
            matrix(bytes, 0..2 * o, i + o, |o| bias[o], wu);
            matrix(bytes, 2 * o..3 * o, i + o, |o| bias[o], wu);
        }
        LayerSpec::Gru { reset: Reset::After, .. } => {
            matrix(bytes, 0..2 * o, i + o, |o| bias[o] + bias[columns + o], wu);
            matrix(bytes, 2 * o..3 * o, o, |o| bias[columns + o], u);
            matrix(bytes, 2 * o..3 * o, i, |o| bias[o], w);
        }
        LayerSpec::Dense { .. } => matrix(bytes, 0..o, i, |o| bias[o], w),
        LayerSpec::Embedding { .. } => {
            floats(bytes, kernel.iter().copied());
            pad(bytes);
        }
        LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => {}
        LayerSpec::Bidirectional { .. } => unreachable!("its parts are GRUs"),
    }
}

/// A matrix of the given columns in blocks, as [`kernel`] describes.
fn matrix(
    bytes: &mut Vec<u8>,
    columns: core::ops::Range<usize>,
    inputs: usize,
    bias: impl Fn(usize) -> f32,
    weight: impl Fn(usize, usize) -> f32,
) {
    for (first, width) in kernel::blocks(columns.len()) {
        let block = columns.start + first..columns.start + first + width;
        floats(bytes, block.clone().map(&bias));
        for input in 0..inputs {
            floats(bytes, block.clone().map(|column| weight(column, input)));
        }
    }
    pad(bytes);
}
