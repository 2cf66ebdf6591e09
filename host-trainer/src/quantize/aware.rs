//! Quantisation-aware training: the forward pass is the runtime's integer arithmetic, and the gradient passes it as if it were
//! that of `f32` (straight through; Bengio et al. 2013).

use grulet::blob::quantize::scales;
use grulet::blob::{Contents, Range, write_int8};
use grulet::{Int8, LayerSpec};
use rayon::prelude::*;

use super::QuantizeError;
use crate::checkpoint::Checkpoint;
use crate::evaluate::Loaded;
use crate::export::with_contents;
use crate::nn::Batch;

/// The outputs of every layer at every step of `batch` (T, B, O), as the integers compute them with the weights of
/// `checkpoint`, for [`Trainer::gradient_with`](crate::nn::Trainer::gradient_with). Zeros in the padding. Of an encoder-decoder
/// the T of each part is its own.
///
/// The inputs of a batch are normalised already; the scales that bring raw ones there are left out of the model. States of the
/// batch are taken as the nearest ones of the integers.
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
    let model = Loaded::<Int8>::from_blob(&blob)?;
    let header = model.header();
    let (layers, encoder) = (&header.layers, header.output.encoder());
    // Of what an observer sees.
    let units: Vec<f32> =
        scales(header, ranges)?.iter().zip(layers).map(|(scales, layer)| scales.state(layer) as f32).collect();
    let of_layers = layers.iter().zip(&units);
    let state_units: Vec<f32> = of_layers.flat_map(|(layer, &unit)| vec![unit; layer.state()]).collect();
    let (rows, inputs) = (batch.rows(), header.inputs());
    let x = |t: usize, row: usize| &batch.x[(t * rows + row) * inputs..][..inputs];

    // Each series on its own: the order in which threads take them does not matter.
    let of_series = |row: usize| -> Result<Vec<Vec<f32>>, QuantizeError> {
        let mut outputs = vec![Vec::new(); layers.len()];
        let mut keep = |layer: usize, of_layer: &[i16]| {
            outputs[layer].extend(of_layer.iter().map(|&unit| f32::from(unit) * units[layer]));
        };
        match &model {
            Loaded::Chain(model) if model.is_bidirectional() => {
                let own: Vec<f32> = (0..batch.lengths[row]).flat_map(|t| x(t, row)).copied().collect();
                model.run_series(&own, |layer, _, of_layer| keep(layer, of_layer))?;
            }
            Loaded::Chain(model) => {
                let mut stream = model.heap_stream();
                if !batch.state.is_empty() {
                    let own = &batch.state[row * state_units.len()..][..state_units.len()];
                    let state: Vec<i16> =
                        own.iter().zip(&state_units).map(|(state, unit)| (state / unit).round() as i16).collect();
                    stream.set_state(&state)?;
                }
                for t in 0..batch.lengths[row] {
                    stream.step_observed(x(t, row), |layer, _, of_layer| keep(layer, of_layer))?;
                }
            }
            Loaded::Pair(model) => {
                let mut stream = model.heap_encoder();
                for t in 0..batch.lengths[row] {
                    stream.step_observed(x(t, row), |layer, _, of_layer| keep(layer, of_layer))?;
                }
                let mut decoder = model.heap_decoder(&stream)?;
                let fed = batch.decoder.as_ref().map_or(&[][..], |decoder| &decoder.x[..decoder.lengths[row] * rows]);
                for fed in fed.chunks_exact(rows) {
                    decoder.step_observed(fed[row] as u16, |layer, _, of_layer| keep(encoder + layer, of_layer))?;
                }
            }
        }
        Ok(outputs)
    };
    let series: Result<Vec<_>, _> = (0..rows).into_par_iter().map(of_series).collect();

    let answered = batch.decoder.as_ref().map_or(batch.steps, |decoder| decoder.steps);
    let steps = |layer: usize| if layer < encoder { batch.steps } else { answered };
    let zeros = |(index, layer): (usize, &LayerSpec)| vec![0.0; steps(index) * rows * layer.observed()];
    let mut all: Vec<Vec<f32>> = layers.iter().enumerate().map(zeros).collect();
    for (row, outputs) in series?.iter().enumerate() {
        for ((all, outputs), layer) in all.iter_mut().zip(outputs).zip(layers) {
            let width = layer.observed();
            // A layer that has run once, after a bidirectional one, has run at the last step.
            let once = encoder == 0 && outputs.len() == width;
            let first = if once { batch.lengths[row] - 1 } else { 0 };
            for (t, output) in (first..).zip(outputs.chunks_exact(width)) {
                all[(t * rows + row) * width..][..width].copy_from_slice(output);
            }
        }
    }
    Ok(all)
}
