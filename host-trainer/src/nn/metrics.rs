//! How good a network is, gathered over batches.

use serde::Serialize;

use super::{Loss, Real};

/// Sums over everything seen so far: loss, and accuracy (classification) or errors and R² (regression).
///
/// Merging in a fixed order gives the same bits whatever the number of threads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    loss_sum: f64,
    loss_elements: u64,
    correct: u64,
    decisions: u64,
    /// Outputs of a regression seen.
    rows: u64,
    outputs: Vec<Moments>,
}

/// Sums of one element of the outputs of a regression.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moments {
    absolute_error: f64,
    squared_error: f64,
    /// Mean of the targets.
    mean: f64,
    /// Squared distances of the targets from their mean.
    spread: f64,
}

/// How far a regression is off: one output, or all together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// Mean absolute error, in the output's unit.
    pub mae: f64,
    /// Root of the mean squared error, in the output's unit.
    pub rmse: f64,
    /// Coefficient of determination, `1 - Σ(p-y)² / Σ(y-ȳ)²`; over all outputs, their mean. None where a target never
    /// changes.
    pub r2: Option<f64>,
}

impl Metrics {
    /// The mean loss; NaN before the first batch.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.loss_elements as f64
    }

    /// Fraction of right decisions: of outputs on the right side of 0.5 for binary cross-entropy, of largest
    /// probabilities in the right place for the others. None for a regression.
    pub fn accuracy(&self) -> Option<f64> {
        (self.decisions > 0).then(|| self.correct as f64 / self.decisions as f64)
    }

    /// Mean absolute error of a regression.
    pub fn mae(&self) -> Option<f64> {
        let sum: f64 = self.outputs.iter().map(|output| output.absolute_error).sum();
        (self.rows > 0).then(|| sum / (self.rows as f64 * self.outputs.len() as f64))
    }

    /// Mean squared error of a regression.
    pub fn mse(&self) -> Option<f64> {
        let sum: f64 = self.outputs.iter().map(|output| output.squared_error).sum();
        (self.rows > 0).then(|| sum / (self.rows as f64 * self.outputs.len() as f64))
    }

    /// Coefficient of determination of a regression, mean over the outputs; None where a target never changes.
    pub fn r2(&self) -> Option<f64> {
        let usable = self.rows > 0 && self.outputs.iter().all(|output| output.spread > 0.0);
        let sum: f64 = self.outputs.iter().map(|output| 1.0 - output.squared_error / output.spread).sum();
        usable.then(|| sum / self.outputs.len() as f64)
    }

    /// Errors of a regression over all outputs.
    pub fn errors(&self) -> Option<Errors> {
        Some(Errors { mae: self.mae()?, rmse: self.mse()?.sqrt(), r2: self.r2() })
    }

    /// Errors of each output of a regression.
    pub fn output_errors(&self) -> impl Iterator<Item = Errors> {
        let rows = self.rows as f64;
        self.outputs.iter().map(move |output| Errors {
            mae: output.absolute_error / rows,
            rmse: (output.squared_error / rows).sqrt(),
            r2: (output.spread > 0.0).then(|| 1.0 - output.squared_error / output.spread),
        })
    }

    /// Metrics of outputs (N, O) that were computed elsewhere, against targets (N, D). Cross-entropies take probabilities
    /// no nearer to 0 and 1 than 1e-7, as Keras does where it has no sums.
    pub fn of_outputs(loss: Loss, width: usize, outputs: &[f32], targets: &[f32]) -> Self {
        let near = |p: f32| f64::from(p).clamp(1e-7, 1.0 - 1e-7);
        let mut metrics = Self::default();
        let pairs = || outputs.chunks_exact(width).zip(targets.chunks_exact(loss.target_len(width)));
        let (mut out, mut sums, mut gradient) = (vec![0.0; width], vec![0.0; width], vec![0.0; width]);
        for (row, target) in pairs() {
            for ((out, sum), &p) in out.iter_mut().zip(&mut sums).zip(row) {
                *out = f64::from(p);
                *sum = match loss {
                    Loss::BinaryCrossEntropy => libm::log(near(p) / (1.0 - near(p))),
                    Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy => libm::log(near(p)),
                    _ => f64::from(p),
                };
            }
            let target: Vec<f64> = target.iter().map(|&y| f64::from(y)).collect();
            metrics.add_loss(loss.evaluate(&out, &sums, &target, 1.0, 0.0, &mut gradient), loss.elements(width));
        }
        metrics.add(loss, width, pairs().collect::<Vec<_>>().iter().copied());
        metrics
    }

    /// Adds what another has gathered with the same loss.
    pub fn merge(&mut self, other: &Metrics) {
        self.loss_sum += other.loss_sum;
        self.loss_elements += other.loss_elements;
        self.correct += other.correct;
        self.decisions += other.decisions;
        if self.outputs.len() < other.outputs.len() {
            self.outputs.resize(other.outputs.len(), Moments::default());
        }
        // Chan, Golub and LeVeque 1983: moments of two samples together.
        let (n, m) = (self.rows as f64, other.rows as f64);
        self.rows += other.rows;
        if other.rows > 0 {
            for (mine, other) in self.outputs.iter_mut().zip(&other.outputs) {
                let distance = other.mean - mine.mean;
                mine.absolute_error += other.absolute_error;
                mine.squared_error += other.squared_error;
                mine.mean += distance * m / (n + m);
                mine.spread += other.spread + distance * distance * n * m / (n + m);
            }
        }
    }

    /// Forgets everything but keeps its memory.
    pub(super) fn clear(&mut self) {
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.clear();
        *self = Metrics { outputs, ..Metrics::default() };
    }

    /// Adds the loss of one output, summed over `elements`.
    pub(super) fn add_loss(&mut self, sum: f64, elements: usize) {
        self.loss_sum += sum;
        self.loss_elements += elements as u64;
    }

    /// Adds outputs and their targets.
    pub(super) fn add<'a, R: Real>(
        &mut self,
        loss: Loss,
        width: usize,
        pairs: impl Iterator<Item = (&'a [R], &'a [R])> + Clone,
    ) {
        match loss {
            Loss::BinaryCrossEntropy => {
                let half = R::from_f64(0.5);
                for (out, target) in pairs {
                    self.correct += out.iter().zip(target).filter(|&(&p, &y)| (p > half) == (y > half)).count() as u64;
                    self.decisions += width as u64;
                }
            }
            Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy => {
                let sparse = loss == Loss::SparseCategoricalCrossEntropy;
                for (out, target) in pairs {
                    let class = if sparse { target[0].to_f64() as usize } else { argmax(target) };
                    self.correct += u64::from(argmax(out) == class);
                    self.decisions += 1;
                }
            }
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => self.add_regression(width, pairs),
        }
    }

    fn add_regression<'a, R: Real>(&mut self, width: usize, pairs: impl Iterator<Item = (&'a [R], &'a [R])> + Clone) {
        // The moments of these pairs by two passes; what was there before must have been merged elsewhere.
        debug_assert_eq!(self.rows, 0);
        self.outputs.resize(width, Moments::default());
        for (out, target) in pairs.clone() {
            self.rows += 1;
            for ((moments, p), y) in self.outputs.iter_mut().zip(out).zip(target) {
                let error = p.to_f64() - y.to_f64();
                moments.absolute_error += error.abs();
                moments.squared_error += error * error;
                moments.mean += y.to_f64();
            }
        }
        self.outputs.iter_mut().for_each(|moments| moments.mean /= self.rows as f64);
        for (_, target) in pairs {
            for (moments, y) in self.outputs.iter_mut().zip(target) {
                let distance = y.to_f64() - moments.mean;
                moments.spread += distance * distance;
            }
        }
    }
}

/// Index of the first largest value; 0 of none.
pub fn argmax<R: Real>(xs: &[R]) -> usize {
    (1..xs.len()).fold(0, |best, i| if xs[i] > xs[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_the_largest() {
        assert_eq!([argmax(&[0.2, 0.4, 0.4]), argmax(&[0.5, 0.4, 0.1]), argmax(&[1.0])], [1, 0, 0]);
    }

    /// Largest relative difference to a computation in another order.
    const METRICS: f64 = 1e-12;

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() <= METRICS * b.abs().max(1.0))
    }

    /// Outputs and targets (N, width) without a pattern; the targets of element `o` are around `offset + o`.
    fn regression(rows: usize, width: usize, offset: f32) -> (Vec<f32>, Vec<f32>) {
        let noise = |i: usize, seed: f64| libm::sin(seed + 1.7 * i as f64) as f32;
        let targets = (0..rows * width).map(|i| offset + (i % width) as f32 + noise(i, 0.3)).collect::<Vec<_>>();
        let outputs = targets.iter().enumerate().map(|(i, y)| y + 0.5 * noise(i, 0.8)).collect();
        (outputs, targets)
    }

    /// Metrics of parts of these lengths, merged.
    fn merged(loss: Loss, width: usize, outputs: &[f32], targets: &[f32], parts: &[usize]) -> Metrics {
        let (mut metrics, mut from) = (Metrics::default(), 0);
        for part in parts {
            let depth = loss.target_len(width);
            let (outputs, targets) =
                (&outputs[from * width..][..part * width], &targets[from * depth..][..part * depth]);
            metrics.merge(&Metrics::of_outputs(loss, width, outputs, targets));
            from += part;
        }
        metrics
    }

    #[test]
    fn regression_metrics_are_the_textbook_ones() {
        let (rows, width) = (50, 3);
        for offset in [0.0, 1000.0] {
            let (outputs, targets) = regression(rows, width, offset);
            let pairs = || outputs.iter().zip(&targets).map(|(&p, &y)| (f64::from(p), f64::from(y)));
            let mae = pairs().map(|(p, y)| (p - y).abs()).sum::<f64>() / (rows * width) as f64;
            let mse = pairs().map(|(p, y)| (p - y) * (p - y)).sum::<f64>() / (rows * width) as f64;
            let r2 = (0..width)
                .map(|o| {
                    let column: Vec<(f64, f64)> = pairs().skip(o).step_by(width).collect();
                    let mean = column.iter().map(|(_, y)| y).sum::<f64>() / rows as f64;
                    let errors: f64 = column.iter().map(|(p, y)| (p - y) * (p - y)).sum();
                    1.0 - errors / column.iter().map(|(_, y)| (y - mean) * (y - mean)).sum::<f64>()
                })
                .sum::<f64>()
                / width as f64;
            assert!(0.5 < r2 && r2 < 0.95, "{r2}");
            for parts in [&[50][..], &[20, 30], &[1, 1, 1, 47], &[0, 25, 0, 25, 0]] {
                let metrics = merged(Loss::MeanSquaredError, width, &outputs, &targets, parts);
                assert!(close(metrics.mae(), mae), "{metrics:?}");
                assert!(close(metrics.mse(), mse), "{metrics:?}");
                assert!(close(metrics.r2(), r2), "{:?} but {r2}, {parts:?}", metrics.r2());
                assert!(close(Some(metrics.loss()), mse), "{}", metrics.loss());
                assert_eq!(metrics.accuracy(), None);
                let metrics = merged(Loss::MeanAbsoluteError, width, &outputs, &targets, parts);
                assert!(close(Some(metrics.loss()), mae) && close(metrics.r2(), r2), "{metrics:?}");
            }
        }
    }

    #[test]
    fn r2_needs_targets_that_change() {
        let of = |targets: &[f32]| Metrics::of_outputs(Loss::MeanSquaredError, 1, &[1.0, 2.0, 3.0], targets).r2();
        assert_eq!(of(&[2.0, 2.0, 2.0]), None);
        assert_eq!(of(&[1.0, 2.0, 3.0]), Some(1.0));
        // No better than the mean; worse.
        assert_eq!(Metrics::of_outputs(Loss::MeanSquaredError, 1, &[2.0; 3], &[1.0, 2.0, 3.0]).r2(), Some(0.0));
        assert_eq!(of(&[3.0, 2.0, 1.0]), Some(-3.0));
    }

    #[test]
    fn each_output_has_its_own_errors() {
        // The first is off by 1, 1 and -2 about a mean of 2; the second never changes and is off by 0, 3 and -4.
        let (outputs, targets) = ([2.0, 5.0, 3.0, 8.0, 1.0, 1.0], [1.0, 5.0, 2.0, 5.0, 3.0, 5.0]);
        for parts in [&[3][..], &[1, 2]] {
            let metrics = merged(Loss::MeanSquaredError, 2, &outputs, &targets, parts);
            let [first, second] = metrics.output_errors().collect::<Vec<_>>()[..] else { panic!("two outputs") };
            assert!(close(Some(first.mae), 4.0 / 3.0) && close(Some(first.rmse), 2f64.sqrt()), "{first:?}");
            assert!(close(first.r2, 1.0 - 6.0 / 2.0), "{first:?}");
            assert!(close(Some(second.mae), 7.0 / 3.0) && close(Some(second.rmse), (25.0 / 3f64).sqrt()), "{second:?}");
            assert_eq!(second.r2, None);
            let all = metrics.errors().unwrap();
            assert!(close(Some(all.mae), 11.0 / 6.0) && close(Some(all.rmse), (31.0 / 6f64).sqrt()), "{all:?}");
            assert_eq!(all.r2, None);
        }
        assert_eq!(Metrics::default().errors(), None);
    }

    #[test]
    fn accuracy_counts_right_decisions() {
        // Binary: each output is a decision, 0.5 is no.
        let outputs = [0.9, 0.1, 0.5, 0.51, 0.2, 0.7];
        let targets = [1.0, 0.0, 1.0, 1.0, 1.0, 0.0];
        for parts in [&[3][..], &[1, 2], &[2, 0, 1]] {
            let metrics = merged(Loss::BinaryCrossEntropy, 2, &outputs, &targets, parts);
            assert_eq!(metrics.accuracy(), Some(0.5));
            let terms = [0.9, 0.9, 0.5, 0.51, 0.2, 0.3].map(|p: f32| -libm::log(f64::from(p)));
            // 0.9 stands for 1 - 0.1 and 0.3 for 1 - 0.7, which differ in f32.
            assert!((metrics.loss() - terms.iter().sum::<f64>() / 6.0).abs() < 1e-7, "{}", metrics.loss());
            assert_eq!((metrics.mae(), metrics.mse(), metrics.r2()), (None, None, None));
        }
        // Classes: each row is a decision, the first of equals wins.
        let outputs = [0.2, 0.5, 0.3, 0.6, 0.3, 0.1, 0.4, 0.4, 0.2, 0.1, 0.2, 0.7];
        let classes = [1.0, 2.0, 0.0, 2.0];
        let one_hot: Vec<f32> =
            classes.iter().flat_map(|&c| [0.0, 1.0, 2.0].map(|k| f32::from(u8::from(k == c)))).collect();
        for parts in [&[4][..], &[1, 3]] {
            let sparse = merged(Loss::SparseCategoricalCrossEntropy, 3, &outputs, &classes, parts);
            let dense = merged(Loss::CategoricalCrossEntropy, 3, &outputs, &one_hot, parts);
            assert_eq!((sparse.accuracy(), dense.accuracy()), (Some(0.75), Some(0.75)));
            let expected = -[0.5, 0.1, 0.4, 0.7].map(libm::log).iter().sum::<f64>() / 4.0;
            for loss in [sparse.loss(), dense.loss()] {
                assert!((loss - expected).abs() < 1e-7, "{loss} but {expected}");
            }
        }
    }

    #[test]
    fn certain_and_wrong_is_clipped_as_keras_does() {
        let loss = Metrics::of_outputs(Loss::SparseCategoricalCrossEntropy, 2, &[1.0, 0.0], &[1.0]).loss();
        assert!((loss + libm::log(1e-7)).abs() < 1e-6, "{loss}");
        let loss = Metrics::of_outputs(Loss::BinaryCrossEntropy, 1, &[1.0], &[0.0]).loss();
        assert!((loss + libm::log(1e-7)).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn nothing_seen_is_nothing_told() {
        let metrics = Metrics::default();
        assert!(metrics.loss().is_nan());
        let all = [metrics.accuracy(), metrics.mae(), metrics.mse(), metrics.r2()];
        assert_eq!(all, [None; 4]);
    }
}
