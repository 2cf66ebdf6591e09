//! The numerics of training: networks, gradients by backpropagation through time, losses, optimisers.
//!
//! Everything is generic over [`Real`]: training runs in `f32`, and tests check the same code in `f64` against finite
//! differences and against Keras and PyTorch.
//!
//! In the order that data passes them: [`Batch`] → `shard` (one pass of a [`Network`] over eight series) → `gru`, `bidirectional`, `dense`, `embedding`, `one_hot`, `pool`
//! (one layer's forward and backward; `regularize` in training) → `gemm` (matrix products), `elementwise` (what a GRU
//! does between them) → [`Loss`], [`Metrics`] →
//! [`Trainer`] (shards on threads, gradients summed) → [`clip_by_norm`], [`clip_by_value`] → [`Optimizer`].
//!
//! **If** a batch fits the network and its targets the loss, **then** every call succeeds and depends on nothing but
//! parameters and batch: not on the number of threads, on earlier calls, nor on what stands in the padding. **Else** it
//! returns an [`Error`] and changes nothing.

mod aligned;
mod average;
mod batch;
mod bidirectional;
mod clip;
mod dense;
mod elementwise;
mod embedding;
mod error;
mod gemm;
mod gru;
mod init;
mod loss;
mod metrics;
mod network;
mod one_hot;
mod optimizer;
mod plan;
mod pool;
mod real;
mod regularize;
mod rng;
mod shard;
mod simd;
mod trainer;

pub use batch::{Batch, DecoderInputs};
pub use clip::{clip_by_norm, clip_by_value};
pub use error::Error;
pub use loss::Loss;
pub use metrics::{Errors, Metrics, argmax};
pub use network::{Network, Tensor, first_head_layer};
pub use optimizer::{Epsilon, Optimizer, Rule};
pub use real::Real;
pub use regularize::Regularization;
pub use rng::Rng;
pub(crate) use rng::split_mix;
pub use trainer::Trainer;
