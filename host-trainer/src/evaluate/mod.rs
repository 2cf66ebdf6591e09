//! How good an exported model is: the runtime crate run on raw samples, so that the figures are those of the chip.
//!
//! In the order that things pass: [`predict()`] (the model's answers) → [`score`] (one number per metric) → [`Details`] (class
//! by class, output by output) → [`chart()`] (a picture of them).

mod auc;
mod chart;
mod classes;
mod details;
mod loaded;
mod sequence;

pub use auc::roc_auc;
pub use chart::{ChartError, chart};
pub use classes::{Average, ClassScores, ClassTable, TopK, top_k};
pub use details::{BinaryOutput, Details, OutputErrors};
pub use loaded::Loaded;
pub use sequence::{MAX_BEAM, Written, sequence_accuracy, write_sequences};

use grulet::blob::AlignedBytes;
use grulet::format::Format;
use grulet::spec::{Activation, LayerSpec, Storage};
use grulet::{BitHash, Blob, Error, Exact, Int8};
use serde::Serialize;

use crate::data::Dataset;
use crate::nn::{Loss, Metrics};

/// What a model answers to a dataset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Values per answer, `O`.
    pub width: usize,
    /// `(answers, O)`: one answer per step of each series, or one per series; of an encoder-decoder one per token of each
    /// target, each given those before it.
    pub values: Vec<f32>,
    /// What an encoder-decoder writes by itself, greedily; empty for others.
    pub sequences: Vec<Written>,
    /// Inputs at the ends of the range that calibration saw, or beyond: what [`predict_stored`] counts of a model in integers.
    pub saturated_inputs: usize,
}

impl Predictions {
    /// One output of all answers.
    pub fn column(&self, output: usize) -> impl Iterator<Item = f32> {
        self.values.chunks_exact(self.width).map(move |answer| answer[output])
    }

    /// The hash of all output bits, not of [`sequences`](Self::sequences).
    pub fn hash(&self) -> u64 {
        let mut hash = BitHash::new();
        hash.update(&self.values);
        hash.finish()
    }
}

/// [`predict`] in the format that `bytes` are stored for: [`Exact`] or [`Int8`], of which the inputs beyond their range are
/// counted.
///
/// # Errors
/// If they are no model, or the data have other channels than the model's inputs.
pub fn predict_stored(bytes: &AlignedBytes, data: &Dataset) -> Result<Predictions, Error> {
    match Blob::parse(bytes.as_ref())?.header().storage {
        Storage::Int8 => {
            let model = Loaded::<Int8>::from_blob(bytes)?;
            let mut saturated_inputs = 0;
            let predictions = predict_observed(&model, data, |layer, inputs, _| {
                if layer == 0 {
                    saturated_inputs += saturated(inputs);
                }
            })?;
            Ok(Predictions { sequences: model.sequences(data)?, saturated_inputs, ..predictions })
        }
        _ => predict(&Loaded::<Exact>::from_blob(bytes)?, data),
    }
}

/// How many units lie at the ends of their range, or beyond.
pub fn saturated(units: &[i16]) -> usize {
    units.iter().filter(|unit| unit.unsigned_abs() >= i16::MAX.unsigned_abs()).count()
}

/// Runs `model` over the series of `data`, which are in the sensor's units. Each series starts from a zero state.
///
/// # Errors
/// If the data have other channels than the model's inputs.
pub fn predict<F: Format>(model: &Loaded<'_, F>, data: &Dataset) -> Result<Predictions, Error> {
    let mut predictions = predict_observed(model, data, |_, _, _| {})?;
    predictions.sequences = model.sequences(data)?;
    Ok(predictions)
}

/// [`predict`] that shows `observe` each layer's number, its inputs and its outputs at every step, in units.
///
/// # Errors
/// If the data have other channels than the model's inputs.
pub fn predict_observed<F: Format>(
    model: &Loaded<'_, F>,
    data: &Dataset,
    observe: impl FnMut(usize, &[F::Unit], &[F::Unit]),
) -> Result<Predictions, Error> {
    model.run(data, observe)
}

/// Loss and metrics, as reports show them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The mean loss.
    pub loss: f64,
    /// Fraction of right decisions, of a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Fraction of sequences that are right from start to stop, of an encoder-decoder that writes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_accuracy: Option<f64>,
    /// Mean absolute error, of a regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
    /// Mean squared error, of a regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse: Option<f64>,
    /// Coefficient of determination, of a regression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r2: Option<f64>,
}

impl From<&Metrics> for Scores {
    fn from(metrics: &Metrics) -> Self {
        Self {
            loss: metrics.loss(),
            accuracy: metrics.accuracy(),
            sequence_accuracy: None,
            mae: metrics.mae(),
            mse: metrics.mse(),
            r2: metrics.r2(),
        }
    }
}

impl Scores {
    /// Names and values, in the order in which they are printed.
    pub fn list(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let all = [
            ("loss", Some(self.loss)),
            ("accuracy", self.accuracy),
            ("sequence accuracy", self.sequence_accuracy),
            ("mae", self.mae),
            ("mse", self.mse),
            ("r2", self.r2),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// The scores that [`Scores::list`] gave, by their names; none without a loss.
    pub fn from_names(value: impl Fn(&str) -> Option<f64>) -> Option<Self> {
        Some(Self {
            loss: value("loss")?,
            accuracy: value("accuracy"),
            sequence_accuracy: value("sequence accuracy"),
            mae: value("mae"),
            mse: value("mse"),
            r2: value("r2"),
        })
    }
}

/// Scores of answers against the targets of the same dataset.
pub fn score(loss: Loss, predictions: &Predictions, data: &Dataset) -> Scores {
    let metrics = Metrics::of_outputs(loss, predictions.width, &predictions.values, &targets(data));
    let sequences = (!predictions.sequences.is_empty()).then(|| sequence_accuracy(&predictions.sequences, data));
    Scores { sequence_accuracy: sequences, ..Scores::from(&metrics) }
}

/// The targets of all series, `(answers, D)`.
fn targets(data: &Dataset) -> Vec<f32> {
    data.series.iter().flat_map(|series| &series.targets).copied().collect()
}

/// The loss that goes with a model's last layer when nothing else says which it was trained with.
pub fn natural_loss(layers: &[LayerSpec]) -> crate::config::Loss {
    match layers.last() {
        Some(LayerSpec::Dense { activation: Activation::Softmax, .. }) => {
            crate::config::Loss::SparseCategoricalCrossentropy
        }
        Some(LayerSpec::Dense { activation: Activation::Sigmoid, .. }) => crate::config::Loss::BinaryCrossentropy,
        _ => crate::config::Loss::Mse,
    }
}
