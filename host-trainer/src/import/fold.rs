//! From a chain of steps to layers: what the runtime has no layer for is folded into its neighbours.

use grulet::spec::{self, Candidate, Gate, LayerSpec, MAX_LAYERS, Pooling, Reset};

use super::ImportError;
use super::chain::{Activation, Chain, Dense, Gru, Op, Origin, Step, merged};

/// Layers with all that belongs to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Folded {
    /// The layers.
    pub layers: Vec<LayerSpec>,
    /// Their parameters, in the order of [`Network::tensors`](crate::nn::Network::tensors).
    pub params: Vec<f32>,
    /// For each layer, the tensors that it was made of.
    pub origins: Vec<Vec<Origin>>,
    /// Whether the network answers at the last step only.
    pub last: bool,
    /// Subtracted from each input; empty for none.
    pub mean: Vec<f32>,
    /// Each input is divided by this; empty for none.
    pub std: Vec<f32>,
    /// Added to each output; empty for none.
    pub target_mean: Vec<f32>,
    /// Each output is multiplied with this; empty for none.
    pub target_std: Vec<f32>,
    /// Tensors that became part of those scales.
    pub scaling: Vec<Origin>,
}

/// A step that has stayed, and those that were folded into it.
struct Kept {
    name: String,
    op: Op,
    origins: Vec<Origin>,
}

/// A scale that waits for what it can be folded into.
#[derive(Default)]
struct Pending {
    name: String,
    scale: Vec<f64>,
    offset: Vec<f64>,
    origins: Vec<Origin>,
}

/// Folds `chain`.
///
/// # Errors
/// If it has steps that no layers can do.
pub(super) fn fold(chain: Chain) -> Result<Folded, ImportError> {
    let mut folded = Folded::default();
    let mut kept: Vec<Kept> = Vec::new();
    let mut pending: Option<Pending> = None;
    let mut width = chain.inputs;
    for Step { name, op, tensors } in chain.steps {
        check_width(&name, &op, width)?;
        if folded.last && matches!(op, Op::Gru(_) | Op::Bidirectional { .. } | Op::Pool(_)) {
            return Err(ImportError::unsupported(
                format!("{name}: a layer over time after the steps have become one"),
                "let the layer before it return sequences",
            ));
        }
        match op {
            Op::LastStep => {
                let over_time = kept.iter().rfind(|kept| matches!(kept.op, Op::Gru(_) | Op::Bidirectional { .. }));
                if !folded.last && over_time.is_some_and(|kept| matches!(kept.op, Op::Bidirectional { .. })) {
                    return Err(ImportError::unsupported(
                        format!(
                            "{name}: the last step of both directions, at which the backward one has read one step"
                        ),
                        "let the layer give the states that its directions end in, or pool its outputs",
                    ));
                }
                folded.last = true;
            }
            Op::Scale { scale, offset } => match pending.as_mut() {
                Some(before) => before.then(&scale, &offset, tensors),
                None => pending = Some(Pending { name, scale, offset, origins: tensors }),
            },
            Op::Activation(Activation::Linear) => {}
            Op::Activation(activation) => {
                settle_back(&mut pending, &mut kept);
                match kept.last_mut().filter(|_| pending.is_none()) {
                    Some(Kept { op: Op::Dense(dense), .. }) if dense.activation == Activation::Linear => {
                        dense.activation = activation;
                    }
                    _ => {
                        let scale = pending.take().unwrap_or_else(|| Pending::identity(&name, width));
                        kept.push(scale.into_dense(activation));
                    }
                }
            }
            Op::Pool(over) => {
                folded.last = true;
                settle_back(&mut pending, &mut kept);
                // A mean may be scaled after it as well as before; a maximum only if nothing is turned round.
                let turns = |pending: &Pending| over == Pooling::Max && pending.scale.iter().any(|&scale| scale < 0.0);
                if pending.as_ref().is_some_and(turns) {
                    kept.extend(pending.take().map(|pending| pending.into_dense(Activation::Linear)));
                }
                kept.push(Kept { name, op: Op::Pool(over), origins: tensors });
            }
            Op::Embedding { .. } => kept.push(Kept { name, op, origins: tensors }),
            Op::OneHot { vocabulary } => {
                if pending.is_some() || !kept.is_empty() {
                    return Err(ImportError::unsupported(
                        format!("{name}: one-hot vectors of numbers that are computed"),
                        "let the input be tokens",
                    ));
                }
                width = vocabulary;
                kept.push(Kept { name, op, origins: tensors });
            }
            Op::Gru(mut gru) => {
                let mut origins = tensors;
                settle_input(&mut pending, &mut kept, &mut folded);
                settle_back(&mut pending, &mut kept);
                if let Some(pending) = pending.take() {
                    let columns = 3 * gru.hidden;
                    scale_rows(&mut gru.kernel, &mut gru.bias, columns, &pending);
                    origins.extend(pending.origins);
                }
                width = gru.hidden;
                kept.push(Kept { name, op: Op::Gru(gru), origins });
            }
            Op::Bidirectional { mut forward, mut backward, merge, last } => {
                let mut origins = tensors;
                settle_input(&mut pending, &mut kept, &mut folded);
                settle_back(&mut pending, &mut kept);
                if let Some(pending) = pending.take() {
                    for gru in [&mut forward, &mut backward] {
                        scale_rows(&mut gru.kernel, &mut gru.bias, 3 * gru.hidden, &pending);
                    }
                    origins.extend(pending.origins);
                }
                width = merged(forward.hidden, merge);
                folded.last |= last;
                kept.push(Kept { name, op: Op::Bidirectional { forward, backward, merge, last }, origins });
            }
            Op::Dense(mut dense) => {
                let mut origins = tensors;
                settle_input(&mut pending, &mut kept, &mut folded);
                settle_back(&mut pending, &mut kept);
                if let Some(pending) = pending.take() {
                    scale_rows(&mut dense.kernel, &mut dense.bias, dense.outputs, &pending);
                    origins.extend(pending.origins);
                }
                width = dense.outputs;
                kept.push(Kept { name, op: Op::Dense(dense), origins });
            }
        }
        if let Some(Kept { op: Op::Embedding { outputs, .. }, .. }) = kept.last() {
            width = *outputs;
        }
    }
    settle_back(&mut pending, &mut kept);
    if let Some(pending) = pending {
        folded.target_std = pending.scale.iter().map(|&scale| scale as f32).collect();
        folded.target_mean = pending.offset.iter().map(|&offset| offset as f32).collect();
        folded.scaling.extend(pending.origins);
    }
    if kept.len() > MAX_LAYERS {
        return Err(ImportError::TooMany {
            what: format!("layers ({})", kept.iter().map(|kept| &*kept.name).collect::<Vec<_>>().join(", ")),
            found: kept.len(),
            max: MAX_LAYERS,
            fix: "leave layers out, or merge dense ones without an activation between them",
        });
    }
    for kept in kept {
        folded.push(kept)?;
    }
    Ok(folded)
}

/// Whether `op` takes `width` channels.
fn check_width(name: &str, op: &Op, width: usize) -> Result<(), ImportError> {
    let found = match op {
        Op::Gru(gru) | Op::Bidirectional { forward: gru, .. } => gru.inputs,
        Op::Dense(dense) => dense.inputs,
        Op::Embedding { .. } | Op::OneHot { .. } => 1,
        Op::Scale { scale, .. } => scale.len(),
        Op::Activation(_) | Op::Pool(_) | Op::LastStep => width,
    };
    if found == width { Ok(()) } else { Err(ImportError::Chain { layer: name.to_owned(), expected: width, found }) }
}

/// A scale of the inputs becomes the model's own.
fn settle_input(pending: &mut Option<Pending>, kept: &mut [Kept], folded: &mut Folded) {
    let invertible = |pending: &Pending| pending.scale.iter().all(|&scale| scale != 0.0);
    if kept.is_empty()
        && let Some(first) = pending.take_if(|pending| invertible(pending))
    {
        // s·x + t = (x - m) / d with d = 1/s and m = -t/s.
        let pairs = || first.scale.iter().zip(&first.offset);
        folded.mean = pairs().map(|(scale, offset)| (-offset / scale) as f32).collect();
        folded.std = pairs().map(|(scale, _)| (1.0 / scale) as f32).collect();
        folded.scaling.extend(first.origins);
    }
}

/// A scale after a dense layer without activation becomes part of its weights.
fn settle_back(pending: &mut Option<Pending>, kept: &mut [Kept]) {
    if let Some(Kept { op: Op::Dense(dense), origins, .. }) = kept.last_mut()
        && dense.activation == Activation::Linear
        && let Some(after) = pending.take()
    {
        for row in dense.kernel.chunks_exact_mut(dense.outputs) {
            for (weight, scale) in row.iter_mut().zip(&after.scale) {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
        for ((bias, scale), offset) in dense.bias.iter_mut().zip(&after.scale).zip(&after.offset) {
            *bias = (f64::from(*bias) * scale + offset) as f32;
        }
        origins.extend(after.origins);
    }
}

/// Folds a scale of the inputs into a kernel `(I, columns)` and the first row of its bias: `W·(s⊙x + t) + b`.
fn scale_rows(kernel: &mut [f32], bias: &mut [f32], columns: usize, before: &Pending) {
    let mut sums: Vec<f64> = bias[..columns].iter().map(|&bias| bias.into()).collect();
    for ((row, scale), offset) in kernel.chunks_exact_mut(columns).zip(&before.scale).zip(&before.offset) {
        for (weight, sum) in row.iter_mut().zip(&mut sums) {
            *sum += f64::from(*weight) * offset;
            *weight = (f64::from(*weight) * scale) as f32;
        }
    }
    for (bias, sum) in bias.iter_mut().zip(sums) {
        *bias = sum as f32;
    }
}

impl Pending {
    fn identity(name: &str, width: usize) -> Self {
        Self { name: name.to_owned(), scale: vec![1.0; width], offset: vec![0.0; width], origins: Vec::new() }
    }

    /// Another scale after this one.
    fn then(&mut self, scale: &[f64], offset: &[f64], origins: Vec<Origin>) {
        for (own, scale) in self.scale.iter_mut().zip(scale) {
            *own *= scale;
        }
        for ((own, scale), offset) in self.offset.iter_mut().zip(scale).zip(offset) {
            *own = *own * scale + offset;
        }
        self.origins.extend(origins);
    }

    /// A dense layer that does the same.
    fn into_dense(self, activation: Activation) -> Kept {
        let width = self.scale.len();
        let mut kernel = vec![0.0; width * width];
        for (channel, &scale) in self.scale.iter().enumerate() {
            kernel[channel * width + channel] = scale as f32;
        }
        let bias = self.offset.iter().map(|&offset| offset as f32).collect();
        let dense = Dense { inputs: width, outputs: width, activation, kernel, bias };
        Kept { name: self.name, op: Op::Dense(dense), origins: self.origins }
    }
}

impl Folded {
    fn push(&mut self, Kept { name, op, mut origins }: Kept) -> Result<(), ImportError> {
        let size = |what: &str, found: usize| {
            let max = usize::from(u16::MAX);
            u16::try_from(found).map_err(|_| ImportError::TooMany {
                what: format!("{name}: {what}"),
                found,
                max,
                fix: "use a smaller layer",
            })
        };
        let layer = match op {
            Op::Gru(mut gru) => {
                let gate = gate(&mut gru, &name, &mut origins)?;
                let candidate = candidate(&gru, &name)?;
                self.params.extend([&gru.kernel[..], &gru.recurrent, &gru.bias].concat());
                let (inputs, hidden) = (size("inputs", gru.inputs)?, size("units", gru.hidden)?);
                LayerSpec::Gru { inputs, hidden, reset: gru.reset, gate, candidate }
            }
            Op::Bidirectional { mut forward, mut backward, merge, .. } => {
                let alike = |gru: &Gru| (gru.inputs, gru.hidden, gru.reset, gru.gate, gru.candidate);
                if alike(&forward) != alike(&backward) {
                    return Err(ImportError::unsupported(
                        format!("{name}: two directions of other sizes, variants or activations"),
                        "make both directions alike",
                    ));
                }
                let gate = gate(&mut forward, &name, &mut origins)?;
                self::gate(&mut backward, &name, &mut [])?;
                let candidate = candidate(&forward, &name)?;
                for gru in [&forward, &backward] {
                    self.params.extend([&gru.kernel[..], &gru.recurrent, &gru.bias].concat());
                }
                let (inputs, hidden) = (size("inputs", forward.inputs)?, size("units", forward.hidden)?);
                size("outputs", merged(forward.hidden, merge))?;
                LayerSpec::Bidirectional { inputs, hidden, reset: forward.reset, gate, candidate, merge }
            }
            Op::Dense(mut dense) => {
                let activation = match dense.activation {
                    Activation::Linear => spec::Activation::Linear,
                    Activation::Sigmoid => spec::Activation::Sigmoid,
                    Activation::Tanh => spec::Activation::Tanh,
                    Activation::Relu => spec::Activation::Relu,
                    Activation::Softmax => spec::Activation::Softmax,
                    Activation::HardSigmoid { alpha, beta } => {
                        let hard = Hard::new(alpha, beta);
                        hard.fold(&mut dense.kernel, &mut origins);
                        hard.shift(&mut dense.bias);
                        spec::Activation::HardSigmoid
                    }
                };
                self.params.extend([&dense.kernel[..], &dense.bias].concat());
                LayerSpec::Dense {
                    inputs: size("inputs", dense.inputs)?,
                    outputs: size("units", dense.outputs)?,
                    activation,
                }
            }
            Op::Embedding { vocabulary, outputs, vectors } => {
                self.params.extend(vectors);
                let (vocabulary, outputs) = (size("tokens", vocabulary)?, size("units", outputs)?);
                LayerSpec::Embedding { vocabulary, outputs }
            }
            Op::OneHot { vocabulary } => LayerSpec::OneHot { vocabulary: size("tokens", vocabulary)? },
            Op::Pool(over) => {
                let width = self.layers.last().map_or(0, LayerSpec::outputs);
                if width == 0 {
                    return Err(ImportError::unsupported(format!("{name}: pooling the inputs"), "put a GRU before it"));
                }
                LayerSpec::Pool { inputs: size("channels", width)?, over }
            }
            Op::Scale { .. } | Op::Activation(_) | Op::LastStep => return Ok(()),
        };
        self.layers.push(layer);
        self.origins.push(origins);
        Ok(())
    }
}

/// The candidate's activation.
fn candidate(gru: &Gru, name: &str) -> Result<Candidate, ImportError> {
    match gru.candidate {
        Activation::Tanh => Ok(Candidate::Tanh),
        Activation::Relu => Ok(Candidate::Relu),
        Activation::Linear => Ok(Candidate::Linear),
        _ => Err(ImportError::unsupported(
            format!("{name}: the candidate's activation {:?}", gru.candidate),
            "use tanh, relu or linear",
        )),
    }
}

/// The gates' activation, with another slope than the runtime's folded into the weights.
fn gate(gru: &mut Gru, name: &str, origins: &mut [Origin]) -> Result<Gate, ImportError> {
    match gru.gate {
        Activation::Sigmoid => Ok(Gate::Sigmoid),
        Activation::HardSigmoid { alpha, beta } => {
            let (hard, h) = (Hard::new(alpha, beta), gru.hidden);
            for row in gru.kernel.chunks_exact_mut(3 * h).chain(gru.recurrent.chunks_exact_mut(3 * h)) {
                hard.fold(&mut row[..2 * h], &mut []);
            }
            hard.fold(&mut [], origins);
            hard.shift(&mut gru.bias[..2 * h]);
            if gru.reset == Reset::After {
                hard.fold(&mut gru.bias[3 * h..][..2 * h], &mut []);
            }
            Ok(Gate::HardSigmoid)
        }
        _ => Err(ImportError::unsupported(
            format!("{name}: the gates' activation {:?}", gru.gate),
            "use sigmoid or hard sigmoid",
        )),
    }
}

/// What makes `clip(alpha·x + beta)` of `clip(0.2·x' + 0.5)`: `x' = factor·x + shift`.
struct Hard {
    factor: f64,
    shift: f64,
}

impl Hard {
    fn new(alpha: f64, beta: f64) -> Self {
        // A source may have rounded 0.2 to `f32`.
        let factor = if alpha as f32 == 0.2 { 1.0 } else { alpha / 0.2 };
        Self { factor, shift: (beta - 0.5) / 0.2 }
    }

    fn fold(&self, weights: &mut [f32], origins: &mut [Origin]) {
        if self.factor == 1.0 && self.shift == 0.0 {
            return;
        }
        for weight in weights {
            *weight = (f64::from(*weight) * self.factor) as f32;
        }
        for origin in origins.iter_mut().filter(|origin| !origin.part.is_empty()) {
            let note = format!("hard sigmoid's slope × {:.6}", self.factor);
            origin.change = if origin.change.is_empty() { note } else { format!("{}, {note}", origin.change) };
        }
    }

    fn shift(&self, bias: &mut [f32]) {
        for bias in bias {
            *bias = (f64::from(*bias) * self.factor + self.shift) as f32;
        }
    }
}
