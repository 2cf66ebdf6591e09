//! A model in `f32` beside the same in integers, on the same data.

use grulet::Int8;
use grulet::blob::quantize::{is_bounded, scales};
use grulet::blob::{AlignedBytes, Range};
use grulet::format::Format;
use grulet::spec::{LayerSpec, Output, Storage};
use serde::Serialize;

use super::{Float, QuantizeError};
use crate::config::Task;
use crate::data::Dataset;
use crate::evaluate::{Loaded, Predictions, Scores, predict, predict_observed, saturated, score};
use crate::nn::{Loss, argmax};
use crate::summary::net_type_of;

/// Steps that are listed where the two part.
const PARTINGS: usize = 5;

/// Everything that a person wants to know before trading one for the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The model's name.
    pub model: String,
    /// The network as the firmware's type.
    pub net: String,
    /// Series compared on.
    pub series: usize,
    /// Steps compared on.
    pub steps: usize,
    /// Multiply-accumulates per step, in either.
    pub macs_per_step: usize,
    /// The model in `f32`.
    pub f32: Side,
    /// The model in integers.
    pub int8: Side,
    /// What the drop is measured in: `mse`, or `accuracy` of a classifier.
    pub metric: &'static str,
    /// By how much the integers are worse in it, relative to `f32`; negative if better.
    pub drop: f64,
    /// Each layer's range and saturations.
    pub layers: Vec<LayerReport>,
    /// Each output's differences, in its units.
    pub outputs: Vec<Difference>,
    /// Answers compared.
    pub answers: usize,
    /// Answers whose decision differs, or one of whose values differs by more than the tolerance.
    pub parted: usize,
    /// What differing means for each output's values; empty where decisions are compared.
    pub tolerances: Vec<f64>,
    /// The first of them.
    pub partings: Vec<Parting>,
    /// Over a stream without end, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// Size of the model.
    pub flash_bytes: usize,
    /// State of a stream.
    pub state_bytes: usize,
    /// What a step needs besides, in a run-time stream.
    pub scratch_bytes: usize,
    /// Estimated instructions per step on a Cortex-M4F (see [`crate::cost`]).
    pub instructions_per_step: usize,
    /// Scores on the data.
    pub scores: Scores,
}

/// What calibration and the integers made of a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// The layer.
    pub layer: LayerSpec,
    /// Real value of a unit of its inputs.
    pub input_scale: f64,
    /// Real value of a unit of its outputs.
    pub output_scale: f64,
    /// Whether the outputs are bounded by their activation: a unit at the end of its range is then nearly ±1, and loses
    /// nothing.
    pub bounded: bool,
    /// Inputs at ±32,767 units; of the first layer only.
    pub input_saturations: u64,
    /// Outputs or states at ±32,767 units.
    pub output_saturations: u64,
    /// Outputs seen.
    pub outputs: u64,
}

/// How far an output in integers is from that in `f32`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The output's name.
    pub name: String,
    /// The largest.
    pub max: f64,
    /// Root of the mean square.
    pub rms: f64,
    /// Standard deviation of the output in `f32`.
    pub std: f64,
}

impl Difference {
    /// Whether the integers give little of what the output says: they are off by more than half of what it varies by.
    pub fn is_lost(&self) -> bool {
        self.std > 0.0 && self.rms > 0.5 * self.std
    }
}

/// A step at which the answers differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parting {
    /// The series.
    pub series: String,
    /// The step in it.
    pub step: usize,
    /// The answer in `f32`.
    pub f32: Vec<f32>,
    /// The answer in integers.
    pub int8: Vec<f32>,
}

/// How the difference grows over a stream without end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Steps of the stream.
    pub steps: usize,
    /// Root mean square difference of the outputs over steps 1,000 to 2,000.
    pub early: f64,
    /// Start of the late span of 1,000 steps: the last one over the same samples, where the stream comes to them again.
    pub late_from: usize,
    /// The same over the late span.
    pub late: f64,
}

/// Runs both over `data`, which are in the sensor's units.
///
/// `tolerance` is for values; 2 % of the range of each `f32` output unless given.
///
/// # Errors
/// If the data are for another model.
pub fn compare(
    float: &Float<'_>,
    int8: &AlignedBytes,
    ranges: &[Range],
    data: &Dataset,
    loss: crate::config::Loss,
    tolerance: Option<f64>,
) -> Result<Comparison, QuantizeError> {
    let model = Loaded::<Int8>::from_blob(int8)?;
    let header = model.header();
    let answers_f32 = predict(float.model(), data)?;
    let scales = scales(header, ranges)?;
    let mut layers: Vec<LayerReport> = header
        .layers
        .iter()
        .zip(&scales)
        .map(|(layer, scales)| LayerReport {
            layer: *layer,
            input_scale: scales.input,
            output_scale: scales.output,
            bounded: is_bounded(layer),
            input_saturations: 0,
            output_saturations: 0,
            outputs: 0,
        })
        .collect();
    let mut answers_int8 = predict_observed(&model, data, |index, inputs, outputs| {
        if index == 0 {
            layers[0].input_saturations += saturated(inputs) as u64;
        }
        layers[index].output_saturations += saturated(outputs) as u64;
        layers[index].outputs += outputs.len() as u64;
    })?;
    answers_int8.sequences = model.sequences(data)?;

    let numeric: Loss = loss.into();
    let side = |flash_bytes, (state_bytes, scratch_bytes), storage, answers: &Predictions| Side {
        flash_bytes,
        state_bytes,
        scratch_bytes,
        instructions_per_step: crate::cost::instructions(&header.layers, storage),
        scores: score(numeric, answers, data),
    };
    let f32 = side(float.flash_bytes(), ram(float.model()), Storage::F32, &answers_f32);
    let int8 = side(int8.as_ref().len(), ram(&model), Storage::Int8, &answers_int8);
    let (metric, drop) = drop(&f32.scores, &int8.scores);

    let task = loss.task();
    let tolerances = if task == Task::Regression { tolerances(&answers_f32, tolerance) } else { Vec::new() };
    let rows = || answers_f32.values.chunks(answers_f32.width).zip(answers_int8.values.chunks(answers_int8.width));
    let parts = |a: &[f32], b: &[f32]| match task {
        Task::Classes => argmax(a) != argmax(b),
        Task::Binary => a.iter().zip(b).any(|(a, b)| (*a > 0.5) != (*b > 0.5)),
        Task::Regression => a.iter().zip(b).zip(&tolerances).any(|((a, b), t)| f64::from((a - b).abs()) > *t),
    };
    let places = answered(data, header.output);
    let parted: Vec<_> = rows().zip(places).filter(|((a, b), _)| parts(a, b)).collect();
    let partings = parted.iter().take(PARTINGS).map(|((a, b), (series, step))| Parting {
        series: (*series).to_owned(),
        step: *step,
        f32: a.to_vec(),
        int8: b.to_vec(),
    });
    Ok(Comparison {
        model: header.name.to_owned(),
        net: net_type_of(header),
        series: data.series.len(),
        steps: data.total_steps(),
        macs_per_step: header.macs(),
        metric,
        drop,
        layers,
        outputs: differences(&answers_f32, &answers_int8, &crate::summary::output_names(header)),
        answers: rows().count(),
        parted: parted.len(),
        tolerances,
        partings: partings.collect(),
        drift: None,
        f32,
        int8,
    })
}

impl Comparison {
    /// Refuses a loss beyond `allowed`, relative to `f32`.
    ///
    /// # Errors
    /// If the integers lose more.
    pub fn check_drop(&self, allowed: f64) -> Result<(), QuantizeError> {
        // A NaN is no small loss.
        if self.drop <= allowed {
            return Ok(());
        }
        let value = |scores: &Scores| scores.list().find(|(name, _)| *name == self.metric).map_or(f64::NAN, |(_, v)| v);
        Err(QuantizeError::Drop {
            metric: self.metric,
            f32: value(&self.f32.scores),
            int8: value(&self.int8.scores),
            drop: self.drop,
            allowed,
        })
    }
}

/// Runs both over the first series of `data`, again and again, in one stream of `steps` steps.
///
/// # Errors
/// If the data are for another model, or there are too few steps for two spans of 1,000.
pub fn drift(float: &Float<'_>, int8: &AlignedBytes, data: &Dataset, steps: usize) -> Result<Drift, QuantizeError> {
    let model = Loaded::<Int8>::from_blob(int8)?;
    let (Loaded::Chain(reference), Loaded::Chain(model)) = (float.model(), &model) else {
        return Err(QuantizeError::NoStream);
    };
    if model.is_bidirectional() {
        return Err(QuantizeError::NoStream);
    }
    let (mut reference, mut stream) = (reference.heap_stream(), model.heap_stream());
    let samples = data.series.first().map_or(&[][..], |series| &series.x);
    if samples.is_empty() {
        return Err(QuantizeError::Empty);
    }
    if steps < 3000 {
        return Err(QuantizeError::DriftSteps { found: steps });
    }
    let series = samples.len() / data.inputs();
    let late_from = late_from(steps, series);
    let (mut early, mut late, mut values) = (0.0, 0.0, 0);
    for (step, sample) in samples.chunks_exact(data.inputs()).cycle().take(steps).enumerate() {
        let (a, b) = (reference.step(sample)?, stream.step(sample)?);
        let square: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        if (1000..2000).contains(&step) {
            early += square;
            values += a.len();
        }
        if (late_from..late_from + 1000).contains(&step) {
            late += square;
        }
    }
    let rms = |sum: f64| (sum / values as f64).sqrt();
    Ok(Drift { steps, early: rms(early), late_from, late: rms(late) })
}

/// Start of the last 1,000 of `steps` steps that see what steps 1,000 to 2,000 saw, in a stream that repeats after `series`
/// steps; of the last 1,000 where it does not come back so far.
fn late_from(steps: usize, series: usize) -> usize {
    let last = steps - 1000;
    let ago = (last - 1000) % series;
    if last - ago >= 2000 { last - ago } else { last }
}

/// Bytes of state and of scratch of a run-time stream.
pub fn ram<F: Format>(model: &Loaded<'_, F>) -> (usize, usize) {
    let state = crate::cost::state_bytes(model.header(), size_of::<F::Unit>());
    (state, (4 * model.capacity()).saturating_sub(state.next_multiple_of(4)))
}

/// The task's metric, and by how much the second is worse in it.
fn drop(f32: &Scores, int8: &Scores) -> (&'static str, f64) {
    let worse = |name, from: f64, to: f64| {
        let change = to - from;
        // From a perfect score, any loss is without bound.
        (name, if change == 0.0 { 0.0 } else { change / from.abs() })
    };
    match (f32.accuracy, int8.accuracy, f32.mse, int8.mse) {
        (Some(from), Some(to), ..) => {
            let (name, drop) = worse("accuracy", from, to);
            (name, -drop)
        }
        (_, _, Some(from), Some(to)) => worse("mse", from, to),
        _ => worse("loss", f32.loss, int8.loss),
    }
}

/// For each output `given`, or 2 % of its range; of a constant one, of the largest range.
fn tolerances(answers: &Predictions, given: Option<f64>) -> Vec<f64> {
    let range = |output: usize| {
        let (min, max) =
            answers.column(output).fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), y| (min.min(y), max.max(y)));
        f64::from(max) - f64::from(min)
    };
    let ranges: Vec<f64> = (0..answers.width).map(range).collect();
    let largest = ranges.iter().copied().fold(0.0, f64::max);
    let of = |&range: &f64| given.unwrap_or(0.02 * if range > 0.0 { range } else { largest });
    ranges.iter().map(of).collect()
}

fn differences(a: &Predictions, b: &Predictions, names: &[String]) -> Vec<Difference> {
    let of = |output: usize| {
        let column = |answers| Predictions::column(answers, output);
        column(a).zip(column(b)).map(|(a, b)| (f64::from(a) - f64::from(b)).abs())
    };
    names
        .iter()
        .enumerate()
        .map(|(output, name)| {
            let square: f64 = of(output).map(|d| d * d).sum();
            let count = of(output).count() as f64;
            let mean = a.column(output).map(f64::from).sum::<f64>() / count;
            let variance = a.column(output).map(|y| (f64::from(y) - mean).powi(2)).sum::<f64>() / count;
            let (max, rms) = (of(output).fold(0.0, f64::max), (square / count).sqrt());
            Difference { name: name.clone(), max, rms, std: variance.sqrt() }
        })
        .collect()
}

/// Series and step that each answer is to.
fn answered(data: &Dataset, output: Output) -> impl Iterator<Item = (&str, usize)> {
    data.series.iter().enumerate().flat_map(move |(index, series)| {
        let steps = data.steps(index);
        let places = match output {
            Output::EveryStep => 0..steps,
            Output::LastStep => steps.saturating_sub(1)..steps,
            Output::Sequence(_) => 0..series.targets.len(),
        };
        places.map(move |step| (series.name.as_str(), series.start + step))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_late_span_of_a_drift_sees_the_early_samples_again() {
        for (steps, series) in [(100_000, 725), (3000, 1000), (5000, 1), (9999, 4000)] {
            let from = late_from(steps, series);
            assert!(from >= 2000 && from + 1000 <= steps && from + 1000 + series > steps, "{steps} {series}: {from}");
            assert_eq!((from - 1000) % series, 0, "{steps} {series}: {from}");
        }
        // Where the stream does not come back so far, the last ones.
        assert_eq!((late_from(3000, 700), late_from(100_000, 200_000)), (2000, 99_000));
    }

    #[test]
    fn an_output_in_small_numbers_is_measured_by_itself() {
        let answers = |values: &[f32]| Predictions { width: 3, values: values.to_vec(), ..Predictions::default() };
        let f32 = answers(&[0.0, 1e-5, 7.0, 50.0, 3e-5, 7.0]);
        let int8 = answers(&[0.1, 0.0, 7.0, 50.0, 0.0, 7.0]);
        let near = |found: Vec<f64>, expected: [f64; 3]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6 * b), "{found:?}");
        };
        near(tolerances(&f32, None), [1.0, 4e-7, 1.0]);
        near(tolerances(&f32, Some(0.3)), [0.3; 3]);
        let names = ["large", "small", "constant"].map(str::to_owned);
        let lost: Vec<bool> = differences(&f32, &int8, &names).iter().map(Difference::is_lost).collect();
        assert_eq!(lost, [false, true, false]);
    }
}
