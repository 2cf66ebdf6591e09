//! Reading trained weights back out of a blob: the inverse of [`write()`](super::write()).

use alloc::vec;
use alloc::vec::Vec;

use super::{Blob, LayerWeights};
use crate::cast;
use crate::error::Error;
use crate::kernel;
use crate::layer::{bidirectional, take};
use crate::spec::{LayerSpec, Matrix, Reset, Storage};

/// One layer's weights in the layout of [`LayerWeights`], which borrows them.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedWeights {
    /// See [`LayerWeights::kernel`].
    pub kernel: Vec<f32>,
    /// See [`LayerWeights::recurrent`].
    pub recurrent: Vec<f32>,
    /// See [`LayerWeights::bias`]. With the reset gate after the matmul, a blob keeps the sum of z's and r's two biases: it
    /// stands in the input's, and their recurrent ones are zero.
    pub bias: Vec<f32>,
}

impl OwnedWeights {
    /// The same, borrowed.
    pub fn borrow(&self) -> LayerWeights<'_> {
        LayerWeights { kernel: &self.kernel, recurrent: &self.recurrent, bias: &self.bias }
    }

    /// `layer` as the kernels read it, from `weights`.
    fn of(layer: &LayerSpec, mut weights: &[cast::Line]) -> Self {
        if let Some(gru) = layer.direction() {
            let (forward, backward) = bidirectional::directions(weights);
            let (mut owned, backward) = (Self::of(&gru, forward), Self::of(&gru, backward));
            owned.kernel.extend(backward.kernel);
            owned.recurrent.extend(backward.recurrent);
            owned.bias.extend(backward.bias);
            return owned;
        }
        if let LayerSpec::Embedding { .. } = layer {
            let kernel = cast::floats(weights).iter().copied().take(layer.parameters()).collect();
            return Self { kernel, recurrent: Vec::new(), bias: Vec::new() };
        }
        if layer.parameters() == 0 {
            return Self { kernel: Vec::new(), recurrent: Vec::new(), bias: Vec::new() };
        }
        let (i, o) = (layer.inputs(), layer.outputs());
        let gates = if layer.state() > 0 { 3 } else { 1 };
        let columns = gates * o;
        let after = matches!(layer, LayerSpec::Gru { reset: Reset::After, .. });
        let mut owned = Self {
            kernel: vec![0.0; i * columns],
            recurrent: vec![0.0; layer.state() * columns],
            bias: vec![0.0; if after { 2 * columns } else { columns }],
        };
        for (index, matrix) in layer.matrices().into_iter().enumerate() {
            let stream = cast::floats(take(&mut weights, matrix.lines(Storage::F32) as usize));
            let first = if index == 0 { 0 } else { 2 * o };
            // The candidate's product with the state has the recurrent bias.
            let bias = if after && index == 1 { columns } else { 0 };
            owned.scatter(matrix, stream, first, bias, columns);
        }
        owned
    }

    /// A matrix in blocks, as [`kernel`] describes, to columns from `first` on and biases from `bias + first` on.
    fn scatter(&mut self, matrix: Matrix, mut stream: &[f32], first: usize, bias: usize, columns: usize) {
        for (block, width) in kernel::blocks(matrix.outputs) {
            let at = first + block;
            let mut row = || {
                let (row, rest) = stream.split_at(width);
                stream = rest;
                row
            };
            self.bias[bias + at..][..width].copy_from_slice(row());
            for input in 0..matrix.inputs {
                self.kernel[input * columns + at..][..width].copy_from_slice(row());
            }
            for state in 0..matrix.state {
                self.recurrent[state * columns + at..][..width].copy_from_slice(row());
            }
        }
    }
}

/// The weights of all layers of a blob in `f32`.
///
/// # Errors
/// If the blob stores integers, from which the trained weights cannot be had.
pub fn unpack(blob: &Blob<'_>) -> Result<Vec<OwnedWeights>, Error> {
    super::expect_storage(Storage::F32, blob.header().storage)?;
    let mut tensors = blob.regions().layers;
    let layers = blob.header().layers.iter();
    Ok(layers.map(|layer| OwnedWeights::of(layer, take(&mut tensors, layer.lines(Storage::F32) as usize))).collect())
}
