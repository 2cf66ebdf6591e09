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

#[cfg(test)]
mod tests {
    use super::*;

    /// Eleven numbers, so that both the groups of eight and their remainder count; their norm is 9.
    fn gradients() -> Vec<f64> {
        let mut gradients = vec![0.0; 11];
        (gradients[0], gradients[5], gradients[9]) = (4.0, -7.0, 4.0);
        gradients
    }

    #[test]
    fn a_norm_above_the_limit_becomes_the_limit() {
        let mut clipped = gradients();
        assert_eq!(clip_by_norm(&mut clipped, 4.5), 9.0);
        let halves: Vec<f64> = gradients().iter().map(|g| g / 2.0).collect();
        assert_eq!(clipped, halves);
        // f32 too, and where the squares would overflow.
        let mut large = [3e30_f32, 4e30];
        assert!((clip_by_norm(&mut large, 5.0) / 5e30 - 1.0).abs() < 1e-7);
        assert!((large[0] - 3.0).abs() < 1e-6 && (large[1] - 4.0).abs() < 1e-6, "{large:?}");
    }

    #[test]
    fn a_norm_up_to_the_limit_stays() {
        for limit in [9.0, 9.5, f64::INFINITY] {
            let mut same = gradients();
            assert_eq!(clip_by_norm(&mut same, limit), 9.0);
            assert_eq!(same, gradients());
        }
        let mut zeros = [0.0_f32; 9];
        assert_eq!(clip_by_norm(&mut zeros, 1.0), 0.0);
        assert_eq!(zeros, [0.0; 9]);
        assert_eq!(clip_by_norm::<f32>(&mut [], 1.0), 0.0);
    }

    #[test]
    fn a_norm_that_is_not_finite_stays_and_is_told() {
        for (bad, at) in [(f64::NAN, 2), (f64::NAN, 10), (f64::INFINITY, 2), (f64::NEG_INFINITY, 10)] {
            let mut broken = gradients();
            broken[at] = bad;
            let before: Vec<u64> = broken.iter().map(|g| g.to_bits()).collect();
            assert!(!clip_by_norm(&mut broken, 1.0).is_finite(), "{bad} at {at}");
            assert_eq!(broken.iter().map(|g| g.to_bits()).collect::<Vec<_>>(), before);
        }
    }

    /// Two steps by the formulas in the paper, written out for one parameter.
    #[test]
    fn steps_by_hand() {
        for epsilon in [Epsilon::Keras, Epsilon::PyTorch] {
            let (mut m, mut v, mut expected) = (0.0, 0.0, 0.5);
            let (mut adam, mut param) = (Adam::<f64>::new(1, epsilon), [0.5]);
            for (t, g) in [(1, 3e-6), (2, -1e-6), (3, 2.0)] {
                adam.step(&mut param, &[g], 0.01);
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                let (mean, root) =
                    (1.0 - libm::pow(0.9, f64::from(t)), libm::sqrt(1.0 - libm::pow(0.999, f64::from(t))));
                expected -= match epsilon {
                    Epsilon::Keras => 0.01 * root / mean * m / (libm::sqrt(v) + 1e-7),
                    Epsilon::PyTorch => 0.01 / mean * m / (libm::sqrt(v) / root + 1e-8),
                };
                // Keras rounds the learning rate and β to f32 on the way, 1 - β₂ᵗ loses the most.
                let tolerance = if epsilon == Epsilon::Keras { 1e-6 } else { 1e-15 };
                assert!((param[0] - expected).abs() < tolerance, "{epsilon:?}, step {t}: {} but {expected}", param[0]);
                assert_eq!(adam.steps(), t as u64);
            }
        }
    }
}
