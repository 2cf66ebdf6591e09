//! What training depends on: parameters and batch, down to the last bit, and on nothing else.

use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Merge, Output, Reset};
use grulet_trainer::nn::{
    Batch, Epsilon, Loss, Network, Optimizer, Real, Regularization, Rng, Rule, Trainer, clip_by_norm,
};

/// Steps before weights are compared.
const STEPS: u64 = 6;

const ADAM: Rule = Rule::Adam(Epsilon::Keras);

const OUTPUTS: [Output; 2] = [Output::EveryStep, Output::LastStep];

/// Both kinds of GRU, with layers before, between and after.
fn layers() -> Vec<LayerSpec> {
    let (gate, candidate) = (Gate::Sigmoid, Candidate::Tanh);
    vec![
        LayerSpec::Dense { inputs: 3, outputs: 5, activation: Activation::Tanh },
        LayerSpec::Gru { inputs: 5, hidden: 18, reset: Reset::Before, gate, candidate },
        LayerSpec::Gru { inputs: 18, hidden: 7, reset: Reset::After, gate, candidate },
        LayerSpec::Dense { inputs: 7, outputs: 4, activation: Activation::Softmax },
    ]
}

/// A network without a bias of zero.
fn network<R: Real>(output: Output) -> Network<R> {
    let mut network = Network::new(&layers(), output, 7).unwrap();
    let mut rng = Rng::new(7, 1000);
    network.params_mut().iter_mut().for_each(|param| *param += R::from_f64(0.2 * rng.uniform() - 0.1));
    network
}

fn trainer<R: Real>(output: Output, threads: usize) -> Trainer<R> {
    let mut trainer = Trainer::new(network(output), Loss::SparseCategoricalCrossEntropy, threads).unwrap();
    trainer.keep_d_x(true);
    trainer
}

/// A batch of 1 to 9 steps with `padding` wherever nothing may be read, and two steps of padding for all.
fn batch<R: Real>(output: Output, rows: usize, seed: u64, padding: f64) -> Batch<R> {
    let mut rng = Rng::new(seed, 0);
    let lengths: Vec<usize> = (0..rows).map(|row| 1 + (5 * row + seed as usize) % 9).collect();
    let steps = 11;
    let mut draw = |site: usize, value: fn(f64) -> f64| {
        // Drawn whether it is used or not, so that batches differ in their padding alone.
        let value = value(rng.uniform());
        R::from_f64(if site / rows < lengths[site % rows] { value } else { padding })
    };
    let x = (0..steps * rows * 3).map(|i| draw(i / 3, |u| 3.0 * u - 1.5)).collect();
    let sites = if output == Output::EveryStep { steps * rows } else { rows };
    let targets = (0..sites).map(|site| draw(site, |u| f64::from((4.0 * u) as u8))).collect();
    let state = (0..rows * 25).map(|_| R::from_f64(1.8 * rng.uniform() - 0.9)).collect();
    Batch { steps, lengths, x, targets, state, ..Batch::default() }
}

/// The bits of all that a call leaves.
fn bits<R: Real>(values: &[R]) -> Vec<u64> {
    values.iter().map(|value| value.to_f64().to_bits()).collect()
}

/// Loss, accuracy, gradients by parameters, inputs and state, and outputs.
fn results<R: Real>(trainer: &mut Trainer<R>, batch: &Batch<R>) -> Vec<Vec<u64>> {
    let metrics = trainer.gradient(batch).unwrap();
    let metrics = [metrics.loss(), metrics.accuracy().unwrap()];
    assert!(metrics[0].is_finite() && metrics[0] > 0.0);
    vec![
        bits(&metrics),
        bits(trainer.gradients()),
        bits(&trainer.d_x().unwrap()),
        bits(&trainer.d_state().unwrap()),
        bits(&trainer.outputs()),
    ]
}

/// Trains on batches of different sizes; returns the gradients of each step and then the weights.
fn train<R: Real>(rule: Rule, output: Output, threads: usize) -> Vec<Vec<u64>> {
    let mut trainer = trainer::<R>(output, threads);
    let mut optimizer = Optimizer::new(trainer.network().params().len(), rule);
    let mut seen = Vec::new();
    for step in 0..STEPS {
        // Up to eight shards, so that every thread has one.
        let rows = [61, 9, 33][step as usize % 3];
        trainer.gradient(&batch(output, rows, step, f64::NAN)).unwrap();
        seen.push(bits(trainer.gradients()));
        let (params, gradients) = trainer.params_and_gradients();
        clip_by_norm(gradients, 1.0);
        optimizer.step(params, gradients, 0.02);
    }
    let weights = trainer.network();
    assert_ne!(weights.params(), network::<R>(output).params());
    seen.push(bits(weights.params()));
    seen
}

#[test]
fn threads_do_not_change_a_bit() {
    for output in OUTPUTS {
        let (one, one_f64) = (train::<f32>(ADAM, output, 1), train::<f64>(ADAM, output, 1));
        for threads in [1, 2, 3, 8] {
            assert!(train::<f32>(ADAM, output, threads) == one, "{threads} threads, {output:?}");
            assert!(train::<f64>(ADAM, output, threads) == one_f64, "{threads} threads, {output:?}, f64");
        }
    }
}

#[test]
fn threads_do_not_change_a_bit_with_any_optimiser() {
    for rule in [
        Rule::AdamW { epsilon: Epsilon::Keras, weight_decay: 0.1 },
        Rule::Sgd { momentum: 0.9, nesterov: true },
        Rule::RmsProp,
    ] {
        let one = train::<f32>(rule, Output::LastStep, 1);
        assert!(train::<f32>(rule, Output::LastStep, 2) == one, "{rule:?}");
        assert!(train::<f32>(ADAM, Output::LastStep, 1) != one, "{rule:?} is Adam");
    }
}

/// Masks belong to series, whichever thread computes them.
#[test]
fn threads_do_not_change_a_bit_with_dropout_on_one_hot_inputs() {
    let (inputs, hidden, gate, candidate) = (5, 4, Gate::Sigmoid, Candidate::Tanh);
    let head = LayerSpec::Dense { inputs: hidden, outputs: 4, activation: Activation::Softmax };
    let gru = |reset| LayerSpec::Gru { inputs, hidden, reset, gate, candidate };
    let both = LayerSpec::Bidirectional { inputs, hidden, reset: Reset::After, gate, candidate, merge: Merge::Sum };
    let dense = LayerSpec::Dense { inputs, outputs: hidden, activation: Activation::Tanh };
    for layer in [gru(Reset::Before), gru(Reset::After), both, dense] {
        let of_threads = |threads| {
            let layers = [LayerSpec::OneHot { vocabulary: inputs }, layer, head];
            let network = Network::<f32>::new(&layers, Output::LastStep, 7).unwrap();
            let mut trainer = Trainer::new(network, Loss::SparseCategoricalCrossEntropy, threads).unwrap();
            let rates = Regularization { seed: 2, dropout: vec![0.0, 0.4], ..Regularization::default() };
            trainer.regularize(rates).unwrap();
            let mut seen = Vec::new();
            for rows in [61, 9, 33] {
                let mut batch = batch::<f32>(Output::LastStep, rows, 3, f64::NAN);
                batch.x = batch.x.chunks_exact(3).map(|x| (5.0 * (x[0] + 1.5) / 3.0).floor()).collect();
                batch.state.clear();
                trainer.gradient(&batch).unwrap();
                seen.push((bits(trainer.gradients()), bits(&trainer.outputs())));
            }
            seen
        };
        let one = of_threads(1);
        for threads in [2, 3, 8] {
            assert!(of_threads(threads) == one, "{threads} threads, {layer:?}");
        }
    }
}

#[test]
fn the_seed_decides() {
    let weights = |seed| Network::<f32>::new(&layers(), Output::LastStep, seed).unwrap().params().to_vec();
    assert_eq!(weights(3), weights(3));
    assert_ne!(weights(3), weights(4));
    let fresh = Network::<f32>::new(&layers(), Output::LastStep, 3).unwrap();
    let other = Network::<f32>::new(&layers(), Output::LastStep, 4).unwrap();
    for tensor in fresh.tensors().iter().filter(|tensor| tensor.name.ends_with("kernel")) {
        let pairs = fresh.params()[tensor.range.clone()].iter().zip(&other.params()[tensor.range.clone()]);
        assert_eq!(pairs.filter(|(a, b)| a == b).count(), 0, "{}", tensor.name);
    }
}

#[test]
fn a_layer_at_the_end_leaves_the_others_weights() {
    let all = Network::<f32>::new(&layers(), Output::LastStep, 3).unwrap();
    let fewer = Network::<f32>::new(&layers()[..3], Output::LastStep, 3).unwrap();
    assert_eq!(fewer.params(), &all.params()[..fewer.params().len()]);
}

#[test]
fn earlier_calls_leave_nothing() {
    for output in OUTPUTS {
        for threads in [1, 3] {
            for rows in [1, 7, 12] {
                let small = batch::<f32>(output, rows, 1, f64::NAN);
                let expected = results(&mut trainer(output, threads), &small);
                let mut used = trainer(output, threads);
                // Longer, wider, with other lengths; and one whose loss and gradients are not finite.
                results(&mut used, &batch(output, 50, 2, f64::NAN));
                let mut broken = batch::<f32>(output, 30, 3, 0.0);
                broken.x.fill(f32::NAN);
                assert!(used.gradient(&broken).unwrap().loss().is_nan());
                used.forward(&batch(output, 20, 4, f64::NAN)).unwrap();
                assert!(results(&mut used, &small) == expected, "{rows} series, {threads} threads, {output:?}");
                // Nor does a refused batch.
                let mut refused = small.clone();
                refused.targets[0] = 4.0;
                let gradients = bits(used.gradients());
                used.gradient(&refused).unwrap_err();
                assert_eq!(bits(used.gradients()), gradients);
                assert!(results(&mut used, &small) == expected);
            }
        }
    }
}

#[test]
fn padding_has_no_influence() {
    for output in OUTPUTS {
        let expected = results(&mut trainer(output, 2), &batch::<f32>(output, 21, 5, 0.0));
        for padding in [1.0, -1e30, f64::INFINITY, f64::NAN] {
            let padded = batch::<f32>(output, 21, 5, padding);
            assert!(results(&mut trainer(output, 2), &padded) == expected, "{padding} in the padding, {output:?}");
        }
    }
}

/// A batch is nothing but its series: each one's outputs and gradients are the same alone, without any padding.
#[test]
fn series_do_not_see_each_other() {
    for output in OUTPUTS {
        let rows = 21;
        let together = batch::<f64>(output, rows, 6, f64::NAN);
        let mut trainer = trainer::<f64>(output, 1);
        let outputs = trainer.forward(&together).unwrap();
        for row in 0..rows {
            let steps = together.lengths[row];
            let x = (0..steps).flat_map(|t| together.x[(t * rows + row) * 3..][..3].to_vec()).collect();
            let state = together.state[row * 25..][..25].to_vec();
            let alone = Batch { steps, lengths: vec![steps], x, state, ..Batch::default() };
            let last = if output == Output::EveryStep { steps } else { 1 };
            let expected: Vec<f64> = (0..last).flat_map(|t| outputs[(t * rows + row) * 4..][..4].to_vec()).collect();
            assert_eq!(trainer.forward(&alone).unwrap(), expected, "series {row}, {output:?}");
        }
    }
}
