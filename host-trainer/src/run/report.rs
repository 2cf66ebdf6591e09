//! What came of a run.

use std::path::PathBuf;

use grulet::Header;
use serde::Serialize;

use crate::baseline::Baseline;
use crate::evaluate::{Details, Scores};

/// The result of a run, as `report.json` holds it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The run's name.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Trainable parameters.
    pub parameters: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// The epoch after which `train.patience` ended the training; none where all epochs were trained.
    pub stopped_epoch: Option<usize>,
    /// The epoch that was exported.
    pub best_epoch: u32,
    /// The score that has chosen it, such as `val_loss`.
    pub metric: String,
    /// Of a check whether the network can learn by heart: the examples, which are all that it was trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overfit: Option<usize>,
    /// Scores of the best epoch on the training part, while it went along.
    pub training: Scores,
    /// Scores after the best epoch on the validation part.
    pub validation: Option<Scores>,
    /// Scores of the exported model on the test part, by the runtime.
    pub test: Option<Scores>,
    /// What stands behind these scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_details: Option<Details>,
    /// The same of the model in integers, with `train.qat_epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub int8: Option<Scores>,
    /// What simple methods reach on the test part.
    pub baselines: Vec<Baseline>,
    /// Hash of the exported weights' bits: the same for the same configuration, whatever the number of threads.
    pub weights_hash: String,
    /// The exported model.
    pub model: ExportedModel,
    /// Time that the run took, since it went on if it was interrupted.
    pub seconds: f64,
}

impl Report {
    /// The report as JSON.
    pub fn to_json(&self) -> String {
        // Plain data with string keys always serialises.
        serde_json::to_string_pretty(self).expect("a report is plain data") + "\n"
    }
}

/// The model that a run has written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportedModel {
    /// Its file.
    pub path: PathBuf,
    /// Size of the file, which is the flash that it takes.
    pub bytes: usize,
    /// State of one stream; with a bidirectional layer, all of one window.
    pub state_bytes: usize,
    /// Multiply-accumulates per step.
    pub macs_per_step: usize,
    /// The type that a firmware names the network by.
    pub net: String,
}

impl ExportedModel {
    pub(super) fn of(path: PathBuf, bytes: usize, header: &Header<'_>) -> Self {
        Self {
            path,
            bytes,
            state_bytes: crate::cost::state_bytes(header, 4),
            macs_per_step: header.macs(),
            net: crate::summary::net_type_of(header),
        }
    }
}
