//! Quantisation-aware training: the forward pass is the runtime's integer arithmetic, and the gradient passes it as if it were
//! that of `f32` (straight through; Bengio et al. 2013).

use grulet::blob::quantize::scales;
use grulet::blob::{Contents, Range, write_int8};
use grulet::{AnyModel, Int8};
use rayon::prelude::*;

use super::QuantizeError;
use crate::checkpoint::Checkpoint;
use crate::export::with_contents;
use crate::nn::Batch;

/// The outputs of every layer at every step of `batch` (T, B, O), as the integers compute them with the weights of
/// `checkpoint`, for [`Trainer::gradient_with`](crate::nn::Trainer::gradient_with). Zeros in the padding.
///
/// The inputs of a batch are normalised already; the scales that bring raw ones there are left out of the model.
///
/// # Errors
/// If the integers cannot hold the weights at these ranges.
pub fn integer_outputs(
    checkpoint: &Checkpoint,
    ranges: &[Range],
    batch: &Batch<f32>,
) -> Result<Vec<Vec<f32>>, QuantizeError> {
    let bare = |contents: &Contents<'_>| {
        let none: &[f32] = &[];
        let contents = Contents {
            mean: none,
            scale: none,
            output_scale: none,
            output_offset: none,
            golden: none,
            ..contents.clone()
        };
        write_int8(&contents, ranges)
    };
    let blob = with_contents(checkpoint, bare)?;
    let model = AnyModel::<Int8>::from_blob(&blob)?;
    let layers = &model.header().layers;
    let units: Vec<f32> = scales(model.header(), ranges)?.iter().map(|scales| scales.output as f32).collect();
    let (rows, inputs) = (batch.rows(), model.header().inputs());

    // Each series on its own: the order in which threads take them does not matter.
    let of_series = |row: usize| -> Result<Vec<Vec<f32>>, QuantizeError> {
        let mut stream = model.heap_stream();
        let mut outputs = vec![Vec::new(); layers.len()];
        for t in 0..batch.lengths[row] {
            let x = &batch.x[(t * rows + row) * inputs..][..inputs];
            stream.step_observed(x, |layer, _, of_layer| {
                outputs[layer].extend(of_layer.iter().map(|&unit| f32::from(unit) * units[layer]));
            })?;
        }
        Ok(outputs)
    };
    let series: Result<Vec<_>, _> = (0..rows).into_par_iter().map(of_series).collect();

    let mut all: Vec<Vec<f32>> = layers.iter().map(|layer| vec![0.0; batch.steps * rows * layer.outputs()]).collect();
    for (row, outputs) in series?.iter().enumerate() {
        for ((all, outputs), layer) in all.iter_mut().zip(outputs).zip(layers) {
            for (t, output) in outputs.chunks_exact(layer.outputs()).enumerate() {
                all[(t * rows + row) * layer.outputs()..][..layer.outputs()].copy_from_slice(output);
            }
        }
    }
    Ok(all)
}
