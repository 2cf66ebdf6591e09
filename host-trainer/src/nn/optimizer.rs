//! The optimisers: what a gradient does to the parameters. All as Keras 3 has them.

use serde::{Deserialize, Serialize};

use super::Real;
use super::average::Average;
use super::simd::{Isa, Kernel, dispatch};

/// A rule by which a gradient `g` changes a parameter `w`, at the learning rate `lr`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// Adam (Kingma and Ba 2015) with β₁ = 0.9 and β₂ = 0.999: `m += (1-β₁)(g - m)`, `v += (1-β₂)(g² - v)`, and then
    /// [`Epsilon`].
    Adam(Epsilon),
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019): `w -= lr·weight_decay·w`, and then Adam. As in Keras,
    /// all parameters decay, biases too.
    AdamW {
        /// Adam's.
        epsilon: Epsilon,
        /// The part of a parameter that goes at a learning rate of 1.
        weight_decay: f64,
    },
    /// Gradient descent. `w -= lr·g` without momentum, else `u = momentum·u - lr·g`, and then `w += u`, or
    /// `w += momentum·u - lr·g` for Nesterov's (Sutskever et al. 2013).
    Sgd {
        /// The part of the velocity `u` that stays from step to step; 0 for none.
        momentum: f64,
        /// Whether the gradient counts as that of the place to which the velocity leads.
        nesterov: bool,
    },
    /// RMSprop (Hinton 2012) with ρ = 0.9: `v = ρ·v + (1-ρ)·g²`, `w -= lr·g/√(v + 1e-7)`.
    RmsProp,
}

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
const RHO: f64 = 0.9;

/// A [`Rule`] with what it remembers of earlier gradients; the state that a checkpoint keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimizer<R> {
    rule: Rule,
    params: usize,
    steps: u64,
    /// Adam's mean of gradients `m`, or the velocity `u`; empty where the rule has neither.
    mean: Vec<R>,
    /// The mean of squared gradients `v`; empty where the rule has none.
    square: Vec<R>,
    average: Option<Average<R>>,
}

impl<R: Real> Optimizer<R> {
    /// For that many parameters.
    pub fn new(params: usize, rule: Rule) -> Self {
        let (mean, square) = match rule {
            Rule::Adam(_) | Rule::AdamW { .. } => (params, params),
            Rule::Sgd { momentum, .. } => (if momentum == 0.0 { 0 } else { params }, 0),
            Rule::RmsProp => (0, params),
        };
        let (mean, square) = (vec![R::ZERO; mean], vec![R::ZERO; square]);
        Self { rule, params, steps: 0, mean, square, average: None }
    }

    /// None, of that many parameters: of a model that was not trained here.
    pub fn none(params: usize) -> Self {
        Self::new(params, Rule::Sgd { momentum: 0.0, nesterov: false })
    }

    /// Keeps a moving average of the parameters too, as Keras's `use_ema` with `ema_momentum`: after each step
    /// `average = momentum·average + (1-momentum)·w`, from the `w` after the first step on.
    #[must_use]
    pub fn averaging(mut self, momentum: f64) -> Self {
        self.average = Some(Average::new(self.params, momentum));
        self
    }

    /// Puts the average in the place of the parameters, and the parameters in its own (Keras's `SwapEMAWeights`); a second call
    /// undoes it, which must be done before the next step. Nothing happens without an average, or before the first step.
    pub fn swap_average(&mut self, params: &mut [R]) {
        if let Some(average) = self.average.as_mut().filter(|_| self.steps > 0) {
            average.swap(params);
        }
    }

    /// The rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Makes one step against `gradients`.
    ///
    /// # Panics
    /// Where the lengths differ from what the optimiser is for.
    pub fn step(&mut self, params: &mut [R], gradients: &[R], learning_rate: f64) {
        assert_eq!(params.len(), self.params, "the optimiser's state is for another number of parameters");
        assert_eq!(gradients.len(), self.params, "there must be one gradient for each parameter");
        self.steps += 1;
        match self.rule {
            Rule::Adam(epsilon) => self.adam(params, gradients, learning_rate, epsilon),
            Rule::AdamW { epsilon, weight_decay } => {
                let decay = R::from_f64(learning_rate * weight_decay);
                params.iter_mut().for_each(|w| *w -= *w * decay);
                self.adam(params, gradients, learning_rate, epsilon);
            }
            Rule::Sgd { momentum, nesterov } => self.sgd(params, gradients, learning_rate, momentum, nesterov),
            Rule::RmsProp => self.rms_prop(params, gradients, learning_rate),
        }
        if let Some(average) = &mut self.average {
            average.update(params, self.steps == 1);
        }
    }

    fn adam(&mut self, params: &mut [R], gradients: &[R], learning_rate: f64, epsilon: Epsilon) {
        let (mean, square) = (&mut self.mean[..], &mut self.square[..]);
        dispatch(Adam { params, gradients, mean, square, steps: self.steps, learning_rate, epsilon });
    }

    fn sgd(&mut self, params: &mut [R], gradients: &[R], learning_rate: f64, momentum: f64, nesterov: bool) {
        let rate = R::from_f64(learning_rate);
        if self.mean.is_empty() {
            params.iter_mut().zip(gradients).for_each(|(w, &g)| *w -= g * rate);
            return;
        }
        let momentum = R::from_f64(momentum);
        for ((w, &g), u) in params.iter_mut().zip(gradients).zip(&mut self.mean) {
            *u = *u * momentum - g * rate;
            *w += if nesterov { *u * momentum - g * rate } else { *u };
        }
    }

    fn rms_prop(&mut self, params: &mut [R], gradients: &[R], learning_rate: f64) {
        let rate = R::from_f64(learning_rate);
        let (rho, rest, epsilon) = (R::from_f64(RHO), R::from_f64(1.0 - RHO), R::from_f64(1e-7));
        for ((w, &g), v) in params.iter_mut().zip(gradients).zip(&mut self.square) {
            *v = rho * *v + rest * (g * g);
            *w -= rate * g / (*v + epsilon).sqrt();
        }
    }
}

/// One step of Adam.
struct Adam<'a, R> {
    params: &'a mut [R],
    gradients: &'a [R],
    mean: &'a mut [R],
    square: &'a mut [R],
    steps: u64,
    learning_rate: f64,
    epsilon: Epsilon,
}

impl<R: Real> Kernel for Adam<'_, R> {
    #[inline(always)]
    fn run<I: Isa>(self) {
        let (keep_mean, keep_square) = (R::from_f64(1.0 - BETA_1), R::from_f64(1.0 - BETA_2));
        let all = self.params.iter_mut().zip(self.gradients).zip(self.mean).zip(self.square);
        match self.epsilon {
            Epsilon::Keras => {
                let rate = keras_rate::<R>(self.learning_rate, self.steps);
                let epsilon = R::from_f64(1e-7);
                for (((w, &g), m), v) in all {
                    *m += (g - *m) * keep_mean;
                    *v += (g * g - *v) * keep_square;
                    *w -= *m * rate / (v.sqrt() + epsilon);
                }
            }
            Epsilon::PyTorch => {
                let steps = self.steps as f64;
                let rate = R::from_f64(self.learning_rate / (1.0 - libm::pow(BETA_1, steps)));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Gradients of two parameters, step by step: small, large, of both signs and 0.
    const GRADIENTS: [[f64; 2]; 5] = [[3e-6, -0.5], [-1e-6, 0.25], [2.0, 0.0], [-0.75, 1e-4], [0.1, 40.0]];
    const START: [f64; 2] = [0.5, -1.5];
    const RATE: f64 = 0.01;

    /// Compares each step of `rule` with `reference`, which makes a step of one parameter from `(w, g, memory, t)`.
    #[track_caller]
    fn agrees(rule: Rule, reference: impl Fn(&mut f64, f64, &mut [f64; 2], i32)) {
        let (mut optimizer, mut params) = (Optimizer::new(2, rule), START);
        let (mut expected, mut memory) = (START, [[0.0; 2]; 2]);
        for (t, gradients) in (1..).zip(GRADIENTS) {
            optimizer.step(&mut params, &gradients, RATE);
            for i in 0..2 {
                reference(&mut expected[i], gradients[i], &mut memory[i], t);
                let difference = (params[i] - expected[i]).abs();
                assert!(difference <= 1e-12, "{rule:?}, step {t}, {i}: {} but {}", params[i], expected[i]);
            }
        }
        // In f32 too, but for its roundings.
        let (mut optimizer, mut single) = (Optimizer::new(2, rule), START.map(|w| w as f32));
        GRADIENTS.iter().for_each(|g| optimizer.step(&mut single, &g.map(|g| g as f32), RATE));
        for (single, double) in single.iter().zip(params) {
            assert!((f64::from(*single) - double).abs() < 2e-6, "{rule:?} in f32: {single} but {double}");
        }
    }

    /// Adam by the formulas in the paper; Keras rounds β to `f32` under the powers.
    fn adam(w: &mut f64, g: f64, [m, v]: &mut [f64; 2], t: i32, epsilon: Epsilon) {
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.999 * *v + 0.001 * g * g;
        *w -= match epsilon {
            Epsilon::Keras => {
                let (mean, square) = (1.0 - f64::from(0.9_f32).powi(t), 1.0 - f64::from(0.999_f32).powi(t));
                RATE * square.sqrt() / mean * *m / (v.sqrt() + 1e-7)
            }
            Epsilon::PyTorch => {
                let (mean, square) = (1.0 - 0.9_f64.powi(t), 1.0 - 0.999_f64.powi(t));
                RATE * (*m / mean) / ((*v / square).sqrt() + 1e-8)
            }
        };
    }

    #[test]
    fn adam_by_its_formula() {
        for epsilon in [Epsilon::Keras, Epsilon::PyTorch] {
            agrees(Rule::Adam(epsilon), |w, g, memory, t| adam(w, g, memory, t, epsilon));
        }
    }

    #[test]
    fn adamw_decays_and_then_steps_as_adam() {
        for epsilon in [Epsilon::Keras, Epsilon::PyTorch] {
            agrees(Rule::AdamW { epsilon, weight_decay: 0.3 }, |w, g, memory, t| {
                *w -= RATE * 0.3 * *w;
                adam(w, g, memory, t, epsilon);
            });
        }
    }

    #[test]
    fn sgd_by_its_formulas() {
        agrees(Rule::Sgd { momentum: 0.0, nesterov: false }, |w, g, _, _| *w -= RATE * g);
        agrees(Rule::Sgd { momentum: 0.8, nesterov: false }, |w, g, [u, _], _| {
            *u = 0.8 * *u - RATE * g;
            *w += *u;
        });
        agrees(Rule::Sgd { momentum: 0.8, nesterov: true }, |w, g, [u, _], _| {
            *u = 0.8 * *u - RATE * g;
            *w += 0.8 * *u - RATE * g;
        });
    }

    #[test]
    fn rmsprop_by_its_formula() {
        agrees(Rule::RmsProp, |w, g, [v, _], _| {
            *v = 0.9 * *v + 0.1 * g * g;
            *w -= RATE * g / (*v + 1e-7).sqrt();
        });
    }

    /// The value in the documentation of `keras.optimizers.RMSprop`: 10 at a learning rate of 0.1, where the gradient is 10.
    #[test]
    fn rmsprop_as_keras_documents_it() {
        let mut param = [10.0_f32];
        Optimizer::new(1, Rule::RmsProp).step(&mut param, &[10.0], 0.1);
        assert_eq!(format!("{:.6}", param[0]), "9.683772");
    }

    /// The average by a textbook loop over the weights of an optimiser without one, which the average must not change.
    #[test]
    fn the_average_is_that_of_a_textbook_loop() {
        for momentum in [0.9, 0.99] {
            let rule = Rule::AdamW { epsilon: Epsilon::Keras, weight_decay: 0.3 };
            let (mut plain, mut w) = (Optimizer::new(2, rule), START);
            let (mut averaging, mut params) = (Optimizer::new(2, rule).averaging(momentum), START);
            let (mut single, mut params_32) = (Optimizer::new(2, rule).averaging(momentum), START.map(|w| w as f32));
            averaging.swap_average(&mut params);
            assert_eq!(params, START, "there is no average before the first step");
            let mut expected = [0.0; 2];
            for (t, gradients) in (1..).zip(GRADIENTS) {
                plain.step(&mut w, &gradients, RATE);
                averaging.step(&mut params, &gradients, RATE);
                single.step(&mut params_32, &gradients.map(|g| g as f32), RATE);
                for i in 0..2 {
                    expected[i] = if t == 1 { w[i] } else { momentum * expected[i] + (1.0 - momentum) * w[i] };
                }
                assert_eq!(params, w);
                averaging.swap_average(&mut params);
                single.swap_average(&mut params_32);
                for i in 0..2 {
                    assert!((params[i] - expected[i]).abs() <= 1e-15, "step {t}: {} but {}", params[i], expected[i]);
                    assert!((f64::from(params_32[i]) - expected[i]).abs() < 2e-6, "step {t} in f32: {}", params_32[i]);
                    assert!(t == 1 || params[i] != w[i]);
                }
                averaging.swap_average(&mut params);
                single.swap_average(&mut params_32);
                assert_eq!(params, w);
            }
        }
    }

    /// What is remembered is in the serialised form: an optimiser that is read back goes on with the same bits.
    #[test]
    fn a_saved_optimiser_goes_on() {
        for rule in [
            Rule::Adam(Epsilon::PyTorch),
            Rule::AdamW { epsilon: Epsilon::Keras, weight_decay: 0.1 },
            Rule::Sgd { momentum: 0.9, nesterov: true },
            Rule::RmsProp,
        ] {
            let (mut optimizer, mut params) = (Optimizer::new(2, rule), START);
            optimizer.step(&mut params, &GRADIENTS[2], RATE);
            let mut other: Optimizer<f64> = postcard::from_bytes(&postcard::to_stdvec(&optimizer).unwrap()).unwrap();
            assert_eq!(other, optimizer);
            let (mut fresh, mut same, mut without) = (Optimizer::new(2, rule), params, params);
            optimizer.step(&mut params, &GRADIENTS[4], RATE);
            other.step(&mut same, &GRADIENTS[4], RATE);
            fresh.step(&mut without, &GRADIENTS[4], RATE);
            assert_eq!(params, same);
            assert_ne!(params, without, "{rule:?} remembers nothing");
        }
        let (mut optimizer, mut params) = (Optimizer::new(2, Rule::RmsProp).averaging(0.9), START);
        optimizer.step(&mut params, &GRADIENTS[2], RATE);
        let mut other: Optimizer<f64> = postcard::from_bytes(&postcard::to_stdvec(&optimizer).unwrap()).unwrap();
        let mut same = params;
        for (optimizer, params) in [(&mut optimizer, &mut params), (&mut other, &mut same)] {
            optimizer.step(params, &GRADIENTS[4], RATE);
            optimizer.swap_average(params);
        }
        assert_eq!(params, same);
    }
}
