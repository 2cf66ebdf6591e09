//! What a reader makes of a file: a chain of steps that other frameworks have, in grulet's layouts.

use grulet::spec::{self, Merge, Pooling, Reset};

use super::ImportError;

/// A tensor as it lies in a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Where it is from.
    pub source: String,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: Vec<f32>,
}

impl Tensor {
    /// The tensor, if it has this shape.
    ///
    /// # Errors
    /// If it has another one.
    pub fn shaped(self, expected: &[usize]) -> Result<Self, ImportError> {
        if self.shape == expected && self.data.len() == expected.iter().product::<usize>() {
            return Ok(self);
        }
        Err(ImportError::Shape { tensor: self.source, expected: expected.to_vec(), found: self.shape })
    }

    /// Rows and columns of a matrix.
    ///
    /// # Errors
    /// If it is none, or has no elements.
    pub fn matrix(&self) -> Result<(usize, usize), ImportError> {
        match self.shape[..] {
            [rows, columns] if rows > 0 && columns > 0 && self.data.len() == rows * columns => Ok((rows, columns)),
            _ => Err(ImportError::NoMatrix { tensor: self.source.clone(), found: self.shape.clone() }),
        }
    }
}

/// The `columns` columns of `data` as rows: `(R, C)` to `(C, R)`.
pub fn transpose(data: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| data.iter().skip(column).step_by(columns).copied()).collect()
}

/// Blocks of columns of `(R, 3H)` put into another order: block `n` of the result is block `order[n]`.
pub fn reorder_gates(data: &[f32], hidden: usize, order: [usize; 3]) -> Vec<f32> {
    let rows = data.chunks_exact(3 * hidden);
    rows.flat_map(|row| order.into_iter().flat_map(move |gate| &row[gate * hidden..][..hidden])).copied().collect()
}

/// An activation of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The identity.
    Linear,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `clip(alpha·x + beta, 0, 1)`: Keras 2 has 0.2 and 0.5, Keras 3 and PyTorch 1/6 and 0.5, ONNX what it says.
    HardSigmoid {
        /// The slope.
        alpha: f64,
        /// The value at 0.
        beta: f64,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `e^xᵢ / Σ e^xⱼ` over the channels.
    Softmax,
}

impl Activation {
    /// The activation of a description; a hard sigmoid has the slope `alpha` where the weights come from.
    pub fn described(activation: spec::Activation, alpha: f64) -> Self {
        match activation {
            spec::Activation::Linear => Self::Linear,
            spec::Activation::Sigmoid => Self::Sigmoid,
            spec::Activation::HardSigmoid => Self::HardSigmoid { alpha, beta: 0.5 },
            spec::Activation::Tanh => Self::Tanh,
            spec::Activation::Relu => Self::Relu,
            spec::Activation::Softmax => Self::Softmax,
        }
    }
}

/// A GRU with its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Gru {
    /// Inputs per step, I.
    pub inputs: usize,
    /// Hidden units, H.
    pub hidden: usize,
    /// Where the reset gate acts.
    pub reset: Reset,
    /// Activation of the gates.
    pub gate: Activation,
    /// Activation of the candidate.
    pub candidate: Activation,
    /// `(I, 3H)`, gates in the order z, r, c.
    pub kernel: Vec<f32>,
    /// `(H, 3H)`.
    pub recurrent: Vec<f32>,
    /// `(3H)` for [`Reset::Before`], `(2, 3H)` for [`Reset::After`]: the input's, then the state's.
    pub bias: Vec<f32>,
}

/// A dense layer with its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Inputs per step, I.
    pub inputs: usize,
    /// Outputs per step, O.
    pub outputs: usize,
    /// Activation of the outputs.
    pub activation: Activation,
    /// `(I, O)`.
    pub kernel: Vec<f32>,
    /// `(O)`.
    pub bias: Vec<f32>,
}

/// What a step computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A GRU, at every step.
    Gru(Gru),
    /// Two GRUs of the same shape, of which the second reads a series from its end.
    Bidirectional {
        /// The one that reads it from its start.
        forward: Gru,
        /// The one that reads it from its end.
        backward: Gru,
        /// What becomes of the outputs of both.
        merge: Merge,
        /// All steps become one: what each direction has ended in.
        last: bool,
    },
    /// A dense layer, at every step.
    Dense(Dense),
    /// A table of vectors, of which the input is a number.
    Embedding {
        /// Vectors, V.
        vocabulary: usize,
        /// Elements of each, D.
        outputs: usize,
        /// `(V, D)`.
        vectors: Vec<f32>,
    },
    /// The one-hot vector of a number.
    OneHot {
        /// Its elements, V.
        vocabulary: usize,
    },
    /// Each channel times `scale` plus `offset`.
    Scale {
        /// One for each channel.
        scale: Vec<f64>,
        /// One for each channel.
        offset: Vec<f64>,
    },
    /// An activation by itself.
    Activation(Activation),
    /// All steps become one: their mean or maximum.
    Pool(Pooling),
    /// All steps become one: the last.
    LastStep,
}

/// One step of a chain, with what its source says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The source's name of it.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The tensors that it was made of.
    pub tensors: Vec<Origin>,
}

/// A tensor of a source, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Origin {
    /// Where it is from.
    pub source: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// What was done to it; empty for nothing.
    pub change: String,
    /// What it is in its layer: `kernel`, `recurrent_kernel`, `bias` or `embeddings`, of a bidirectional one with `forward.` or
    /// `backward.` before it; empty if it is folded into others.
    pub part: &'static str,
}

impl Origin {
    /// `tensor` as `part` of its layer, after `change`.
    pub fn new(tensor: &Tensor, part: &'static str, change: &str) -> Self {
        Self { source: tensor.source.clone(), shape: tensor.shape.clone(), change: change.to_owned(), part }
    }
}

/// Steps in the order that data pass them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    /// Channels of the input; 1 before an embedding or a one-hot vector.
    pub inputs: usize,
    /// Steps of a series, where the source fixes them; else 0.
    pub window: usize,
    /// The steps.
    pub steps: Vec<Step>,
}

/// Outputs of a bidirectional layer of so many units.
pub fn merged(hidden: usize, merge: Merge) -> usize {
    if merge == Merge::Concat { 2 * hidden } else { hidden }
}

impl Op {
    /// A GRU that reads a series from its end, as a bidirectional layer whose other direction gives zeros.
    pub fn backwards(gru: Gru, last: bool) -> Self {
        let zeros = |values: &[f32]| vec![0.0; values.len()];
        let forward = Gru {
            kernel: zeros(&gru.kernel),
            recurrent: zeros(&gru.recurrent),
            bias: zeros(&gru.bias),
            // With weights of zeros each of these gives a candidate of 0, and so a state of 0.
            ..gru.clone()
        };
        Self::Bidirectional { forward, backward: gru, merge: Merge::Sum, last }
    }
}

impl Chain {
    /// Channels that the first step which says so takes.
    pub fn first_inputs(&self) -> Option<usize> {
        self.steps.iter().find_map(|step| match &step.op {
            Op::Gru(gru) | Op::Bidirectional { forward: gru, .. } => Some(gru.inputs),
            Op::Dense(dense) => Some(dense.inputs),
            Op::Embedding { .. } | Op::OneHot { .. } => Some(1),
            Op::Scale { scale, .. } => Some(scale.len()),
            Op::Activation(_) | Op::Pool(_) | Op::LastStep => None,
        })
    }
}

/// A step of one-hot vectors as a description has it; without a vocabulary, [`Chain::size_one_hot`] finds it.
pub fn one_hot(vocabulary: u16) -> Step {
    Step { name: "one_hot".to_owned(), op: Op::OneHot { vocabulary: vocabulary.into() }, tensors: Vec::new() }
}

impl Chain {
    /// Gives one-hot vectors of no size that of the next layer's inputs.
    pub fn size_one_hot(&mut self) {
        let after = Chain { steps: self.steps.get(1..).unwrap_or_default().to_vec(), ..Chain::default() };
        if let Some(Step { op: Op::OneHot { vocabulary: vocabulary @ 0 }, .. }) = self.steps.first_mut() {
            *vocabulary = after.first_inputs().unwrap_or(0);
        }
    }
}

/// Lets `steps` answer once for a series: what their last layer over time has ended in goes on.
pub fn answer_once(steps: &mut Vec<Step>) {
    let over_time = |step: &Step| matches!(step.op, Op::Gru(_) | Op::Bidirectional { .. });
    let at = steps.iter().rposition(over_time);
    match at.map(|at| &mut steps[at].op) {
        Some(Op::Bidirectional { last, .. }) => *last = true,
        _ => {
            let step = Step { name: "last step".to_owned(), op: Op::LastStep, tensors: Vec::new() };
            steps.insert(at.map_or(0, |at| at + 1), step);
        }
    }
}

/// A part of a GRU as one of a bidirectional layer.
pub fn part_of(part: &str, backward: bool) -> &'static str {
    match (part, backward) {
        ("kernel", false) => "forward.kernel",
        ("recurrent_kernel", false) => "forward.recurrent_kernel",
        ("bias", false) => "forward.bias",
        ("kernel", true) => "backward.kernel",
        ("recurrent_kernel", true) => "backward.recurrent_kernel",
        ("bias", true) => "backward.bias",
        _ => "",
    }
}

/// Two GRUs, the second of which reads a series from its end, as one step.
pub fn both_directions(forward: Step, backward: Step, merge: Merge, last: bool) -> Option<Step> {
    let (Op::Gru(first), Op::Gru(second)) = (forward.op, backward.op) else { return None };
    let of = |origins: Vec<Origin>, backward| {
        origins.into_iter().map(move |origin| Origin { part: part_of(origin.part, backward), ..origin })
    };
    let tensors = of(forward.tensors, false).chain(of(backward.tensors, true)).collect();
    let op = Op::Bidirectional { forward: first, backward: second, merge, last };
    Some(Step { name: forward.name, op, tensors })
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Graph {
    /// A chain of layers.
    Chain(Chain),
    /// An encoder and a decoder, whose GRUs start from the encoder's states, in order.
    Pair {
        /// The encoder.
        encoder: Chain,
        /// The decoder.
        decoder: Chain,
    },
}

/// What a reader makes of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// What kind of file it was, and who wrote it as far as it says.
    pub format: String,
    /// The model's name; may be empty.
    pub name: String,
    /// The network.
    pub graph: Graph,
    /// What was left out, and why that changes nothing.
    pub skipped: Vec<String>,
    /// What the file does not say and was guessed.
    pub guesses: Vec<String>,
}
