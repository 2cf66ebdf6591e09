//! What a network is made of, as data: the description that the blob header carries, that the trainer trains and that
//! `AnyModel` runs.
//!
//! Every type here is part of the blob format (postcard numbers the variants in the order written): append, never
//! reorder.

use serde::{Deserialize, Serialize};

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
}

impl LayerSpec {
    /// Inputs per step.
    pub const fn inputs(&self) -> usize {
        match *self {
            LayerSpec::Gru { inputs, .. } | LayerSpec::Dense { inputs, .. } => inputs as usize,
        }
    }

    /// Outputs per step.
    pub const fn outputs(&self) -> usize {
        match *self {
            LayerSpec::Gru { hidden: outputs, .. } | LayerSpec::Dense { outputs, .. } => outputs as usize,
        }
    }

    /// Elements of state that the layer keeps between steps.
    pub const fn state(&self) -> usize {
        match *self {
            LayerSpec::Gru { hidden, .. } => hidden as usize,
            LayerSpec::Dense { .. } => 0,
        }
    }

    /// Trainable parameters, counted as Keras counts them (`reset_after=True` has two biases per gate).
    pub const fn parameters(&self) -> usize {
        let (i, o) = (self.inputs(), self.outputs());
        match self {
            LayerSpec::Gru { reset: Reset::Before, .. } => 3 * o * (i + o + 1),
            LayerSpec::Gru { reset: Reset::After, .. } => 3 * o * (i + o + 2),
            LayerSpec::Dense { .. } => o * (i + 1),
        }
    }

    /// Multiply-accumulates per step.
    pub const fn macs(&self) -> usize {
        let (i, o) = (self.inputs(), self.outputs());
        match self {
            LayerSpec::Gru { .. } => 3 * o * (i + o),
            LayerSpec::Dense { .. } => i * o,
        }
    }
}

/// Which of a network's outputs it was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output {
    /// One output per timestep (Keras `return_sequences=True`).
    EveryStep,
    /// The output at the last timestep of a series or window only.
    LastStep,
}
