//! How good a network is, gathered over batches.

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
    absolute_error: f64,
    /// Outputs of a regression seen.
    rows: u64,
    outputs: Vec<Moments>,
}

/// Sums of one element of the outputs of a regression.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Moments {
    squared_error: f64,
    /// Mean of the targets.
    mean: f64,
    /// Squared distances of the targets from their mean.
    spread: f64,
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
        (self.rows > 0).then(|| self.absolute_error / (self.rows as f64 * self.outputs.len() as f64))
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
            metrics.add_loss(loss.evaluate(&out, &sums, &target, 1.0, &mut gradient), loss.elements(width));
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
        self.absolute_error += other.absolute_error;
        if self.outputs.len() < other.outputs.len() {
            self.outputs.resize(other.outputs.len(), Moments::default());
        }
        // Chan, Golub and LeVeque 1983: moments of two samples together.
        let (n, m) = (self.rows as f64, other.rows as f64);
        self.rows += other.rows;
        if other.rows > 0 {
            for (mine, other) in self.outputs.iter_mut().zip(&other.outputs) {
                let distance = other.mean - mine.mean;
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
                self.absolute_error += error.abs();
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

/// Index of the first largest value.
fn argmax<R: Real>(xs: &[R]) -> usize {
    let mut best = 0;
    for (i, &x) in xs.iter().enumerate() {
        if x > xs[best] {
            best = i;
        }
    }
    best
}
