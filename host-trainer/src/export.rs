//! From a checkpoint to a model for the chip.

use std::borrow::Cow;

use grulet::blob::{AlignedBytes, Contents, LayerWeights, Names, Provenance, WriteError, write};
use grulet::spec::{LayerSpec, Storage};
use grulet::{Error, Header};

use crate::checkpoint::Checkpoint;
use crate::nn;

/// Steps of the golden self-test that every model carries.
pub const GOLDEN_STEPS: usize = 16;

/// A checkpoint that cannot become a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The parameters do not fit the layers.
    #[error("the checkpoint is inconsistent: {0}")]
    Network(#[from] nn::Error),
    /// The runtime cannot run it.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// There are more layers than a model may have.
    #[error("the network has {0} layers, but a model may have {max}; use fewer", max = grulet::spec::MAX_LAYERS)]
    Layers(usize),
    /// The file that was written does not reproduce its own self-test.
    #[error("the exported model fails its self-test: {0}")]
    SelfTest(Error),
}

/// The model as bytes, with its golden self-test, which has been run.
///
/// # Errors
/// If the checkpoint does not make a model that the runtime can run.
pub fn export(checkpoint: &Checkpoint) -> Result<AlignedBytes, ExportError> {
    with_contents(checkpoint, write)
}

/// What `writer` makes of the checkpoint's contents.
///
/// # Errors
/// If the checkpoint is inconsistent, or the writer fails.
pub fn with_contents<T>(
    checkpoint: &Checkpoint,
    writer: impl FnOnce(&Contents<'_>) -> Result<T, WriteError>,
) -> Result<T, ExportError> {
    let network = checkpoint.network()?;
    let card = &checkpoint.card;
    // The tensor of that kind; of a bidirectional layer both of them, one after the other.
    let tensor = |layer: usize, kind: &str| {
        let found = network.tensors().iter().filter(|t| t.layer == layer && t.name.ends_with(kind));
        let values: Vec<&[f32]> = found.map(|tensor| &network.params()[tensor.range.clone()]).collect();
        match values[..] {
            [] => Cow::Borrowed(&[][..]),
            [one] => Cow::Borrowed(one),
            _ => Cow::Owned(values.concat()),
        }
    };
    let tensors: Vec<[Cow<'_, [f32]>; 3]> = (0..card.layers.len())
        .map(|layer| {
            let kernel = match card.layers[layer] {
                LayerSpec::Embedding { .. } => ".embeddings",
                _ => ".kernel",
            };
            [kernel, ".recurrent_kernel", ".bias"].map(|kind| tensor(layer, kind))
        })
        .collect();
    let layers: Vec<LayerWeights<'_>> =
        tensors.iter().map(|[kernel, recurrent, bias]| LayerWeights { kernel, recurrent, bias }).collect();

    let lines = |names: &[String]| names.iter().map(|name| name.replace('\n', " ") + "\n").collect::<String>();
    let (outputs, channels, units) = (lines(&card.outputs), lines(&card.channels), lines(&card.units));
    // A unit for each channel, or none at all.
    let units = if card.units.iter().all(String::is_empty) { "" } else { &units };
    let scale: Vec<f32> = card.std.iter().map(|std| 1.0 / std).collect();
    let header = Header {
        storage: Storage::F32,
        layers: card.layers.iter().copied().collect(),
        output: card.output,
        name: &card.name,
        outputs: Names::new(&outputs),
        channels: Names::new(&channels),
        units: Names::new(units),
        sample_rate: card.sample_rate,
        window: card.window,
        horizon: card.horizon,
        provenance: Provenance {
            tool: concat!("grulet ", env!("CARGO_PKG_VERSION")),
            data: &card.data,
            seed: card.seed,
            epoch: checkpoint.epoch,
            metric: &card.metric,
            value: checkpoint.value as f32,
        },
        golden: Default::default(),
    };
    if header.layers.len() != card.layers.len() {
        return Err(ExportError::Layers(card.layers.len()));
    }
    Ok(writer(&Contents {
        header,
        layers: &layers,
        mean: &card.mean,
        scale: &scale,
        output_scale: &card.target_std,
        output_offset: &card.target_mean,
        golden: &card.golden,
    })?)
}
