#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(all(target_arch = "x86", not(target_feature = "sse2")))]
compile_error!("x87 arithmetic rounds differently: build for x86 with SSE2");

#[cfg(target_pointer_width = "16")]
compile_error!("grulet counts weights in usize, which has 16 bits here: 32-bit and 64-bit targets are supported");

pub mod any;
pub mod blob;
mod cast;
pub mod error;
pub mod fixed;
pub mod format;
pub mod hash;
pub mod kernel;
pub mod layer;
pub mod math;
pub mod model;
pub mod network;
#[cfg(feature = "saturations")]
pub mod saturations;
pub mod seq2seq;
pub mod spec;
pub mod window;

pub use any::{AnyModel, AnyStream};
pub use blob::{Blob, Header, fits};
pub use cast::{Aligned, Line};
pub use error::Error;
#[cfg(feature = "micromath")]
pub use format::Fast;
pub use format::{Exact, Format, Int8};
pub use hash::BitHash;
/// The crate whose `Vec` holds an [`AnyStream`] and a [`Header`]'s layers.
pub use heapless;
pub use layer::{
    Ave, Bidirectional, Concat, Dense, Embedding, Gru, HardSigmoid, Layer, Linear, Max, Mean, Mul, OneHot, Pool, Relu,
    ResetAfter, ResetBefore, Sigmoid, Softmax, Sum, Tanh, Weights,
};
pub use model::{Model, Stream};
pub use network::{Network, WindowNetwork};
pub use seq2seq::{AnySeq2Seq, Seq2Seq};
pub use spec::LayerSpec;
pub use window::{AnyWindow, Window};

/// The bytes of a model file, aligned as [`Model::from_blob`] wants them, in the flash of the program.
///
/// The path is relative to the file that the macro is called in, as with `include_bytes!`.
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        const MODEL: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
        MODEL
    }};
}
