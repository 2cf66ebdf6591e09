//! What a run keeps: a network, everything that export needs to know about it, and the state of its training.

use std::path::Path;

use grulet::spec::{LayerSpec, Output};
use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};
use crate::nn::{self, Network, Optimizer};

/// A moment of a run, as it lies in a `.ckpt` file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// What the network is for.
    pub card: Card,
    /// Epochs trained.
    pub epoch: u32,
    /// The value that chose this epoch, see [`Card::metric`].
    pub value: f64,
    /// All parameters, in the order of [`Network::tensors`]: their moving average, if the run keeps one.
    pub params: Vec<f32>,
    /// The optimiser with its state; with an average it has the parameters themselves, swapped by
    /// [`Optimizer::swap_average`].
    pub optimizer: Optimizer<f32>,
    /// What the run rests on.
    pub origin: Origin,
}

/// What a run rests on. Two of the same origin go the same way, epoch by epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Checksum of the settings that decide the weights.
    pub settings: u32,
    /// Hash of the training and the validation part.
    pub data: u64,
}

/// Everything about a model but its weights.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The model's name.
    pub name: String,
    /// The layers.
    pub layers: Vec<LayerSpec>,
    /// When the network answers.
    pub output: Output,
    /// Names of the outputs or classes; may be empty.
    pub outputs: Vec<String>,
    /// Names of the input channels.
    pub channels: Vec<String>,
    /// Units of the input channels; may be empty.
    pub units: Vec<String>,
    /// Samples per second; 0 if unknown.
    pub sample_rate: f32,
    /// Steps per window for an answer at the last step; 0 for whole series and streams.
    pub window: u32,
    /// Steps that the output lies ahead.
    pub horizon: u32,
    /// Subtracted from each input; empty for none.
    pub mean: Vec<f32>,
    /// Each input is divided by this; empty for none.
    pub std: Vec<f32>,
    /// Added to each output; empty for none.
    pub target_mean: Vec<f32>,
    /// Each output is multiplied with this; empty for none.
    pub target_std: Vec<f32>,
    /// Inputs of the self-test in the sensor's units, `(steps, inputs)`.
    pub golden: Vec<f32>,
    /// Name of the training file.
    pub data: String,
    /// Seed of the run.
    pub seed: u64,
    /// What chooses the best epoch: `val_loss`, or `loss` without validation; or the same of `accuracy`.
    pub metric: String,
}

const MAGIC: &[u8] = b"grulet checkpoint 5\n";

/// A file that is no checkpoint, or not a whole one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is something else.
    #[error("{path}: not a checkpoint of this version; pass the best.ckpt or last.ckpt of a run")]
    NotACheckpoint {
        /// The file.
        path: String,
    },
    /// It is damaged.
    #[error("{path}: damaged: its checksum is wrong; train again, or use the run's other checkpoint")]
    Damaged {
        /// The file.
        path: String,
    },
}

impl Checkpoint {
    /// The network with these parameters.
    ///
    /// # Errors
    /// If the parameters do not fit the layers.
    pub fn network(&self) -> Result<Network<f32>, nn::Error> {
        Network::from_params(&self.card.layers, self.card.output, self.params.clone())
    }

    /// Writes the checkpoint, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        // Plain data of known length: postcard cannot fail but for want of memory.
        let body = postcard::to_stdvec(self).expect("a checkpoint is plain data");
        let sum = grulet::blob::checksum(&body);
        files::write(path, [MAGIC, &body, &sum.to_le_bytes()].concat())
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// If there is none at `path`, or it is damaged.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = files::read(path)?;
        let name = || path.display().to_string();
        let not_one = || CheckpointError::NotACheckpoint { path: name() };
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(not_one)?;
        let (body, sum) = rest.split_last_chunk::<4>().ok_or_else(not_one)?;
        if grulet::blob::checksum(body) != u32::from_le_bytes(*sum) {
            return Err(CheckpointError::Damaged { path: name() });
        }
        postcard::from_bytes(body).map_err(|_| not_one())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Rule;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ckpt");
        let checkpoint = Checkpoint {
            card: Card { name: "a".into(), mean: vec![1.5], ..Card::default() },
            epoch: 3,
            value: 0.25,
            params: vec![1.0, -2.0],
            optimizer: Optimizer::new(2, Rule::Sgd { momentum: 0.9, nesterov: true }),
            origin: Origin { settings: 7, data: u64::MAX },
        };
        checkpoint.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);

        let good = std::fs::read(&path).unwrap();
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).unwrap();
            let error = Checkpoint::load(&path).unwrap_err().to_string();
            assert!(error.contains("damaged") || error.contains("not a checkpoint"), "{length} bytes: {error}");
        }
        for (at, kind) in [(3, "not a checkpoint"), (30, "damaged"), (good.len() - 1, "damaged")] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let error = Checkpoint::load(&path).unwrap_err().to_string();
            assert!(error.contains(kind), "{error}");
        }
    }
}
