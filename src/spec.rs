//! What a network is made of, as data: the description that the blob header carries, that the trainer trains and that
//! `AnyModel` runs.
//!
//! Every type here is part of the blob format (postcard numbers the variants in the order written): append, never
//! reorder.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::BitHash;
use crate::kernel::int8;

/// The most layers that a network may have.
pub const MAX_LAYERS: usize = 8;

/// Where a GRU applies its reset gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reset {
    /// `c = act(W·x + U·(r⊙h) + b)`: Cho et al. 2014, Keras `reset_after=False`, ONNX `linear_before_reset=0`.
    Before,
    /// `c = act(W·x + b + r⊙(U·h + b'))`: Keras `reset_after=True`, PyTorch, ONNX `linear_before_reset=1`.
    After,
}

/// The activation of a GRU's update and reset gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Gate {
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `clip(0.2·x + 0.5, 0, 1)`: Keras 2, ONNX defaults.
    HardSigmoid,
}

/// The activation of a GRU's candidate state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Candidate {
    /// Hyperbolic tangent: `|h| ≤ 1` always.
    Tanh,
    /// `max(x, 0)`: the state is not bounded by 1.
    Relu,
    /// The identity: the state is not bounded by 1.
    Linear,
}

/// The activation of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Activation {
    /// The identity.
    Linear,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `clip(0.2·x + 0.5, 0, 1)`.
    HardSigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `e^xᵢ / Σ e^xⱼ` over the layer's outputs.
    Softmax,
}

/// What a pool gives of all steps so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pooling {
    /// Their mean: Keras's `GlobalAveragePooling1D` at the last step.
    Mean,
    /// The largest: Keras's `GlobalMaxPooling1D` at the last step.
    Max,
}

/// What a bidirectional layer makes of its two directions' states, the forward one's first: Keras's `merge_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Merge {
    /// One after the other: twice as many outputs as units.
    Concat,
    /// Their sum.
    Sum,
    /// Their product.
    Mul,
    /// Their mean.
    Ave,
}

/// One layer of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LayerSpec {
    /// A gated recurrent unit.
    Gru {
        /// Inputs per step.
        inputs: u16,
        /// Hidden units, which are also the outputs per step.
        hidden: u16,
        /// Where the reset gate acts.
        reset: Reset,
        /// Activation of the gates.
        gate: Gate,
        /// Activation of the candidate.
        candidate: Candidate,
    },
    /// A fully connected layer, applied to every step.
    Dense {
        /// Inputs per step.
        inputs: u16,
        /// Outputs per step.
        outputs: u16,
        /// Activation of the outputs.
        activation: Activation,
    },
    /// A table of vectors; the only input is the number of one.
    Embedding {
        /// Vectors.
        vocabulary: u16,
        /// Elements of each, which are the outputs per step.
        outputs: u16,
    },
    /// Each channel pooled over time.
    Pool {
        /// Inputs per step, which are as many outputs.
        inputs: u16,
        /// What it gives.
        over: Pooling,
    },
    /// Two GRUs of one shape, one of which reads a series from its end: Keras's `Bidirectional(GRU(H))`. It answers when the
    /// series is complete.
    Bidirectional {
        /// Inputs per step.
        inputs: u16,
        /// Hidden units of each direction.
        hidden: u16,
        /// Where the reset gate acts.
        reset: Reset,
        /// Activation of the gates.
        gate: Gate,
        /// Activation of the candidate.
        candidate: Candidate,
        /// How the directions' states become outputs.
        merge: Merge,
    },
    /// The one-hot vector of a token, which is the only input: all zeros but a 1 at its number. No such vector is ever made: the
    /// next layer adds the one row of its kernel that the 1 would pick. The first layer of a chain, an encoder or a decoder.
    OneHot {
        /// Tokens, which are the outputs per step.
        vocabulary: u16,
    },
}

impl LayerSpec {
    /// Inputs per step.
    pub const fn inputs(&self) -> usize {
        match *self {
            LayerSpec::Embedding { .. } | LayerSpec::OneHot { .. } => 1,
            LayerSpec::Gru { inputs, .. }
            | LayerSpec::Dense { inputs, .. }
            | LayerSpec::Pool { inputs, .. }
            | LayerSpec::Bidirectional { inputs, .. } => inputs as usize,
        }
    }

    /// Outputs per step.
    pub const fn outputs(&self) -> usize {
        match *self {
            LayerSpec::Gru { hidden: outputs, .. }
            | LayerSpec::Dense { outputs, .. }
            | LayerSpec::Embedding { outputs, .. }
            | LayerSpec::OneHot { vocabulary: outputs }
            | LayerSpec::Pool { inputs: outputs, .. } => outputs as usize,
            LayerSpec::Bidirectional { hidden, merge: Merge::Concat, .. } => 2 * hidden as usize,
            LayerSpec::Bidirectional { hidden, .. } => hidden as usize,
        }
    }

    /// What an observer of a run sees of the layer per step: its outputs; of a bidirectional layer the states of both
    /// directions, the forward one's first, which its outputs are made of; of a one-hot layer the token.
    pub const fn observed(&self) -> usize {
        match *self {
            LayerSpec::Bidirectional { hidden, .. } => 2 * hidden as usize,
            LayerSpec::OneHot { .. } => 1,
            _ => self.outputs(),
        }
    }

    /// Tokens that a layer knows whose input is a token; `None` of other layers.
    pub const fn vocabulary(&self) -> Option<u16> {
        match *self {
            LayerSpec::Embedding { vocabulary, .. } | LayerSpec::OneHot { vocabulary } => Some(vocabulary),
            _ => None,
        }
    }

    /// Whether it can take a one-hot vector, of which the token alone is given: it multiplies its inputs by a kernel.
    pub const fn takes_one_hot(&self) -> bool {
        matches!(self, LayerSpec::Gru { .. } | LayerSpec::Dense { .. } | LayerSpec::Bidirectional { .. })
    }

    /// The GRU that each direction of a bidirectional layer is; `None` of other layers.
    pub const fn direction(&self) -> Option<LayerSpec> {
        match *self {
            LayerSpec::Bidirectional { inputs, hidden, reset, gate, candidate, .. } => {
                Some(LayerSpec::Gru { inputs, hidden, reset, gate, candidate })
            }
            _ => None,
        }
    }

    /// Units of each direction of a bidirectional layer; of other layers the outputs.
    const fn units(&self) -> usize {
        match *self {
            LayerSpec::Bidirectional { hidden, .. } => hidden as usize,
            _ => self.outputs(),
        }
    }

    /// Elements of state that the layer keeps between steps; of a bidirectional layer, those of both directions.
    pub const fn state(&self) -> usize {
        match *self {
            LayerSpec::Gru { hidden, .. } => hidden as usize,
            LayerSpec::Dense { .. } | LayerSpec::Embedding { .. } | LayerSpec::OneHot { .. } => 0,
            // See `layer::pool`: the mean in two parts, and a count.
            LayerSpec::Pool { inputs, over: Pooling::Mean } => 2 * inputs as usize + 1,
            LayerSpec::Pool { inputs, over: Pooling::Max } => inputs as usize + 1,
            LayerSpec::Bidirectional { hidden, .. } => 2 * hidden as usize,
        }
    }

    /// Trainable parameters, counted as Keras counts them (`reset_after=True` has two biases per gate).
    pub const fn parameters(&self) -> usize {
        let (i, o) = (self.inputs(), self.outputs());
        match self {
            LayerSpec::Gru { reset: Reset::Before, .. } => 3 * o * (i + o + 1),
            LayerSpec::Gru { reset: Reset::After, .. } => 3 * o * (i + o + 2),
            LayerSpec::Dense { .. } => o * (i + 1),
            LayerSpec::Embedding { vocabulary, .. } => *vocabulary as usize * o,
            LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => 0,
            LayerSpec::Bidirectional { reset: Reset::Before, .. } => 6 * self.units() * (i + self.units() + 1),
            LayerSpec::Bidirectional { reset: Reset::After, .. } => 6 * self.units() * (i + self.units() + 2),
        }
    }

    /// Multiply-accumulates per step.
    pub const fn macs(&self) -> usize {
        self.macs_of(self.inputs())
    }

    /// The same after a one-hot layer: the inputs are not multiplied.
    pub const fn macs_after_one_hot(&self) -> usize {
        self.macs_of(0)
    }

    /// Of so many inputs that are multiplied.
    const fn macs_of(&self, i: usize) -> usize {
        let o = self.outputs();
        match self {
            LayerSpec::Gru { .. } => 3 * o * (i + o),
            LayerSpec::Dense { .. } => i * o,
            LayerSpec::Embedding { .. } | LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => 0,
            LayerSpec::Bidirectional { .. } => 6 * self.units() * (i + self.units()),
        }
    }
}

/// Each of `layers` with whether its inputs are one-hot, so that the token alone is handed to it.
pub fn with_one_hot(layers: &[LayerSpec]) -> impl Iterator<Item = (&LayerSpec, bool)> {
    let mut after = false;
    layers.iter().map(move |layer| {
        let one_hot = core::mem::replace(&mut after, matches!(layer, LayerSpec::OneHot { .. }));
        (layer, one_hot)
    })
}

/// Which of a network's outputs it was trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output {
    /// One output per timestep (Keras `return_sequences=True`).
    #[default]
    EveryStep,
    /// The output at the last timestep of a series or window only.
    LastStep,
    /// A sequence of tokens: the network is an encoder-decoder.
    Sequence(Decoding),
}

/// How an encoder-decoder makes a sequence (Sutskever et al. 2014; Cho et al. 2014).
///
/// The first layers are the encoder, the others the decoder. Both have the same GRUs in the same order, and the decoder's
/// start from the states that the encoder's end in. The decoder takes the start token, and then each token that it has
/// given, until that is the stop token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decoding {
    /// Layers of the encoder.
    pub encoder: u8,
    /// The token that the decoder takes first.
    pub start: u16,
    /// The token that ends a sequence.
    pub stop: u16,
    /// Tokens of the longest sequence that it was trained on, without start and stop.
    pub longest: u16,
}

impl Output {
    /// Layers of the encoder, 0 where the network is a chain.
    pub const fn encoder(&self) -> usize {
        match self {
            Output::Sequence(decoding) => decoding.encoder as usize,
            Output::EveryStep | Output::LastStep => 0,
        }
    }
}

/// The size of `layers`' GRU of that number, 0 if there are not so many: what an encoder hands to a decoder.
const fn state_of(layers: &[LayerSpec], number: usize) -> usize {
    let (mut i, mut seen) = (0, 0);
    while i < layers.len() {
        if layers[i].state() > 0 {
            if seen == number {
                return layers[i].state();
            }
            seen += 1;
        }
        i += 1;
    }
    0
}

/// Whether any of `layers` is bidirectional, so that they run over a whole series only.
pub(crate) const fn is_bidirectional(layers: &[LayerSpec]) -> bool {
    let mut i = 0;
    while i < layers.len() {
        if matches!(layers[i], LayerSpec::Bidirectional { .. }) {
            return true;
        }
        i += 1;
    }
    false
}

/// The layer that gives a series' last output where only that is wanted, after which layers run once: the last one with a
/// state, or the first.
pub(crate) const fn last_with_state(layers: &[LayerSpec]) -> usize {
    // Not by index, in which the compiler leaves a panic.
    let mut rest = layers;
    while let Some((layer, before)) = rest.split_last() {
        if layer.state() > 0 {
            return before.len();
        }
        rest = before;
    }
    0
}

/// Whether `layers` have a state that cannot be handed over.
const fn keeps_its_state(layers: &[LayerSpec]) -> bool {
    let mut i = 0;
    while i < layers.len() {
        if matches!(layers[i], LayerSpec::Pool { .. } | LayerSpec::Bidirectional { .. }) {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether a decoder's GRUs can start from an encoder's states, and nothing else has a state.
pub(crate) const fn hands_over(encoder: &[LayerSpec], decoder: &[LayerSpec]) -> bool {
    if keeps_its_state(encoder) || keeps_its_state(decoder) {
        return false;
    }
    let mut number = 0;
    while number < MAX_LAYERS {
        if state_of(encoder, number) != state_of(decoder, number) {
            return false;
        }
        number += 1;
    }
    state_of(encoder, 0) > 0
}

/// How a blob stores its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Storage {
    /// IEEE 754 single precision, for the formats [`Exact`](crate::Exact) and `Fast`.
    F32,
    /// Integers, for the format [`Int8`](crate::Int8).
    Int8,
}

/// One matrix with its bias among a layer's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Rows of the product's result.
    pub outputs: usize,
    /// Elements of the input that it is multiplied with.
    pub inputs: usize,
    /// Elements of the state that it is multiplied with.
    pub state: usize,
}

impl Matrix {
    /// The 16-byte lines that it takes in a blob; as `u64`, because a hostile header's product may not fit a `usize`.
    pub const fn lines(&self, storage: Storage) -> u64 {
        match storage {
            Storage::F32 => (self.outputs as u64 * (1 + self.inputs as u64 + self.state as u64)).div_ceil(4),
            Storage::Int8 => {
                let pairs = (self.inputs as u64).div_ceil(2) + (self.state as u64).div_ceil(2);
                (self.outputs.div_ceil(int8::ROWS) as u64 * int8::block_words(pairs)).div_ceil(4)
            }
        }
    }
}

impl LayerSpec {
    /// The layer's matrices in the order in which a blob holds them; unused places are empty. An embedding, a pool and a
    /// one-hot layer have none.
    ///
    /// A GRU has `[z; r]` on `[x; h]` and then its candidate: `c` on `[x; r⊙h]` ([`Reset::Before`]), or `U` on `h` and `W`
    /// on `x` apart ([`Reset::After`]). Those of a bidirectional layer are each direction's.
    #[inline(always)]
    pub const fn matrices(&self) -> [Matrix; 3] {
        const fn matrix(outputs: usize, inputs: usize, state: usize) -> Matrix {
            Matrix { outputs, inputs, state }
        }
        let (i, o) = (self.inputs(), self.units());
        match self {
            LayerSpec::Gru { reset: Reset::Before, .. } | LayerSpec::Bidirectional { reset: Reset::Before, .. } => {
                [matrix(2 * o, i, o), matrix(o, i, o), matrix(0, 0, 0)]
            }
            LayerSpec::Gru { reset: Reset::After, .. } | LayerSpec::Bidirectional { reset: Reset::After, .. } => {
                [matrix(2 * o, i, o), matrix(o, 0, o), matrix(o, i, 0)]
            }
            LayerSpec::Dense { .. } => [matrix(o, i, 0), matrix(0, 0, 0), matrix(0, 0, 0)],
            LayerSpec::Embedding { .. } | LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } => [matrix(0, 0, 0); 3],
        }
    }

    /// The 16-byte lines that the layer's tensors take in a blob.
    pub const fn lines(&self, storage: Storage) -> u64 {
        if let LayerSpec::Embedding { vocabulary, outputs } = *self {
            let elements = vocabulary as u64 * outputs as u64;
            return match storage {
                Storage::F32 => elements.div_ceil(4),
                Storage::Int8 => elements.div_ceil(16),
            };
        }
        if let LayerSpec::Pool { .. } | LayerSpec::OneHot { .. } = self {
            return 0;
        }
        let [a, b, c] = self.matrices();
        let parameters = match storage {
            Storage::F32 => 0,
            Storage::Int8 => 1,
        };
        let directions = if let LayerSpec::Bidirectional { .. } = self { 2 } else { 1 };
        directions * (parameters + a.lines(storage) + b.lines(storage) + c.lines(storage))
    }
}

/// A hash of everything in a network that decides whether a blob fits it: storage, layers, sizes, variants, activations.
pub const fn fingerprint(storage: Storage, layers: &[LayerSpec]) -> u64 {
    hash_layers(BitHash::new().word(storage as u32).word(layers.len() as u32), layers).finish()
}

/// [`fingerprint`] of an encoder-decoder: of the layers of both, and then of their number in the encoder.
pub const fn fingerprint_of_pair(storage: Storage, encoder: &[LayerSpec], decoder: &[LayerSpec]) -> u64 {
    let hash = BitHash::new().word(storage as u32).word((encoder.len() + decoder.len()) as u32);
    hash_layers(hash_layers(hash, encoder), decoder).word(encoder.len() as u32).finish()
}

const fn hash_layers(mut hash: BitHash, layers: &[LayerSpec]) -> BitHash {
    let mut i = 0;
    while i < layers.len() {
        let (kind, variant) = match layers[i] {
            LayerSpec::Gru { reset, gate, candidate, .. } => {
                (0, (reset as u32) | (gate as u32) << 8 | (candidate as u32) << 16)
            }
            LayerSpec::Dense { activation, .. } => (1, activation as u32),
            LayerSpec::Embedding { vocabulary, .. } => (2, vocabulary as u32),
            LayerSpec::Pool { over, .. } => (3, over as u32),
            LayerSpec::OneHot { .. } => (5, 0),
            LayerSpec::Bidirectional { reset, gate, candidate, merge, .. } => {
                (4, (reset as u32) | (gate as u32) << 8 | (candidate as u32) << 16 | (merge as u32) << 24)
            }
        };
        let sizes = layers[i].inputs() as u32 | (layers[i].outputs() as u32) << 16;
        hash = hash.word(kind).word(sizes).word(variant);
        i += 1;
    }
    hash
}

impl fmt::Display for LayerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayerSpec::Gru { inputs, hidden, reset, gate, candidate } => {
                write!(f, "Gru<{inputs}, {hidden}> (reset {reset:?}, gates {gate:?}, candidate {candidate:?})")
            }
            LayerSpec::Dense { inputs, outputs, activation } => write!(f, "Dense<{inputs}, {outputs}, {activation:?}>"),
            LayerSpec::Embedding { vocabulary, outputs } => write!(f, "Embedding<{vocabulary}, {outputs}>"),
            LayerSpec::Pool { inputs, over } => write!(f, "Pool<{inputs}, {over:?}>"),
            LayerSpec::OneHot { vocabulary } => write!(f, "OneHot of {vocabulary}"),
            LayerSpec::Bidirectional { inputs, hidden, reset, gate, candidate, merge } => write!(
                f,
                "Bidirectional<{inputs}, {hidden}, {}, {merge:?}> (reset {reset:?}, gates {gate:?}, candidate {candidate:?})",
                self.outputs()
            ),
        }
    }
}
