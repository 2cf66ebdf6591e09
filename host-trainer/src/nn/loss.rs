//! Losses and their gradients.

use std::fmt;

use grulet::spec::{Activation, LayerSpec};
use serde::{Deserialize, Serialize};

use super::{Error, Real};

/// What training makes small: a mean over the valid series and, where there is an output at every step, steps.
///
/// Cross-entropies are computed from the sums before the last activation, as Keras does, without clipping: they and their
/// gradients are right, to the rounding of that activation, however sure the network is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// `-y·ln p - (1-y)·ln(1-p)`, mean over outputs too; targets within [0, 1].
    BinaryCrossEntropy,
    /// `-Σ yᵢ·ln pᵢ`; targets are probabilities of the classes.
    CategoricalCrossEntropy,
    /// `-ln p_y`; the target is a class number.
    SparseCategoricalCrossEntropy,
    /// `(p-y)²`, mean over outputs too.
    MeanSquaredError,
    /// `|p-y|`, mean over outputs too.
    MeanAbsoluteError,
    /// Huber 1964: `(p-y)²/2` where that difference is at most `delta`, else `delta·|p-y| - delta²/2`; mean over outputs too.
    Huber {
        /// Where the parabola ends; 1 is usual.
        delta: f64,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::BinaryCrossEntropy => "binary cross-entropy",
            Loss::CategoricalCrossEntropy => "categorical cross-entropy",
            Loss::SparseCategoricalCrossEntropy => "sparse categorical cross-entropy",
            Loss::MeanSquaredError => "mean squared error",
            Loss::MeanAbsoluteError => "mean absolute error",
            Loss::Huber { .. } => "Huber",
        })
    }
}

impl Loss {
    /// Whether the loss counts right decisions rather than distances.
    pub fn is_classification(self) -> bool {
        match self {
            Loss::BinaryCrossEntropy | Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy => true,
            Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => false,
        }
    }

    /// D: elements of one target, for a network with that many outputs.
    pub fn target_len(self, outputs: usize) -> usize {
        if self == Loss::SparseCategoricalCrossEntropy { 1 } else { outputs }
    }

    /// Elements that the mean is over, for one output of a network with that many elements.
    pub(super) fn elements(self, outputs: usize) -> usize {
        match self {
            Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy => 1,
            _ => outputs,
        }
    }

    /// Checks that the loss fits the last layer.
    pub(super) fn check(self, last: &LayerSpec) -> Result<(), Error> {
        let activation = match *last {
            LayerSpec::Dense { activation, .. } => Some(activation),
            _ => None,
        };
        let refuse = |problem, fix| Err(Error::LossAndHead { loss: self, problem, fix });
        match self {
            Loss::BinaryCrossEntropy if activation != Some(Activation::Sigmoid) => refuse(
                "needs probabilities of yes and no, which only a dense last layer with a sigmoid gives",
                "end the network with a dense layer with a sigmoid, or take categorical cross-entropy for a softmax, or mean squared error",
            ),
            Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy
                if activation != Some(Activation::Softmax) =>
            {
                refuse(
                    "needs probabilities of classes, which only a dense last layer with a softmax gives",
                    "end the network with a dense layer with a softmax, or take binary cross-entropy for a sigmoid, or mean squared error",
                )
            }
            Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy if last.outputs() < 2 => refuse(
                "needs at least two classes, the last layer has one output",
                "give it one output per class, or take binary cross-entropy with a sigmoid",
            ),
            Loss::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => Err(Error::HuberDelta { found: delta }),
            _ => Ok(()),
        }
    }

    /// Why a target cannot be taken, if so.
    pub(super) fn refuses(self, target: f64, outputs: usize) -> Option<&'static str> {
        match self {
            Loss::BinaryCrossEntropy | Loss::CategoricalCrossEntropy if !(0.0..=1.0).contains(&target) => {
                Some("probabilities from 0 to 1")
            }
            Loss::SparseCategoricalCrossEntropy
                if !(target >= 0.0 && target < outputs as f64 && target as usize as f64 == target) =>
            {
                Some("whole class numbers from 0, below the number of outputs")
            }
            _ if !target.is_finite() => Some("finite numbers"),
            _ => None,
        }
    }

    /// The loss of one output, summed over its elements, and its gradient times `scale`: by the sums before the activation
    /// for cross-entropies, by the outputs for all others. A cross-entropy's target `y` counts as
    /// `(1 - smoothing)·y + smoothing/K`, with K classes, 2 for yes and no (Szegedy et al. 2016).
    #[inline]
    pub(super) fn evaluate<R: Real>(
        self,
        out: &[R],
        sums: &[R],
        target: &[R],
        scale: R,
        smoothing: f64,
        d: &mut [R],
    ) -> f64 {
        let keep = R::from_f64(1.0 - smoothing);
        let spread = |classes: usize| R::from_f64(smoothing / classes as f64);
        let two = R::ONE + R::ONE;
        let half = R::ONE / two;
        let mut total = 0.0;
        match self {
            Loss::BinaryCrossEntropy => {
                for (((d, &p), &s), &y) in d.iter_mut().zip(out).zip(sums).zip(target) {
                    let y = keep * y + spread(2);
                    total += (s.at_least(R::ZERO) - s * y + (-s.abs()).exp().ln_1p()).to_f64();
                    *d = (p - y) * scale;
                }
            }
            Loss::CategoricalCrossEntropy => {
                let normaliser = log_sum_exp(sums);
                // 1 for probabilities; whatever it is, this is the gradient of the loss above.
                let spread = spread(target.len());
                let mass = target.iter().fold(R::ZERO, |sum, &y| sum + (keep * y + spread));
                for (((d, &p), &s), &y) in d.iter_mut().zip(out).zip(sums).zip(target) {
                    let y = keep * y + spread;
                    total += (y * (normaliser - s)).to_f64();
                    *d = (p * mass - y) * scale;
                }
            }
            Loss::SparseCategoricalCrossEntropy => {
                let class = target[0].to_f64() as usize;
                let (normaliser, spread) = (log_sum_exp(sums), spread(sums.len()));
                total = (keep * (normaliser - sums[class])).to_f64();
                if smoothing > 0.0 {
                    total += sums.iter().map(|&s| (spread * (normaliser - s)).to_f64()).sum::<f64>();
                }
                d.iter_mut().zip(out).for_each(|(d, &p)| *d = (p - spread) * scale);
                d[class] = (out[class] - (keep + spread)) * scale;
            }
            Loss::MeanSquaredError => {
                for ((d, &p), &y) in d.iter_mut().zip(out).zip(target) {
                    let error = p - y;
                    total += (error * error).to_f64();
                    *d = two * error * scale;
                }
            }
            Loss::MeanAbsoluteError => {
                for ((d, &p), &y) in d.iter_mut().zip(out).zip(target) {
                    let error = p - y;
                    total += error.abs().to_f64();
                    *d = sign(error) * scale;
                }
            }
            Loss::Huber { delta } => {
                let delta = R::from_f64(delta);
                for ((d, &p), &y) in d.iter_mut().zip(out).zip(target) {
                    let error = p - y;
                    let size = error.abs();
                    let inside = size <= delta;
                    let value = if inside { half * error * error } else { delta * (size - half * delta) };
                    total += value.to_f64();
                    *d = if inside { error } else { delta * sign(error) } * scale;
                }
            }
        }
        total
    }
}

/// 1, 0 or -1; NaN stays NaN, so that a network that broke down is seen.
pub(super) fn sign<R: Real>(x: R) -> R {
    if x > R::ZERO {
        R::ONE
    } else if x < R::ZERO {
        -R::ONE
    } else {
        x
    }
}

/// `ln Σ e^xᵢ`.
fn log_sum_exp<R: Real>(xs: &[R]) -> R {
    let max = xs.iter().fold(xs[0], |max, &x| max.at_least(x));
    max + xs.iter().fold(R::ZERO, |sum, &x| sum + (x - max).exp()).ln()
}

#[cfg(test)]
mod tests {
    use super::super::dense::Dense;
    use super::*;

    /// Absolute error of the `f32` sigmoid where it is 0 or 1.
    const SIGMOID_F32: f64 = 1.5e-7;

    /// Loss and gradient of one output with these sums, through the layer's own activation.
    fn at<R: Real>(loss: Loss, sums: &[f64], target: &[f64]) -> (f64, Vec<f64>) {
        let activation = match loss {
            Loss::BinaryCrossEntropy => Activation::Sigmoid,
            Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy => Activation::Softmax,
            _ => Activation::Linear,
        };
        let sums: Vec<R> = sums.iter().map(|&s| R::from_f64(s)).collect();
        let target: Vec<R> = target.iter().map(|&y| R::from_f64(y)).collect();
        let mut out = sums.clone();
        Dense { inputs: 1, one_hot: false, outputs: sums.len(), activation }.activate(&mut out);
        let mut d = vec![R::from_f64(f64::NAN); sums.len()];
        let total = loss.evaluate(&out, &sums, &target, R::ONE, 0.0, &mut d);
        (total, d.into_iter().map(R::to_f64).collect())
    }

    /// Keras computes from sums without clipping: a wrong answer costs as much as the sum is large.
    fn extreme_sums_give_the_exact_loss<R: Real>() {
        for (sum, target, expected, gradient) in [
            (1e4, 1.0, 0.0, 0.0),
            (-1e4, 0.0, 0.0, 0.0),
            (1e4, 0.0, 1e4, 1.0),
            (-1e4, 1.0, 1e4, -1.0),
            (1e4, 0.25, 7500.0, 0.75),
        ] {
            let (total, d) = at::<R>(Loss::BinaryCrossEntropy, &[sum], &[target]);
            assert_eq!(total, expected, "{sum}, {target}");
            assert!((d[0] - gradient).abs() <= SIGMOID_F32, "{sum}, {target}: {d:?}");
        }
        for (loss, wrong, right) in [
            (Loss::CategoricalCrossEntropy, &[0.0, 0.0, 1.0][..], &[1.0, 0.0, 0.0][..]),
            (Loss::SparseCategoricalCrossEntropy, &[2.0], &[0.0]),
        ] {
            let sums = [1e4, 0.0, -1e4];
            assert_eq!(at::<R>(loss, &sums, wrong), (2e4, vec![1.0, 0.0, -1.0]), "{loss}");
            assert_eq!(at::<R>(loss, &sums, right), (0.0, vec![0.0, 0.0, 0.0]), "{loss}");
            // Only differences between sums count.
            let (total, d) = at::<R>(loss, &[1e4, 1e4, 1e4], wrong);
            assert!((total - libm::log(3.0)).abs() < 1e-3 && (d[0] - 1.0 / 3.0).abs() < 1e-6, "{loss}: {total}, {d:?}");
        }
    }

    #[test]
    fn extreme_sums_give_the_exact_loss_f32() {
        extreme_sums_give_the_exact_loss::<f32>();
    }

    #[test]
    fn extreme_sums_give_the_exact_loss_f64() {
        extreme_sums_give_the_exact_loss::<f64>();
    }

    #[test]
    fn far_outputs_give_finite_regression_losses() {
        assert_eq!(at::<f32>(Loss::MeanSquaredError, &[1e4], &[-1e4]), (4e8, vec![4e4]));
        assert_eq!(
            at::<f32>(Loss::MeanAbsoluteError, &[1e4, -1e4, 3.0], &[-1e4, 1e4, 3.0]),
            (4e4, vec![1.0, -1.0, 0.0])
        );
        let huber = Loss::Huber { delta: 2.0 };
        assert_eq!(at::<f32>(huber, &[1e4, -1e4], &[0.0, 0.0]), (2.0 * (2e4 - 2.0), vec![2.0, -2.0]));
        // The two branches meet at delta.
        assert_eq!(at::<f32>(huber, &[2.0, -1.0], &[0.0, 0.0]), (2.0 + 0.5, vec![2.0, -1.0]));
    }

    #[test]
    fn values_by_hand() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-14;
        let (p, s) = (0.8_f64, libm::log(4.0));
        let (total, d) = at::<f64>(Loss::BinaryCrossEntropy, &[s, -s], &[1.0, 0.3]);
        let expected = -libm::log(p) - 0.3 * libm::log(1.0 - p) - 0.7 * libm::log(p);
        assert!(close(total, expected) && close(d[0], p - 1.0) && close(d[1], 1.0 - p - 0.3), "{total}, {d:?}");

        // Probabilities 1/6, 2/6, 3/6.
        let sums = [0.0, libm::log(2.0), libm::log(3.0)];
        let (total, d) = at::<f64>(Loss::CategoricalCrossEntropy, &sums, &[0.5, 0.0, 0.5]);
        assert!(close(total, 0.5 * libm::log(6.0) + 0.5 * libm::log(2.0)), "{total}");
        assert!(close(d[0], 1.0 / 6.0 - 0.5) && close(d[1], 1.0 / 3.0) && close(d[2], 0.0), "{d:?}");
    }

    #[test]
    fn one_hot_targets_equal_class_numbers() {
        let sums = [0.3, -1.2, 2.5, 0.9];
        for class in 0..4 {
            let mut one_hot = [0.0; 4];
            one_hot[class] = 1.0;
            let (dense, d_dense) = at::<f64>(Loss::CategoricalCrossEntropy, &sums, &one_hot);
            let (sparse, d_sparse) = at::<f64>(Loss::SparseCategoricalCrossEntropy, &sums, &[class as f64]);
            assert_eq!((dense, d_dense), (sparse, d_sparse), "class {class}");
            assert!(dense > 0.0);
        }
    }

    /// A network that broke down must not look like one that is right.
    #[test]
    fn nan_stays_nan() {
        for loss in
            [Loss::MeanSquaredError, Loss::MeanAbsoluteError, Loss::Huber { delta: 1.0 }, Loss::BinaryCrossEntropy]
        {
            let (total, d) = at::<f32>(loss, &[f64::NAN], &[1.0]);
            assert!(total.is_nan() && d[0].is_nan(), "{loss}: {total}, {d:?}");
        }
        for sums in [[f64::NAN, 0.0, 1.0], [0.0, f64::NAN, 1.0], [0.0, 1.0, f64::NAN]] {
            for (loss, target) in
                [(Loss::SparseCategoricalCrossEntropy, &[0.0][..]), (Loss::CategoricalCrossEntropy, &[0.0, 1.0, 0.0])]
            {
                let (total, d) = at::<f32>(loss, &sums, target);
                assert!(total.is_nan() && d.iter().all(|d| d.is_nan()), "{loss}, {sums:?}: {total}, {d:?}");
            }
        }
    }

    #[test]
    fn heads_and_targets_that_do_not_fit_are_refused() {
        let head = |outputs, activation| LayerSpec::Dense { inputs: 2, outputs, activation };
        assert!(Loss::BinaryCrossEntropy.check(&head(1, Activation::Sigmoid)).is_ok());
        assert!(Loss::BinaryCrossEntropy.check(&head(2, Activation::Softmax)).is_err());
        assert!(Loss::CategoricalCrossEntropy.check(&head(2, Activation::Softmax)).is_ok());
        assert!(Loss::CategoricalCrossEntropy.check(&head(2, Activation::Sigmoid)).is_err());
        assert!(Loss::SparseCategoricalCrossEntropy.check(&head(1, Activation::Softmax)).is_err());
        for delta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Loss::Huber { delta }.check(&head(1, Activation::Linear)).is_err(), "{delta}");
        }
        let takes = |loss: Loss, target| loss.refuses(target, 3).is_none();
        for (target, probability, class, number) in [
            (0.0, true, true, true),
            (1.0, true, true, true),
            (0.5, true, false, true),
            (2.0, false, true, true),
            (3.0, false, false, true),
            (-1.0, false, false, true),
            (f64::NAN, false, false, false),
            (f64::INFINITY, false, false, false),
        ] {
            assert_eq!(takes(Loss::BinaryCrossEntropy, target), probability, "{target}");
            assert_eq!(takes(Loss::CategoricalCrossEntropy, target), probability, "{target}");
            assert_eq!(takes(Loss::SparseCategoricalCrossEntropy, target), class, "{target}");
            assert_eq!(takes(Loss::MeanAbsoluteError, target), number, "{target}");
        }
    }
}
