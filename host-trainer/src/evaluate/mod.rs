//! How good an exported model is: the runtime crate run on raw samples, so that the figures are those of the chip.
//!
//! In the order that things pass: [`predict()`] (the model's answers) → [`score`] (one number per metric) → [`Details`] (class
//! by class, output by output) → [`chart()`] (a picture of them).

mod auc;
mod chart;
mod classes;
mod details;

pub use auc::roc_auc;
pub use chart::{ChartError, chart};
pub use classes::{Average, ClassScores, ClassTable, TopK, largest, top_k};
pub use details::{BinaryOutput, Details, OutputErrors};

use grulet::blob::AlignedBytes;
use grulet::format::Format;
use grulet::spec::{Activation, LayerSpec, Output, Storage};
use grulet::{AnyModel, BitHash, Blob, Error, Exact, Int8};
use serde::Serialize;

use crate::data::Dataset;
use crate::nn::{Loss, Metrics};

/// What a model answers to a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Values per answer, `O`.
    pub width: usize,
    /// `(answers, O)`: one answer per step of each series, or one per series.
    pub values: Vec<f32>,
}

impl Predictions {
    /// One output of all answers.
    pub fn column(&self, output: usize) -> impl Iterator<Item = f32> {
        self.values.chunks_exact(self.width).map(move |answer| answer[output])
    }

    /// The hash of all output bits.
    pub fn hash(&self) -> u64 {
        let mut hash = BitHash::new();
        hash.update(&self.values);
        hash.finish()
    }
}

/// [`predict`] in the format that `bytes` are stored for: [`Exact`] or [`Int8`].
///
/// # Errors
/// If they are no model, or the data have other channels than the model's inputs.
pub fn predict_stored(bytes: &AlignedBytes, data: &Dataset) -> Result<Predictions, Error> {
    match Blob::parse(bytes.as_ref())?.header().storage {
        Storage::Int8 => predict(&AnyModel::<Int8>::from_blob(bytes)?, data),
        _ => predict(&AnyModel::<Exact>::from_blob(bytes)?, data),
    }
}

/// Runs `model` over the series of `data`, which are in the sensor's units. Each series starts from a zero state.
///
/// # Errors
/// If the data have other channels than the model's inputs.
pub fn predict<F: Format>(model: &AnyModel<'_, F>, data: &Dataset) -> Result<Predictions, Error> {
    predict_observed(model, data, |_, _, _| {})
}

/// [`predict`] that shows `observe` each layer's number, its inputs and its outputs at every step, in units.
///
/// # Errors
/// If the data have other channels than the model's inputs.
pub fn predict_observed<F: Format>(
    model: &AnyModel<'_, F>,
    data: &Dataset,
    mut observe: impl FnMut(usize, &[F::Unit], &[F::Unit]),
) -> Result<Predictions, Error> {
    let header = model.header();
    if data.inputs() != header.inputs() {
        return Err(Error::Length { what: "input channels", expected: header.inputs(), found: data.inputs() });
    }
    let every_step = header.output == Output::EveryStep;
    let mut stream = model.heap_stream();
    let mut values = Vec::new();
    for series in &data.series {
        stream.reset();
        let mut last: &[f32] = &[];
        for sample in series.x.chunks_exact(data.inputs()) {
            last = stream.step_observed(sample, &mut observe)?;
            if every_step {
                values.extend_from_slice(last);
            }
        }
        if !every_step {
            values.extend_from_slice(last);
        }
    }
    Ok(Predictions { width: header.outputs(), values })
}

/// Loss and metrics, as reports show them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The mean loss.
    pub loss: f64,
    /// Fraction of right decisions, of a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
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
            mae: value("mae"),
            mse: value("mse"),
            r2: value("r2"),
        })
    }
}

/// Scores of answers against the targets of the same dataset.
pub fn score(loss: Loss, predictions: &Predictions, data: &Dataset) -> Scores {
    Scores::from(&Metrics::of_outputs(loss, predictions.width, &predictions.values, &targets(data)))
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
