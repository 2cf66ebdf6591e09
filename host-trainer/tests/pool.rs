//! Pools in training against those of the runtime, and with the chip's integers imposed.

mod common;

use common::tolerances::RUNTIME;
use grulet::blob::Range;
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Pooling, Reset};
use grulet::{AnyModel, Exact};
use grulet_trainer::checkpoint::{Card, Checkpoint, Origin};
use grulet_trainer::nn::{Batch, Epsilon, Loss, Network, Optimizer, Rng, Rule, Trainer};
use grulet_trainer::quantize::integer_outputs;

const STEPS: usize = 30;
const LENGTHS: [usize; 10] = [30, 3, 1, 7, 25, 16, 2, 4, 30, 17];

fn layers() -> Vec<LayerSpec> {
    let gru = |inputs, hidden| LayerSpec::Gru {
        inputs,
        hidden,
        reset: Reset::After,
        gate: Gate::Sigmoid,
        candidate: Candidate::Tanh,
    };
    vec![
        gru(3, 5),
        LayerSpec::Pool { inputs: 5, over: Pooling::Max },
        gru(5, 4),
        LayerSpec::Pool { inputs: 4, over: Pooling::Mean },
        LayerSpec::Dense { inputs: 4, outputs: 2, activation: Activation::Linear },
    ]
}

fn batch(output: Output) -> Batch<f32> {
    let mut rng = Rng::new(4, 4);
    let mut numbers = |count: usize| (0..count).map(|_| rng.normal() as f32).collect::<Vec<_>>();
    let sites = if output == Output::EveryStep { STEPS * LENGTHS.len() } else { LENGTHS.len() };
    let x = numbers(STEPS * LENGTHS.len() * 3);
    Batch { steps: STEPS, lengths: LENGTHS.to_vec(), x, targets: numbers(sites * 2), ..Batch::default() }
}

fn checkpoint(network: &Network<f32>) -> Checkpoint {
    Checkpoint {
        card: Card { layers: layers(), output: network.output(), ..Card::default() },
        epoch: 1,
        value: 0.0,
        params: network.params().to_vec(),
        optimizer: Optimizer::new(network.params().len(), Rule::Adam(Epsilon::Keras)),
        origin: Origin::default(),
    }
}

#[test]
fn training_gives_what_the_runtime_gives() {
    for output in [Output::EveryStep, Output::LastStep] {
        let (network, batch) = (Network::<f32>::new(&layers(), output, 3).unwrap(), batch(output));
        let blob = grulet_trainer::export::export(&checkpoint(&network)).unwrap();
        let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
        let outputs = Trainer::new(network, Loss::MeanSquaredError, 2).unwrap().forward(&batch).unwrap();
        let mut stream = model.heap_stream();
        for (row, &length) in LENGTHS.iter().enumerate() {
            stream.reset();
            for t in 0..length {
                let found = stream.step(&batch.x[(t * LENGTHS.len() + row) * 3..][..3]).unwrap();
                let site = match output {
                    Output::LastStep if t + 1 < length => continue,
                    Output::LastStep => row,
                    _ => t * LENGTHS.len() + row,
                };
                for (found, expected) in found.iter().zip(&outputs[site * 2..]) {
                    assert!(
                        (f64::from(found - expected)).abs() < RUNTIME,
                        "series {row}, step {t}: {found}, {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_integers_can_be_imposed() {
    for output in [Output::EveryStep, Output::LastStep] {
        let (network, batch) = (Network::<f32>::new(&layers(), output, 3).unwrap(), batch(output));
        let imposed = integer_outputs(&checkpoint(&network), &[Range { input: 4.0, output: 6.0 }; 5], &batch).unwrap();
        // The mean is imposed as the chip rounds it; the maximum is one of the imposed inputs, to the bit.
        for row in 0..LENGTHS.len() {
            for unit in 0..5 {
                let of = |layer: usize, t: usize| imposed[layer][(t * LENGTHS.len() + row) * 5 + unit];
                let max = (0..LENGTHS[row]).map(|t| of(0, t)).fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(of(1, LENGTHS[row] - 1), max);
            }
        }
        let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 2).unwrap();
        let own = trainer.gradient(&batch).unwrap().loss();
        let own_gradients = trainer.gradients().to_vec();
        let with = trainer.gradient_with(&batch, &imposed).unwrap().loss();
        assert!(own != with && (own - with).abs() < 0.02 * own, "{own} {with}");
        let largest = own_gradients.iter().fold(0f32, |max, g| max.max(g.abs()));
        let gradients = trainer.gradients().to_vec();
        for (own, with) in own_gradients.iter().zip(&gradients) {
            assert!((own - with).abs() < 0.05 * largest, "{own} {with}");
        }
        for layer in [1, 3] {
            let mut other = imposed.clone();
            other[layer].iter_mut().for_each(|y| *y += 0.25);
            trainer.gradient_with(&batch, &other).unwrap();
            assert_ne!(trainer.gradients(), gradients, "layer {layer}");
        }
    }
}

#[test]
fn a_maximums_gradient_goes_to_the_first_step_that_has_it() {
    let layers = [LayerSpec::Pool { inputs: 1, over: Pooling::Max }];
    let network = Network::<f64>::new(&layers, Output::EveryStep, 1).unwrap();
    let mut trainer = Trainer::new(network, Loss::MeanSquaredError, 1).unwrap();
    trainer.keep_d_x(true);
    // The second series has ended where the padding is larger.
    let x = vec![1.0, -3.0, 2.0, -2.0, 2.0, -2.0, 0.0, 9.0, 3.0, 9.0];
    let batch = Batch { steps: 5, lengths: vec![5, 3], x, ..Batch::default() };
    let outputs = trainer.forward(&batch).unwrap();
    assert_eq!(outputs, [1.0, -3.0, 2.0, -2.0, 2.0, -2.0, 2.0, 0.0, 3.0, 0.0]);
    trainer.pull_back(&batch, &[1.0, 1.0, 10.0, 10.0, 100.0, 100.0, 1000.0, f64::NAN, 10_000.0, f64::NAN]).unwrap();
    assert_eq!(trainer.d_x().unwrap(), [1.0, 1.0, 1110.0, 110.0, 0.0, 0.0, 0.0, 0.0, 10_000.0, 0.0]);
}
