//! Gradients by backpropagation through time against differences of the loss, in `f64`.
//!
//! Every case perturbs every parameter, every valid input and every element of the initial state one by one. Padding holds
//! NaN throughout, biases and initial states are never zero.

mod common;

use common::tolerances::{CHECKED, GRADIENT_F64, KINK_F64, STEP};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Merge, Output, Pooling, Reset};
use grulet_trainer::nn::{Batch, Loss, Network, Regularization, Rng, Trainer};
use proptest::prelude::*;

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
        LayerSpec::Embedding { .. } | LayerSpec::OneHot { .. } => false,
        LayerSpec::Bidirectional { gate, candidate, .. } => gate == Gate::HardSigmoid || candidate == Candidate::Relu,
        LayerSpec::Pool { over, .. } => over == Pooling::Max,
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

    let mut input = || match case.layers[0] {
        LayerSpec::Embedding { vocabulary, .. } | LayerSpec::OneHot { vocabulary } => {
            (rng.uniform() * f64::from(vocabulary)).floor()
        }
        _ => within(&mut rng, 1.5),
    };
    let mut x: Vec<f64> = (0..steps * rows * inputs).map(|_| input()).collect();
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
    (Batch { steps, lengths: case.lengths.clone(), x, targets, state, ..Batch::default() }, weights)
}

/// The value whose gradient is taken.
fn value(trainer: &mut Trainer<f64>, batch: &Batch<f64>, objective: Objective, weights: &[f64]) -> f64 {
    match objective {
        // The same dropout each time.
        Objective::Loss(_) => {
            trainer.start_batch(3);
            trainer.gradient(batch).unwrap().loss()
        }
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
    check_with(case, None)
}

/// Compares all gradients of a case with regularisation, where every output counts differently.
fn check_with(case: &Case, regularization: Option<Regularization>) -> Result<Count, String> {
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
        Objective::Loss(_) if regularization.is_some() => {
            let plain = trainer.gradient(&batch).unwrap().loss();
            let sites = if case.output == Output::EveryStep { batch.steps } else { 1 } * batch.rows();
            batch.ignored = 1;
            batch.weights = (0..sites).map(|site| 0.3 * (site % 5) as f64).collect();
            trainer.regularize(regularization.unwrap()).unwrap();
            trainer.start_batch(3);
            assert_ne!(trainer.gradient(&batch).unwrap().loss(), plain);
        }
        Objective::Loss(_) => {
            let gradient_loss = trainer.gradient(&batch).unwrap().loss();
            assert_eq!(gradient_loss, trainer.evaluate(&batch).unwrap().loss());
        }
        Objective::Outputs => trainer.pull_back(&batch, &weights).unwrap(),
    }
    let (gradients, d_x, d_state) = (trainer.gradients().to_vec(), trainer.d_x().unwrap(), trainer.d_state().unwrap());
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
    for (index, &gradient) in d_x.iter().enumerate() {
        let before = batch.x[index];
        if before.is_nan() {
            if gradient != 0.0 {
                return Err(format!("input {index} is padding, its gradient is {gradient}"));
            }
            continue;
        }
        note(compare(
            || format!("input {index}"),
            gradient,
            kinks,
            |by| {
                batch.x[index] = before + by;
                value(&mut trainer, &batch, case.objective, &weights)
            },
        ))?;
        batch.x[index] = before;
    }
    for (index, &gradient) in d_state.iter().enumerate() {
        let before = batch.state[index];
        note(compare(
            || format!("state {index}"),
            gradient,
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

#[test]
fn every_loss() {
    let kinds = [
        (Loss::BinaryCrossEntropy, Activation::Sigmoid),
        (Loss::CategoricalCrossEntropy, Activation::Softmax),
        (Loss::SparseCategoricalCrossEntropy, Activation::Softmax),
        (Loss::MeanSquaredError, Activation::Softmax),
        (Loss::MeanSquaredError, Activation::Sigmoid),
        (Loss::MeanSquaredError, Activation::HardSigmoid),
        (Loss::MeanSquaredError, Activation::Tanh),
        (Loss::MeanSquaredError, Activation::Relu),
        (Loss::MeanAbsoluteError, Activation::Linear),
        (Loss::MeanAbsoluteError, Activation::Softmax),
        (Loss::Huber { delta: 0.7 }, Activation::Linear),
        (Loss::Huber { delta: 1.0 }, Activation::Tanh),
    ];
    for (loss, activation) in kinds {
        for output in OUTPUTS {
            for reset in RESETS {
                let layers = vec![gru(2, 4, reset, Gate::Sigmoid, Candidate::Tanh), dense(4, 3, activation)];
                let objective = Objective::Loss(loss);
                must_agree(&Case { layers, output, objective, lengths: LENGTHS.to_vec(), seed: 2 });
            }
        }
    }
}

#[test]
fn embeddings() {
    for output in OUTPUTS {
        for reset in RESETS {
            let embedding = LayerSpec::Embedding { vocabulary: 6, outputs: 3 };
            let gru = gru(3, 4, reset, Gate::Sigmoid, Candidate::Tanh);
            let layers = vec![embedding, gru, dense(4, 2, Activation::Softmax)];
            let objective = Objective::Loss(Loss::SparseCategoricalCrossEntropy);
            must_agree(&Case { layers, output, objective, lengths: LENGTHS.to_vec(), seed: 3 });
            // Without a layer that hands the gradient on.
            let layers = vec![embedding, dense(3, 2, Activation::Linear)];
            let objective = Objective::Loss(Loss::MeanSquaredError);
            must_agree(&Case { layers, output, objective, lengths: LENGTHS.to_vec(), seed: 4 });
        }
    }
}

/// Layers that take tokens in place of one-hot vectors.
fn one_hot_cases() -> Vec<Case> {
    let head = |inputs| dense(inputs, 2, Activation::Softmax);
    let of = |layers: Vec<LayerSpec>, output| {
        let layers = [LayerSpec::OneHot { vocabulary: 6 }].into_iter().chain(layers).collect();
        let objective = Objective::Loss(Loss::SparseCategoricalCrossEntropy);
        Case { layers, output, objective, lengths: LENGTHS.to_vec(), seed: 5 }
    };
    let mut cases = Vec::new();
    for output in OUTPUTS {
        for reset in RESETS {
            cases.push(of(vec![gru(6, 4, reset, Gate::Sigmoid, Candidate::Tanh), head(4)], output));
            let both = bidirectional(6, 3, reset, Candidate::Tanh, Merge::Concat);
            cases.push(of(vec![both, head(6)], output));
        }
        cases.push(of(vec![dense(6, 3, Activation::Tanh), head(3)], output));
        cases.push(of(vec![head(6)], output));
    }
    cases
}

/// Dropout on all that one-hot layers stand before; with `one_hot`, their tokens have a rate too, which does nothing.
fn dropping(one_hot: bool) -> Regularization {
    let rates = |first: f64, others: [f64; 2]| [first].into_iter().skip(usize::from(!one_hot)).chain(others).collect();
    Regularization {
        seed: 5,
        dropout: rates(0.5, [0.4, 0.3]),
        recurrent_dropout: rates(0.0, [0.3, 0.0]),
        ..Regularization::default()
    }
}

#[test]
fn one_hot_layers() {
    for case in one_hot_cases() {
        must_agree(&case);
        let count = check_with(&case, Some(dropping(true))).unwrap_or_else(|problem| panic!("{problem}\nin {case:?}"));
        assert!(count.checked > 20 && count.skipped == 0, "{count:?} in {case:?}");
    }
}

/// The same outputs and gradients as with the vectors themselves, but for the order of sums; with dropout too.
#[test]
fn a_token_gives_what_its_vector_gives() {
    let mut cases = one_hot_cases();
    // So wide that the inputs' sums are computed in two parts, one after the other.
    for reset in RESETS {
        let mut wide = cases[0].clone();
        wide.layers[1..].clone_from_slice(&[
            gru(6, 300, reset, Gate::Sigmoid, Candidate::Tanh),
            dense(300, 2, Activation::Softmax),
        ]);
        cases.push(wide);
    }
    for (case, dropout) in cases.iter().flat_map(|case| [(case, false), (case, true)]) {
        let tokens = network(case);
        let (batch, _) = batch(case, &tokens);
        let params = tokens.params().to_vec();
        let vectors = Network::from_params(&case.layers[1..], case.output, params).unwrap();
        let vector =
            |&x: &f64| (0..6).map(move |token| if x.is_nan() { x } else { f64::from(u8::from(f64::from(token) == x)) });
        let of_vectors = Batch { x: batch.x.iter().flat_map(vector).collect(), ..batch.clone() };
        let Objective::Loss(loss) = case.objective else { unreachable!() };
        let results = |network: Network<f64>, batch: &Batch<f64>, rates: Regularization| {
            let mut trainer = Trainer::new(network, loss, 1).unwrap();
            if dropout {
                trainer.regularize(rates).unwrap();
            }
            let loss = trainer.gradient(batch).unwrap().loss();
            [vec![loss], trainer.outputs(), trainer.gradients().to_vec()]
        };
        let found = results(tokens, &batch, dropping(true));
        let expected = results(vectors, &of_vectors, dropping(false));
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-14, "{found} {expected} {dropout} {case:?}");
        }
        assert!(found[2].iter().any(|&gradient| gradient != 0.0));
    }
}

#[test]
fn tokens_are_not_dropped() {
    let embedding = vec![LayerSpec::Embedding { vocabulary: 6, outputs: 2 }, dense(2, 2, Activation::Softmax)];
    let hot = vec![LayerSpec::OneHot { vocabulary: 6 }, dense(6, 2, Activation::Softmax)];
    for layers in [embedding, hot] {
        let objective = Objective::Loss(Loss::SparseCategoricalCrossEntropy);
        let case = Case { layers, output: Output::EveryStep, objective, lengths: LENGTHS.to_vec(), seed: 5 };
        let network = network(&case);
        let (batch, _) = batch(&case, &network);
        let mut trainer = Trainer::new(network, Loss::SparseCategoricalCrossEntropy, 1).unwrap();
        trainer.gradient(&batch).unwrap();
        let without = trainer.gradients().to_vec();
        trainer.regularize(Regularization { seed: 5, dropout: vec![0.5], ..Default::default() }).unwrap();
        trainer.gradient(&batch).unwrap();
        assert_eq!(trainer.gradients(), without, "{case:?}");
    }
}

#[test]
fn a_one_hot_layer_stands_first_and_before_a_kernel() {
    let (hot, gru) = (LayerSpec::OneHot { vocabulary: 6 }, gru(6, 4, RESETS[0], Gate::Sigmoid, Candidate::Tanh));
    let pool = LayerSpec::Pool { inputs: 6, over: Pooling::Mean };
    for layers in [vec![hot], vec![hot, pool], vec![dense(3, 1, Activation::Tanh), hot, gru]] {
        let error = Network::<f64>::new(&layers, Output::EveryStep, 1).unwrap_err().to_string();
        assert!(error.contains("is one-hot, but") && error.contains("; put it there"), "{error}");
    }
}

#[test]
fn pools() {
    for output in OUTPUTS {
        for over in [Pooling::Mean, Pooling::Max] {
            let pool = |inputs| LayerSpec::Pool { inputs, over };
            let gru = |inputs| gru(inputs, 4, RESETS[1], Gate::Sigmoid, Candidate::Tanh);
            // Last, before a head, before another GRU, and first.
            for layers in [
                vec![gru(2), pool(4)],
                vec![gru(2), pool(4), dense(4, 3, Activation::Tanh)],
                vec![dense(2, 3, Activation::Tanh), pool(3), gru(3), dense(4, 2, Activation::Linear)],
                vec![pool(2), dense(2, 3, Activation::Tanh), pool(3)],
            ] {
                for objective in [Objective::Loss(Loss::MeanSquaredError), Objective::Outputs] {
                    let lengths = LENGTHS.to_vec();
                    must_agree(&Case { layers: layers.clone(), output, objective, lengths, seed: 6 });
                }
            }
        }
    }
}

fn bidirectional(inputs: u16, hidden: u16, reset: Reset, candidate: Candidate, merge: Merge) -> LayerSpec {
    LayerSpec::Bidirectional { inputs, hidden, reset, gate: Gate::Sigmoid, candidate, merge }
}

#[test]
fn bidirectional_layers() {
    for (merge, outputs) in [(Merge::Concat, 2), (Merge::Sum, 1), (Merge::Mul, 1), (Merge::Ave, 1)] {
        for (reset, candidate) in [
            (Reset::Before, Candidate::Tanh),
            (Reset::After, Candidate::Tanh),
            (Reset::Before, Candidate::Linear),
            (Reset::After, Candidate::Relu),
        ] {
            let layer = |inputs, hidden| bidirectional(inputs, hidden, reset, candidate, merge);
            for (output, objective) in
                OUTPUTS.into_iter().zip([Objective::Loss(Loss::MeanSquaredError), Objective::Outputs])
            {
                // Alone, under a head, stacked, between GRUs, and under a pool, which sees every step.
                for layers in [
                    vec![layer(3, 3)],
                    vec![layer(3, 2), dense(2 * outputs, 2, Activation::Tanh)],
                    vec![layer(2, 2), layer(2 * outputs, 3), dense(3 * outputs, 2, Activation::Linear)],
                    vec![
                        gru(2, 3, reset, Gate::Sigmoid, Candidate::Tanh),
                        layer(3, 2),
                        gru(2 * outputs, 2, reset, Gate::Sigmoid, Candidate::Tanh),
                    ],
                    vec![layer(2, 2), LayerSpec::Pool { inputs: 2 * outputs, over: Pooling::Mean }],
                ] {
                    must_agree(&Case { layers, output, objective, lengths: LENGTHS.to_vec(), seed: 7 });
                }
            }
        }
    }
}

#[test]
fn every_regularization() {
    let all = Regularization {
        seed: 5,
        dropout: vec![0.2, 0.4, 0.5],
        recurrent_dropout: vec![0.5, 0.3],
        label_smoothing: 0.2,
    };
    let losses = [
        (Loss::BinaryCrossEntropy, Activation::Sigmoid),
        (Loss::CategoricalCrossEntropy, Activation::Softmax),
        (Loss::SparseCategoricalCrossEntropy, Activation::Softmax),
        (Loss::MeanSquaredError, Activation::Linear),
    ];
    for (loss, activation) in losses {
        for output in OUTPUTS {
            for resets in [[RESETS[0], RESETS[1]], [RESETS[1], RESETS[0]]] {
                let [first, second] = resets
                    .map(|reset| move |inputs, hidden| gru(inputs, hidden, reset, Gate::Sigmoid, Candidate::Tanh));
                let layers = vec![first(3, 4), second(4, 5), dense(5, 3, activation)];
                let lengths = LENGTHS.to_vec();
                let case = Case { layers, output, objective: Objective::Loss(loss), lengths, seed: 6 };
                let count =
                    check_with(&case, Some(all.clone())).unwrap_or_else(|problem| panic!("{problem}\nin {case:?}"));
                assert!(count.checked > 100 && count.skipped == 0, "{count:?} in {case:?}");
            }
        }
    }
}

#[test]
fn regularization_of_bidirectional_layers() {
    for (reset, output) in RESETS.into_iter().zip(OUTPUTS) {
        let layer = |inputs, hidden, merge| bidirectional(inputs, hidden, reset, Candidate::Tanh, merge);
        let layers = vec![layer(3, 4, Merge::Concat), layer(8, 3, Merge::Sum), dense(3, 2, Activation::Linear)];
        let rates = Regularization {
            seed: 5,
            dropout: vec![0.2, 0.4, 0.5],
            recurrent_dropout: vec![0.5, 0.3],
            ..Regularization::default()
        };
        let objective = Objective::Loss(Loss::MeanSquaredError);
        let case = Case { layers, output, objective, lengths: LENGTHS.to_vec(), seed: 6 };
        let count = check_with(&case, Some(rates)).unwrap_or_else(|problem| panic!("{problem}\nin {case:?}"));
        assert!(count.checked > 100 && count.skipped == 0, "{count:?} in {case:?}");
    }
}

/// Dense and GRU layers in other orders than one GRU and one head.
fn stacks() -> Vec<Vec<LayerSpec>> {
    let (sigmoid, hard) = (Gate::Sigmoid, Gate::HardSigmoid);
    vec![
        vec![
            dense(3, 4, Activation::Tanh),
            gru(4, 3, Reset::Before, sigmoid, Candidate::Tanh),
            gru(3, 5, Reset::After, sigmoid, Candidate::Linear),
            dense(5, 4, Activation::Sigmoid),
            dense(4, 3, Activation::Softmax),
        ],
        vec![
            dense(2, 3, Activation::HardSigmoid),
            gru(3, 4, Reset::After, hard, Candidate::Relu),
            dense(4, 3, Activation::Softmax),
            gru(3, 2, Reset::Before, hard, Candidate::Tanh),
            dense(2, 4, Activation::Relu),
            dense(4, 2, Activation::Softmax),
        ],
        vec![
            gru(1, 3, Reset::Before, sigmoid, Candidate::Tanh),
            gru(3, 2, Reset::Before, sigmoid, Candidate::Tanh),
            gru(2, 4, Reset::After, sigmoid, Candidate::Tanh),
        ],
        // A softmax that only other layers see, at every step and at the last.
        vec![
            gru(2, 3, Reset::After, sigmoid, Candidate::Tanh),
            dense(3, 4, Activation::Softmax),
            dense(4, 2, Activation::Linear),
        ],
        vec![dense(3, 4, Activation::Tanh), dense(4, 2, Activation::Sigmoid)],
        vec![gru(3, 4, Reset::Before, sigmoid, Candidate::Tanh)],
        vec![gru(3, 4, Reset::After, sigmoid, Candidate::Tanh)],
    ]
}

#[test]
fn stacks_of_layers() {
    for (seed, layers) in (3..).zip(stacks()) {
        for output in OUTPUTS {
            let softmax = matches!(layers.last(), Some(LayerSpec::Dense { activation: Activation::Softmax, .. }));
            let losses: &[Loss] = match softmax {
                true => &[Loss::CategoricalCrossEntropy, Loss::SparseCategoricalCrossEntropy, Loss::MeanSquaredError],
                false => &[Loss::MeanSquaredError],
            };
            for objective in losses.iter().map(|&loss| Objective::Loss(loss)).chain([Objective::Outputs]) {
                must_agree(&Case { layers: layers.clone(), output, objective, lengths: LENGTHS.to_vec(), seed });
            }
        }
    }
}

/// Around the widths of the matrix products' tiles.
#[test]
fn sizes_with_every_remainder() {
    for hidden in [1, 2, 3, 7, 16, 17, 33] {
        for reset in RESETS {
            let layers =
                vec![gru(2, hidden, reset, Gate::Sigmoid, Candidate::Tanh), dense(hidden, 3, Activation::Linear)];
            let objective = Objective::Loss(Loss::MeanSquaredError);
            must_agree(&Case { layers, output: Output::EveryStep, objective, lengths: vec![2, 3, 3], seed: 20 });
        }
    }
    // Wide inputs and outputs, and the second GRU's inputs.
    for width in [15, 16, 18, 31] {
        let layers = vec![
            dense(width, width, Activation::Tanh),
            gru(width, 2, Reset::After, Gate::Sigmoid, Candidate::Tanh),
            dense(2, width, Activation::Softmax),
        ];
        let objective = Objective::Loss(Loss::SparseCategoricalCrossEntropy);
        must_agree(&Case { layers, output: Output::EveryStep, objective, lengths: vec![2, 1, 3], seed: 21 });
    }
}

/// Shards hold eight series; each of these batches has a different number of them in the last shard, and shards whose
/// longest series differ.
#[test]
fn more_than_one_shard() {
    for rows in [8, 9, 15, 20] {
        for output in OUTPUTS {
            for objective in [Objective::Loss(Loss::MeanSquaredError), Objective::Outputs] {
                let layers = vec![
                    gru(2, 3, Reset::Before, Gate::Sigmoid, Candidate::Tanh),
                    gru(3, 2, Reset::After, Gate::Sigmoid, Candidate::Tanh),
                    dense(2, 2, Activation::Tanh),
                ];
                let lengths = (0..rows).map(|row| if row < 8 { 1 + row % 3 } else { 2 + row % 4 }).collect();
                must_agree(&Case { layers, output, objective, lengths, seed: 30 + rows as u64 });
            }
        }
    }
}

/// The outer products take 64 rows at a time: here are more, steps and series together.
#[test]
fn many_steps() {
    for reset in RESETS {
        let layers = vec![gru(1, 3, reset, Gate::Sigmoid, Candidate::Tanh), dense(3, 1, Activation::Sigmoid)];
        let objective = Objective::Loss(Loss::BinaryCrossEntropy);
        let case = Case { layers, output: Output::EveryStep, objective, lengths: vec![40, 37, 3], seed: 40 };
        must_agree(&case);
    }
}

/// A layer without its inputs, and its outputs.
fn any_layer() -> impl Strategy<Value = (u16, LayerSpec)> {
    let activations = [
        Activation::Linear,
        Activation::Sigmoid,
        Activation::HardSigmoid,
        Activation::Tanh,
        Activation::Relu,
        Activation::Softmax,
    ];
    let select = proptest::sample::select::<Activation>;
    let any_gru = (proptest::sample::select(&RESETS[..]), proptest::sample::select(&GATES[..]))
        .prop_flat_map(|(reset, gate)| proptest::sample::select(&CANDIDATES[..]).prop_map(move |c| (reset, gate, c)));
    (1..7_u16, any_gru, select(activations.to_vec()), any::<bool>()).prop_map(
        |(size, (reset, gate, candidate), activation, is_gru)| {
            (size, if is_gru { gru(1, size, reset, gate, candidate) } else { dense(1, size, activation) })
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    let layers = proptest::collection::vec(any_layer(), 1..5);
    let lengths = proptest::collection::vec(1..5_usize, 1..12);
    (1..4_u16, layers, any::<bool>(), 0..6_usize, lengths, 0..u64::MAX).prop_map(
        |(inputs, parts, every, loss, lengths, seed)| {
            let mut width = inputs;
            let mut layers = Vec::new();
            for (size, layer) in parts {
                layers.push(match layer {
                    LayerSpec::Gru { reset, gate, candidate, .. } => gru(width, size, reset, gate, candidate),
                    LayerSpec::Dense { activation, .. } => dense(width, size, activation),
                    _ => unreachable!("there are two kinds of layers"),
                });
                width = size;
            }
            let last = match layers.last() {
                Some(&LayerSpec::Dense { activation, .. }) => Some(activation),
                _ => None,
            };
            let loss = match (loss, last) {
                (0, Some(Activation::Sigmoid)) => Loss::BinaryCrossEntropy,
                (0, Some(Activation::Softmax)) if width > 1 => Loss::CategoricalCrossEntropy,
                (1, Some(Activation::Softmax)) if width > 1 => Loss::SparseCategoricalCrossEntropy,
                (2, _) => Loss::MeanAbsoluteError,
                (3, _) => Loss::Huber { delta: 0.5 },
                _ => Loss::MeanSquaredError,
            };
            let objective = if seed % 5 == 0 { Objective::Outputs } else { Objective::Loss(loss) };
            let output = if every { Output::EveryStep } else { Output::LastStep };
            Case { layers, output, objective, lengths, seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_networks(case in any_case()) {
        let count = check(&case).map_err(TestCaseError::fail)?;
        prop_assert!(count.checked > count.skipped, "{:?}", count);
    }
}
