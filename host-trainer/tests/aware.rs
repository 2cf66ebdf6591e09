//! Quantisation-aware training: gradients at imposed outputs, and outputs that are the chip's.

mod common;

use common::checkpoint;
use grulet::blob::quantize::scales;
use grulet::blob::{AlignedBytes, Range};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Merge, Output, Reset};
use grulet::{AnyModel, Int8};
use grulet_trainer::checkpoint::Checkpoint;
use grulet_trainer::nn::{Batch, Loss, Network, Rng, Trainer};
use grulet_trainer::quantize::{Float, integer_outputs};

const STEPS: usize = 7;
const LENGTHS: [usize; 10] = [7, 3, 1, 7, 5, 6, 2, 4, 7, 7];

fn layers(reset: Reset) -> Vec<LayerSpec> {
    let gru = |inputs, hidden, candidate| LayerSpec::Gru { inputs, hidden, reset, gate: Gate::Sigmoid, candidate };
    let dense = |inputs, outputs, activation| LayerSpec::Dense { inputs, outputs, activation };
    vec![
        dense(3, 4, Activation::Tanh),
        gru(4, 5, Candidate::Tanh),
        gru(5, 3, Candidate::Relu),
        dense(3, 4, Activation::Relu),
        dense(4, 2, Activation::Linear),
    ]
}

fn network(layers: &[LayerSpec], output: Output) -> Network<f32> {
    let mut network = Network::new(layers, output, 3).unwrap();
    let mut rng = Rng::new(9, 9);
    // Biases too.
    network.params_mut().iter_mut().for_each(|w| *w += 0.1 * rng.normal() as f32);
    network
}

fn batch(output: Output) -> Batch<f32> {
    let mut rng = Rng::new(4, 4);
    let mut numbers = |count: usize| (0..count).map(|_| rng.normal() as f32).collect::<Vec<_>>();
    let sites = if output == Output::EveryStep { STEPS * LENGTHS.len() } else { LENGTHS.len() };
    Batch {
        steps: STEPS,
        lengths: LENGTHS.to_vec(),
        x: numbers(STEPS * LENGTHS.len() * 3),
        targets: numbers(sites * 2),
        ..Batch::default()
    }
}

/// The outputs of every layer at every step, by networks that end there.
fn own_outputs(layers: &[LayerSpec], params: &[f32], batch: &Batch<f32>) -> Vec<Vec<f32>> {
    let outputs = |count: usize| {
        let layers = &layers[..count];
        let len = layers.iter().map(LayerSpec::parameters).sum();
        let network = Network::from_params(layers, Output::EveryStep, params[..len].to_vec()).unwrap();
        Trainer::new(network, Loss::MeanSquaredError, 1).unwrap().forward(batch).unwrap()
    };
    (1..=layers.len()).map(outputs).collect()
}

/// The loss of what the chip answers, series by series.
fn loss_of_exported(checkpoint: &Checkpoint, ranges: &[Range], batch: &Batch<f32>) -> f64 {
    let float: AlignedBytes = grulet_trainer::export::export(checkpoint).unwrap();
    let blob = Float::new(&float).unwrap().quantize(ranges).unwrap();
    let model = AnyModel::<Int8>::from_blob(&blob).unwrap();
    let width = batch.x.len() / (STEPS * LENGTHS.len());
    let (mut sum, mut count) = (0.0, 0);
    for (row, &length) in LENGTHS.iter().enumerate() {
        let series: Vec<f32> =
            (0..length).flat_map(|t| batch.x[(t * LENGTHS.len() + row) * width..][..width].to_vec()).collect();
        let answers = model.run_series(&series, |_, _, _| {}).unwrap();
        for (t, answer) in answers.chunks_exact(2).enumerate() {
            let targets = &batch.targets[(t * LENGTHS.len() + row) * 2..][..2];
            sum += answer.iter().zip(targets).map(|(y, t)| f64::from(y - t) * f64::from(y - t)).sum::<f64>();
            count += 2;
        }
    }
    sum / f64::from(count)
}

#[test]
fn its_own_outputs_imposed_change_nothing_and_others_do() {
    for reset in [Reset::Before, Reset::After] {
        for output in [Output::EveryStep, Output::LastStep] {
            let (layers, batch) = (layers(reset), batch(output));
            let network = network(&layers, output);
            let mut imposed = own_outputs(&layers, network.params(), &batch);
            let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 2).unwrap();
            let loss = trainer.gradient(&batch).unwrap().loss();
            let gradients = trainer.gradients().to_vec();
            assert_eq!(trainer.gradient_with(&batch, &imposed).unwrap().loss(), loss);
            assert_eq!(trainer.gradients(), gradients, "{reset:?} {output:?}");

            for layer in 0..layers.len() {
                let before = imposed[layer].clone();
                // The last step of the first series is used in both kinds of output.
                imposed[layer][(STEPS - 1) * LENGTHS.len() * layers[layer].outputs()] += 0.25;
                trainer.gradient_with(&batch, &imposed).unwrap();
                assert_ne!(trainer.gradients(), gradients, "layer {layer}, {reset:?} {output:?}");
                imposed[layer] = before;
            }
            imposed[1].pop();
            assert!(trainer.gradient_with(&batch, &imposed).is_err());
        }
    }
}

#[test]
fn imposed_outputs_are_those_of_the_exported_model() {
    for reset in [Reset::Before, Reset::After] {
        let (layers, batch) = (layers(reset), batch(Output::EveryStep));
        let network = network(&layers, Output::EveryStep);
        let checkpoint = checkpoint(&network);
        let ranges = [Range { input: 4.0, output: 6.0 }; 5];
        let imposed = integer_outputs(&checkpoint, &ranges, &batch).unwrap();

        let float: AlignedBytes = grulet_trainer::export::export(&checkpoint).unwrap();
        let blob = Float::new(&float).unwrap().quantize(&ranges).unwrap();
        let model = AnyModel::<Int8>::from_blob(&blob).unwrap();
        let unit = scales(model.header(), &ranges).unwrap()[4].output as f32;
        let mut stream = model.heap_stream();
        let mut seen = 0;
        for (row, &length) in LENGTHS.iter().enumerate() {
            stream.reset();
            for t in 0..length {
                let site = t * LENGTHS.len() + row;
                stream
                    .step_observed(&batch.x[site * 3..][..3], |layer, _, outputs| {
                        if layer == 4 {
                            let outputs: Vec<f32> = outputs.iter().map(|&y| f32::from(y) * unit).collect();
                            assert_eq!(outputs, imposed[4][site * 2..][..2], "series {row}, step {t}");
                            seen += 1;
                        }
                    })
                    .unwrap();
            }
        }
        assert_eq!(seen, LENGTHS.iter().sum::<usize>());
        // The last four steps of the series that have seven, from the states after three.
        let long: Vec<usize> = (0..LENGTHS.len()).filter(|&row| LENGTHS[row] == STEPS).collect();
        let cut = |values: &[f32], width: usize| -> Vec<f32> {
            let sites = (3..STEPS).flat_map(|t| long.iter().map(move |row| t * LENGTHS.len() + row));
            sites.flat_map(|site| values[site * width..][..width].to_vec()).collect()
        };
        let states = long.iter().flat_map(|row| {
            [(1, 5), (2, 3)].map(|(layer, width)| imposed[layer][(2 * LENGTHS.len() + row) * width..][..width].to_vec())
        });
        let rest = Batch {
            steps: 4,
            lengths: vec![4; long.len()],
            x: cut(&batch.x, 3),
            state: states.flatten().collect(),
            ..Batch::default()
        };
        let after = integer_outputs(&checkpoint, &ranges, &rest).unwrap();
        assert!((0..5).all(|layer| after[layer] == cut(&imposed[layer], layers[layer].outputs())), "{reset:?}");
        // They are close to those of f32, and not the same.
        let own = own_outputs(&layers, network.params(), &batch);
        let largest = imposed[4].iter().zip(&own[4]).fold(0f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(largest > 0.0 && largest < 0.1, "{largest}");
    }
}

/// Bidirectional layers impose the states of both directions, which are merged by the trainer.
#[test]
fn imposed_states_of_both_directions_are_those_of_the_exported_model() {
    let layer = |inputs, hidden, reset, candidate, merge| LayerSpec::Bidirectional {
        inputs,
        hidden,
        reset,
        gate: Gate::Sigmoid,
        candidate,
        merge,
    };
    let dense = |inputs, outputs, activation| LayerSpec::Dense { inputs, outputs, activation };
    let layers = [
        layer(3, 4, Reset::Before, Candidate::Tanh, Merge::Concat),
        dense(8, 3, Activation::Tanh),
        layer(3, 3, Reset::After, Candidate::Relu, Merge::Sum),
        dense(3, 2, Activation::Linear),
    ];
    let ranges = [Range { input: 4.0, output: 6.0 }; 4];
    for output in [Output::EveryStep, Output::LastStep] {
        let batch = batch(output);
        let network = network(&layers, output);
        let checkpoint = checkpoint(&network);
        let imposed = integer_outputs(&checkpoint, &ranges, &batch).unwrap();
        let mut trainer = Trainer::new(network.clone(), Loss::MeanSquaredError, 2).unwrap();
        let plain = trainer.gradient(&batch).unwrap().loss();
        let loss = trainer.gradient_with(&batch, &imposed).unwrap().loss();

        let expected = loss_of_exported(&checkpoint, &ranges, &batch);
        assert!((loss - expected).abs() < 1e-6 * expected && loss != plain, "{output:?}: {loss} {expected} {plain}");

        // Its own states imposed change nothing: one whose first element is another does, in either direction.
        let gradients = trainer.gradients().to_vec();
        for element in [0, 4] {
            let mut other = imposed.clone();
            // The step that both directions of the third layer come through.
            other[0][(STEPS - 1) * LENGTHS.len() * 8 + element] += 0.25;
            trainer.gradient_with(&batch, &other).unwrap();
            assert_ne!(trainer.gradients(), gradients, "{output:?}, element {element}");
        }
    }
}

/// A one-hot layer imposes nothing of its own: the layer after it is the exported model's on the same tokens.
#[test]
fn imposed_outputs_after_one_hot_inputs_are_those_of_the_exported_model() {
    let (inputs, gate, candidate) = (5, Gate::Sigmoid, Candidate::Tanh);
    let gru = |reset| LayerSpec::Gru { inputs, hidden: 4, reset, gate, candidate };
    let dense = |inputs, outputs, activation| LayerSpec::Dense { inputs, outputs, activation };
    let ranges = [Range { input: 4.0, output: 6.0 }; 3];
    for layer in [gru(Reset::Before), gru(Reset::After), dense(inputs, 4, Activation::Tanh)] {
        let layers = [LayerSpec::OneHot { vocabulary: inputs }, layer, dense(4, 2, Activation::Linear)];
        let mut batch = batch(Output::EveryStep);
        batch.x = (0..STEPS * LENGTHS.len()).map(|site| (site * site % 5) as f32).collect();
        let network = network(&layers, Output::EveryStep);
        let checkpoint = checkpoint(&network);
        let imposed = integer_outputs(&checkpoint, &ranges, &batch).unwrap();
        let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 2).unwrap();
        let plain = trainer.gradient(&batch).unwrap().loss();
        let own = trainer.gradients().to_vec();
        let loss = trainer.gradient_with(&batch, &imposed).unwrap().loss();

        let expected = loss_of_exported(&checkpoint, &ranges, &batch);
        assert!((loss - expected).abs() < 1e-6 * expected && loss != plain, "{layer:?}: {loss} {expected} {plain}");
        // Close to the gradients of f32, token by token, and not the same.
        let largest = trainer.gradients().iter().zip(&own).fold(0f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(largest > 0.0 && largest < 0.02, "{layer:?}: {largest}");
        let gradients = trainer.gradients().to_vec();
        let mut other = imposed.clone();
        other[1][(STEPS - 1) * LENGTHS.len() * 4] += 0.25;
        trainer.gradient_with(&batch, &other).unwrap();
        assert_ne!(trainer.gradients(), gradients, "{layer:?}");
    }
}
