//! Adam, and the clipping of gradients.

use serde::{Deserialize, Serialize};

use super::Real;

/// Where Adam adds its epsilon, and what it is: the two frameworks differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Epsilon {
    /// `w -= lr·√(1-β₂ᵗ)/(1-β₁ᵗ) · m/(√v + 1e-7)`: Keras, and section 2 of the paper.
    #[default]
    Keras,
    /// `w -= lr/(1-β₁ᵗ) · m/(√v/√(1-β₂ᵗ) + 1e-8)`: PyTorch, and algorithm 1 of the paper.
    PyTorch,
}

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;

/// Adam (Kingma and Ba 2015) with β₁ = 0.9 and β₂ = 0.999; the state that a checkpoint keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam<R> {
    epsilon: Epsilon,
    steps: u64,
    mean: Vec<R>,
    square: Vec<R>,
}

impl<R: Real> Adam<R> {
    /// For that many parameters.
    pub fn new(params: usize, epsilon: Epsilon) -> Self {
        Self { epsilon, steps: 0, mean: vec![R::ZERO; params], square: vec![R::ZERO; params] }
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Parameters that the state is for; a checkpoint's reader compares it with the network's.
    pub fn params(&self) -> usize {
        self.mean.len()
    }

    /// Makes one step against `gradients`.
    ///
    /// # Panics
    /// Where the lengths differ from [`Adam::params`].
    pub fn step(&mut self, params: &mut [R], gradients: &[R], learning_rate: f64) {
        assert_eq!(params.len(), self.mean.len(), "Adam's state is for another number of parameters");
        assert_eq!(gradients.len(), self.mean.len(), "there must be one gradient for each parameter");
        self.steps += 1;
        let (keep_mean, keep_square) = (R::from_f64(1.0 - BETA_1), R::from_f64(1.0 - BETA_2));
        let all = params.iter_mut().zip(gradients).zip(&mut self.mean).zip(&mut self.square);
        match self.epsilon {
            Epsilon::Keras => {
                let rate = keras_rate::<R>(learning_rate, self.steps);
                let epsilon = R::from_f64(1e-7);
                for (((w, &g), m), v) in all {
                    *m += (g - *m) * keep_mean;
                    *v += (g * g - *v) * keep_square;
                    *w -= *m * rate / (v.sqrt() + epsilon);
                }
            }
            Epsilon::PyTorch => {
                let steps = self.steps as f64;
                let rate = R::from_f64(learning_rate / (1.0 - libm::pow(BETA_1, steps)));
                let root = R::from_f64(libm::sqrt(1.0 - libm::pow(BETA_2, steps)));
                let epsilon = R::from_f64(1e-8);
                let beta_2 = R::from_f64(BETA_2);
                for (((w, &g), m), v) in all {
                    *m += (g - *m) * keep_mean;
                    *v = *v * beta_2 + g * g * keep_square;
                    *w -= rate * (*m / (v.sqrt() / root + epsilon));
                }
            }
        }
    }
}

/// `lr·√(1-β₂ᵗ)/(1-β₁ᵗ)` as Keras computes it: the β under the powers are `f32` whatever the parameters are, and the rest
/// happens in the parameters' type.
fn keras_rate<R: Real>(learning_rate: f64, steps: u64) -> R {
    let power = |beta: f64| R::from_f64(libm::pow(f64::from(beta as f32), steps as f64));
    R::from_f64(learning_rate) * (R::ONE - power(BETA_2)).sqrt() / (R::ONE - power(BETA_1))
}

/// Scales `gradients` so that their Euclidean norm is at most `limit`; returns the norm that they had.
///
/// The norm is summed in `f64`. Where it is not finite the gradients stay as they are, and the caller should stop.
pub fn clip_by_norm<R: Real>(gradients: &mut [R], limit: f64) -> f64 {
    // Eight sums side by side, because one alone waits for itself.
    let mut sums = [0.0; 8];
    let chunks = gradients.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(|g| g.to_f64() * g.to_f64()).sum();
    for chunk in chunks {
        for (sum, g) in sums.iter_mut().zip(chunk) {
            *sum += g.to_f64() * g.to_f64();
        }
    }
    let norm = libm::sqrt(sums.iter().sum::<f64>() + rest);
    if norm > limit && norm.is_finite() {
        let factor = R::from_f64(limit / norm);
        gradients.iter_mut().for_each(|g| *g *= factor);
    }
    norm
}
