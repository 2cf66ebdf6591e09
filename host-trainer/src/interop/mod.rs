//! Models and their weights in the formats of other frameworks, and back from the runtime's own.
//!
//! [`model::load`] takes whatever holds a trained model; [`arrays`] lays its weights out as another framework does; a writer
//! for each format ([`npz`], [`safetensors`], [`onnx`]) makes a file of them.

pub mod arrays;
pub mod model;
pub mod npz;
pub mod onnx;
pub mod safetensors;
