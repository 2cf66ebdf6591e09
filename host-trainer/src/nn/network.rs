//! A network: its layers and all its parameters in one flat vector.

use std::ops::Range;

use grulet::spec::{LayerSpec, MAX_LAYERS, Output, Reset};

use super::init::{glorot_uniform, orthogonal, uniform};
use super::rng::Rng;
use super::{Error, Real};

/// One named tensor of a network, in the layout of Keras.
///
/// | tensor | shape |
/// |---|---|
/// | `gru.kernel` | (I, 3H), gates z, r, c along the last axis |
/// | `gru.recurrent_kernel` | (H, 3H) |
/// | `gru.bias` | (3H) for [`Reset::Before`]; (2, 3H) for [`Reset::After`]: row 0 for the inputs, row 1 for the state |
/// | `dense.kernel` | (I, O) |
/// | `dense.bias` | (O) |
/// | `embedding.embeddings` | (V, D) |
/// | `bidirectional.forward.kernel`, `….recurrent_kernel`, `….bias` | as a GRU's |
/// | `bidirectional.backward.kernel`, `….recurrent_kernel`, `….bias` | as a GRU's |
///
/// A pool and a one-hot layer have none. The second layer of a kind is `gru_1` or `dense_1`, and so on, through the layers of an encoder and then of its decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Index of its layer.
    pub layer: usize,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Where it lies in the parameters, and its gradient in the gradients.
    pub range: Range<usize>,
}

/// A chain of layers with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Network<R> {
    layers: Vec<LayerSpec>,
    output: Output,
    tensors: Vec<Tensor>,
    params: Vec<R>,
}

impl<R: Real> Network<R> {
    /// A network with fresh weights: Glorot-uniform kernels, orthogonal recurrent kernels, biases of zero, embeddings uniform
    /// in ±0.05, all as in Keras.
    ///
    /// Weights are drawn in `f64` and rounded, so that both number types start alike. Every tensor has a random stream of
    /// its own: a layer added at the end leaves the weights before it as they were.
    ///
    /// # Errors
    /// Where the layers do not form a chain.
    pub fn new(layers: &[LayerSpec], output: Output, seed: u64) -> Result<Self, Error> {
        let tensors = tensors(layers, output)?;
        let mut params = vec![R::ZERO; tensors.last().map_or(0, |last| last.range.end)];
        for (stream, tensor) in tensors.iter().enumerate() {
            let mut rng = Rng::new(seed, stream as u64);
            let values = match (tensor.shape.as_slice(), tensor.name.rsplit_once('.')) {
                (&[rows, columns], Some((_, "kernel"))) => glorot_uniform(rows, columns, &mut rng),
                (&[rows, columns], Some((_, "recurrent_kernel"))) => orthogonal(rows, columns, &mut rng),
                (&[rows, columns], Some((_, "embeddings"))) => uniform(rows * columns, 0.05, &mut rng),
                _ => continue,
            };
            for (param, value) in params[tensor.range.clone()].iter_mut().zip(values) {
                *param = R::from_f64(value);
            }
        }
        Ok(Self { layers: layers.to_vec(), output, tensors, params })
    }

    /// A network with given parameters, in the order of [`Network::tensors`].
    ///
    /// # Errors
    /// Where the layers do not form a chain, or where it has another number of parameters.
    pub fn from_params(layers: &[LayerSpec], output: Output, params: Vec<R>) -> Result<Self, Error> {
        let tensors = tensors(layers, output)?;
        let expected = tensors.last().map_or(0, |last| last.range.end);
        if params.len() != expected {
            return Err(Error::ParameterCount { expected, found: params.len() });
        }
        Ok(Self { layers: layers.to_vec(), output, tensors, params })
    }

    /// The layers, in the order that data passes them.
    pub fn layers(&self) -> &[LayerSpec] {
        &self.layers
    }

    /// Which outputs count.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Inputs per step.
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// Outputs per step.
    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs()
    }

    /// Elements of state of all GRUs together. Pools begin with each series.
    pub fn state_len(&self) -> usize {
        self.layers.iter().map(carried).sum()
    }

    /// The table of tensors, in the order of the parameters.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All parameters.
    pub fn params(&self) -> &[R] {
        &self.params
    }

    /// All parameters, to change them.
    pub fn params_mut(&mut self) -> &mut [R] {
        &mut self.params
    }

    /// Each tensor that holds a number which is not finite, with the first such number. `values` are the parameters, or
    /// what is laid out as they are, such as gradients.
    pub fn not_finite<'a>(&'a self, values: &'a [R]) -> impl DoubleEndedIterator<Item = (&'a Tensor, f64)> {
        self.tensors.iter().filter_map(|tensor| {
            let mut values = values[tensor.range.clone()].iter().map(|value| value.to_f64());
            Some((tensor, values.find(|value| !value.is_finite())?))
        })
    }

    /// The parameters of one tensor.
    pub fn tensor(&self, name: &str) -> Option<&[R]> {
        let tensor = self.tensors.iter().find(|tensor| tensor.name == name)?;
        Some(&self.params[tensor.range.clone()])
    }

    /// [`first_head_layer`] of its layers.
    pub(super) fn first_head_layer(&self) -> usize {
        first_head_layer(&self.layers, self.output)
    }
}

/// Index of the first of `layers` that runs on the last step of a series only: those after the last GRU or pool, where the answer
/// is that of the last step.
pub fn first_head_layer(layers: &[LayerSpec], output: Output) -> usize {
    match output {
        Output::EveryStep | Output::Sequence(_) => layers.len(),
        Output::LastStep => layers.iter().rposition(|layer| layer.state() > 0).map_or(0, |last| last + 1),
    }
}

/// Elements of state that a layer may take over from another series: a GRU's.
pub(super) fn carried(layer: &LayerSpec) -> usize {
    match *layer {
        LayerSpec::Gru { hidden, .. } => hidden.into(),
        _ => 0,
    }
}

/// The table of tensors of a chain of layers, which is checked on the way.
fn tensors(layers: &[LayerSpec], output: Output) -> Result<Vec<Tensor>, Error> {
    if layers.is_empty() {
        return Err(Error::NoLayers);
    }
    if layers.len() > MAX_LAYERS {
        return Err(Error::TooManyLayers { found: layers.len(), max: MAX_LAYERS });
    }
    let encoder = output.encoder();
    if matches!(output, Output::Sequence(_)) {
        let (before, after) = layers.split_at_checked(encoder).unwrap_or((layers, &[]));
        let states = |layers: &[LayerSpec]| layers.iter().map(carried).filter(|&h| h > 0).collect::<Vec<_>>();
        if states(before).is_empty() || states(before) != states(after) {
            return Err(Error::HandOver { encoder: states(before), decoder: states(after) });
        }
        if let Some(layer) = layers.iter().position(|layer| layer.direction().is_some()) {
            return Err(Error::Bidirectional { layer });
        }
    }
    let mut tensors: Vec<Tensor> = Vec::new();
    let (mut grus, mut denses, mut embeddings, mut bidirectionals) = (0, 0, 0, 0);
    for (index, layer) in layers.iter().enumerate() {
        let (inputs, outputs) = (layer.inputs(), layer.outputs());
        let no_weights = matches!(layer, LayerSpec::Pool { .. } | LayerSpec::OneHot { .. });
        if inputs == 0 || outputs == 0 || (layer.parameters() == 0 && !no_weights) {
            return Err(Error::EmptyLayer { layer: index, inputs, outputs });
        }
        if index > 0 && index != encoder && layers[index - 1].outputs() != inputs {
            let expected = layers[index - 1].outputs();
            return Err(Error::SizeMismatch { layer: index, expected, found: inputs });
        }
        if let LayerSpec::OneHot { .. } = layer {
            let end = if index < encoder { encoder } else { layers.len() };
            let next = layers[..end].get(index + 1);
            if !((index == 0 || index == encoder) && next.is_some_and(LayerSpec::takes_one_hot)) {
                return Err(Error::OneHot { layer: index });
            }
        }
        let gru = |hidden: usize, reset: Reset| {
            let gates = 3 * hidden;
            let bias = match reset {
                Reset::Before => vec![gates],
                Reset::After => vec![2, gates],
            };
            [("kernel", vec![inputs, gates]), ("recurrent_kernel", vec![hidden, gates]), ("bias", bias)]
        };
        let (name, shapes) = match *layer {
            LayerSpec::Gru { reset, .. } => (numbered("gru", &mut grus), gru(outputs, reset).to_vec()),
            LayerSpec::Bidirectional { hidden, reset, .. } => {
                let [kernel, recurrent, bias] = gru(hidden.into(), reset).map(|(_, shape)| shape);
                let shapes = vec![
                    ("forward.kernel", kernel.clone()),
                    ("forward.recurrent_kernel", recurrent.clone()),
                    ("forward.bias", bias.clone()),
                    ("backward.kernel", kernel),
                    ("backward.recurrent_kernel", recurrent),
                    ("backward.bias", bias),
                ];
                (numbered("bidirectional", &mut bidirectionals), shapes)
            }
            LayerSpec::Dense { .. } => {
                let shapes = vec![("kernel", vec![inputs, outputs]), ("bias", vec![outputs])];
                (numbered("dense", &mut denses), shapes)
            }
            LayerSpec::Embedding { vocabulary, .. } => {
                let shapes = vec![("embeddings", vec![usize::from(vocabulary), outputs])];
                (numbered("embedding", &mut embeddings), shapes)
            }
            LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => continue,
            _ => return Err(Error::UnknownLayer { layer: index }),
        };
        for (tensor, shape) in shapes {
            let start = tensors.last().map_or(0, |last| last.range.end);
            let range = start..start + shape.iter().product::<usize>();
            tensors.push(Tensor { name: format!("{name}.{tensor}"), layer: index, shape, range });
        }
    }
    Ok(tensors)
}

/// `name`, `name_1`, `name_2`, …
fn numbered(name: &str, count: &mut usize) -> String {
    *count += 1;
    if *count == 1 { name.to_owned() } else { format!("{name}_{}", *count - 1) }
}
