//! From a trained `f32` model to one in the integers of [`Int8`](grulet::Int8).
//!
//! In the order that things pass: [`Float`] (a model in `f32`, whose weights can be had) → [`calibrate()`] (the ranges of its
//! numbers on data) → [`Float::quantize`] (the model in integers) → [`Comparison`] (what that has cost), with a [`chart()`];
//! and [`integer_outputs`] for training that goes on with them.

mod aware;
mod calibrate;
mod chart;
mod compare;
mod error;
mod magnitudes;

pub use aware::integer_outputs;
pub use calibrate::{Calibration, Method, calibrate};
pub use chart::chart;
pub use compare::{Comparison, Difference, Drift, LayerReport, Parting, Side, compare, drift, ram};
pub use error::QuantizeError;

use grulet::blob::{AlignedBytes, Blob, Contents, OwnedWeights, Range, WriteError, unpack, write_int8};
use grulet::spec::LayerSpec;
use grulet::{Error, Exact};

use crate::evaluate::Loaded;

/// A model in `f32` with its weights in the trainer's layout.
#[derive(Clone, Debug)]
pub struct Float<'a> {
    model: Loaded<'a, Exact>,
    blob: Blob<'a>,
    weights: Vec<OwnedWeights>,
    bytes: usize,
}

impl<'a> Float<'a> {
    /// From the bytes of a model.
    ///
    /// # Errors
    /// If they are no model, or one that stores integers.
    pub fn new(bytes: &'a AlignedBytes) -> Result<Self, Error> {
        let blob = Blob::parse(bytes.as_ref())?;
        let weights = unpack(&blob)?;
        Ok(Self { model: Loaded::from_blob(bytes)?, blob, weights, bytes: bytes.as_ref().len() })
    }

    /// The model as it runs.
    pub fn model(&self) -> &Loaded<'a, Exact> {
        &self.model
    }

    /// Size of the model's bytes.
    pub fn flash_bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the model normalises its inputs.
    pub fn is_normalized(&self) -> bool {
        let affine = self.blob.affine();
        affine.mean.iter().any(|&mean| mean != 0.0) || affine.scale.iter().any(|&scale| scale != 1.0)
    }

    /// The largest magnitude in each layer's table, of layers that are an embedding.
    fn tables(&self) -> Vec<Option<f32>> {
        let layers = self.model.header().layers.iter().zip(&self.weights);
        let table = |(layer, weights): (&LayerSpec, &OwnedWeights)| {
            let largest = |weights: &[f32]| weights.iter().fold(0.0, |max: f32, w| max.max(w.abs()));
            matches!(layer, LayerSpec::Embedding { .. }).then(|| largest(weights.borrow().kernel))
        };
        layers.map(table).collect()
    }

    /// The same model in integers, with one range for each layer.
    ///
    /// # Errors
    /// If a range is missing, or the integers cannot hold the weights at these ranges.
    pub fn quantize(&self, ranges: &[Range]) -> Result<AlignedBytes, WriteError> {
        let layers: Vec<_> = self.weights.iter().map(OwnedWeights::borrow).collect();
        let affine = self.blob.affine();
        let contents = Contents {
            header: self.blob.header().clone(),
            layers: &layers,
            mean: affine.mean,
            scale: affine.scale,
            output_scale: affine.output_scale,
            output_offset: affine.output_offset,
            golden: self.blob.golden_inputs(),
        };
        write_int8(&contents, ranges)
    }
}
