//! Losses and their gradients.

use std::fmt;

use grulet::spec::{Activation, LayerSpec};
use serde::{Deserialize, Serialize};

use super::{Error, Real};

/// What training makes small: a mean over the valid series and, where there is an output at every step, steps.
///
/// Cross-entropies are computed from the sums before the last activation, as Keras does, without clipping: they and their
/// gradients are exact however sure the network is.
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
                "end the network with Dense(…, sigmoid), or take categorical cross-entropy for a softmax, or mean squared error",
            ),
            Loss::CategoricalCrossEntropy | Loss::SparseCategoricalCrossEntropy
                if activation != Some(Activation::Softmax) =>
            {
                refuse(
                    "needs probabilities of classes, which only a dense last layer with a softmax gives",
                    "end the network with Dense(…, softmax), or take binary cross-entropy for a sigmoid, or mean squared error",
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
    /// for cross-entropies, by the outputs for all others.
    #[inline]
    pub(super) fn evaluate<R: Real>(self, out: &[R], sums: &[R], target: &[R], scale: R, d: &mut [R]) -> f64 {
        let two = R::ONE + R::ONE;
        let half = R::ONE / two;
        let mut total = 0.0;
        match self {
            Loss::BinaryCrossEntropy => {
                for (((d, &p), &s), &y) in d.iter_mut().zip(out).zip(sums).zip(target) {
                    total += (s.at_least(R::ZERO) - s * y + (-s.abs()).exp().ln_1p()).to_f64();
                    *d = (p - y) * scale;
                }
            }
            Loss::CategoricalCrossEntropy => {
                let normaliser = log_sum_exp(sums);
                // 1 for probabilities; whatever it is, this is the gradient of the loss above.
                let mass = target.iter().fold(R::ZERO, |sum, &y| sum + y);
                for (((d, &p), &s), &y) in d.iter_mut().zip(out).zip(sums).zip(target) {
                    total += (y * (normaliser - s)).to_f64();
                    *d = (p * mass - y) * scale;
                }
            }
            Loss::SparseCategoricalCrossEntropy => {
                let class = target[0].to_f64() as usize;
                total = (log_sum_exp(sums) - sums[class]).to_f64();
                d.iter_mut().zip(out).for_each(|(d, &p)| *d = p * scale);
                d[class] = (out[class] - R::ONE) * scale;
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
fn sign<R: Real>(x: R) -> R {
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
