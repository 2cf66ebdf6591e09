//! Everything that can be wrong with a blob, and with the sizes that a caller passes.

use core::fmt;

use crate::spec::{LayerSpec, Storage};

/// Why a blob was refused, or a call on run-time sizes. Each message says what was expected, what was found and what to do.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not start on a 16-byte boundary.
    Misaligned {
        /// How far past the boundary they start.
        offset: usize,
    },
    /// The bytes do not start with the magic number.
    NotAModel,
    /// A blob of another format version.
    Version {
        /// The version found.
        found: u32,
    },
    /// Fewer bytes than the blob says it has.
    Truncated {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// More bytes than the blob says it has.
    TrailingBytes {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// The bytes are not those that were written.
    Checksum {
        /// The CRC-32C that the blob carries.
        stored: u32,
        /// The CRC-32C of its bytes.
        computed: u32,
    },
    /// The checksum is right, but the header does not make sense: a faulty writer.
    Header {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The blob stores its weights for another format.
    Storage {
        /// The storage that the network's format reads.
        expected: Storage,
        /// The storage found.
        found: Storage,
    },
    /// The blob holds another network.
    Layer {
        /// The first layer that differs, counted from 0.
        layer: usize,
        /// The layer expected; `None` if the network has fewer.
        expected: Option<LayerSpec>,
        /// The layer found; `None` if the blob has fewer.
        found: Option<LayerSpec>,
    },
    /// The layers of a blob do not form a chain, so that it can only be wired by hand.
    NotAChain {
        /// The first layer that does not fit the one before it, counted from 0.
        layer: usize,
        /// The outputs of the layer before it.
        expected: usize,
        /// Its inputs.
        found: usize,
    },
    /// The model is an encoder-decoder where a chain was expected, or the other way round.
    Sequence {
        /// Whether an encoder-decoder was expected.
        expected: bool,
    },
    /// A weight is NaN, infinite or beyond ±2⁴⁰.
    Weight {
        /// Where in the blob, in bytes from its start.
        offset: usize,
        /// The value.
        found: f32,
    },
    /// This processor and this compiler do not give the bits that the exporter saw.
    SelfTest {
        /// The hash in the blob.
        expected: u64,
        /// The hash computed here.
        found: u64,
    },
    /// The blob holds no self-test for this format.
    NoSelfTest,
    /// A slice has another length than the model needs.
    Length {
        /// Which slice.
        what: &'static str,
        /// Elements expected.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A layer reads series from their end too, so that there is no answer at each step.
    Bidirectional {
        /// The layer, counted from 0.
        layer: usize,
    },
    /// A window has no room for another step.
    Full {
        /// The steps that it has room for.
        steps: usize,
    },
    /// The model does not fit into a stream or window of this capacity.
    Capacity {
        /// The capacity needed.
        needed: usize,
        /// The capacity there is.
        found: usize,
    },
}

/// A layer that may be missing.
struct Or(Option<LayerSpec>);

impl fmt::Display for Or {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(layer) => layer.fmt(f),
            None => f.write_str("no further layer"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::Misaligned { offset } => write!(
                f,
                "the model starts {offset} bytes past a 16-byte boundary: use include_model!, or place it on a multiple of 16"
            ),
            Error::NotAModel => f.write_str("not a grulet model: pass the .gru file that `grulet export` wrote"),
            Error::Version { found } => write!(
                f,
                "format version {found}, but this grulet reads version {}: export the model again with a matching grulet",
                crate::blob::VERSION
            ),
            Error::Truncated { expected, found } => {
                write!(f, "truncated: expected {expected} bytes, found {found}: transfer or flash the whole file")
            }
            Error::TrailingBytes { expected, found } => {
                write!(f, "trailing bytes: expected {expected} bytes, found {found}: pass the model's bytes alone")
            }
            Error::Checksum { stored, computed } => {
                write!(
                    f,
                    "damaged: checksum {stored:#010x} expected, {computed:#010x} found: transfer or flash it again"
                )
            }
            Error::Header { what } => write!(f, "malformed header: {what}: export the model again"),
            Error::Storage { expected, found } => write!(
                f,
                "other network: expected {expected:?} weights, found {found:?}: change the network's format or export for it"
            ),
            Error::Layer { layer, expected, found } => write!(
                f,
                "other network: layer {layer}: expected {}, found {}: change the network type or export the right model",
                Or(expected),
                Or(found)
            ),
            Error::NotAChain { layer, expected, found } => write!(
                f,
                "layer {layer} takes {found} inputs, but the layer before it gives {expected}: load its layers one by one and wire them by hand"
            ),
            Error::Sequence { expected: false } => {
                f.write_str("the model is an encoder-decoder, which is no chain: load it as a Seq2Seq or an AnySeq2Seq")
            }
            Error::Sequence { expected: true } => {
                f.write_str("the model is no encoder-decoder: load it as a Model or an AnyModel")
            }
            Error::Weight { offset, found } => {
                write!(
                    f,
                    "the weight at byte {offset} is {found}, beyond ±2^40: train with a smaller learning rate or clipping"
                )
            }
            Error::SelfTest { expected, found } => write!(
                f,
                "self-test failed: hash {expected:016x} expected, {found:016x} found: this build does not give the host's bits (fused or fast floating point?)"
            ),
            Error::NoSelfTest => {
                f.write_str("the model holds no self-test for this format: export it with the current grulet")
            }
            Error::Length { what, expected, found } => {
                write!(f, "{what}: expected {expected} elements, found {found}: pass a slice of the model's size")
            }
            Error::Bidirectional { layer } => write!(
                f,
                "layer {layer} is bidirectional, so that the model answers when a series is complete: run it in a window"
            ),
            Error::Full { steps } => write!(
                f,
                "the window is full after {steps} steps: finish it first, or give it room for as many steps as the series has"
            ),
            Error::Capacity { needed, found } => {
                write!(
                    f,
                    "the model needs a capacity of {needed}, the stream or window has {found}: raise its CAP to {needed}"
                )
            }
        }
    }
}

impl core::error::Error for Error {}
