//! The format `Int8`: what it computes, what its writer refuses, and that nothing in a blob can make it panic.
#![cfg(feature = "alloc")]

use grulet::blob::quantize::{QuantizedLayer, QuantizedMatrix, Scales, quantize};
use grulet::blob::{AlignedBytes, Contents, Header, LayerWeights, Range, WriteError, checksum, write, write_int8};
use grulet::fixed::{ARGUMENT, EXPONENT};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset, Storage};
use grulet::*;

/// Numbers from -1 to 1 (Lehmer's generator: Park and Miller, CACM 31(10), 1988).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0 * 48_271 % 0x7fff_ffff;
        self.0 as f32 / 1_073_741_824.0 - 1.0
    }

    fn list(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * size).collect()
    }
}

struct Weights {
    kernel: Vec<f32>,
    recurrent: Vec<f32>,
    bias: Vec<f32>,
}

impl Weights {
    fn random(spec: &LayerSpec, size: f32, random: &mut Random) -> Self {
        let (i, o) = (spec.inputs(), spec.outputs());
        let (gates, biases) = match spec {
            LayerSpec::Gru { reset: Reset::Before, .. } => (3, 1),
            LayerSpec::Gru { .. } => (3, 2),
            _ => (1, 1),
        };
        Self {
            kernel: random.list(i * gates * o, size),
            recurrent: random.list(spec.state() * gates * o, 1.2 * size),
            bias: random.list(biases * gates * o, 0.5),
        }
    }

    fn borrow(&self) -> LayerWeights<'_> {
        LayerWeights { kernel: &self.kernel, recurrent: &self.recurrent, bias: &self.bias }
    }
}

fn header(layers: &[LayerSpec]) -> Header<'static> {
    Header { name: "int8", ..Header::new(Storage::F32, layers.iter().copied().collect(), Output::EveryStep) }
}

fn contents<'a>(layers: &[LayerSpec], weights: &'a [LayerWeights<'a>], golden: &'a [f32]) -> Contents<'a> {
    Contents {
        header: header(layers),
        layers: weights,
        mean: &[],
        scale: &[],
        output_scale: &[],
        output_offset: &[],
        golden,
    }
}

const fn gru(inputs: u16, hidden: u16, reset: Reset, gate: Gate, candidate: Candidate) -> LayerSpec {
    LayerSpec::Gru { inputs, hidden, reset, gate, candidate }
}

const fn dense(inputs: u16, outputs: u16, activation: Activation) -> LayerSpec {
    LayerSpec::Dense { inputs, outputs, activation }
}

const GATES: [Gate; 2] = [Gate::Sigmoid, Gate::HardSigmoid];
const CANDIDATES: [Candidate; 3] = [Candidate::Tanh, Candidate::Relu, Candidate::Linear];
const RESETS: [Reset; 2] = [Reset::Before, Reset::After];

/// The largest magnitude of the inputs of all tests.
const INPUT: f32 = 3.0;

/// The integer arithmetic in `f64`: the same integer weights, real activations, no rounding of units but the inputs'.
struct Reference {
    spec: LayerSpec,
    layer: QuantizedLayer,
    scales: Scales,
    h: Vec<f64>,
}

impl Reference {
    fn new(spec: LayerSpec, weights: &Weights, scales: Scales) -> Self {
        let layer = quantize(0, &spec, &weights.borrow(), scales).unwrap();
        Self { spec, layer, scales, h: vec![0.0; spec.state()] }
    }

    /// The real sums of a matrix whose sums have this unit.
    fn product(&self, matrix: &QuantizedMatrix, x: &[f64], h: &[f64], unit: f64) -> Vec<f64> {
        let of_state = self.scales.output * f64::from(1 << self.layer.shift);
        let operands: Vec<f64> =
            x.iter().map(|x| x / self.scales.input).chain(h.iter().map(|h| h / of_state)).collect();
        let rows = matrix.weights.chunks(operands.len()).zip(&matrix.multiplier).zip(&matrix.bias);
        let row = |((row, &multiplier), &bias): ((&[i8], &i32), &i32)| {
            let sum: f64 = row.iter().zip(&operands).map(|(&w, x)| f64::from(w) * x).sum();
            (sum * f64::from(multiplier) / 4_294_967_296.0 + f64::from(bias)) * unit
        };
        rows.map(row).collect()
    }

    fn step(&mut self, x: &[f64]) -> Vec<f64> {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let hard = 1.0 / 65_536.0; // its sums hold the result
        match self.spec {
            LayerSpec::Gru { reset, gate, candidate, .. } => {
                let (gate_unit, gate): (f64, fn(f64) -> f64) = match gate {
                    Gate::Sigmoid => (ARGUMENT, |x| 1.0 / (1.0 + (-x).exp())),
                    Gate::HardSigmoid => (hard, |x| x.clamp(0.0, 1.0)),
                };
                let (unit, candidate): (f64, fn(f64) -> f64) = match candidate {
                    Candidate::Tanh => (ARGUMENT / 2.0, f64::tanh),
                    Candidate::Relu => (self.scales.output, |x| x.max(0.0)),
                    Candidate::Linear => (self.scales.output, |x| x),
                };
                let matrices = &self.layer.matrices;
                let gates: Vec<f64> = self.product(&matrices[0], x, &self.h, gate_unit).into_iter().map(gate).collect();
                let (z, r) = gates.split_at(self.h.len());
                let times = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<_>>();
                let c = match reset {
                    Reset::Before => self.product(&matrices[1], x, &times(r, &self.h), unit),
                    Reset::After => {
                        let of_h = times(r, &self.product(&matrices[1], &[], &self.h, unit));
                        let of_x = self.product(&matrices[2], x, &[], unit);
                        of_x.iter().zip(of_h).map(|(x, h)| x + h).collect()
                    }
                };
                for ((h, z), c) in self.h.iter_mut().zip(z).zip(c) {
                    *h = (1.0 - z) * candidate(c) + z * *h;
                }
                self.h.clone()
            }
            LayerSpec::Dense { activation, .. } => {
                let unit = match activation {
                    Activation::Linear | Activation::Relu => self.scales.output,
                    Activation::Sigmoid => ARGUMENT,
                    Activation::HardSigmoid => hard,
                    Activation::Tanh => ARGUMENT / 2.0,
                    Activation::Softmax => EXPONENT * std::f64::consts::LN_2,
                };
                let sums = self.product(&self.layer.matrices[0], x, &[], unit);
                let total: f64 = sums.iter().map(|x| x.exp()).sum();
                let activation = |x: f64| match activation {
                    Activation::Linear => x,
                    Activation::Relu => x.max(0.0),
                    Activation::Sigmoid => sigmoid(x),
                    Activation::HardSigmoid => x.clamp(0.0, 1.0),
                    Activation::Tanh => x.tanh(),
                    Activation::Softmax => x.exp() / total,
                };
                sums.into_iter().map(activation).collect()
            }
            _ => unreachable!(),
        }
    }
}

/// The largest difference between the format and the reference on one layer, in units of its output, over 60 steps.
fn units_off(spec: LayerSpec, weights: &Weights, range: f32) -> f64 {
    let range = Range { input: INPUT, output: range };
    let scales = Scales::new(0, &spec, range, None).unwrap();
    let mut reference = Reference::new(spec, weights, scales);
    let blob = write_int8(&contents(&[spec], &[weights.borrow()], &[]), &[range]).unwrap();
    let model = AnyModel::<Int8>::from_blob(&blob).unwrap();
    let mut stream = model.heap_stream();
    let (mut random, mut worst) = (Random(99), 0f64);
    for _ in 0..60 {
        let x = random.list(spec.inputs(), INPUT);
        let rounded: Vec<f64> = x.iter().map(|&x| (f64::from(x) / scales.input).round() * scales.input).collect();
        for (found, expected) in stream.step(&x).unwrap().iter().zip(reference.step(&rounded)) {
            worst = worst.max((f64::from(*found) - expected).abs() / scales.output);
        }
    }
    worst
}

#[test]
fn a_gru_follows_its_integer_weights_within_a_few_units() {
    for (reset, inputs, hidden) in
        RESETS.into_iter().flat_map(|reset| [(reset, 5, 7), (reset, 4, 12), (reset, 1, 33), (reset, 2, 2)])
    {
        for gate in GATES {
            for candidate in CANDIDATES {
                let spec = gru(inputs, hidden, reset, gate, candidate);
                let weights = Weights::random(&spec, 0.9 / f32::from(hidden).sqrt(), &mut Random(7));
                let worst = units_off(spec, &weights, 4.0);
                // Of 65,536 units.
                assert!(worst <= 4.0, "{spec}: {worst}");
            }
        }
    }
}

#[test]
fn a_dense_layer_follows_its_integer_weights_within_a_few_units() {
    use Activation::{HardSigmoid, Linear, Relu, Sigmoid, Softmax, Tanh};
    for (inputs, outputs) in [(1, 1), (5, 7), (12, 8), (33, 3)] {
        for activation in [Linear, Sigmoid, HardSigmoid, Tanh, Relu, Softmax] {
            let spec = dense(inputs, outputs, activation);
            let weights = Weights::random(&spec, 1.0 / f32::from(inputs).sqrt(), &mut Random(3));
            let worst = units_off(spec, &weights, 8.0);
            assert!(worst <= 3.0, "{spec}: {worst}");
        }
    }
}

/// Two GRUs and two heads, as a type.
type Net = (
    Dense<5, 6, Relu, Int8>,
    Gru<6, 9, Int8>,
    Gru<9, 7, Int8, ResetAfter, HardSigmoid, Relu>,
    Dense<7, 4, Softmax, Int8>,
);

const LAYERS: [LayerSpec; 4] = [
    dense(5, 6, Activation::Relu),
    gru(6, 9, Reset::Before, Gate::Sigmoid, Candidate::Tanh),
    gru(9, 7, Reset::After, Gate::HardSigmoid, Candidate::Relu),
    dense(7, 4, Activation::Softmax),
];

const RANGES: [Range; 4] = [Range { input: INPUT, output: 6.0 }; 4];

fn weights() -> Vec<Weights> {
    let mut random = Random(11);
    LAYERS.iter().map(|spec| Weights::random(spec, 0.5, &mut random)).collect()
}

fn net() -> AlignedBytes {
    let weights = weights();
    let borrowed: Vec<LayerWeights<'_>> = weights.iter().map(Weights::borrow).collect();
    let golden = Random(5).list(5 * 20, INPUT);
    let contents = Contents {
        mean: &[0.5, 0.0, -0.5, 1.0, 0.0],
        scale: &[1.0, 2.0, 0.5, 1.0, 1.0],
        output_scale: &[1.0, 2.0, 1.0, 1.0],
        output_offset: &[0.0, 0.0, 10.0, 0.0],
        ..contents(&LAYERS, &borrowed, &golden)
    };
    write_int8(&contents, &RANGES).unwrap()
}

#[test]
fn a_typed_stream_has_the_bits_of_a_run_time_one() {
    let blob = net();
    let (typed, any) = (Model::<Net>::from_blob(&blob).unwrap(), AnyModel::<Int8>::from_blob(&blob).unwrap());
    typed.self_test().unwrap();
    any.self_test::<256>().unwrap();
    let (mut typed, mut any) = (typed.stream(), any.stream::<256>().unwrap());
    let mut random = Random(21);
    for step in 0..100 {
        let x: [f32; 5] = std::array::from_fn(|_| random.next() * INPUT);
        assert_eq!(typed.step(&x), any.step(&x).unwrap(), "step {step}");
    }
    let ((), first, second, ()) = typed.state();
    assert_eq!([&first[..], &second[..]].concat(), any.state());
    assert!(first.iter().chain(second).any(|&h| h.unsigned_abs() > 1000), "the state never left 0");
}

#[test]
fn raw_steps_are_real_ones_without_the_conversion() {
    let blob = net();
    let model = Model::<Net>::from_blob(&blob).unwrap();
    let (mut real, mut raw) = (model.stream(), model.stream());
    for x in [[0.3f32, -1.0, 2.0, 0.0, 3.0], [f32::NAN, f32::INFINITY, -1e30, 1.0, -0.7]] {
        let outputs = real.step(&x);
        // Mean, scale and units as in `net`; saturated; a NaN is 0.
        let (mean, scale) = ([0.5, 0.0, -0.5, 1.0, 0.0], [1.0, 2.0, 0.5, 1.0, 1.0]);
        let per_unit = f64::from(INPUT) / 32_767.0;
        let units: [i16; 5] =
            std::array::from_fn(|i| ((f64::from(x[i]) - mean[i]) * scale[i] / per_unit).round() as i16);
        let units_out = raw.step_raw(&units);
        let expected: [f32; 4] = std::array::from_fn(|i| {
            f32::from(units_out[i]) / 32_768.0 * [1.0, 2.0, 1.0, 1.0][i] + [0.0, 0.0, 10.0, 0.0][i]
        });
        assert_eq!(outputs, expected);
    }
}

#[test]
fn an_int8_model_and_an_f32_network_refuse_each_other() {
    let weights = weights();
    let borrowed: Vec<LayerWeights<'_>> = weights.iter().map(Weights::borrow).collect();
    let f32_blob = write(&contents(&LAYERS, &borrowed, &[])).unwrap();
    let refused = |expected, found| Some(Error::Storage { expected, found });
    assert_eq!(Model::<Net>::from_blob(&f32_blob).err(), refused(Storage::Int8, Storage::F32));
    assert_eq!(AnyModel::<Exact>::from_blob(&net()).err(), refused(Storage::F32, Storage::Int8));
    assert!(AnyModel::<Int8>::from_blob(&f32_blob).is_err());
}

#[test]
fn what_int8_cannot_hold_is_refused_by_name() {
    let spec = LAYERS[2];
    let weights = Weights::random(&spec, 0.5, &mut Random(1));
    let write = |weights: &Weights, ranges: &[Range]| {
        write_int8(&contents(&[spec], &[weights.borrow()], &[]), ranges).unwrap_err()
    };
    let good = Range { input: INPUT, output: 4.0 };
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = write(&weights, &[Range { output: bad, ..good }]);
        assert!(matches!(error, WriteError::Range { layer: 0, what: "output", .. }), "{error}");
        let error = write(&weights, &[Range { input: bad, ..good }]);
        assert!(matches!(error, WriteError::Range { layer: 0, what: "input", .. }), "{error}");
    }
    assert!(matches!(write(&weights, &[]), WriteError::Shape { expected: 1, found: 0, .. }));

    // Weights of 1e4 on a state of ±4 are coarser than any gate's argument.
    let mut large = Weights::random(&spec, 0.5, &mut Random(1));
    large.recurrent[0] = 1e4;
    assert_eq!(write(&large, &[good]), WriteError::Gain { layer: 0, output: 0 });
    // A bias of a million is more than a sum holds.
    let mut large = Weights::random(&spec, 0.5, &mut Random(1));
    large.bias[3] = 1e6;
    assert_eq!(write(&large, &[good]), WriteError::Overflow { layer: 0, output: 3 });
    // 600 weights of 127 times operands of 2¹⁵.
    let wide = dense(600, 2, Activation::Tanh);
    let weights = Weights { kernel: vec![0.1; 1200], recurrent: vec![], bias: vec![0.0; 2] };
    let error = write_int8(&contents(&[wide], &[weights.borrow()], &[]), &[good]).unwrap_err();
    assert_eq!(error, WriteError::Overflow { layer: 0, output: 0 });
    // And `write` does not write half an Int8 model.
    let mut as_int8 = contents(&[wide], &[], &[]);
    as_int8.header.storage = Storage::Int8;
    assert!(matches!(grulet::blob::write(&as_int8), Err(WriteError::Shape { .. })));
}

#[test]
fn no_bytes_of_a_model_make_it_panic() {
    let blob = net();
    let length = blob.as_ref().len();
    let layers = length - 4 - 400; // where the golden inputs start
    let mut random = Random(77);
    for round in 0..2000 {
        let mut bytes = blob.as_ref().to_vec();
        for _ in 0..1 + round % 50 {
            let at = (f64::from(random.next() + 1.0) / 2.0 * (length - 4 - 200) as f64) as usize + 200;
            bytes[at.min(length - 5)] = (random.next() * 1e6) as i32 as u8;
        }
        if round % 10 == 0 {
            // The most extreme numbers throughout.
            bytes[layers - 1000..layers].fill([0x7f, 0x80, 0xff][round / 10 % 3]);
        }
        let sum = checksum(&bytes[..length - 4]);
        bytes[length - 4..].copy_from_slice(&sum.to_le_bytes());
        let bytes = AlignedBytes::new(&bytes);
        if let Ok(model) = Model::<Net>::from_blob(&bytes) {
            let mut stream = model.stream();
            stream.set_state(((), [i16::MIN; 9], [i16::MAX; 7], ()));
            for x in [[i16::MIN; 5], [i16::MAX; 5], [0; 5]] {
                stream.step_raw(&x);
            }
            assert!(stream.step(&[1e38; 5]).iter().all(|y| y.is_finite()));
        }
    }
}

#[test]
fn a_long_stream_does_not_drift_from_f32() {
    let spec = gru(3, 16, Reset::Before, Gate::Sigmoid, Candidate::Tanh);
    let weights = Weights::random(&spec, 0.5, &mut Random(4));
    let weights = [weights.borrow()];
    let blobs = (
        write(&contents(&[spec], &weights, &[])).unwrap(),
        write_int8(&contents(&[spec], &weights, &[]), &[Range { input: INPUT, output: 0.0 }]).unwrap(),
    );
    let (exact, int8) =
        (AnyModel::<Exact>::from_blob(&blobs.0).unwrap(), AnyModel::<Int8>::from_blob(&blobs.1).unwrap());
    let (mut exact, mut int8) = (exact.heap_stream(), int8.heap_stream());
    let (mut random, mut early, mut late) = (Random(8), 0f32, 0f32); // sums of squares
    for step in 0..100_000 {
        let x = random.list(3, INPUT);
        let (a, b) = (exact.step(&x).unwrap(), int8.step(&x).unwrap());
        let difference: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        match step {
            1_000..2_000 => early += difference,
            99_000.. => late += difference,
            _ => {}
        }
    }
    let rms = [early, late].map(|squares| (squares / 16_000.0).sqrt());
    assert!(rms[1] <= 1.1 * rms[0] && rms[1] < 0.01, "steps 1,000 to 2,000, and the last 1,000: {rms:?}");
}

#[test]
fn int8_stays_near_f32() {
    for reset in RESETS {
        for (gate, candidate) in GATES.into_iter().flat_map(|gate| CANDIDATES.map(|candidate| (gate, candidate))) {
            let layers = [gru(5, 14, reset, gate, candidate), dense(14, 3, Activation::Linear)];
            let mut random = Random(31);
            let weights = layers.map(|spec| Weights::random(&spec, 0.25, &mut random));
            let weights = [weights[0].borrow(), weights[1].borrow()];
            let contents = contents(&layers, &weights, &[]);
            let exact = write(&contents).unwrap();
            let int8 = write_int8(&contents, &[Range { input: INPUT, output: 4.0 }; 2]).unwrap();
            let (exact, int8) =
                (AnyModel::<Exact>::from_blob(&exact).unwrap(), AnyModel::<Int8>::from_blob(&int8).unwrap());
            let (mut exact, mut int8) = (exact.heap_stream(), int8.heap_stream());
            let (mut off, mut power) = (0.0, 0.0);
            for _ in 0..300 {
                let x = random.list(5, INPUT);
                for (a, b) in exact.step(&x).unwrap().iter().zip(int8.step(&x).unwrap()) {
                    off += (a - b) * (a - b);
                    power += a * a;
                }
            }
            // What weights of 8 bits cost: their rounding errors are 1/254 of the largest at most.
            let relative = (off / power).sqrt();
            assert!(relative < 0.01, "{}: relative error {relative}", layers[0]);
        }
    }
}
