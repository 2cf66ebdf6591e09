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
    /// The same for each series (B), in place of `ignored`; empty where that is for all.
    pub ignored_each: Vec<usize>,
    /// State before the first step (B, S), S being the states of all GRUs one after the other; empty for zeros.
    pub state: Vec<R>,
    /// What the decoder takes, of an encoder-decoder; the series above are its encoder's then, and T, in what is said of
    /// targets and weights, is the decoder's.
    pub decoder: Option<DecoderInputs<R>>,
}

/// What the decoder of an encoder-decoder takes in training: the tokens that it should have given, each a step late (teacher
/// forcing; Williams and Zipser 1989). Time-major and padded, as the batch is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecoderInputs<R> {
    /// Steps of the longest series, or more.
    pub steps: usize,
    /// Steps of each series (B).
    pub lengths: Vec<usize>,
    /// Inputs (steps, B, inputs of the decoder).
    pub x: Vec<R>,
}

impl<R: Real> Batch<R> {
    /// B: the number of series.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// Steps of the longest of the series that have outputs, and of each.
    pub(super) fn answered(&self) -> (usize, &[usize]) {
        self.decoder.as_ref().map_or((self.steps, &self.lengths), |decoder| (decoder.steps, &decoder.lengths))
    }

    /// How many steps at the start of a series do not count.
    pub fn ignored(&self, row: usize) -> usize {
        self.ignored_each.get(row).copied().unwrap_or(self.ignored)
    }

    /// Whether any output counts, where there is one at every step.
    pub fn counts(&self) -> bool {
        self.lengths.iter().enumerate().any(|(row, &length)| length > self.ignored(row))
    }

    /// Checks everything but the targets against a network with C inputs, so many inputs of a decoder, if it has one, and S
    /// elements of state.
    pub(super) fn check(&self, inputs: usize, decoder: Option<usize>, state: usize) -> Result<(), Error> {
        let (steps, rows) = (self.steps, self.rows());
        if rows == 0 {
            return Err(Error::EmptyBatch);
        }
        check_lengths(&self.lengths, steps)?;
        check_len("inputs", "(steps, series, inputs)", steps * rows * inputs, self.x.len())?;
        if !self.ignored_each.is_empty() {
            check_len("ignored steps", "(series)", rows, self.ignored_each.len())?;
        }
        if !self.state.is_empty() {
            check_len("state", "(series, states of all layers)", rows * state, self.state.len())?;
        }
        match (decoder, &self.decoder) {
            (None, None) => Ok(()),
            (Some(inputs), Some(DecoderInputs { steps, lengths, x })) => {
                check_len("decoder's lengths", "(series)", rows, lengths.len())?;
                check_lengths(lengths, *steps)?;
                check_len("decoder's inputs", "(steps, series, inputs)", steps * rows * inputs, x.len())
            }
            (expected, _) => Err(Error::Decoder { expected: expected.is_some() }),
        }
    }
}

fn check_lengths(lengths: &[usize], steps: usize) -> Result<(), Error> {
    match lengths.iter().position(|&length| length == 0 || length > steps) {
        Some(row) => Err(Error::Length { row, found: lengths[row], steps }),
        None => Ok(()),
    }
}

/// Checks the number of elements of an array.
pub(super) fn check_len(array: &'static str, shape: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::BatchShape { array, shape, expected, found }) }
}
