//! Why a file cannot be imported.

use crate::export::ExportError;
use crate::files::FileError;
use crate::nn;

/// Why a file was refused. Every message says what in it, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes are of no kind that is read.
    #[error("neither a Keras, PyTorch, safetensors nor ONNX file; {advice}")]
    UnknownKind {
        /// What to do.
        advice: &'static str,
    },
    /// The file is larger than any model that a microcontroller runs.
    #[error(
        "{what} has {bytes} bytes, more than the {limit} that are read; save the weights alone, without an optimizer"
    )]
    TooLarge {
        /// The file, or what in it.
        what: String,
        /// Its size.
        bytes: u64,
        /// The largest that is read.
        limit: u64,
    },
    /// The bytes are not what their kind asks for.
    #[error("damaged or of another format: {0}; save the model again")]
    Damaged(String),
    /// Something that has no counterpart here.
    #[error("{what} is not supported; {instead}")]
    Unsupported {
        /// What, with its name.
        what: String,
        /// The closest thing that works.
        instead: String,
    },
    /// The file does not say something that must be known.
    #[error("the file does not say {what}; {fix}")]
    Unsaid {
        /// What.
        what: String,
        /// How to say it.
        fix: String,
    },
    /// A tensor that is not there.
    #[error("there is no tensor {tensor:?}; the file has {found}")]
    Missing {
        /// What was looked for.
        tensor: String,
        /// What there is.
        found: String,
    },
    /// A tensor of another shape than its layer says.
    #[error("{tensor}: expected the shape {expected:?}, found {found:?}; the description is of another model")]
    Shape {
        /// The tensor.
        tensor: String,
        /// The shape that follows from its layer.
        expected: Vec<usize>,
        /// The shape that it has.
        found: Vec<usize>,
    },
    /// A tensor that should be a matrix.
    #[error("{tensor}: expected a matrix, found the shape {found:?}; the description is of another model")]
    NoMatrix {
        /// The tensor.
        tensor: String,
        /// The shape that it has.
        found: Vec<usize>,
    },
    /// Neighbours of different sizes.
    #[error("{layer}: expected {expected} inputs, found {found}; its weights are of another model")]
    Chain {
        /// The layer.
        layer: String,
        /// Outputs of the layer before.
        expected: usize,
        /// Its inputs.
        found: usize,
    },
    /// More than the runtime takes.
    #[error("{what}: {found} are more than the {max} that a model may have; {fix}")]
    TooMany {
        /// What.
        what: String,
        /// How many.
        found: usize,
        /// How many there may be.
        max: usize,
        /// What to do.
        fix: &'static str,
    },
    /// The description of the network cannot be used.
    #[error("{0}")]
    Description(String),
    /// The layers do not form a network.
    #[error("{0}")]
    Network(#[from] nn::Error),
    /// The network cannot become a model.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl ImportError {
    /// `what` is not supported, `instead` is.
    pub fn unsupported(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), instead: instead.into() }
    }
}
