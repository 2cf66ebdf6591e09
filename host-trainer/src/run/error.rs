//! Why a run stopped.

use std::path::{Path, PathBuf};

use crate::checkpoint::CheckpointError;
use crate::data;
use crate::export::ExportError;
use crate::files::FileError;
use crate::nn;

/// Every error of [`run`](super).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] data::DataError),
    /// Network, loss and data do not go together.
    #[error(transparent)]
    Network(#[from] nn::Error),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The result cannot be exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The model cannot be had in integers.
    #[error("in int8: {0}")]
    Quantize(#[from] crate::quantize::QuantizeError),
    /// The model cannot be had in integers, after it has been trained and written in `f32`.
    #[error("in int8: {source}; {}, in f32, and its report are written", model.display())]
    OnlyFloat {
        /// Why.
        source: crate::quantize::QuantizeError,
        /// The model in `f32`.
        model: PathBuf,
    },
    /// The runtime refuses the exported model.
    #[error("the exported model: {0}")]
    Runtime(#[from] grulet::Error),
    /// The folder keeps an earlier run.
    #[error("{}: holds an earlier run; give --overwrite to replace it, or another folder as `train.run_dir`", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// The folder has a file of the name of one of the run's, but no earlier run.
    #[error("{}: the run would replace this file; give --overwrite to let it, or another folder as `train.run_dir`", path.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// The folder is in use.
    #[error("{}: another process is training into it; wait for its end, or give another folder as `train.run_dir`", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A run cannot go on.
    #[error("{}: the run cannot go on: {problem}", path.display())]
    Resume {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// It was to end before its time.
    #[error("interrupted in {}: {}", if *aware { "what comes after the last epoch".to_owned() } else { format!("epoch {}", epochs + 1) },
        how_to_resume(path, *epochs))]
    Interrupted {
        /// The folder of the run.
        path: PathBuf,
        /// Epochs that are trained, and kept.
        epochs: usize,
        /// Whether it was after all of them, in quantisation-aware training or in scores, which are not kept.
        aware: bool,
    },
    /// The learning rate would rise to the end.
    #[error(
        "`train.warmup_steps` is {warmup}, but the run has only {steps} steps ({epochs} epochs of {per_epoch} batches); lower it, or train for more epochs"
    )]
    WarmUp {
        /// Steps of the warm-up.
        warmup: usize,
        /// Steps of the run.
        steps: usize,
        /// Its epochs.
        epochs: usize,
        /// Batches in each.
        per_epoch: usize,
    },
    /// A part of the data has no series of which anything counts.
    #[error(
        "`train.ignore_steps` is {ignored}, but the longest series of the {part} part has {longest} steps; ignore fewer"
    )]
    AllIgnored {
        /// Steps ignored at the start of each series.
        ignored: usize,
        /// Training or validation.
        part: &'static str,
        /// Steps of its longest series.
        longest: usize,
    },
    /// The first loss or its gradient is no finite number, for which no learning rate is to blame.
    #[error(
        "epoch 1, batch 1: {what} before the first step: inputs or targets are too large; \
         give them in other units"
    )]
    TooLarge {
        /// Which number is what, and in which tensor.
        what: String,
    },
    /// The first loss of the validation part is no finite number, though that of the training part is.
    #[error(
        "epoch 1: the loss of the validation part is {loss}: its inputs or targets are too large, or the steps of the training; \
         give them in other units, or lower `train.learning_rate`"
    )]
    TooLargeValidation {
        /// The loss.
        loss: f64,
    },
    /// The loss, a gradient or a weight is no longer a finite number.
    #[error(
        "epoch {epoch}, batch {batch}: {what}: training diverged; lower `train.learning_rate`, or set `train.clip_norm = 1.0`"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The batch in it, from 1.
        batch: usize,
        /// Which number is what, and in which tensor.
        what: String,
    },
}

/// What an interrupted run leaves, and how to go on with it.
fn how_to_resume(path: &Path, epochs: usize) -> String {
    match epochs {
        0 => "nothing is left of the run".to_owned(),
        _ => format!("all before it is kept; go on with `grulet train --resume {}`", path.display()),
    }
}
