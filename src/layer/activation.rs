//! The type-level names of variants and activations.

use super::sealed::Sealed;
use crate::spec::{Activation, Candidate, Gate, Merge, Reset};

/// Where a GRU's reset gate acts: [`ResetBefore`] or [`ResetAfter`].
pub trait ResetVariant: Sealed + 'static {
    /// The same as data.
    const RESET: Reset;
}

/// How a [`Bidirectional`](super::Bidirectional) layer merges its directions: [`Concat`], [`Sum`], [`Mul`] or [`Ave`].
pub trait MergeVariant: Sealed + 'static {
    /// The same as data.
    const MERGE: Merge;
}

/// A GRU's gate activation: [`Sigmoid`] or [`HardSigmoid`].
pub trait GateActivation: Sealed + 'static {
    /// The same as data.
    const GATE: Gate;
}

/// A GRU's candidate activation: [`Tanh`], [`Relu`] or [`Linear`].
pub trait CandidateActivation: Sealed + 'static {
    /// The same as data.
    const CANDIDATE: Candidate;
}

/// A dense layer's activation: [`Linear`], [`Sigmoid`], [`HardSigmoid`], [`Tanh`], [`Relu`] or [`Softmax`].
pub trait DenseActivation: Sealed + 'static {
    /// The same as data.
    const ACTIVATION: Activation;
}

macro_rules! marker {
    ($(#[$doc:meta])* $Name:ident: $($Trait:ident $CONST:ident $Kind:ident::$Variant:ident),+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $Name {}

        impl Sealed for $Name {}

        $(impl $Trait for $Name {
            const $CONST: $Kind = $Kind::$Variant;
        })+
    };
}

marker!(
    /// Reset gate before the matmul: `c = act(W·x + U·(r⊙h) + b)`. Keras `reset_after=False`, the default here.
    ResetBefore: ResetVariant RESET Reset::Before
);
marker!(
    /// Reset gate after the matmul: `c = act(W·x + b + r⊙(U·h + b'))`. Keras `reset_after=True`, PyTorch.
    ResetAfter: ResetVariant RESET Reset::After
);
marker!(
    /// `1 / (1 + e^-x)`.
    Sigmoid: GateActivation GATE Gate::Sigmoid, DenseActivation ACTIVATION Activation::Sigmoid
);
marker!(
    /// `clip(0.2·x + 0.5, 0, 1)`.
    HardSigmoid: GateActivation GATE Gate::HardSigmoid, DenseActivation ACTIVATION Activation::HardSigmoid
);
marker!(
    /// Hyperbolic tangent.
    Tanh: CandidateActivation CANDIDATE Candidate::Tanh, DenseActivation ACTIVATION Activation::Tanh
);
marker!(
    /// `max(x, 0)`.
    Relu: CandidateActivation CANDIDATE Candidate::Relu, DenseActivation ACTIVATION Activation::Relu
);
marker!(
    /// The identity.
    Linear: CandidateActivation CANDIDATE Candidate::Linear, DenseActivation ACTIVATION Activation::Linear
);
marker!(
    /// `e^xᵢ / Σ e^xⱼ` over the layer's outputs.
    Softmax: DenseActivation ACTIVATION Activation::Softmax
);
marker!(
    /// Both directions' states, the forward one's first: twice as many outputs as units. Keras's default.
    Concat: MergeVariant MERGE Merge::Concat
);
marker!(
    /// The sum of both directions' states.
    Sum: MergeVariant MERGE Merge::Sum
);
marker!(
    /// The product of both directions' states.
    Mul: MergeVariant MERGE Merge::Mul
);
marker!(
    /// The mean of both directions' states.
    Ave: MergeVariant MERGE Merge::Ave
);
