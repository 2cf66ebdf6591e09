//! How far results may be from those of Keras and PyTorch, of difference quotients, and of the runtime: the one table.
//!
//! Unless something else is said, a difference is **relative to the largest magnitude in its tensor**: an element near 0 among large ones is a difference of
//! large terms, and cannot be closer than they are.

/// Largest relative differences, by what is compared.
#[derive(Clone, Copy, Debug)]
pub struct Tolerances {
    /// Outputs of the network.
    pub outputs: f64,
    /// The mean loss.
    pub loss: f64,
    /// Gradients of the loss by weights and inputs.
    pub gradients: f64,
    /// Weights after 1 step of Adam.
    pub adam_1: f64,
    /// Weights after 10 steps of Adam, and the losses before each.
    pub adam_10: f64,
    /// The losses before each of 100 steps of Adam, each relative to itself.
    pub losses_100: f64,
}

/// Training in `f64`, the same code as ships in `f32`.
pub const F64: Tolerances =
    Tolerances { outputs: 1e-12, loss: 1e-12, gradients: 1e-12, adam_1: 1e-12, adam_10: 1e-12, losses_100: 1e-12 };

/// Training in `f32`.
pub const F32: Tolerances =
    Tolerances { outputs: 2e-6, loss: 2e-6, gradients: 2e-6, adam_1: 2e-6, adam_10: 2e-6, losses_100: 5e-6 };

/// Outputs of the runtime in format `Exact`, absolute.
pub const RUNTIME: f64 = 2e-6;

/// Outputs of the runtime in format `Fast`, absolute: its activations are within 1.4e-4, through a few layers.
pub const RUNTIME_FAST: f64 = 2e-3;

/// Largest difference between a gradient and a difference quotient, relative to the larger of the gradient and 1.
///
/// With [`STEP`] the quotient's own error is some 1e-11 by rounding and less by its fourth order.
pub const GRADIENT_F64: f64 = 2e-9;
/// Where two one-sided quotients differ by more than this, relative likewise, there is a kink between them. A kink that is
/// not seen moves the quotient by less than [`GRADIENT_F64`].
pub const KINK_F64: f64 = 1e-9;
/// Distance of the points of a difference quotient; they reach twice as far.
pub const STEP: f64 = 2e-5;
/// The least part of the elements of a network with kinks that must be away from them.
pub const CHECKED: f64 = 0.9;
