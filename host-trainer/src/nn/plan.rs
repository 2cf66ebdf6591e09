//! A network as the passes see it: its layers with their places.

use std::ops::Range;

use grulet::spec::{LayerSpec, Output, with_one_hot};

use super::bidirectional::Bidirectional;
use super::dense::Dense;
use super::embedding::Embedding;
use super::gru::Gru;
use super::network::carried;
use super::pool::Pool;
use super::{Network, Real};

/// A layer with its place in the parameters, in the packed weights and in the state of the whole network.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub kind: Kind,
    /// Its number where something is drawn for it: one-hot layers have none, so that masks are those of the vectors' network.
    pub number: usize,
    pub params: Range<usize>,
    pub packed: Range<usize>,
    pub state: usize,
}

/// What a layer computes.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Gru(Gru),
    Dense(Dense),
    Embedding(Embedding),
    Pool(Pool),
    Bidirectional(Bidirectional),
    /// Hands the tokens on.
    OneHot,
}

impl Layer {
    /// Numbers that it takes at each step: its inputs, or the token that stands for them.
    pub fn inputs(&self) -> usize {
        match &self.kind {
            Kind::Gru(gru) => gru.width(),
            Kind::Dense(dense) => dense.width(),
            Kind::Embedding(_) | Kind::OneHot => 1,
            Kind::Pool(pool) => pool.width,
            Kind::Bidirectional(layer) => layer.gru.width(),
        }
    }

    /// Whether a token stands for its inputs.
    pub fn takes_one_hot(&self) -> bool {
        match &self.kind {
            Kind::Gru(gru) => gru.one_hot,
            Kind::Dense(dense) => dense.one_hot,
            Kind::Bidirectional(layer) => layer.gru.one_hot,
            Kind::Embedding(_) | Kind::OneHot | Kind::Pool(_) => false,
        }
    }

    /// Inputs that can be dropped: those of a vector, but no tokens.
    pub fn droppable(&self) -> usize {
        match &self.kind {
            Kind::Gru(gru) => gru.inputs,
            Kind::Dense(dense) => dense.inputs,
            Kind::Bidirectional(layer) => layer.gru.inputs,
            Kind::Pool(pool) => pool.width,
            Kind::Embedding(_) | Kind::OneHot => 0,
        }
    }

    /// Numbers that it hands on at each step.
    pub fn outputs(&self) -> usize {
        match &self.kind {
            Kind::OneHot => 1,
            Kind::Gru(gru) => gru.hidden,
            Kind::Dense(dense) => dense.outputs,
            Kind::Embedding(embedding) => embedding.outputs,
            Kind::Pool(pool) => pool.width,
            Kind::Bidirectional(layer) => layer.outputs(),
        }
    }
}

/// A network as the passes see it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub layers: Vec<Layer>,
    pub output: Output,
    /// Layers from here on run on the last step only.
    pub head: usize,
    /// Layers of the encoder, none in a chain.
    pub encoder: usize,
    /// For each layer the one whose last state it starts from, if it does.
    pub starts_from: Vec<Option<usize>>,
    pub packed_len: usize,
    pub params_len: usize,
    pub state_len: usize,
}

impl Plan {
    pub fn new<R: Real>(network: &Network<R>) -> Self {
        let (mut params, mut packed, mut state, mut number) = (0, 0, 0, 0);
        let (output, head) = (network.output(), network.first_head_layer());
        let layers = with_one_hot(network.layers())
            .enumerate()
            .map(|(index, (spec, one_hot))| {
                let (kind, packed_len) = match *spec {
                    LayerSpec::Gru { inputs, hidden, reset, gate, candidate } => {
                        let (inputs, hidden) = (inputs.into(), hidden.into());
                        let gru = Gru { inputs, one_hot, hidden, reset, gate, candidate };
                        (Kind::Gru(gru), gru.packed_len())
                    }
                    LayerSpec::Dense { inputs, outputs, activation } => {
                        let dense = Dense { inputs: inputs.into(), one_hot, outputs: outputs.into(), activation };
                        (Kind::Dense(dense), dense.packed_len())
                    }
                    LayerSpec::Embedding { vocabulary, outputs } => {
                        let embedding = Embedding { vocabulary: vocabulary.into(), outputs: outputs.into() };
                        (Kind::Embedding(embedding), 0)
                    }
                    LayerSpec::Bidirectional { inputs, hidden, reset, gate, candidate, merge } => {
                        let (inputs, hidden) = (inputs.into(), hidden.into());
                        let gru = Gru { inputs, one_hot, hidden, reset, gate, candidate };
                        let only_last = output == Output::LastStep && index + 1 == head;
                        let layer = Bidirectional { gru, merge, only_last };
                        (Kind::Bidirectional(layer), layer.packed_len())
                    }
                    LayerSpec::OneHot { .. } => (Kind::OneHot, 0),
                    LayerSpec::Pool { inputs, over } => (Kind::Pool(Pool { width: inputs.into(), over }), 0),
                    _ => unreachable!("a network is made of layers that it knows"),
                };
                let layer = Layer {
                    kind,
                    number,
                    params: params..params + spec.parameters(),
                    packed: packed..packed + packed_len,
                    state,
                };
                (params, packed, state) = (layer.params.end, layer.packed.end, state + carried(spec));
                number += usize::from(!matches!(layer.kind, Kind::OneHot));
                layer
            })
            .collect();
        let encoder = output.encoder();
        let starts_from = starts_from(network.layers(), encoder);
        Self { layers, output, head, encoder, starts_from, packed_len: packed, params_len: params, state_len: state }
    }

    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// Inputs of the decoder, if there is one.
    pub fn decoder_inputs(&self) -> Option<usize> {
        (self.encoder > 0).then(|| self.layers[self.encoder].inputs())
    }

    pub fn outputs(&self) -> usize {
        self.layers[self.layers.len() - 1].outputs()
    }

    /// Steps that have an output.
    pub fn output_steps(&self, steps: usize) -> usize {
        match self.output {
            Output::EveryStep | Output::Sequence(_) => steps,
            Output::LastStep => 1,
        }
    }

    /// Whether a series of that length has an output at step `t`.
    pub fn is_valid(&self, t: usize, length: usize) -> bool {
        self.output == Output::LastStep || t < length
    }

    /// Whether that output counts in the loss, of a batch with so many steps `ignored`.
    pub fn counts(&self, t: usize, length: usize, ignored: usize) -> bool {
        self.output == Output::LastStep || (ignored..length).contains(&t)
    }

    /// Lays all parameters out for the products.
    pub fn pack<R: Real>(&self, params: &[R], packed: &mut [R]) {
        for layer in &self.layers {
            let (params, packed) = (&params[layer.params.clone()], &mut packed[layer.packed.clone()]);
            match &layer.kind {
                Kind::Gru(gru) => gru.pack(params, packed),
                Kind::Dense(dense) => dense.pack(params, packed),
                Kind::Bidirectional(layer) => layer.pack(params, packed),
                // A table is read as it is, and the others have no parameters.
                Kind::Embedding(_) | Kind::Pool(_) | Kind::OneHot => {}
            }
        }
    }

    /// Whether the layer's rows are last steps only.
    pub fn in_head(&self, layer: usize) -> bool {
        layer >= self.head
    }
}

/// The layers from which those of a decoder start: its GRUs are the encoder's, in order.
fn starts_from(layers: &[LayerSpec], encoder: usize) -> Vec<Option<usize>> {
    let mut grus = (0..encoder).filter(|&index| carried(&layers[index]) > 0);
    let from = |index: usize| if index >= encoder && carried(&layers[index]) > 0 { grus.next() } else { None };
    (0..layers.len()).map(from).collect()
}
