//! Anomalies as large errors of a model that forecasts: where it is much further off than on the training part, something is
//! wrong with the machine or the sensor.
//!
//! In the order that things pass: [`Detector::fit`] (the training part's errors to a limit) → [`Detector::sums`] (the errors of
//! other data, in the arithmetic of the firmware) → [`stretches`] (where they are too large) → [`LabelScores`] (what that is
//! worth, where the truth is known).
//!
//! The score of a step is the root mean square over the outputs of error / RMS error on the training part: about 1 where all is
//! as it was in training. It belongs to the step at which the value was measured, `data.horizon` steps after it was forecast.

mod error;
mod labels;

pub use error::AnomalyError;
pub use labels::{Kind, LabelScores};

use grulet::Header;
use grulet::spec::Output;
use serde::Serialize;

use crate::config::{Config, Task};
use crate::data::Dataset;
use crate::evaluate::Predictions;
use crate::summary::output_names;

/// The constants that decide what an anomaly is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detector {
    /// 1 / RMS error of each output on the training part, `(O)`, in 1 / the target's unit.
    pub inverse_rms: Vec<f32>,
    /// A step is anomalous where its sum of squares, as [`sums`](Self::sums) gives it, is above this.
    pub limit: f32,
    /// The same limit as a score.
    pub threshold: f32,
    /// Fraction of the training steps that lie at or below the limit.
    pub quantile: f64,
    /// Steps of the training part that have an error.
    pub training_steps: usize,
    /// How many of them lie above the limit.
    pub training_flagged: usize,
}

/// Steps in a row that are anomalous.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stretch {
    /// The series.
    pub series: String,
    /// Its first step, from 0, in the series as the file has it.
    pub from: usize,
    /// Its last step.
    pub to: usize,
    /// The highest score in it.
    pub peak: f32,
}

/// Refuses models whose steps have no error.
///
/// # Errors
/// If it is a classifier, does not answer at every step, or reads series from both ends.
pub fn check(config: &Config, header: &Header<'_>) -> Result<(), AnomalyError> {
    if config.task() != Task::Regression {
        return Err(AnomalyError::Classifier);
    }
    if header.output != Output::EveryStep {
        return Err(AnomalyError::NotEveryStep);
    }
    if header.is_bidirectional() {
        return Err(AnomalyError::Bidirectional);
    }
    Ok(())
}

impl Detector {
    /// From what a model answers to the training part, `data`. The limit is the sum of a training step: the lowest one with no
    /// more than `1 - quantile` of the steps above it.
    ///
    /// # Errors
    /// If the quantile would have no training step above it, or an output is never wrong.
    pub fn fit(
        header: &Header<'_>,
        predictions: &Predictions,
        data: &Dataset,
        quantile: f64,
    ) -> Result<Self, AnomalyError> {
        if !(quantile > 0.0 && quantile < 1.0) {
            return Err(AnomalyError::Quantile { found: quantile });
        }
        let width = predictions.width;
        let steps = predictions.values.len() / width;
        if steps < 2 {
            return Err(AnomalyError::TooFewSteps { steps });
        }
        // 0.99 is a little less than 99/100 in binary, so that a whole number of steps may come out a little too low.
        let above = ((1.0 - quantile) * steps as f64 + 1e-6).floor() as usize;
        if above == 0 {
            let needed = (1.0 / (1.0 - quantile) - 1e-6).ceil() as u64;
            let largest = (1e6 * (1.0 - 1.0 / steps as f64)).floor() / 1e6;
            return Err(AnomalyError::Unresolved { quantile, steps, needed, largest });
        }
        let mut squares = vec![0.0f64; width];
        for (index, (answer, target)) in predictions.values.iter().zip(targets(data)).enumerate() {
            squares[index % width] += (f64::from(target) - f64::from(*answer)).powi(2);
        }
        let mut inverse_rms = Vec::with_capacity(width);
        for (square, output) in squares.iter().zip(output_names(header)) {
            let rms = (square / steps as f64).sqrt();
            let inverse = (1.0 / rms) as f32;
            if !inverse.is_normal() {
                return Err(AnomalyError::Rms { output, rms });
            }
            inverse_rms.push(inverse);
        }
        let mut detector =
            Self { inverse_rms, limit: 0.0, threshold: 0.0, quantile, training_steps: steps, training_flagged: 0 };
        let mut sums = detector.sums(predictions, data);
        sums.sort_by(f32::total_cmp);
        detector.limit = sums[steps - 1 - above.min(steps - 1)];
        detector.threshold = detector.score(detector.limit);
        detector.training_flagged = sums.iter().filter(|&&sum| detector.is_anomaly(sum)).count();
        Ok(detector)
    }

    /// For each step the sum over the outputs of (error / RMS error)², in the order of `data`: in `f32`, output after output, as
    /// a firmware computes it.
    pub fn sums(&self, predictions: &Predictions, data: &Dataset) -> Vec<f32> {
        let targets: Vec<f32> = targets(data).collect();
        let steps = predictions.values.chunks_exact(predictions.width).zip(targets.chunks_exact(predictions.width));
        let sum = |(answer, target): (&[f32], &[f32])| {
            answer.iter().zip(target).zip(&self.inverse_rms).fold(0.0, |sum, ((answer, target), inverse)| {
                let error = (target - answer) * inverse;
                sum + error * error
            })
        };
        steps.map(sum).collect()
    }

    /// Whether a step with this sum is anomalous.
    pub fn is_anomaly(&self, sum: f32) -> bool {
        sum > self.limit
    }

    /// The score of a step with this sum: √(sum / O).
    pub fn score(&self, sum: f32) -> f32 {
        (sum / self.inverse_rms.len() as f32).sqrt()
    }
}

/// Each series of `data` with the place of its steps among those of all series.
pub fn series_steps(data: &Dataset) -> impl Iterator<Item = (&str, std::ops::Range<usize>)> {
    let mut next = 0;
    data.series.iter().enumerate().map(move |(index, series)| {
        let start = next;
        next += data.steps(index);
        (&series.name[..], start..next)
    })
}

/// The anomalous stretches, the longest first, of equal ones the one with the higher peak. `sums` are those of `data`, whose
/// first step is measured `horizon` steps after the start of its series.
pub fn stretches(detector: &Detector, sums: &[f32], data: &Dataset, horizon: usize) -> Vec<Stretch> {
    let mut found = Vec::new();
    for (series, steps) in series_steps(data) {
        let mut at = horizon;
        for run in sums[steps].chunk_by(|a, b| detector.is_anomaly(*a) == detector.is_anomaly(*b)) {
            if detector.is_anomaly(run[0]) {
                let peak = run.iter().copied().max_by(f32::total_cmp).unwrap_or(0.0);
                let (from, to, peak) = (at, at + run.len() - 1, detector.score(peak));
                found.push(Stretch { series: series.to_owned(), from, to, peak });
            }
            at += run.len();
        }
    }
    let length = |stretch: &Stretch| stretch.to - stretch.from;
    found.sort_by(|a, b| length(b).cmp(&length(a)).then(b.peak.total_cmp(&a.peak)));
    found
}

/// The targets of all steps, `(T·O)`.
fn targets(data: &Dataset) -> impl Iterator<Item = f32> {
    data.series.iter().flat_map(|series| &series.targets).copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use grulet::blob::Header;
    use grulet::spec::{LayerSpec, Storage};

    use super::*;
    use crate::data::Series;

    /// Series with these targets, `width` to a step.
    pub fn data(width: usize, series: &[&[f32]]) -> Dataset {
        let one = |(index, targets): (usize, &&[f32])| Series {
            name: index.to_string(),
            group: None,
            start: 0,
            x: vec![0.0; targets.len() / width],
            targets: targets.to_vec(),
            weights: vec![],
        };
        Dataset {
            series: series.iter().enumerate().map(one).collect(),
            channels: vec!["a".to_owned()],
            units: vec![],
            classes: vec![],
            sample_rate: None,
            output: Output::EveryStep,
            target_width: width,
        }
    }

    fn answers(width: usize, values: &[f32]) -> Predictions {
        Predictions { width, values: values.to_vec(), ..Predictions::default() }
    }

    /// Of one output, with this threshold.
    pub(super) fn detector(threshold: f32) -> Detector {
        Detector {
            inverse_rms: vec![1.0],
            limit: threshold * threshold,
            threshold,
            quantile: 0.5,
            training_steps: 2,
            training_flagged: 1,
        }
    }

    fn header(width: u16) -> Header<'static> {
        let dense = LayerSpec::Dense { inputs: 1, outputs: width, activation: grulet::spec::Activation::Linear };
        Header::new(Storage::F32, [dense].into_iter().collect(), Output::EveryStep)
    }

    #[test]
    fn the_limit_is_the_quantile_of_the_training_steps_and_scores_are_relative_to_their_rms() {
        // Errors 1, 2, …, 10 and ten times that: RMS √38.5 and 10·√38.5, so that each step's score is its error / √38.5.
        let targets: Vec<f32> = (1..=10).flat_map(|i| [i as f32, -10.0 * i as f32]).collect();
        let (answers, data) = (answers(2, &[0.0; 20]), data(2, &[&targets[..8], &targets[8..]]));
        let fit = |quantile| Detector::fit(&header(2), &answers, &data, quantile);
        let detector = fit(0.8).unwrap();
        assert_eq!((detector.training_steps, detector.training_flagged), (10, 2));
        assert!((f64::from(detector.threshold) - 8.0 / 38.5f64.sqrt()).abs() < 1e-6, "{detector:?}");
        assert!((f64::from(detector.inverse_rms[1]) - 0.1 / 38.5f64.sqrt()).abs() < 1e-8, "{detector:?}");
        assert_eq!(fit(0.9).unwrap().training_flagged, 1);
        let unresolved = AnomalyError::Unresolved { quantile: 0.91, steps: 10, needed: 12, largest: 0.9 };
        assert_eq!(fit(0.91), Err(unresolved));
        for quantile in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(matches!(fit(quantile), Err(AnomalyError::Quantile { .. })), "{quantile}");
        }
    }

    #[test]
    fn an_output_that_is_never_wrong_is_refused_by_its_name() {
        let data = data(2, &[&[1.0, 5.0, 2.0, 5.0]]);
        let error = Detector::fit(&header(2), &answers(2, &[0.0, 5.0, 0.0, 5.0]), &data, 0.5).unwrap_err();
        assert_eq!(error, AnomalyError::Rms { output: "y1".to_owned(), rms: 0.0 });
    }

    #[test]
    fn stretches_stay_in_their_series_and_the_longest_comes_first() {
        let detector = detector(2.0);
        let data = data(1, &[&[0.0, 3.0, 2.0, 5.0], &[4.0, 3.0, 0.0, 6.0]]);
        let sums = detector.sums(&answers(1, &[0.0; 8]), &data);
        assert_eq!(sums, [0.0, 9.0, 4.0, 25.0, 16.0, 9.0, 0.0, 36.0]);
        let found: Vec<_> = stretches(&detector, &sums, &data, 3)
            .into_iter()
            .map(|Stretch { series, from, to, peak }| (series, from, to, peak))
            .collect();
        let of = |series: &str, from, to, peak| (series.to_owned(), from, to, peak);
        // Of the first series' last step and the second's first ones there are two, and a sum of 4 is not above the limit.
        assert_eq!(found, [of("1", 3, 4, 4.0), of("1", 6, 6, 6.0), of("0", 6, 6, 5.0), of("0", 4, 4, 3.0)]);
    }
}
