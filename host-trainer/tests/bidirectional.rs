//! Bidirectional layers: against Keras, and the trainer against the runtime on series of different lengths.

mod common;

use std::path::Path;

use common::reference::{array, time_major};
use common::tolerances::{F32, F64, RUNTIME};
use grulet::spec::{Activation, Candidate, Decoding, Gate, LayerSpec, Merge, Output, Pooling, Reset};
use grulet::{AnyModel, Exact};
use grulet_trainer::checkpoint::{Card, Checkpoint, Origin};
use grulet_trainer::data::Npz;
use grulet_trainer::export::export;
use grulet_trainer::nn::{Batch, Epsilon, Error, Loss, Network, Optimizer, Real, Rng, Rule, Trainer};

const MERGES: [(Merge, &str); 4] =
    [(Merge::Concat, "concat"), (Merge::Sum, "sum"), (Merge::Mul, "mul"), (Merge::Ave, "ave")];
const OUTPUTS: [(Output, &str); 2] = [(Output::EveryStep, "every"), (Output::LastStep, "last")];
const RESETS: [(Reset, &str); 2] = [(Reset::Before, "ra0"), (Reset::After, "ra1")];

fn layer(inputs: u16, hidden: u16, reset: Reset, merge: Merge) -> LayerSpec {
    LayerSpec::Bidirectional { inputs, hidden, reset, gate: Gate::Sigmoid, candidate: Candidate::Tanh, merge }
}

fn dense(inputs: u16, outputs: u16, activation: Activation) -> LayerSpec {
    LayerSpec::Dense { inputs, outputs, activation }
}

fn checkpoint(layers: &[LayerSpec], output: Output, params: Vec<f32>) -> Checkpoint {
    Checkpoint {
        card: Card { layers: layers.to_vec(), output, ..Card::default() },
        epoch: 1,
        value: 0.0,
        optimizer: Optimizer::new(params.len(), Rule::Adam(Epsilon::Keras)),
        params,
        origin: Origin::default(),
    }
}

fn largest_difference<'a>(found: impl IntoIterator<Item = f64>, expected: impl IntoIterator<Item = &'a f64>) -> f64 {
    found.into_iter().zip(expected).fold(0.0, |max, (found, expected)| f64::max(max, (found - expected).abs()))
}

#[test]
fn outputs_are_those_of_keras() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/keras_bidirectional.npz");
    let mut npz = Npz::open(&path).unwrap();
    let x = array(&mut npz, "x");
    let (rows, steps, inputs) = (x.shape[0], x.shape[1], x.shape[2]);
    for (reset, reset_name) in RESETS {
        for (merge, merge_name) in MERGES {
            let twice = if merge == Merge::Concat { 2 } else { 1 };
            let layers =
                [layer(3, 5, reset, merge), layer(5 * twice, 4, reset, merge), dense(4 * twice, 2, Activation::Linear)];
            let name = format!("{reset_name}_{merge_name}");
            let weights = array(&mut npz, &format!("{name}_w")).values;
            for (output, output_name) in OUTPUTS {
                let expected = array(&mut npz, &format!("{name}_{output_name}"));
                let in_time = if output == Output::EveryStep { time_major(&expected) } else { expected.values.clone() };
                let largest = in_time.iter().fold(0.0, |max, y| f64::max(max, y.abs()));

                fn outputs<R: Real>(layers: &[LayerSpec], output: Output, w: &[f64], batch: Batch<R>) -> Vec<f64> {
                    let params = w.iter().map(|&w| R::from_f64(w)).collect();
                    let network = Network::from_params(layers, output, params).unwrap();
                    let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 1).unwrap();
                    trainer.forward(&batch).unwrap().into_iter().map(Real::to_f64).collect()
                }
                fn batch<R: Real>(x: &common::reference::Array) -> Batch<R> {
                    let (rows, steps) = (x.shape[0], x.shape[1]);
                    let x = time_major(x).into_iter().map(R::from_f64).collect();
                    Batch { steps, lengths: vec![steps; rows], x, ..Batch::default() }
                }
                let found = outputs::<f64>(&layers, output, &weights, batch(&x));
                assert_eq!(found.len(), in_time.len());
                let difference = largest_difference(found, &in_time) / largest;
                assert!(difference <= F64.outputs, "f64, {name} {output_name}: {difference:e}");
                let difference =
                    largest_difference(outputs::<f32>(&layers, output, &weights, batch(&x)), &in_time) / largest;
                assert!(difference <= F32.outputs, "f32, {name} {output_name}: {difference:e}");

                let params = weights.iter().map(|&w| w as f32).collect();
                let blob = export(&checkpoint(&layers, output, params)).unwrap();
                let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
                let found: Vec<f64> = (0..rows)
                    .flat_map(|row| {
                        let series: Vec<f32> =
                            x.values[row * steps * inputs..][..steps * inputs].iter().map(|&x| x as f32).collect();
                        model.run_series(&series, |_, _, _| {}).unwrap()
                    })
                    .map(f64::from)
                    .collect();
                assert_eq!(found.len(), expected.values.len());
                let difference = largest_difference(found, &expected.values);
                assert!(difference <= RUNTIME, "runtime, {name} {output_name}: {difference:e}");
            }
        }
    }
}

/// Tensor after tensor in the order of the parameters, as the trainer's files keep them.
#[test]
fn tensors_are_named_after_their_direction() {
    let layers = [layer(3, 4, Reset::After, Merge::Sum), layer(4, 2, Reset::Before, Merge::Concat)];
    let network = Network::<f32>::new(&layers, Output::LastStep, 1).unwrap();
    let names: Vec<&str> = network.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "bidirectional.forward.kernel",
            "bidirectional.forward.recurrent_kernel",
            "bidirectional.forward.bias",
            "bidirectional.backward.kernel",
            "bidirectional.backward.recurrent_kernel",
            "bidirectional.backward.bias",
            "bidirectional_1.forward.kernel",
            "bidirectional_1.forward.recurrent_kernel",
            "bidirectional_1.forward.bias",
            "bidirectional_1.backward.kernel",
            "bidirectional_1.backward.recurrent_kernel",
            "bidirectional_1.backward.bias",
        ]
    );
    assert_eq!(network.tensors()[2].shape, [2, 12]);
    // Kernels are drawn, each by itself, and biases are zero.
    let tensor = |name| network.tensor(name).unwrap();
    assert!(tensor("bidirectional.forward.kernel").iter().all(|&w| w != 0.0));
    assert_ne!(tensor("bidirectional.forward.kernel"), tensor("bidirectional.backward.kernel"));
    assert!(tensor("bidirectional.backward.bias").iter().all(|&w| w == 0.0));
}

#[test]
fn series_of_any_length_give_what_the_runtime_gives() {
    const STEPS: usize = 6;
    const LENGTHS: [usize; 10] = [6, 1, 4, 6, 2, 3, 5, 6, 1, 4];
    let stacks = [
        vec![
            dense(3, 4, Activation::Tanh),
            layer(4, 5, Reset::After, Merge::Concat),
            layer(10, 3, Reset::Before, Merge::Mul),
            dense(3, 2, Activation::Linear),
        ],
        vec![
            layer(3, 4, Reset::Before, Merge::Ave),
            LayerSpec::Pool { inputs: 4, over: Pooling::Max },
            dense(4, 2, Activation::Sigmoid),
        ],
        vec![layer(3, 2, Reset::Before, Merge::Sum)],
    ];
    for layers in stacks {
        for (output, _) in OUTPUTS {
            let mut network = Network::<f32>::new(&layers, output, 5).unwrap();
            let mut rng = Rng::new(2, 2);
            network.params_mut().iter_mut().for_each(|w| *w += 0.2 * rng.normal() as f32);
            let blob = export(&checkpoint(&layers, output, network.params().to_vec())).unwrap();
            let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
            let rows = LENGTHS.len();
            let mut x: Vec<f32> = (0..STEPS * rows * 3).map(|_| rng.normal() as f32).collect();
            for (site, x) in x.chunks_exact_mut(3).enumerate() {
                if site / rows >= LENGTHS[site % rows] {
                    x.fill(f32::NAN);
                }
            }
            let batch = Batch { steps: STEPS, lengths: LENGTHS.to_vec(), x, ..Batch::default() };
            let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 2).unwrap();
            let found = trainer.forward(&batch).unwrap();
            let mut seen = 0;
            for (row, &length) in LENGTHS.iter().enumerate() {
                let series: Vec<f32> =
                    (0..length).flat_map(|t| batch.x[(t * rows + row) * 3..][..3].to_vec()).collect();
                for (t, expected) in model.run_series(&series, |_, _, _| {}).unwrap().chunks_exact(2).enumerate() {
                    let site = if output == Output::EveryStep { t * rows + row } else { row };
                    for (y, expected) in found[site * 2..][..2].iter().zip(expected) {
                        assert!((y - expected).abs() < 2e-6, "{output:?} series {row}, step {t}: {y} {expected}");
                        seen += 1;
                    }
                }
            }
            assert_eq!(seen, 2 * if output == Output::EveryStep { LENGTHS.iter().sum() } else { rows });
        }
    }
}

#[test]
fn an_encoder_decoder_has_none() {
    let gru = |inputs, hidden| LayerSpec::Gru {
        inputs,
        hidden,
        reset: Reset::Before,
        gate: Gate::Sigmoid,
        candidate: Candidate::Tanh,
    };
    let embedding = LayerSpec::Embedding { vocabulary: 5, outputs: 3 };
    let layers =
        [layer(2, 3, Reset::Before, Merge::Sum), gru(3, 4), embedding, gru(3, 4), dense(4, 5, Activation::Softmax)];
    let output = Output::Sequence(Decoding { encoder: 2, start: 0, stop: 1, longest: 3 });
    let error = Network::<f32>::new(&layers, output, 1).unwrap_err();
    assert_eq!(error, Error::Bidirectional { layer: 0 });
    assert!(error.to_string().contains("use a GRU"), "{error}");
}
