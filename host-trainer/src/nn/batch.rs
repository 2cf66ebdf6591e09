//! What a network is trained on at a time.

use super::{Error, Real};

/// Series of different lengths side by side, padded to the same number of steps.
///
/// Time-major: T steps, B series, C inputs per step, D elements per target. What stands in the padding has no influence,
/// not even a NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch<R> {
    /// T: steps of the longest series, or more.
    pub steps: usize,
    /// Steps of each series (B).
    pub lengths: Vec<usize>,
    /// Inputs (T, B, C).
    pub x: Vec<R>,
    /// Targets (T, B, D) for a network with an output at every step, (B, D) for one with the last output only. A sparse
    /// categorical target is a class number with D = 1; other losses have D = outputs. May be empty where no loss is asked for.
    pub targets: Vec<R>,
    /// How much each output's loss counts (T, B), or (B) with the last output only; empty for 1 throughout. The loss stays a
    /// mean over all outputs, as in Keras, not over their weights.
    pub weights: Vec<R>,
    /// So many steps at the start of each series count in neither loss nor metrics, where there is an output at every step:
    /// the state has seen too little there.
    pub ignored: usize,
    /// State before the first step (B, S), S being the states of all layers one after the other; empty for zeros.
    pub state: Vec<R>,
}

impl<R: Real> Batch<R> {
    /// B: the number of series.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// Checks everything but the targets against a network with C inputs and S elements of state.
    pub(super) fn check(&self, inputs: usize, state: usize) -> Result<(), Error> {
        let (steps, rows) = (self.steps, self.rows());
        if rows == 0 {
            return Err(Error::EmptyBatch);
        }
        if let Some(row) = self.lengths.iter().position(|&length| length == 0 || length > steps) {
            return Err(Error::Length { row, found: self.lengths[row], steps });
        }
        check_len("inputs", "(steps, series, inputs)", steps * rows * inputs, self.x.len())?;
        if !self.state.is_empty() {
            check_len("state", "(series, states of all layers)", rows * state, self.state.len())?;
        }
        Ok(())
    }
}

/// Checks the number of elements of an array.
pub(super) fn check_len(array: &'static str, shape: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::BatchShape { array, shape, expected, found }) }
}
