//! A hundred steps of training beside Keras: its weights, its batches, its losses, in `f64` and in `f32`.

mod common;

use std::path::Path;

use common::reference::{Array, array, time_major};
use common::tolerances::{F32, F64, Tolerances};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset};
use grulet_trainer::data::Npz;
use grulet_trainer::nn::{Batch, Epsilon, Loss, Network, Optimizer, Real, Rule, Trainer};

/// The learning rate that the curves were made with.
const LEARNING_RATE: f64 = 0.01;
const STEPS: usize = 100;

/// `tests/vectors/keras_curve.npz`.
fn file() -> Npz {
    Npz::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keras_curve.npz")).unwrap()
}

fn network<R: Real>(npz: &mut Npz, reset: Reset) -> Network<R> {
    let gru =
        |inputs, hidden| LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh };
    let dense = LayerSpec::Dense { inputs: 6, outputs: 4, activation: Activation::Softmax };
    let names = ["W0", "U0", "b0", "W1", "U1", "b1", "Wd", "bd"];
    let tensors = names.map(|name| array(npz, &format!("{}_w_{name}", variant(reset))).values);
    let params = tensors.concat().into_iter().map(R::from_f64).collect();
    Network::from_params(&[gru(3, 8), gru(8, 6), dense], Output::LastStep, params).unwrap()
}

/// Batch `index` of inputs (K, B, T, I) and classes (K, B).
fn batch<R: Real>(x: &Array, y: &Array, index: usize) -> Batch<R> {
    let [_, rows, steps, inputs] = x.shape[..] else { panic!("{:?} has not four dimensions", x.shape) };
    let len = rows * steps * inputs;
    let x = Array { shape: vec![rows, steps, inputs], values: x.values[index * len..][..len].to_vec() };
    let real = |values: &[f64]| values.iter().map(|&value| R::from_f64(value)).collect();
    Batch {
        steps,
        lengths: vec![steps; rows],
        x: real(&time_major(&x)),
        targets: real(&y.values[index * rows..][..rows]),
        ..Batch::default()
    }
}

fn variant(reset: Reset) -> &'static str {
    if reset == Reset::Before { "ra0" } else { "ra1" }
}

/// Keras's losses before each step, and grulet's.
fn losses<R: Real>(reset: Reset, epsilon: Epsilon, number: &str) -> (Vec<f64>, Vec<f64>) {
    let mut npz = file();
    let (x, y) = (array(&mut npz, "x"), array(&mut npz, "y"));
    let expected = array(&mut npz, &format!("{}_losses_{number}", variant(reset))).values;
    let mut trainer = Trainer::new(network::<R>(&mut npz, reset), Loss::SparseCategoricalCrossEntropy, 1).unwrap();
    let mut optimizer = Optimizer::new(trainer.network().params().len(), Rule::Adam(epsilon));
    let found = (0..STEPS).map(|step| {
        let loss = trainer.gradient(&batch(&x, &y, step % x.shape[0])).unwrap().loss();
        let (params, gradients) = trainer.params_and_gradients();
        optimizer.step(params, gradients, LEARNING_RATE);
        loss
    });
    let found = found.collect();
    (expected, found)
}

/// The largest difference of a loss from Keras's, relative to Keras's.
fn largest_difference((expected, found): &(Vec<f64>, Vec<f64>)) -> f64 {
    assert_eq!(expected.len(), STEPS);
    assert!(found.iter().all(|loss| loss.is_finite()), "{found:?}");
    expected.iter().zip(found).fold(0.0, |max, (expected, found)| f64::max(max, (found / expected - 1.0).abs()))
}

fn follows<R: Real>(number: &str, tolerances: Tolerances) {
    for reset in [Reset::Before, Reset::After] {
        let losses = losses::<R>(reset, Epsilon::Keras, number);
        assert!(losses.0[STEPS - 1] < 0.1 * losses.0[0], "{reset:?}: Keras's loss does not fall to a tenth");
        let difference = largest_difference(&losses);
        assert!(difference <= tolerances.losses_100, "{reset:?} {number}: {difference:e} of Keras's loss");
    }
}

#[test]
fn f64_follows_keras() {
    follows::<f64>("float64", F64);
}

#[test]
fn f32_follows_keras() {
    follows::<f32>("float32", F32);
}

/// The smallest of the differences between the frameworks is seen, so others would be.
#[test]
fn with_the_epsilon_of_pytorch_it_does_not_follow() {
    for reset in [Reset::Before, Reset::After] {
        let difference = largest_difference(&losses::<f64>(reset, Epsilon::PyTorch, "float64"));
        assert!(difference > 100.0 * F32.losses_100, "{reset:?}: {difference:e} of Keras's loss");
    }
}
