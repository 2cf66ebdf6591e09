//! What the linear baselines see of the inputs.

use grulet::spec::Output;
use nalgebra::{DMatrix, DVector};

use crate::data::{Dataset, Series};

/// L: past samples of each channel, this one included, where there is an answer at every step.
const LAGS: usize = 25;
/// Numbers of each channel where there is one answer per series.
const SUMMARY: usize = 5;
/// Features beyond which the equations would take longer than a training.
const MOST: usize = 2048;
/// Values of all examples together (64 MB); of more, every second, third, … example is taken.
const VALUES: usize = 1 << 23;

/// A row of features per answer: a 1, and then with mean 0 and standard deviation 1 on the training part
/// - at every step the last [`LAGS`] samples of each channel, the first one repeated before the start,
/// - else mean, standard deviation, minimum, maximum and last sample of each channel.
pub struct Features {
    output: Output,
    inputs: usize,
    /// Mean and standard deviation of each feature; empty while they are not known.
    scales: Vec<(f64, f64)>,
}

/// Examples of the training part.
pub struct Examples {
    /// Features `(N, F)`.
    pub x: DMatrix<f64>,
    /// Targets `(N, D)`.
    pub y: DMatrix<f64>,
}

impl Features {
    /// Features for `train`, and its examples. None if there are too many features, or no examples.
    pub fn new(train: &Dataset) -> Option<(Self, Examples)> {
        let mut features = Self { output: train.output, inputs: train.inputs(), scales: Vec::new() };
        let per_channel = if train.output == Output::EveryStep { LAGS } else { SUMMARY };
        let counted = || answers(train).filter(|answer| answer.counts);
        let (count, rows) = (1 + per_channel * train.inputs(), counted().count());
        if count > MOST || rows == 0 {
            return None;
        }
        let every = (rows * count).div_ceil(VALUES);
        let taken = || counted().step_by(every);
        let rows = taken().count();
        let mut x = DMatrix::from_row_iterator(
            rows,
            count,
            taken().flat_map(|answer| features.row(answer.series, answer.step)),
        );
        let targets = taken().flat_map(|answer| answer.target.iter().map(|&y| f64::from(y)));
        let y = DMatrix::from_row_iterator(rows, train.target_width, targets);
        for mut column in x.column_iter_mut().skip(1) {
            let mean = column.mean();
            let variance = column.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / rows as f64;
            let std = if variance > 0.0 { variance.sqrt() } else { 1.0 };
            column.iter_mut().for_each(|x| *x = (*x - mean) / std);
            features.scales.push((mean, std));
        }
        Some((features, Examples { x, y }))
    }

    /// What the features are, for the baseline's name.
    pub fn name(&self) -> String {
        match self.output {
            Output::EveryStep => format!("{LAGS} samples"),
            Output::LastStep | Output::Sequence(_) => "mean, std, min, max, last".to_owned(),
        }
    }

    /// `weights` (F, O) times the features of every answer to `data`, by `link`; `(answers, O)`.
    pub fn apply(&self, weights: &DMatrix<f64>, data: &Dataset, link: impl Fn(&mut [f64])) -> Vec<f32> {
        let mut values = Vec::new();
        for answer in answers(data) {
            let mut out = weights.tr_mul(&DVector::from_vec(self.row(answer.series, answer.step)));
            link(out.as_mut_slice());
            values.extend(out.iter().map(|&y| y as f32));
        }
        values
    }

    /// The features of the answer at step `t`.
    fn row(&self, series: &Series, t: usize) -> Vec<f64> {
        let sample = |t: usize| series.x[t * self.inputs..][..self.inputs].iter().map(|&x| f64::from(x));
        let mut row = vec![1.0];
        match self.output {
            Output::EveryStep => (0..LAGS).for_each(|lag| row.extend(sample(t.saturating_sub(lag)))),
            Output::LastStep | Output::Sequence(_) => (0..self.inputs).for_each(|channel| {
                row.extend(summary(series.x.iter().skip(channel).step_by(self.inputs).map(|&x| f64::from(x))));
            }),
        }
        row.iter_mut().skip(1).zip(&self.scales).for_each(|(x, (mean, std))| *x = (*x - mean) / std);
        row
    }
}

/// Mean, standard deviation, minimum, maximum and last sample.
fn summary(samples: impl Iterator<Item = f64> + Clone) -> [f64; SUMMARY] {
    let count = samples.clone().count() as f64;
    let mean = samples.clone().sum::<f64>() / count;
    let variance = samples.clone().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let (min, max) = samples.clone().fold((f64::MAX, f64::MIN), |(min, max), x| (min.min(x), max.max(x)));
    [mean, variance.sqrt(), min, max, samples.last().unwrap_or(0.0)]
}

/// An answer that is asked for.
struct Answer<'a> {
    series: &'a Series,
    /// The step that it is asked for at.
    step: usize,
    /// What is right, `(D)`.
    target: &'a [f32],
    /// Whether it has a weight above 0.
    counts: bool,
}

/// All answers, in their order.
fn answers(data: &Dataset) -> impl Iterator<Item = Answer<'_>> {
    data.series.iter().enumerate().flat_map(|(index, series)| {
        let first = if data.output == Output::EveryStep { 0 } else { data.steps(index).saturating_sub(1) };
        let targets = series.targets.chunks_exact(data.target_width).enumerate();
        targets.map(move |(i, target)| Answer { series, step: first + i, target, counts: series.has_weight(i) })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::dataset;
    use super::*;

    #[test]
    fn every_step_sees_the_samples_before_it() {
        let data = dataset(Output::EveryStep, 2, vec![(vec![1.0, 10.0, 2.0, 20.0, 4.0, 40.0], vec![0.0, 1.0, 2.0])]);
        let (mut features, examples) = Features::new(&data).unwrap();
        assert_eq!((examples.x.shape(), examples.y.as_slice()), ((3, 51), &[0.0, 1.0, 2.0][..]));
        // Standardised: mean 7/3 of the first channel now, variance 14/9.
        assert!((examples.x[(2, 1)] - (4.0 - 7.0 / 3.0) / (14.0f64 / 9.0).sqrt()).abs() < 1e-12, "{}", examples.x);
        assert_eq!(examples.x.row(2).iter().copied().collect::<Vec<_>>(), features.row(&data.series[0], 2));
        features.scales.clear();
        assert_eq!(features.row(&data.series[0], 2)[..9], [1.0, 4.0, 40.0, 2.0, 20.0, 1.0, 10.0, 1.0, 10.0]);
    }

    #[test]
    fn a_series_is_summed_up_by_channel() {
        let x = vec![1.0, 10.0, 5.0, 10.0, 3.0, 10.0];
        let data = dataset(Output::LastStep, 2, vec![(x, vec![7.0]), (vec![0.0, 1.0], vec![8.0])]);
        let (mut features, examples) = Features::new(&data).unwrap();
        assert_eq!(examples.y.as_slice(), [7.0, 8.0]);
        features.scales.clear();
        let std = (8.0f64 / 3.0).sqrt();
        let expected = [1.0, 3.0, std, 1.0, 5.0, 3.0, 10.0, 0.0, 10.0, 10.0, 10.0];
        assert_eq!(features.row(&data.series[0], 2), expected);
    }

    #[test]
    fn weights_are_applied_to_every_answer_and_linked() {
        let data = dataset(Output::EveryStep, 1, vec![(vec![1.0, 3.0], vec![0.0; 2]), (vec![7.0], vec![0.0])]);
        let (features, examples) = Features::new(&data).unwrap();
        let weights = DMatrix::from_fn(26, 2, |row, output| (row + 2 * output) as f64);
        let expected: Vec<f32> =
            (&examples.x * &weights).row_iter().flat_map(|row| [row[0], 100.0 * row[1]]).map(|y| y as f32).collect();
        let found = features.apply(&weights, &data, |sums| sums[1] *= 100.0);
        let far = found.iter().zip(&expected).any(|(a, b)| (a - b).abs() > 1e-5 * b.abs().max(1.0));
        assert!(found.len() == 6 && !far, "{found:?} but {expected:?}");
    }

    #[test]
    fn much_is_thinned_out_and_too_much_refused() {
        let steps = VALUES / 26 + 1;
        let data = dataset(Output::EveryStep, 1, vec![(vec![0.0; steps], vec![0.0; steps])]);
        assert_eq!(Features::new(&data).unwrap().1.x.nrows(), steps.div_ceil(2));
        let wide = |inputs: usize| dataset(Output::LastStep, inputs, vec![(vec![0.0; inputs], vec![0.0])]);
        assert!(Features::new(&wide(409)).is_some() && Features::new(&wide(410)).is_none());
    }
}
