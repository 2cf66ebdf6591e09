//! A trained model from whatever holds one: a checkpoint, the folder of a run, or a model for the chip in `f32`.

use std::path::{Path, PathBuf};

use grulet::Blob;
use grulet::blob::{AlignedBytes, Names, unpack};
use grulet::spec::Storage;

use crate::checkpoint::{Card, Checkpoint, CheckpointError, Origin};
use crate::files::{self, FileError};
use crate::nn::{self, Network, Optimizer};

/// Why there is no model to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no checkpoint, or not a whole one.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The runtime refuses it.
    #[error("{path}: {problem}; give a .ckpt, the folder of a run, or a .gru in f32")]
    Runtime {
        /// The file.
        path: String,
        /// What is wrong.
        problem: grulet::Error,
    },
    /// Its weights are rounded.
    #[error("{path}: holds integers, from which the trained weights cannot be had; give the .ckpt or the .gru in f32")]
    Integers {
        /// The file.
        path: String,
    },
    /// Layers and weights do not go together.
    #[error("{path}: {problem}; it is damaged")]
    Network {
        /// The file.
        path: String,
        /// What is wrong.
        problem: nn::Error,
    },
}

/// The file that holds the model at `path`: of a run's folder its best checkpoint.
pub fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("best.ckpt") } else { path.to_owned() }
}

/// The model at `path`: a `.ckpt`, the folder of a run (its best checkpoint), or a `.gru` in `f32`.
///
/// Of a `.gru` with the reset gate after the matmul, the two biases of z and r have become one: see [`unpack`].
///
/// # Errors
/// If there is none, or it is damaged, or in integers.
pub fn load(path: &Path) -> Result<Checkpoint, ModelError> {
    let path = file_of(path);
    let bytes = files::read(&path)?;
    let name = || path.display().to_string();
    let checkpoint = match bytes.starts_with(b"grulet checkpoint") {
        true => Checkpoint::load(&path)?,
        false => of_blob(&bytes, name)?,
    };
    checkpoint.network().map_err(|problem| ModelError::Network { path: name(), problem })?;
    Ok(checkpoint)
}

/// The checkpoint from which such a blob may come.
fn of_blob(bytes: &[u8], path: impl Fn() -> String) -> Result<Checkpoint, ModelError> {
    let refused = |problem| ModelError::Runtime { path: path(), problem };
    let bytes = AlignedBytes::new(bytes);
    let blob = Blob::parse(bytes.as_ref()).map_err(refused)?;
    let header = blob.header();
    if header.storage != Storage::F32 {
        return Err(ModelError::Integers { path: path() });
    }
    let weights = unpack(&blob).map_err(refused)?;
    // Of a bidirectional layer, all of one direction comes first.
    let layers = header.layers.iter().zip(&weights);
    let parts = layers.flat_map(|(spec, weights)| weights.borrow().parts(spec));
    let params: Vec<f32> = parts.flat_map(|(_, part)| [part.kernel, part.recurrent, part.bias].concat()).collect();
    let names = |names: Names<'_>| names.iter().map(str::to_owned).collect::<Vec<_>>();
    // Values that change nothing are none.
    let unless = |values: &[f32], neutral: f32| match values.iter().all(|&value| value == neutral) {
        true => Vec::new(),
        false => values.to_vec(),
    };
    let affine = blob.affine();
    let (mut mean, mut std) = (unless(affine.mean, 0.0), unless(affine.scale, 1.0));
    let (mut target_mean, mut target_std) = (unless(affine.output_offset, 0.0), unless(affine.output_scale, 1.0));
    std.iter_mut().for_each(|scale| *scale = 1.0 / *scale);
    both(&mut mean, &mut std, affine.mean.len());
    both(&mut target_mean, &mut target_std, affine.output_offset.len());
    let card = Card {
        name: header.name.to_owned(),
        layers: header.layers.to_vec(),
        output: header.output,
        outputs: names(header.outputs),
        channels: names(header.channels),
        units: names(header.units),
        sample_rate: header.sample_rate,
        window: header.window,
        horizon: header.horizon,
        mean,
        std,
        target_mean,
        target_std,
        golden: blob.golden_inputs().to_vec(),
        data: header.provenance.data.to_owned(),
        seed: header.provenance.seed,
        metric: header.provenance.metric.to_owned(),
    };
    let optimizer = Optimizer::none(params.len());
    let (epoch, value) = (header.provenance.epoch, header.provenance.value.into());
    let checkpoint = Checkpoint { card, epoch, value, params, optimizer, origin: Origin::default() };
    let network: Result<Network<f32>, _> = checkpoint.network();
    network.map_err(|problem| ModelError::Network { path: path(), problem })?;
    Ok(checkpoint)
}

/// A mean without a deviation is one of 1, and the other way round.
fn both(mean: &mut Vec<f32>, std: &mut Vec<f32>, width: usize) {
    if !mean.is_empty() || !std.is_empty() {
        mean.resize(width, 0.0);
        std.resize(width, 1.0);
    }
}
