//! What a run would be, without running.

use serde::Serialize;

use super::{Progress, RunError, Training};
use crate::config::Config;
use crate::data;

/// A run that has not begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The run's name.
    pub name: String,
    /// Trainable parameters.
    pub parameters: usize,
    /// Examples to train on.
    pub training: usize,
    /// Examples of the validation part.
    pub validation: Option<usize>,
    /// Series or windows of the test part.
    pub test: Option<usize>,
    /// Epochs, if nothing ends them earlier.
    pub epochs: usize,
    /// Batches in each.
    pub steps_per_epoch: usize,
}

/// Whether a run can start, as [`plan`] without a word.
pub(super) fn check(config: &Config) -> Result<(), RunError> {
    let data = data::prepare(config)?;
    Training::new(config, &data).map(drop)
}

/// Reads and checks all that [`train`](super::train) does before its first epoch, and writes nothing.
///
/// # Errors
/// Whatever would keep the run from starting, but for its folder.
pub fn plan(config: &Config, progress: &mut dyn Progress) -> Result<Plan, RunError> {
    let data = data::prepare(config)?;
    let training = Training::new(config, &data)?;
    progress.start(config, &data);
    Ok(Plan {
        name: config.name.clone(),
        parameters: training.trainer.network().params().len(),
        training: data.train.series.len(),
        validation: data.validation.as_ref().map(|part| part.series.len()),
        test: data.test.as_ref().map(|part| part.series.len()),
        epochs: config.train.epochs,
        steps_per_epoch: training.batches.count(),
    })
}
