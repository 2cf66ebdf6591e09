//! What can be wrong with a network, a loss or a batch.

use super::Loss;

/// Every error of [`nn`](super).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network without layers.
    #[error("the network has no layers; add at least one")]
    NoLayers,
    /// More layers than a blob can hold.
    #[error("the network has {found} layers, at most {max} are possible; remove {}", found - max)]
    TooManyLayers {
        /// Layers given.
        found: usize,
        /// Layers possible.
        max: usize,
    },
    /// A layer that this version does not know.
    #[error("layer {layer} is of a kind that this trainer cannot train; use the layers of docs/CONFIG.md")]
    UnknownLayer {
        /// Its index.
        layer: usize,
    },
    /// A layer with no inputs or no outputs.
    #[error("layer {layer} has {inputs} inputs and {outputs} outputs; both must be at least 1")]
    EmptyLayer {
        /// Its index.
        layer: usize,
        /// Its inputs per step.
        inputs: usize,
        /// Its outputs per step.
        outputs: usize,
    },
    /// Two neighbours whose sizes differ.
    #[error("layer {layer} takes {found} inputs, but layer {} has {expected} outputs; make them equal", layer - 1)]
    SizeMismatch {
        /// Index of the second of the two.
        layer: usize,
        /// Outputs of the layer before.
        expected: usize,
        /// Inputs of this layer.
        found: usize,
    },
    /// A decoder that cannot start from the states of its encoder.
    #[error(
        "the encoder's GRUs have {encoder:?} units, the decoder's {decoder:?}; give both the same GRUs in the same order, at least one"
    )]
    HandOver {
        /// Units of the encoder's GRUs.
        encoder: Vec<usize>,
        /// Units of the decoder's.
        decoder: Vec<usize>,
    },
    /// A layer that an encoder-decoder cannot have.
    #[error("layer {layer} is bidirectional, but an encoder-decoder hands states from step to step; use a GRU")]
    Bidirectional {
        /// Its index.
        layer: usize,
    },
    /// A one-hot layer whose vectors nothing can take.
    #[error(
        "layer {layer} is one-hot, but is not the first, or has no GRU, dense or bidirectional layer after it; put it there, or use an embedding"
    )]
    OneHot {
        /// Its index.
        layer: usize,
    },
    /// A batch with inputs of a decoder for a chain, or without them for an encoder-decoder.
    #[error("the batch {}", if *expected { "has no inputs of the decoder; set `decoder`" } else { "has inputs of a decoder, but the network is a chain; leave `decoder` out" })]
    Decoder {
        /// Whether there should be some.
        expected: bool,
    },
    /// Parameters of another network.
    #[error("the network has {expected} parameters, {found} were given; take those of a network with the same layers")]
    ParameterCount {
        /// Parameters of the network.
        expected: usize,
        /// Parameters given.
        found: usize,
    },
    /// A loss that does not fit the last layer.
    #[error("the loss {loss} {problem}; {fix}")]
    LossAndHead {
        /// The loss.
        loss: Loss,
        /// What does not fit.
        problem: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// A Huber loss without a usable threshold.
    #[error("the Huber loss has delta {found}; give a finite number above 0 (1 is usual)")]
    HuberDelta {
        /// The value given.
        found: f64,
    },
    /// A rate of dropout or label smoothing that is none.
    #[error("a rate of dropout or label smoothing is {found}; give 0 or more, and less than 1")]
    Rate {
        /// The value given.
        found: f64,
    },
    /// A weight that would turn a loss around.
    #[error("series {row}, step {step}: the weight is {found}; give a finite number of 0 or more")]
    Weight {
        /// The series of the batch.
        row: usize,
        /// The step, 0 where there is one output per series.
        step: usize,
        /// The weight.
        found: f64,
    },
    /// No thread to compute on.
    #[error("0 threads were asked for; give at least 1")]
    NoThreads,
    /// The operating system gave no threads.
    #[error("cannot start {threads} threads ({reason}); ask for fewer")]
    ThreadPool {
        /// Threads asked for.
        threads: usize,
        /// The system's words.
        reason: String,
    },
    /// A batch without series.
    #[error("the batch has no series; give at least one")]
    EmptyBatch,
    /// An array of a batch that has the wrong number of elements.
    #[error("the batch's {array} has {found} elements, {expected} are needed for {shape}; reshape it")]
    BatchShape {
        /// Which array.
        array: &'static str,
        /// Its shape in words.
        shape: &'static str,
        /// Elements needed.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A batch of which no output counts.
    #[error(
        "no series of a batch is longer than the {ignored} steps that are ignored; ignore fewer (`train.ignore_steps`), or leave short series out"
    )]
    AllIgnored {
        /// Steps ignored at the start of each series.
        ignored: usize,
    },
    /// A series of length zero or longer than the batch.
    #[error("series {row} of the batch has length {found}; give 1 to {steps} steps")]
    Length {
        /// The series.
        row: usize,
        /// Its length.
        found: usize,
        /// Steps of the batch.
        steps: usize,
    },
    /// A target that the loss cannot take.
    #[error("series {row}, step {step}, element {element}: the target is {found}, but {loss} needs {needs}")]
    Target {
        /// The series of the batch.
        row: usize,
        /// The step, 0 where there is one target per series.
        step: usize,
        /// The element of the target.
        element: usize,
        /// The target.
        found: f64,
        /// The loss.
        loss: Loss,
        /// What the loss needs.
        needs: &'static str,
    },
}
