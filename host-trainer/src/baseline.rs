//! What can be had without a network: every report shows these beside the model, so that nobody ships a GRU where a line
//! would do.

use grulet::spec::Output;
use nalgebra::{DMatrix, DVector};
use serde::Serialize;

use crate::config::Task;
use crate::data::Dataset;
use crate::evaluate::{Predictions, Scores, score};
use crate::nn::Loss;

/// Past samples, this one included, that the linear baseline sees.
const LAGS: usize = 25;
/// Weight of the ridge penalty, per row of standardised data.
const RIDGE: f64 = 1e-3;

/// A simple answer and how good it is on the test part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Baseline {
    /// What it does.
    pub name: String,
    /// Its scores.
    pub scores: Scores,
}

/// The baselines for a task, from `train` to `test`. Both in the same units; per-step targets lie `horizon` ahead.
pub fn baselines(task: Task, loss: Loss, horizon: usize, train: &Dataset, test: &Dataset) -> Vec<Baseline> {
    let make = |name: String, width: usize, values: Vec<f32>| {
        let scores = score(loss, &Predictions { width, values }, test);
        Baseline { name, scores }
    };
    let answers = |data: &Dataset| data.series.iter().map(|s| s.targets.len()).sum::<usize>() / data.target_width;
    match task {
        Task::Classes | Task::Binary => {
            let shares = shares(task, train);
            let most = shares.iter().copied().fold(0.0, f32::max);
            let name = match task {
                Task::Classes => format!("majority class, {:.0} % of the training part", most * 100.0),
                _ => "share of ones in the training part".to_owned(),
            };
            let values = shares.iter().copied().cycle().take(shares.len() * answers(test)).collect();
            vec![make(name, shares.len(), values)]
        }
        Task::Regression => {
            let width = test.target_width;
            let mean = mean_target(train);
            let constant = mean.iter().copied().cycle().take(width * answers(test)).collect();
            let mut all = vec![make("mean of the training part".to_owned(), width, constant)];
            if test.output == Output::EveryStep {
                if horizon > 0 {
                    all.push(make(format!("persistence ({horizon} steps)"), width, persistence(test, horizon, &mean)));
                }
                if let Some(values) = ridge(train, test) {
                    all.push(make(format!("ridge regression on {LAGS} samples"), width, values));
                }
            }
            all
        }
    }
}

/// The share of each class, or of ones in each output.
fn shares(task: Task, train: &Dataset) -> Vec<f32> {
    let rows = || train.series.iter().flat_map(|series| series.targets.chunks_exact(train.target_width));
    let width = if task == Task::Classes { train.classes.len() } else { train.target_width };
    let mut sums = vec![0.0f64; width];
    for row in rows() {
        match (task, row) {
            (Task::Classes, [class]) => sums[*class as usize] += 1.0,
            (_, row) => sums.iter_mut().zip(row).for_each(|(sum, &y)| *sum += f64::from(y)),
        }
    }
    let count = rows().count() as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

fn mean_target(train: &Dataset) -> Vec<f32> {
    let rows = || train.series.iter().flat_map(|series| series.targets.chunks_exact(train.target_width));
    let mut sums = vec![0.0f64; train.target_width];
    rows().for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, &y)| *sum += f64::from(y)));
    let count = rows().count() as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// Each target as it was `horizon` steps before; `mean` where there is none.
fn persistence(test: &Dataset, horizon: usize, mean: &[f32]) -> Vec<f32> {
    let width = test.target_width;
    let of_series = |targets: &[f32]| {
        let known = targets.len().saturating_sub(horizon * width);
        let unknown = targets.len() - known;
        mean.iter().copied().cycle().take(unknown).chain(targets[..known].iter().copied()).collect::<Vec<_>>()
    };
    test.series.iter().flat_map(|series| of_series(&series.targets)).collect()
}

/// Ridge regression from the last [`LAGS`] samples of all channels (the first one repeated before the start). None where
/// the equations cannot be solved.
fn ridge(train: &Dataset, test: &Dataset) -> Option<Vec<f32>> {
    let (inputs, width) = (train.inputs(), train.target_width);
    let features = 1 + inputs * LAGS;
    let scale = scales(train);
    let mut row = vec![0.0f64; features];
    let fill = |row: &mut [f64], x: &[f32], t: usize| {
        row[0] = 1.0;
        for lag in 0..LAGS {
            let sample = &x[t.saturating_sub(lag) * inputs..][..inputs];
            for ((cell, &x), (mean, std)) in row[1 + lag * inputs..].iter_mut().zip(sample).zip(&scale) {
                *cell = (f64::from(x) - mean) / std;
            }
        }
    };

    let mut normal = DMatrix::<f64>::zeros(features, features);
    let mut right = DMatrix::<f64>::zeros(features, width);
    let mut rows = 0.0;
    for series in &train.series {
        for (t, target) in series.targets.chunks_exact(width).enumerate() {
            fill(&mut row, &series.x, t);
            let v = DVector::from_column_slice(&row);
            normal.ger(1.0, &v, &v, 1.0);
            right.ger(1.0, &v, &DVector::from_iterator(width, target.iter().map(|&y| f64::from(y))), 1.0);
            rows += 1.0;
        }
    }
    for i in 1..features {
        normal[(i, i)] += RIDGE * rows;
    }
    let weights = normal.cholesky()?.solve(&right);

    let mut values = Vec::new();
    for series in &test.series {
        for t in 0..series.targets.len() / width {
            fill(&mut row, &series.x, t);
            values.extend(weights.tr_mul(&DVector::from_column_slice(&row)).iter().map(|&y| y as f32));
        }
    }
    Some(values)
}

/// Mean and standard deviation of each channel.
fn scales(train: &Dataset) -> Vec<(f64, f64)> {
    let rows = || train.series.iter().flat_map(|series| series.x.chunks_exact(train.inputs()));
    let count = rows().count() as f64;
    let of_channel = |channel: usize| {
        let mean = rows().map(|row| f64::from(row[channel])).sum::<f64>() / count;
        let variance = rows().map(|row| (f64::from(row[channel]) - mean).powi(2)).sum::<f64>() / count;
        (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
    };
    (0..train.inputs()).map(of_channel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Series;

    fn dataset(series: Vec<(Vec<f32>, Vec<f32>)>) -> Dataset {
        let series =
            series.into_iter().map(|(x, targets)| Series { name: String::new(), group: None, start: 0, x, targets });
        Dataset {
            series: series.collect(),
            channels: vec!["a".into()],
            units: vec![],
            classes: vec![],
            sample_rate: None,
            output: Output::EveryStep,
            target_width: 1,
        }
    }

    #[test]
    fn a_linear_filter_is_found_by_ridge_and_a_constant_by_persistence() {
        let x: Vec<f32> = (0..400).map(|t| libm::sinf(t as f32 * t as f32 * 0.01)).collect();
        let y: Vec<f32> = (0..400).map(|t| 0.5 * x[t] - 2.0 * x[t.saturating_sub(3)] + 1.0).collect();
        let data = dataset(vec![(x, y)]);
        let all = baselines(Task::Regression, Loss::MeanSquaredError, 2, &data, &data);
        let mse = |name: &str| all.iter().find(|b| b.name.contains(name)).and_then(|b| b.scores.mse).unwrap();
        assert!(mse("ridge") < 1e-3 && mse("mean") > 1.0 && mse("persistence") > 1.0, "{all:?}");

        let flat = dataset(vec![(vec![1.0; 50], vec![7.0; 50])]);
        let all = baselines(Task::Regression, Loss::MeanSquaredError, 2, &flat, &flat);
        assert!(all.iter().all(|b| b.scores.mse.unwrap() < 1e-6), "{all:?}");
    }

    #[test]
    fn the_majority_is_as_accurate_as_its_share() {
        let mut data = dataset((0..10).map(|i| (vec![0.0], vec![if i < 7 { 1.0 } else { 0.0 }])).collect());
        data.classes = vec!["no".into(), "yes".into()];
        let all = baselines(Task::Classes, Loss::SparseCategoricalCrossEntropy, 0, &data, &data);
        assert_eq!(all[0].scores.accuracy, Some(0.7));
        assert!(all[0].name.contains("70 %"), "{}", all[0].name);
    }
}
