//! A model's weights as other frameworks lay them out.

use grulet::spec::{Candidate, Gate, LayerSpec, Merge, Reset};

use crate::checkpoint::Checkpoint;
use crate::import::chain::{reorder_gates, transpose};
use crate::nn;

/// A named array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its name.
    pub name: String,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: Vec<f32>,
}

/// Whether PyTorch's GRU computes what this model's do: the reset gate after the matmul, sigmoid gates, tanh; of both
/// directions side by side.
pub fn is_torch(layers: &[LayerSpec]) -> bool {
    layers.iter().all(|layer| match layer {
        LayerSpec::Gru { reset, gate, candidate, .. } => {
            (*reset, *gate, *candidate) == (Reset::After, Gate::Sigmoid, Candidate::Tanh)
        }
        LayerSpec::Bidirectional { reset, gate, candidate, merge, .. } => {
            (*reset, *gate, *candidate, *merge) == (Reset::After, Gate::Sigmoid, Candidate::Tanh, Merge::Concat)
        }
        _ => true,
    })
}

/// The weights in PyTorch's names and layouts if its GRU is the model's, else in Keras's.
///
/// # Errors
/// If the checkpoint is inconsistent.
pub fn torch_or_keras(checkpoint: &Checkpoint) -> Result<Vec<Array>, nn::Error> {
    if is_torch(&checkpoint.card.layers) { torch(checkpoint) } else { keras(checkpoint) }
}

/// The weights in Keras's layouts, in the order of `model.get_weights()`: `gru.kernel` (I, 3H), `gru.recurrent_kernel` (H, 3H),
/// `gru.bias` (3H) or (2, 3H), `dense.kernel` (I, O), `dense.bias` (O), `embedding.embeddings` (V, D); gates z, r, c.
///
/// # Errors
/// If the checkpoint is inconsistent.
pub fn keras(checkpoint: &Checkpoint) -> Result<Vec<Array>, nn::Error> {
    let network = checkpoint.network()?;
    let array = |tensor: &nn::Tensor| Array {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        data: network.params()[tensor.range.clone()].to_vec(),
    };
    Ok(network.tensors().iter().map(array).collect())
}

/// The weights in PyTorch's names and layouts: `gru.weight_ih_l0` (3H, I), `gru.weight_hh_l0` (3H, H), `gru.bias_ih_l0` and
/// `gru.bias_hh_l0` (3H), gates r, z, n; the direction from the end as `bidirectional.weight_ih_l0_reverse` and so on;
/// `dense.weight` (O, I), `dense.bias` (O), `embedding.weight` (V, D).
fn torch(checkpoint: &Checkpoint) -> Result<Vec<Array>, nn::Error> {
    // Its own inverse: from z, r, c to r, z, n.
    const GATES: [usize; 3] = [1, 0, 2];
    let mut arrays = Vec::new();
    for Array { name, shape, data } in keras(checkpoint)? {
        let (layer, part) = name.split_once('.').unwrap_or((&name, ""));
        let (direction, part) = part.split_once('.').unwrap_or(("", part));
        let end = if direction == "backward" { "_reverse" } else { "" };
        let mut push = |name: &str, shape: Vec<usize>, data: Vec<f32>| {
            arrays.push(Array { name: format!("{layer}.{name}{end}"), shape, data });
        };
        match (part, &shape[..]) {
            ("bias", &[2, columns]) => {
                let data = reorder_gates(&data, columns / 3, GATES);
                let (input, state) = data.split_at(columns);
                push("bias_ih_l0", vec![columns], input.to_vec());
                push("bias_hh_l0", vec![columns], state.to_vec());
            }
            ("kernel" | "recurrent_kernel", &[rows, columns]) if layer.starts_with("gru") || !direction.is_empty() => {
                let name = if part == "kernel" { "weight_ih_l0" } else { "weight_hh_l0" };
                let data = transpose(&reorder_gates(&data, columns / 3, GATES), columns);
                push(name, vec![columns, rows], data);
            }
            ("kernel", &[rows, columns]) => push("weight", vec![columns, rows], transpose(&data, columns)),
            ("embeddings", _) => push("weight", shape, data),
            (part, _) => push(part, shape.clone(), data),
        }
    }
    Ok(arrays)
}

/// The scales between real units and the network's as arrays `input_mean`, `input_std`, `output_mean` and `output_std`; those
/// that change nothing are left out.
pub fn scales(checkpoint: &Checkpoint) -> Vec<Array> {
    let card = &checkpoint.card;
    let named = [
        ("input_mean", &card.mean),
        ("input_std", &card.std),
        ("output_mean", &card.target_mean),
        ("output_std", &card.target_std),
    ];
    let there = named.into_iter().filter(|(_, values)| !values.is_empty());
    there
        .map(|(name, values)| Array { name: name.to_owned(), shape: vec![values.len()], data: values.clone() })
        .collect()
}
