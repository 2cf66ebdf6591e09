//! A model of any kind in the runtime.

use grulet::blob::AlignedBytes;
use grulet::format::Format;
use grulet::spec::Decoding;
use grulet::{AnyModel, AnySeq2Seq, Blob, Error, Exact, Header};

use super::{Predictions, Written, write_sequences};
use crate::cost::window_steps;
use crate::data::Dataset;
use crate::nn::argmax;

/// A chain or an encoder-decoder, as the chip runs it.
#[derive(Clone, Debug)]
pub enum Loaded<'a, F = Exact> {
    /// A chain of layers.
    Chain(AnyModel<'a, F>),
    /// An encoder-decoder.
    Pair(AnySeq2Seq<'a, F>),
}

impl<'a, F: Format> Loaded<'a, F> {
    /// From the bytes of a model.
    ///
    /// # Errors
    /// If they are no model, or one that stores its weights for another format.
    pub fn from_blob(bytes: &'a AlignedBytes) -> Result<Self, Error> {
        match Blob::parse(bytes.as_ref())?.header().output.encoder() {
            0 => AnyModel::from_blob(bytes).map(Self::Chain),
            _ => AnySeq2Seq::from_blob(bytes).map(Self::Pair),
        }
    }

    /// What the model says of itself.
    pub fn header(&self) -> &Header<'a> {
        match self {
            Self::Chain(model) => model.header(),
            Self::Pair(model) => model.header(),
        }
    }

    /// The capacity that a run-time stream needs, in words of 4 bytes; of an encoder-decoder, the larger of two; with a
    /// bidirectional layer, that of a window of [`window_steps`].
    pub fn capacity(&self) -> usize {
        match self {
            Self::Chain(model) => {
                window_steps(self.header()).map_or_else(|| model.capacity(), |steps| model.window_capacity(steps))
            }
            Self::Pair(model) => model.capacity(),
        }
    }

    /// Runs the inputs that the model brings.
    ///
    /// # Errors
    /// If the outputs have other bits than the exporter saw.
    pub fn self_test(&self) -> Result<(), Error> {
        match self {
            Self::Chain(model) => model.self_test_on_heap(),
            Self::Pair(model) => model.self_test_on_heap(),
        }
    }

    /// What an encoder-decoder writes by itself to each series, greedily; nothing of a chain.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn sequences(&self, data: &Dataset) -> Result<Vec<Written>, Error> {
        match self {
            Self::Chain(_) => Ok(Vec::new()),
            Self::Pair(model) => write_sequences(model, data, 1),
        }
    }

    /// Runs the model over the series of `data`, each from a zero state, and shows `observe` each layer's number, its inputs
    /// and its outputs at every step, in units. The decoder of an encoder-decoder takes the targets (teacher forcing); its own
    /// choices where there are none.
    ///
    /// # Errors
    /// If the data have other channels than the model's inputs.
    pub fn run(
        &self,
        data: &Dataset,
        mut observe: impl FnMut(usize, &[F::Unit], &[F::Unit]),
    ) -> Result<Predictions, Error> {
        let header = self.header();
        if data.inputs() != header.inputs() {
            return Err(Error::Length { what: "input channels", expected: header.inputs(), found: data.inputs() });
        }
        let mut values = Vec::new();
        match self {
            Self::Chain(model) => {
                for series in &data.series {
                    values.extend(model.run_series(&series.x, &mut observe)?);
                }
            }
            Self::Pair(model) => {
                let before = header.output.encoder();
                let mut encoder = model.heap_encoder();
                for series in &data.series {
                    encoder.reset();
                    for sample in series.x.chunks_exact(data.inputs()) {
                        encoder.step_observed(sample, &mut observe)?;
                    }
                    let mut decoder = model.heap_decoder(&encoder)?;
                    let Decoding { start, stop, longest, .. } = model.decoding();
                    let alone = series.targets.is_empty();
                    let steps = if alone { usize::from(longest) + 1 } else { series.targets.len() };
                    let mut token = start;
                    for step in 0..steps {
                        let scores = decoder.step_observed(token, |index, x, y| observe(before + index, x, y))?;
                        values.extend_from_slice(scores);
                        token = if alone { argmax(scores) as u16 } else { series.targets[step] as u16 };
                        if alone && token == stop {
                            break;
                        }
                    }
                }
            }
        }
        Ok(Predictions { width: header.outputs(), values, ..Predictions::default() })
    }
}
