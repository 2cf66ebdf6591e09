//! What can be had without a network: every report shows these beside the model, so that nobody ships a GRU where a line
//! would do.
//!
//! In the order that things pass: constants and repetition here; `features` (what a line sees of the inputs) → `linear` (the
//! line).

mod features;
mod linear;

use grulet::spec::Output;
use nalgebra::DMatrix;
use serde::Serialize;

use crate::config::Task;
use crate::data::Dataset;
use crate::evaluate::{Predictions, Scores, score};
use crate::nn::Loss;
use features::{Examples, Features};
use linear::{Link, logistic, ridge};

/// A simple answer and how good it is on the test part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Baseline {
    /// What it does.
    pub name: String,
    /// Its scores.
    pub scores: Scores,
}

/// The baselines for a task, from `train` to `test`. Both in the same units; `known` is the test part with the targets that are
/// known when those of `test` are asked for, of a forecast of real values. A regression is left out if it is `interrupted`.
pub fn baselines(
    task: Task,
    loss: Loss,
    train: &Dataset,
    test: &Dataset,
    known: Option<&Dataset>,
    interrupted: &dyn Fn() -> bool,
) -> Vec<Baseline> {
    let make = |name: String, width: usize, values: Vec<f32>| {
        let scores = score(loss, &Predictions { width, values, ..Predictions::default() }, test);
        Baseline { name, scores }
    };
    let answers = |data: &Dataset| data.series.iter().map(|s| s.targets.len()).sum::<usize>() / data.target_width;
    let mut all = match task {
        Task::Classes | Task::Binary => {
            let shares = mean_target(task, train);
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
            let mean = mean_target(task, train);
            let constant = mean.iter().copied().cycle().take(width * answers(test)).collect();
            let mut all = vec![make("mean of the training part".to_owned(), width, constant)];
            if let Some(known) = known {
                let values = known.series.iter().flat_map(|series| series.targets.iter().copied()).collect();
                all.push(make("persistence".to_owned(), width, values));
            }
            all
        }
    };
    // A line cannot write.
    let line = if matches!(test.output, Output::Sequence(_)) { None } else { linear(task, train, test, interrupted) };
    if let Some((name, values)) = line {
        let width = if task == Task::Classes { train.classes.len() } else { train.target_width };
        all.push(make(name, width, values));
    }
    all
}

/// The share of each class, or the mean of each output, which is the share of ones where they are ones and zeros.
fn mean_target(task: Task, train: &Dataset) -> Vec<f32> {
    let rows = || train.counted_targets(0);
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

/// A linear model fitted on the training part; its features, and what it answers to the test part. `link` for probabilities.
fn linear(task: Task, train: &Dataset, test: &Dataset, interrupted: &dyn Fn() -> bool) -> Option<(String, Vec<f32>)> {
    let (features, Examples { x, y }) = Features::new(train)?;
    let (name, weights, link) = match task {
        Task::Regression => ("ridge", ridge(&x, &y)?, None),
        Task::Binary => ("logistic", logistic(&x, &y, Link::Sigmoid, interrupted)?, Some(Link::Sigmoid)),
        Task::Classes => {
            // Before their one-hot rows take memory.
            linear::steps(x.nrows(), x.ncols(), train.classes.len())?;
            // Class numbers as one-hot rows, which they may be already.
            let one_hot = |row, class| f64::from(u8::from(y[row] as usize == class));
            let y = if y.ncols() == 1 { DMatrix::from_fn(y.nrows(), train.classes.len(), one_hot) } else { y };
            ("logistic", logistic(&x, &y, Link::Softmax, interrupted)?, Some(Link::Softmax))
        }
    };
    let values = features.apply(&weights, test, |sums| link.iter().for_each(|link| link.apply(sums)));
    Some((format!("{name} regression on {}", features.name()), values))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::Series;
    use crate::nn::Rng;

    /// Series of inputs `(T, inputs)` and targets.
    pub fn dataset(output: Output, inputs: usize, series: Vec<(Vec<f32>, Vec<f32>)>) -> Dataset {
        let series = series.into_iter().map(|(x, targets)| Series {
            name: String::new(),
            group: None,
            start: 0,
            x,
            targets,
            weights: vec![],
        });
        Dataset {
            series: series.collect(),
            channels: (0..inputs).map(|channel| format!("c{channel}")).collect(),
            units: vec![],
            classes: vec![],
            sample_rate: None,
            output,
            target_width: 1,
        }
    }

    /// `count` series of 20 steps and 2 channels, with targets from their inputs.
    fn drawn(seed: u64, output: Output, count: usize, targets: impl Fn(&[f32]) -> Vec<f32>) -> Dataset {
        let mut rng = Rng::new(seed, 0);
        let mut series = || {
            let x: Vec<f32> = (0..40).map(|_| rng.normal() as f32).collect();
            let targets = targets(&x);
            (x, targets)
        };
        dataset(output, 2, (0..count).map(|_| series()).collect())
    }

    /// One channel of a series.
    fn channel(x: &[f32], channel: usize) -> impl Iterator<Item = f32> {
        x.iter().skip(channel).step_by(2).copied()
    }

    #[test]
    fn a_linear_filter_is_found_by_ridge_and_what_was_known_repeated() {
        let x: Vec<f32> = (0..400).map(|t| libm::sinf(t as f32 * t as f32 * 0.01)).collect();
        let y: Vec<f32> = (0..400).map(|t| 0.5 * x[t] - 2.0 * x[t.saturating_sub(3)] + 1.0).collect();
        let data = dataset(Output::EveryStep, 1, vec![(x, y)]);
        let all = baselines(Task::Regression, Loss::MeanSquaredError, &data, &data, None, &|| false);
        let mse = |name: &str| all.iter().find(|b| b.name.contains(name)).and_then(|b| b.scores.mse).unwrap();
        assert!(all.len() == 2 && mse("ridge") < 1e-3 && mse("mean") > 1.0, "{all:?}");

        // A ramp is as far from itself everywhere as it climbs in three steps.
        let mut ramp = dataset(Output::EveryStep, 1, vec![(vec![0.0; 50], (0..50).map(|t| 2.0 * t as f32).collect())]);
        let mut known = ramp.clone();
        ramp.look_ahead(3, Path::new("ramp.csv")).unwrap();
        known.look_around(3);
        let all = baselines(Task::Regression, Loss::MeanSquaredError, &ramp, &ramp, Some(&known), &|| false);
        assert_eq!((all[1].name.as_str(), all[1].scores.mse), ("persistence", Some(36.0)));

        let flat = dataset(Output::EveryStep, 1, vec![(vec![1.0; 50], vec![7.0; 50])]);
        let all = baselines(Task::Regression, Loss::MeanSquaredError, &flat, &flat, None, &|| false);
        assert!(all.iter().all(|b| b.scores.mse.unwrap() < 1e-6), "{all:?}");
    }

    #[test]
    fn ridge_finds_a_rule_of_the_summary() {
        // Twice the maximum of one channel, minus the last sample of the other.
        let rule = |x: &[f32]| vec![2.0 * channel(x, 0).fold(f32::MIN, f32::max) - x[39] + 3.0];
        let part = |seed| drawn(seed, Output::LastStep, 100, rule);
        let all = baselines(Task::Regression, Loss::MeanSquaredError, &part(1), &part(2), None, &|| false);
        assert_eq!(all[1].name, "ridge regression on mean, std, min, max, last");
        assert!(all[1].scores.mse.unwrap() < 1e-3 && all[0].scores.mse.unwrap() > 1.0, "{all:?}");
    }

    #[test]
    fn logistic_regression_finds_a_rule_three_steps_back() {
        let rule = |x: &[f32]| {
            let past = |t: usize| x[2 * t.saturating_sub(3)] - x[2 * t + 1];
            (0..20).map(|t| f32::from(u8::from(past(t) > 0.5))).collect::<Vec<_>>()
        };
        let part = |seed| drawn(seed, Output::EveryStep, 100, rule);
        let all = baselines(Task::Binary, Loss::BinaryCrossEntropy, &part(1), &part(2), None, &|| false);
        assert_eq!(all[1].name, "logistic regression on 25 samples");
        let accuracy = |index: usize| all[index].scores.accuracy.unwrap();
        assert!(accuracy(1) > 0.95 && accuracy(0) < 0.7, "{all:?}");
        assert!(all[1].scores.loss < 0.5 * all[0].scores.loss, "{all:?}");
    }

    #[test]
    fn logistic_regression_finds_classes_from_the_training_part_alone() {
        // Which of three is largest: the mean of one channel, that of the other, or 0.
        let class = |x: &[f32], turn: usize| {
            let means = [channel(x, 0).sum::<f32>(), channel(x, 1).sum(), 0.0];
            (crate::nn::argmax(&means) + turn) % 3
        };
        let part = |seed, turn| {
            let mut data = drawn(seed, Output::LastStep, 300, |x| vec![class(x, turn) as f32]);
            data.classes = ["a", "b", "c"].map(str::to_owned).to_vec();
            data
        };
        let sparse = Loss::SparseCategoricalCrossEntropy;
        let accuracy = |test: &Dataset| {
            baselines(Task::Classes, sparse, &part(1, 0), test, None, &|| false)[1].scores.accuracy.unwrap()
        };
        assert!(accuracy(&part(2, 0)) > 0.95, "{}", accuracy(&part(2, 0)));
        assert!(accuracy(&part(2, 1)) < 0.05, "what the test part says is not learned");

        // One-hot rows are the same targets.
        let one_hot = |mut data: Dataset| {
            data.target_width = 3;
            data.series.iter_mut().for_each(|series| {
                series.targets = (0..3).map(|class| f32::from(u8::from(series.targets[0] as usize == class))).collect();
            });
            data
        };
        let dense = Loss::CategoricalCrossEntropy;
        let of_rows = &baselines(Task::Classes, dense, &one_hot(part(1, 0)), &one_hot(part(2, 0)), None, &|| false)[1];
        assert_eq!(of_rows, &baselines(Task::Classes, sparse, &part(1, 0), &part(2, 0), None, &|| false)[1]);
    }

    #[test]
    fn the_majority_is_as_accurate_as_its_share() {
        let series = (0..10).map(|i| (vec![0.0], vec![if i < 7 { 1.0 } else { 0.0 }])).collect();
        let mut data = dataset(Output::EveryStep, 1, series);
        data.classes = vec!["no".into(), "yes".into()];
        let all = baselines(Task::Classes, Loss::SparseCategoricalCrossEntropy, &data, &data, None, &|| false);
        assert_eq!(all[0].scores.accuracy, Some(0.7));
        assert!(all[0].name.contains("70 %"), "{}", all[0].name);
    }
}
