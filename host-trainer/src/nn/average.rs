//! The moving average of the weights, as Keras 3 has it (`use_ema` of its optimisers; Polyak and Juditsky 1992).

use serde::{Deserialize, Serialize};

use super::Real;

/// After each step of the optimiser `a = m·a + (1-m)·w` for every weight `w`, biases too; the first step gives `a = w`
/// (`_update_model_variables_moving_average` in Keras 3.15's `optimizers/base_optimizer.py`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Average<R> {
    /// `m`.
    momentum: f64,
    /// `a`, in the order of the parameters; or the parameters themselves, while the two are swapped.
    values: Vec<R>,
}

impl<R: Real> Average<R> {
    /// Of that many parameters.
    pub fn new(params: usize, momentum: f64) -> Self {
        Self { momentum, values: vec![R::ZERO; params] }
    }

    /// Takes the parameters after a step, and whether it was the first.
    pub fn update(&mut self, params: &[R], first: bool) {
        // Without a first value there is nothing to keep. What is left of 1 is taken in the parameters' type, as Keras does,
        // so that the two add up to 1.
        let keep = R::from_f64(if first { 0.0 } else { self.momentum });
        let rest = R::ONE - keep;
        self.values.iter_mut().zip(params).for_each(|(a, &w)| *a = keep * *a + rest * w);
    }

    /// Puts each in the place of the other.
    pub fn swap(&mut self, params: &mut [R]) {
        self.values.iter_mut().zip(params).for_each(|(a, w)| std::mem::swap(a, w));
    }
}
