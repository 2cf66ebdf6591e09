//! Gradients by backpropagation through time against differences of the loss, in `f64`.
//!
//! Every case perturbs every parameter, every valid input and every element of the initial state one by one. Padding holds
//! NaN throughout, biases and initial states are never zero.

use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset};
use grulet_trainer::nn::{Batch, Loss, Network, Rng, Trainer};
use proptest::prelude::*;

/// Largest difference between a gradient and a difference quotient, relative to the larger of the gradient and 1.
///
/// With [`STEP`] the quotient's own error is some 1e-11 by rounding and less by its fourth order.
const GRADIENT_F64: f64 = 2e-9;
/// Where two one-sided quotients differ by more than this, relative likewise, there is a kink between them. A kink that is
/// not seen moves the quotient by less than [`GRADIENT_F64`].
const KINK_F64: f64 = 1e-9;
/// Distance of the points of a difference quotient; they reach twice as far.
const STEP: f64 = 2e-5;
/// The least part of the elements of a network with kinks that must be away from them.
const CHECKED: f64 = 0.9;

/// What a gradient is taken of.
#[derive(Clone, Copy, Debug)]
enum Objective {
    Loss(Loss),
    /// A weighted sum of the outputs, by `pull_back`.
    Outputs,
}

#[derive(Clone, Debug)]
struct Case {
    layers: Vec<LayerSpec>,
    output: Output,
    objective: Objective,
    lengths: Vec<usize>,
    seed: u64,
}

/// Elements that were compared, and elements near a kink.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    checked: usize,
    skipped: usize,
}

fn gru(inputs: u16, hidden: u16, reset: Reset, gate: Gate, candidate: Candidate) -> LayerSpec {
    LayerSpec::Gru { inputs, hidden, reset, gate, candidate }
}

fn dense(inputs: u16, outputs: u16, activation: Activation) -> LayerSpec {
    LayerSpec::Dense { inputs, outputs, activation }
}

/// Whether some derivative of the layers or the loss jumps.
fn has_kinks(case: &Case) -> bool {
    let layer = |layer: &LayerSpec| match *layer {
        LayerSpec::Gru { gate, candidate, .. } => gate == Gate::HardSigmoid || candidate == Candidate::Relu,
        LayerSpec::Dense { activation, .. } => matches!(activation, Activation::HardSigmoid | Activation::Relu),
        _ => true,
    };
    // The second derivative of Huber's loss jumps, which a quotient of fourth order sees as well.
    let loss = matches!(case.objective, Objective::Loss(Loss::MeanAbsoluteError | Loss::Huber { .. }));
    loss || case.layers.iter().any(layer)
}

fn within(rng: &mut Rng, limit: f64) -> f64 {
    (2.0 * rng.uniform() - 1.0) * limit
}

/// A network whose biases are not zero, and whose recurrent kernel is nothing special.
fn network(case: &Case) -> Network<f64> {
    let mut network = Network::new(&case.layers, case.output, case.seed).unwrap();
    let mut rng = Rng::new(case.seed, 1000);
    network.params_mut().iter_mut().for_each(|param| *param += within(&mut rng, 0.4));
    network
}

/// A batch with NaN wherever nothing may be read, and the weights of the outputs for [`Objective::Outputs`].
fn batch(case: &Case, network: &Network<f64>) -> (Batch<f64>, Vec<f64>) {
    let mut rng = Rng::new(case.seed, 1001);
    let (rows, steps) = (case.lengths.len(), case.lengths.iter().max().unwrap() + 1);
    let (inputs, outputs) = (network.inputs(), network.outputs());
    let ended = |site: usize| site / rows >= case.lengths[site % rows];

    let mut x: Vec<f64> = (0..steps * rows * inputs).map(|_| within(&mut rng, 1.5)).collect();
    for (site, x) in x.chunks_exact_mut(inputs).enumerate().filter(|&(site, _)| ended(site)) {
        x.fill(f64::NAN);
        assert!(site >= rows, "every series has a first step");
    }
    let state = (0..rows * network.state_len()).map(|_| within(&mut rng, 0.9)).collect();

    let sites = if case.output == Output::EveryStep { steps * rows } else { rows };
    let padding = |site| case.output == Output::EveryStep && ended(site);
    let mut weights: Vec<f64> = (0..sites * outputs).map(|_| within(&mut rng, 1.0)).collect();
    weights
        .chunks_exact_mut(outputs)
        .enumerate()
        .filter(|&(site, _)| padding(site))
        .for_each(|(_, w)| w.fill(f64::NAN));
    let mut targets = Vec::new();
    if let Objective::Loss(loss) = case.objective {
        for site in 0..sites {
            for _ in 0..loss.target_len(outputs) {
                let target = match loss {
                    Loss::BinaryCrossEntropy => rng.uniform(),
                    // They need not sum to one.
                    Loss::CategoricalCrossEntropy => rng.uniform(),
                    Loss::SparseCategoricalCrossEntropy => (rng.uniform() * outputs as f64).floor(),
                    _ => within(&mut rng, 2.0),
                };
                targets.push(if padding(site) { f64::NAN } else { target });
            }
        }
    }
    (Batch { steps, lengths: case.lengths.clone(), x, targets, state }, weights)
}

/// The value whose gradient is taken.
fn value(trainer: &mut Trainer<f64>, batch: &Batch<f64>, objective: Objective, weights: &[f64]) -> f64 {
    match objective {
        Objective::Loss(_) => trainer.evaluate(batch).unwrap().loss(),
        Objective::Outputs => {
            let outputs = trainer.forward(batch).unwrap();
            // Outputs in the padding are zero, and their weights NaN.
            outputs.iter().zip(weights).filter(|(_, w)| !w.is_nan()).map(|(y, w)| y * w).sum()
        }
    }
}

/// Compares one gradient with quotients of `at`, the value for a perturbation; None near a kink.
fn compare(
    what: impl Fn() -> String,
    gradient: f64,
    kinks: bool,
    mut at: impl FnMut(f64) -> f64,
) -> Result<bool, String> {
    let [far_left, left, here, right, far_right] = [-2.0, -1.0, 0.0, 1.0, 2.0].map(|n| at(n * STEP));
    let scale = gradient.abs().max(1.0);
    let forward = (4.0 * right - far_right - 3.0 * here) / (2.0 * STEP);
    let backward = (3.0 * here - 4.0 * left + far_left) / (2.0 * STEP);
    if kinks && (forward - backward).abs() > KINK_F64 * scale {
        return Ok(false);
    }
    let quotient = (8.0 * (right - left) - (far_right - far_left)) / (12.0 * STEP);
    let difference = (gradient - quotient).abs();
    // Not finite is wrong too.
    if difference <= GRADIENT_F64 * scale { Ok(true) } else { Err(format!("{}: {gradient} but {quotient}", what())) }
}

/// Compares all gradients of a case.
fn check(case: &Case) -> Result<Count, String> {
    let network = network(case);
    let (mut batch, weights) = batch(case, &network);
    let tensors = network.tensors().to_vec();
    let loss = match case.objective {
        Objective::Loss(loss) => loss,
        Objective::Outputs => Loss::MeanSquaredError,
    };
    let mut trainer = Trainer::new(network, loss, 1).unwrap();
    trainer.keep_d_x(true);
    match case.objective {
        Objective::Loss(_) => {
            let gradient_loss = trainer.gradient(&batch).unwrap().loss();
            assert_eq!(gradient_loss, trainer.evaluate(&batch).unwrap().loss());
        }
        Objective::Outputs => trainer.pull_back(&batch, &weights).unwrap(),
    }
    let (gradients, d_x, d_state) = (trainer.gradients().to_vec(), trainer.d_x().unwrap(), trainer.d_state());
    assert_eq!((d_x.len(), d_state.len()), (batch.x.len(), batch.state.len()));

    let (kinks, mut count) = (has_kinks(case), Count::default());
    let mut note = |compared: Result<bool, String>| {
        compared.map(|checked| if checked { count.checked += 1 } else { count.skipped += 1 })
    };
    for tensor in tensors {
        for index in tensor.range.clone() {
            let before = trainer.network().params()[index];
            let compared = compare(
                || format!("{} of shape {:?}, element {}", tensor.name, tensor.shape, index - tensor.range.start),
                gradients[index],
                kinks,
                |by| {
                    trainer.network_mut().params_mut()[index] = before + by;
                    value(&mut trainer, &batch, case.objective, &weights)
                },
            );
            trainer.network_mut().params_mut()[index] = before;
            note(compared)?;
        }
    }
    for index in 0..batch.x.len() {
        let before = batch.x[index];
        if before.is_nan() {
            if d_x[index] != 0.0 {
                return Err(format!("input {index} is padding, its gradient is {}", d_x[index]));
            }
            continue;
        }
        note(compare(
            || format!("input {index}"),
            d_x[index],
            kinks,
            |by| {
                batch.x[index] = before + by;
                value(&mut trainer, &batch, case.objective, &weights)
            },
        ))?;
        batch.x[index] = before;
    }
    for index in 0..batch.state.len() {
        let before = batch.state[index];
        note(compare(
            || format!("state {index}"),
            d_state[index],
            kinks,
            |by| {
                batch.state[index] = before + by;
                value(&mut trainer, &batch, case.objective, &weights)
            },
        ))?;
        batch.state[index] = before;
    }
    Ok(count)
}

/// Checks a case that must not spend its time near kinks, and whose gradients must be there at all.
fn must_agree(case: &Case) {
    let count = check(case).unwrap_or_else(|problem| panic!("{problem}\nin {case:?}"));
    let all = count.checked + count.skipped;
    assert!(count.checked as f64 >= CHECKED * all as f64, "{count:?} in {case:?}");
    assert!(has_kinks(case) || count.skipped == 0, "{count:?} in {case:?}");
}

const RESETS: [Reset; 2] = [Reset::Before, Reset::After];
const GATES: [Gate; 2] = [Gate::Sigmoid, Gate::HardSigmoid];
const CANDIDATES: [Candidate; 3] = [Candidate::Tanh, Candidate::Relu, Candidate::Linear];
const OUTPUTS: [Output; 2] = [Output::EveryStep, Output::LastStep];
/// Every series must count as it is long, the longest need not be the first.
const LENGTHS: [usize; 4] = [3, 5, 1, 4];

#[test]
fn every_kind_of_gru() {
    for reset in RESETS {
        for gate in GATES {
            for candidate in CANDIDATES {
                for output in OUTPUTS {
                    let layers = vec![gru(3, 5, reset, gate, candidate), dense(5, 2, Activation::Linear)];
                    let objective = Objective::Loss(Loss::MeanSquaredError);
                    must_agree(&Case { layers, output, objective, lengths: LENGTHS.to_vec(), seed: 1 });
                }
            }
        }
    }
}
