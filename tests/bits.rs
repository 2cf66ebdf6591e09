//! The runtime against a textbook: plain loops over the trainer's weights, bit for bit.
//!
//! What these tests pin down is the order of the arithmetic: a sum starts at its bias and adds its products one by one,
//! inputs first, then state, multiply then add. (Sigmoid, tanh and e^x are the runtime's own; their bounds are tested
//! beside them.)

mod common;

use common::{ACTIVATIONS, CANDIDATES, GATES, Layer, Net, RESETS, Random, bits, dense, gru, plain_gru};
use grulet::blob::{AlignedBytes, Blob};
use grulet::layer::State;
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Reset};
use grulet::{
    AnyModel, Dense, Error, Exact, Fast, Format, Gru, HardSigmoid, Linear, Model, Network, Relu, ResetAfter, Sigmoid,
    Softmax, Tanh, WindowNetwork, math,
};

/// The three functions in which the two formats differ.
trait Functions: Format<Unit = f32, Sum = f32> {
    fn sigmoid(x: f32) -> f32;
    fn tanh(x: f32) -> f32;
    fn exp(x: f32) -> f32;
}

impl Functions for Exact {
    fn sigmoid(x: f32) -> f32 {
        math::sigmoid(x)
    }
    fn tanh(x: f32) -> f32 {
        math::tanh(x)
    }
    fn exp(x: f32) -> f32 {
        libm::expf(x)
    }
}

impl Functions for Fast {
    fn sigmoid(x: f32) -> f32 {
        math::fast::sigmoid(x)
    }
    fn tanh(x: f32) -> f32 {
        math::fast::tanh(x)
    }
    fn exp(x: f32) -> f32 {
        math::fast::exp(x)
    }
}

fn hard_sigmoid(x: f32) -> f32 {
    (0.2 * x + 0.5).clamp(0.0, 1.0)
}

/// Column `column` of a row-major matrix of `columns` columns, times `x`, added to `sum`.
fn add_column(mut sum: f32, matrix: &[f32], columns: usize, column: usize, x: &[f32]) -> f32 {
    for (i, x) in x.iter().enumerate() {
        sum += matrix[i * columns + column] * x;
    }
    sum
}

/// One step of one layer; `h` is its state.
fn layer_step<F: Functions>(layer: &Layer, h: &mut Vec<f32>, x: &[f32]) -> Vec<f32> {
    let Layer { kernel: w, recurrent: u, bias: b, .. } = layer;
    match layer.spec {
        LayerSpec::Gru { hidden, reset, gate, candidate, .. } => {
            let n = usize::from(hidden);
            let gates = |column: usize| {
                let bias = if reset == Reset::After { b[column] + b[3 * n + column] } else { b[column] };
                let sum = add_column(add_column(bias, w, 3 * n, column, x), u, 3 * n, column, h);
                if gate == Gate::Sigmoid { F::sigmoid(sum) } else { hard_sigmoid(sum) }
            };
            let z: Vec<f32> = (0..n).map(gates).collect();
            let r: Vec<f32> = (n..2 * n).map(gates).collect();
            let rh: Vec<f32> = (0..n).map(|j| r[j] * h[j]).collect();
            let c = |j: usize| {
                let column = 2 * n + j;
                let of_x = add_column(b[column], w, 3 * n, column, x);
                let sum = match reset {
                    Reset::Before => add_column(of_x, u, 3 * n, column, &rh),
                    Reset::After => of_x + r[j] * add_column(b[3 * n + column], u, 3 * n, column, h),
                };
                match candidate {
                    Candidate::Tanh => F::tanh(sum),
                    Candidate::Relu => sum.max(0.0),
                    Candidate::Linear => sum,
                }
            };
            *h = (0..n).map(|j| (1.0 - z[j]) * c(j) + z[j] * h[j]).collect();
            h.clone()
        }
        LayerSpec::Dense { outputs, activation, .. } => {
            let n = usize::from(outputs);
            let sums: Vec<f32> = (0..n).map(|o| add_column(b[o], w, n, o, x)).collect();
            let max = sums.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total = sums.iter().fold(0.0, |total, sum| total + F::exp(sum - max));
            let activate = |&sum: &f32| match activation {
                Activation::Linear => sum,
                Activation::Sigmoid => F::sigmoid(sum),
                Activation::HardSigmoid => hard_sigmoid(sum),
                Activation::Tanh => F::tanh(sum),
                Activation::Relu => sum.max(0.0),
                Activation::Softmax => F::exp(sum - max) / total,
            };
            sums.iter().map(activate).collect()
        }
        _ => unreachable!("a new kind of layer needs a textbook"),
    }
}

/// The outputs over samples `(steps, inputs)`, from a zero state, in real units.
fn textbook<F: Functions>(net: &Net, samples: &[f32]) -> Vec<f32> {
    let mut states: Vec<Vec<f32>> = net.layers.iter().map(|layer| vec![0.0; layer.spec.state()]).collect();
    let mut outputs = Vec::new();
    for sample in samples.chunks_exact(net.inputs()) {
        let mut x: Vec<f32> = (0..net.inputs()).map(|i| (sample[i] - net.mean[i]) * net.scale[i]).collect();
        for (layer, h) in net.layers.iter().zip(&mut states) {
            x = layer_step::<F>(layer, h, &x);
        }
        outputs.extend((0..net.outputs()).map(|o| x[o] * net.output_scale[o] + net.output_offset[o]));
    }
    outputs
}

/// The same by the runtime, with the shape from the blob.
fn any<F: Functions>(blob: &AlignedBytes, samples: &[f32]) -> Vec<f32> {
    let model = AnyModel::<F>::from_blob(blob).unwrap();
    model.self_test_on_heap().unwrap();
    let mut stream = model.heap_stream();
    samples.chunks_exact(model.header().inputs()).flat_map(|x| stream.step(x).unwrap().to_vec()).collect()
}

/// A random network of these layers gives the textbook's bits over 4 steps, in both formats.
fn check(specs: &[LayerSpec], seed: u64) {
    let mut random = Random(seed);
    let net = Net::random(specs, &mut random);
    let samples = random.floats(4 * net.inputs(), 3.0);
    let blob = net.blob();
    assert_eq!(bits(&any::<Exact>(&blob, &samples)), bits(&textbook::<Exact>(&net, &samples)), "Exact {specs:?}");
    assert_eq!(bits(&any::<Fast>(&blob, &samples)), bits(&textbook::<Fast>(&net, &samples)), "Fast {specs:?}");
}

#[test]
fn every_gru_of_every_size_gives_the_textbooks_bits() {
    let others = [1, 2, 3, 5, 7, 9, 16, 17, 31, 33];
    for size in 1..=40 {
        for reset in RESETS {
            for gate in GATES {
                for candidate in CANDIDATES {
                    let other = others[(size as usize + candidate as usize) % others.len()];
                    check(&[gru(size, other, reset, gate, candidate)], u64::from(size));
                    check(&[gru(other, size, reset, gate, candidate)], u64::from(size) + 100);
                }
            }
        }
    }
    for reset in RESETS {
        check(&[plain_gru(1, 128, reset)], 1);
        check(&[plain_gru(130, 63, reset)], 2);
    }
}

#[test]
fn every_dense_layer_of_every_size_gives_the_textbooks_bits() {
    for size in 1..=40 {
        for activation in ACTIVATIONS {
            check(&[dense(size, 1 + size % 7, activation)], u64::from(size));
            check(&[dense(1 + size % 11, size, activation)], u64::from(size) + 100);
        }
    }
}

#[test]
fn stacks_of_up_to_8_layers_give_the_textbooks_bits() {
    for layers in 1..=8 {
        for seed in 0..20 {
            let mut random = Random(1000 * layers + seed);
            let sizes: Vec<u16> = (0..=layers).map(|_| 1 + (random.next() % 20) as u16).collect();
            let specs: Vec<LayerSpec> = sizes
                .windows(2)
                .map(|size| {
                    if random.next().is_multiple_of(3) {
                        dense(size[0], size[1], random.pick(&ACTIVATIONS))
                    } else {
                        gru(size[0], size[1], random.pick(&RESETS), random.pick(&GATES), random.pick(&CANDIDATES))
                    }
                })
                .collect();
            check(&specs, seed);
        }
    }
}

/// Everything that is claimed of a typed network, on random weights.
fn check_typed<N, F, const I: usize, const O: usize>()
where
    N: Network<Format = F, Input = [f32; I], Output = [f32; O]>,
    N::State: PartialEq,
    F: Functions,
{
    const STEPS: usize = 7;
    let mut random = Random(I as u64 * 100 + O as u64);
    let net = Net::random(N::SPECS, &mut random);
    let samples: [[f32; I]; STEPS] = std::array::from_fn(|_| std::array::from_fn(|_| random.float(3.0)));
    let blob = net.blob();
    let model = Model::<N>::from_blob(&blob).unwrap();
    model.self_test().unwrap();

    // `run` is the textbook, and so is the network whose shape comes from the blob.
    let (mut stream, mut outputs) = (model.stream(), [[0.0; O]; STEPS]);
    stream.run(&samples, &mut outputs).unwrap();
    let expected = bits(&textbook::<F>(&net, samples.as_flattened()));
    assert_eq!(bits(outputs.as_flattened()), expected);
    assert_eq!(bits(&any::<F>(&blob, samples.as_flattened())), expected);

    // `step` is `run`; a saved state, put into another stream, and a clone go on alike.
    let mut stepped = model.stream();
    for t in 0..STEPS {
        let mut restored = model.stream();
        restored.step(&[9.0; I]);
        restored.set_state(*stepped.state());
        let mut cloned = stepped.clone();
        for t in t..STEPS {
            assert_eq!(bits(&restored.step(&samples[t])), bits(&outputs[t]), "restored at {t}");
            assert_eq!(bits(&cloned.step(&samples[t])), bits(&outputs[t]), "cloned at {t}");
        }
        assert_eq!(bits(&stepped.step(&samples[t])), bits(&outputs[t]));
    }
    assert!(stepped.state() == stream.state());
    stepped.reset();
    assert!(*stepped.state() == N::State::ZERO);
    assert_eq!(bits(&stepped.step(&samples[0])), bits(&outputs[0]));

    // The other way to run one: native units.
    let mut raw = model.stream();
    for (sample, output) in samples.iter().zip(&outputs) {
        let x = std::array::from_fn(|i| (sample[i] - net.mean[i]) * net.scale[i]);
        let y = raw.step_raw(&x);
        let y: Vec<f32> = (0..O).map(|o| y[o] * net.output_scale[o] + net.output_offset[o]).collect();
        assert_eq!(bits(&y), bits(output));
    }

    let error = Error::Length { what: "outputs of `run`", expected: STEPS, found: STEPS - 1 };
    assert_eq!(stream.run(&samples, &mut outputs[1..]), Err(error));
}

#[test]
fn typed_networks_give_the_textbooks_bits() {
    macro_rules! check {
        ($($F:ident: $I:literal -> $O:literal, ($($Layer:ty),+);)+) => {
            $(check_typed::<($($Layer,)+), $F, $I, $O>();)+
        };
    }
    check!(
        Exact: 1 -> 1, (Gru<1, 128>, Dense<128, 1, Sigmoid>);
        Exact: 6 -> 4, (Gru<6, 32>, Dense<32, 4, Softmax>);
        Exact: 6 -> 32, (Gru<6, 32, Exact, ResetAfter>);
        Exact: 2 -> 2, (Gru<2, 2, Exact, ResetAfter, HardSigmoid>);
        Exact: 3 -> 5, (Gru<3, 5, Exact, ResetAfter, Sigmoid, Relu>);
        Exact: 7 -> 17, (Gru<7, 17, Exact, grulet::ResetBefore, HardSigmoid, Linear>);
        Exact: 40 -> 3, (Dense<40, 8, Tanh>, Gru<8, 9>, Gru<9, 31, Exact, ResetAfter>, Dense<31, 3, HardSigmoid>);
        Exact: 2 -> 2, (Gru<2, 3>, Gru<3, 4>, Dense<4, 5, Relu>, Gru<5, 6>, Gru<6, 5>, Dense<5, 4>, Gru<4, 3>, Dense<3, 2>);
        Fast: 1 -> 1, (Gru<1, 16, Fast>, Dense<16, 1, Sigmoid, Fast>);
        Fast: 5 -> 6, (Gru<5, 11, Fast, ResetAfter>, Dense<11, 6, Softmax, Fast>);
        Fast: 4 -> 7, (Gru<4, 7, Fast, grulet::ResetBefore, HardSigmoid, Relu>);
    );
}

#[test]
fn layers_wired_by_hand_give_the_textbooks_bits() {
    // An encoder whose state the decoder starts from: no chain, so that it exists only by hand.
    type Encoder = Gru<3, 8, Exact, ResetAfter>;
    type Decoder = Gru<2, 8>;
    type Head = Dense<8, 2, Tanh>;
    let mut random = Random(3);
    let specs = [plain_gru(3, 8, Reset::After), plain_gru(2, 8, Reset::Before), dense(8, 2, Activation::Tanh)];
    let net = Net::random(&specs, &mut random);
    let bytes = net.blob();
    let blob = Blob::parse(bytes.as_ref()).unwrap();
    let encoder = blob.layer::<Encoder>(0).unwrap();
    let decoder = blob.layer::<Decoder>(1).unwrap();
    let head = blob.layer::<Head>(2).unwrap();

    let (mut h, mut expected_h) = ([0.0; 8], vec![0.0; 8]);
    for _ in 0..5 {
        let x = std::array::from_fn(|_| random.float(2.0));
        let expected = layer_step::<Exact>(&net.layers[0], &mut expected_h, &x);
        assert_eq!(bits(&encoder.step(&mut h, &x)), bits(&expected));
    }
    let mut y = [1.0, -1.0];
    for _ in 0..5 {
        let expected = layer_step::<Exact>(&net.layers[1], &mut expected_h, &y);
        let expected = layer_step::<Exact>(&net.layers[2], &mut Vec::new(), &expected);
        y = head.step(&mut (), &decoder.step(&mut h, &y));
        assert_eq!((bits(&y), bits(&h)), (bits(&expected), bits(&expected_h)));
    }

    // No sample poisons it either.
    for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        assert!(decoder.step(&mut h, &[x, x]).iter().all(|h| h.abs() <= 1.0));
    }
}

const HOSTILE: [f32; 10] =
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e30, -1e-45, -0.0, f32::MIN_POSITIVE, 1.0];

#[test]
fn a_nan_counts_as_the_mean_and_an_infinity_as_the_limit() {
    let mut random = Random(4);
    let net = Net::random(&[plain_gru(2, 6, Reset::Before), dense(6, 3, Activation::Linear)], &mut random);
    let blob = net.blob();
    let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
    let (mut a, mut b) = (model.heap_stream(), model.heap_stream());
    for _ in 0..20 {
        let x = random.floats(2, 2.0);
        for (hostile, meant) in [
            (f32::NAN, net.mean[0]),
            (f32::INFINITY, 4.0 * math::LIMIT),
            (f32::NEG_INFINITY, -4.0 * math::LIMIT),
            (f32::MAX, f32::INFINITY),
        ] {
            assert_eq!(bits(a.step(&[hostile, x[1]]).unwrap()), bits(b.step(&[meant, x[1]]).unwrap()), "{hostile}");
            assert_eq!(bits(a.step(&x).unwrap()), bits(b.step(&x).unwrap()));
        }
    }
}

#[test]
fn no_sample_and_no_state_poisons_a_stream() {
    let mut random = Random(5);
    for reset in RESETS {
        for gate in GATES {
            for candidate in CANDIDATES {
                for activation in ACTIVATIONS {
                    let specs = [gru(3, 7, reset, gate, candidate), dense(7, 5, activation)];
                    let net = Net::random(&specs, &mut random);
                    let blob = net.blob();
                    poison::<Exact>(&blob, &specs, candidate, activation);
                    poison::<Fast>(&blob, &specs, candidate, activation);
                }
            }
        }
    }
}

fn poison<F: Functions>(blob: &AlignedBytes, specs: &[LayerSpec], candidate: Candidate, activation: Activation) {
    let mut random = Random(6);
    let model = AnyModel::<F>::from_blob(blob).unwrap();
    let mut stream = model.heap_stream();
    for round in 0..200 {
        let x = [random.pick(&HOSTILE), random.pick(&HOSTILE), random.float(3.0)];
        let y = stream.step(&x).unwrap().to_vec();
        assert!(y.iter().all(|y| y.is_finite()), "{specs:?}: {x:?} gives {y:?}");
        let affine = Blob::parse(blob.as_ref()).unwrap().affine();
        if activation == Activation::Softmax {
            let mut units = y.iter().zip(affine.output_scale).zip(affine.output_offset);
            assert!(units.all(|((y, scale), offset)| (-1e-6..=1.000_001).contains(&((y - offset) / scale))), "{y:?}");
        }
        let bound = if candidate == Candidate::Tanh { 1.0 } else { math::LIMIT };
        assert!(stream.state().iter().all(|h| h.abs() <= bound), "{specs:?}: {:?}", stream.state());
        // Now and then a spoilt state; with a tanh candidate it would stay above 1 for a while, so start anew.
        if round % 50 == 49 {
            stream.set_state(&[random.pick(&HOSTILE); 7]).unwrap();
            assert!(stream.state().iter().all(|h| h.is_finite()));
            assert!(stream.step(&x).unwrap().iter().all(|y| y.is_finite()), "{specs:?}");
            stream.reset();
            assert_eq!(stream.state(), [0.0; 7]);
        }
    }
}

#[test]
fn step_raw_and_set_state_of_a_typed_stream_are_safe_too() {
    type N = (Gru<2, 4>, Dense<4, 2>);
    let blob = Net::random(N::SPECS, &mut Random(7)).blob();
    let model = Model::<N>::from_blob(&blob).unwrap();
    for hostile in HOSTILE {
        let mut stream = model.stream();
        assert!(stream.step_raw(&[hostile, 1.0]).iter().all(|y| y.is_finite()));
        stream.set_state(([hostile; 4], ()));
        assert!(stream.state().0.iter().all(|h| h.is_finite()));
        assert!(stream.step(&[hostile, hostile]).iter().all(|y| y.is_finite()));
    }
}

#[test]
fn a_stream_is_its_state_and_a_reference() {
    type N = (Gru<1, 128>, Dense<128, 1, Sigmoid>);
    assert_eq!(size_of::<grulet::Stream<N>>(), 128 * 4 + size_of::<&[u8]>());
    assert_eq!(size_of::<grulet::Stream<(Gru<2, 4>, Dense<4, 8>, Gru<8, 6>)>>(), 10 * 4 + size_of::<&[u8]>());
    fn shared<T: Send + Sync + Clone + std::fmt::Debug>() {}
    shared::<Model<'static, N>>();
    shared::<grulet::Stream<'static, N>>();
    shared::<AnyModel<'static>>();
    shared::<grulet::AnyStream<'static, 'static, grulet::heapless::Vec<f32, 8>>>();
    shared::<grulet::Weights<'static, Gru<2, 4>>>();
    shared::<Error>();
}
