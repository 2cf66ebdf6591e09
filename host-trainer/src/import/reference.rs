//! A source's own graph computed in `f64`, by the textbook and apart from the runtime: what an imported model is held to.

use grulet::spec::{Merge, Pooling, Reset};

use super::chain::{Activation, Chain, Gru, Op};

/// One value per channel.
type Frame = Vec<f64>;

/// The outputs of `chain` for the inputs of each step: one frame for each step, or one alone if the steps become one; and
/// the states that its GRUs end in. They start from `states`, in order, and from zero where those end.
pub(super) fn run(chain: &Chain, inputs: &[Frame], states: &[Frame]) -> (Vec<Frame>, Vec<Frame>) {
    let mut frames = inputs.to_vec();
    let (mut before, mut after) = (states.iter(), Vec::new());
    for step in &chain.steps {
        match &step.op {
            Op::Gru(gru) => {
                let mut h = before.next().cloned().unwrap_or_else(|| vec![0.0; gru.hidden]);
                for frame in &mut frames {
                    h = gru_step(gru, frame, &h);
                    frame.clone_from(&h);
                }
                after.push(h);
            }
            Op::Bidirectional { forward, backward, merge, last } => {
                let states = |gru: &Gru, frames: &mut dyn Iterator<Item = &Frame>| -> Vec<Frame> {
                    let mut h = vec![0.0; gru.hidden];
                    let step = |frame: &Frame| {
                        h = gru_step(gru, frame, &h);
                        h.clone()
                    };
                    frames.map(step).collect()
                };
                let (a, mut b) = (states(forward, &mut frames.iter()), states(backward, &mut frames.iter().rev()));
                let join = |a: &Frame, b: &Frame| -> Frame {
                    let pairs = a.iter().zip(b);
                    match merge {
                        Merge::Concat => [&a[..], b].concat(),
                        Merge::Sum => pairs.map(|(a, b)| a + b).collect(),
                        Merge::Mul => pairs.map(|(a, b)| a * b).collect(),
                        Merge::Ave => pairs.map(|(a, b)| 0.5 * (a + b)).collect(),
                    }
                };
                if *last {
                    frames = a.last().zip(b.last()).map(|(a, b)| join(a, b)).into_iter().collect();
                } else {
                    b.reverse();
                    frames = a.iter().zip(&b).map(|(a, b)| join(a, b)).collect();
                }
            }
            Op::Dense(dense) => {
                for frame in &mut frames {
                    *frame = affine(frame, &dense.kernel, &dense.bias, dense.outputs, 0..dense.outputs);
                    activate(dense.activation, frame);
                }
            }
            Op::Embedding { outputs, vectors, .. } => {
                for frame in &mut frames {
                    let row = &vectors[frame[0] as usize * outputs..][..*outputs];
                    *frame = row.iter().map(|&value| value.into()).collect();
                }
            }
            Op::OneHot { vocabulary } => {
                for frame in &mut frames {
                    let token = frame[0] as usize;
                    *frame = (0..*vocabulary).map(|at| if at == token { 1.0 } else { 0.0 }).collect();
                }
            }
            Op::Scale { scale, offset } => {
                for frame in &mut frames {
                    for ((value, scale), offset) in frame.iter_mut().zip(scale).zip(offset) {
                        *value = *value * scale + offset;
                    }
                }
            }
            Op::Activation(activation) => frames.iter_mut().for_each(|frame| activate(*activation, frame)),
            Op::Pool(over) => {
                let steps = frames.len() as f64;
                let join = |a: Frame, b: Frame| match over {
                    Pooling::Mean => a.iter().zip(b).map(|(a, b)| a + b).collect(),
                    Pooling::Max => a.iter().zip(b).map(|(a, b)| a.max(b)).collect(),
                };
                let pooled = frames.drain(..).reduce(join);
                let divide = |value| if *over == Pooling::Mean { value / steps } else { value };
                frames.extend(pooled.map(|frame| frame.into_iter().map(divide).collect()));
            }
            Op::LastStep => drop(frames.drain(..frames.len().saturating_sub(1))),
        }
    }
    (frames, after)
}

fn gru_step(gru: &Gru, x: &[f64], h: &[f64]) -> Frame {
    let n = gru.hidden;
    let (all, zr, c) = (3 * n, 0..2 * n, 2 * n..3 * n);
    let (bias, recurrent_bias) = gru.bias.split_at(all);
    let none = vec![0.0; all];
    let recurrent_bias = if gru.reset == Reset::After { recurrent_bias } else { &none };
    let sum = |a: Frame, b: Frame| a.iter().zip(b).map(|(a, b)| a + b).collect::<Frame>();
    let gates = affine(x, &gru.kernel, bias, all, zr.clone());
    let mut gates = sum(gates, affine(h, &gru.recurrent, recurrent_bias, all, zr));
    activate(gru.gate, &mut gates);
    let (z, r) = gates.split_at(n);
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Frame>();
    let input = affine(x, &gru.kernel, bias, all, c.clone());
    let mut candidate = match gru.reset {
        Reset::Before => sum(input, affine(&product(r, h), &gru.recurrent, &none, all, c)),
        Reset::After => sum(input, product(r, &affine(h, &gru.recurrent, recurrent_bias, all, c))),
    };
    activate(gru.candidate, &mut candidate);
    z.iter().zip(&candidate).zip(h).map(|((z, c), h)| (1.0 - z) * c + z * h).collect()
}

/// `x·W + b` for some of the columns of `W (I, columns)`.
fn affine(x: &[f64], kernel: &[f32], bias: &[f32], columns: usize, some: std::ops::Range<usize>) -> Frame {
    let mut sums: Frame = bias[some.clone()].iter().map(|&bias| bias.into()).collect();
    for (x, row) in x.iter().zip(kernel.chunks_exact(columns)) {
        for (sum, &weight) in sums.iter_mut().zip(&row[some.clone()]) {
            *sum += x * f64::from(weight);
        }
    }
    sums
}

fn activate(activation: Activation, frame: &mut [f64]) {
    let mut each = |f: &dyn Fn(f64) -> f64| frame.iter_mut().for_each(|value| *value = f(*value));
    match activation {
        Activation::Linear => {}
        Activation::Sigmoid => each(&|x| 1.0 / (1.0 + (-x).exp())),
        Activation::HardSigmoid { alpha, beta } => each(&|x| (alpha * x + beta).clamp(0.0, 1.0)),
        Activation::Tanh => each(&f64::tanh),
        Activation::Relu => each(&|x| x.max(0.0)),
        Activation::Softmax => {
            let largest = frame.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            frame.iter_mut().for_each(|value| *value = (*value - largest).exp());
            let sum: f64 = frame.iter().sum();
            frame.iter_mut().for_each(|value| *value /= sum);
        }
    }
}
