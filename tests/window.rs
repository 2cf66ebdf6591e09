//! Windows: bidirectional layers against two streams of one GRU each, and other networks against a stream, bit for bit.
#![cfg(feature = "alloc")]

mod common;

use std::path::Path;

use common::{Net, RESETS, Random, assert_helpful, bits, dense, plain_gru, pool};
use grulet::blob::quantize::scales;
use grulet::blob::{AlignedBytes, Blob, Contents, LayerWeights, Range, unpack, write, write_int8};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Merge, Output, Pooling, Reset};
use grulet::*;

const MERGES: [Merge; 4] = [Merge::Concat, Merge::Sum, Merge::Mul, Merge::Ave];
const OUTPUTS: [Output; 2] = [Output::EveryStep, Output::LastStep];
const RANGE: Range = Range { input: 3.0, output: 5.0 };

fn bidirectional(inputs: u16, hidden: u16, reset: Reset, candidate: Candidate, merge: Merge) -> LayerSpec {
    LayerSpec::Bidirectional { inputs, hidden, reset, gate: Gate::Sigmoid, candidate, merge }
}

fn tanh(inputs: u16, hidden: u16, reset: Reset, merge: Merge) -> LayerSpec {
    bidirectional(inputs, hidden, reset, Candidate::Tanh, merge)
}

/// The network that the firmware runs.
type Firmware<F = Exact> = (
    Bidirectional<3, 5, 10, Concat, F>,
    Dense<10, 4, Relu, F>,
    Bidirectional<4, 3, 3, Ave, F, ResetAfter>,
    Dense<3, 2, Softmax, F>,
);

fn firmware() -> Vec<LayerSpec> {
    vec![
        tanh(3, 5, Reset::Before, Merge::Concat),
        dense(10, 4, Activation::Relu),
        tanh(4, 3, Reset::After, Merge::Ave),
        dense(3, 2, Activation::Softmax),
    ]
}

fn contents<'a>(net: &'a Net, output: Output, layers: &'a [LayerWeights<'a>], golden: &'a [f32]) -> Contents<'a> {
    let header = Header { output, ..net.header() };
    Contents { header, layers, mean: &[], scale: &[], output_scale: &[], output_offset: &[], golden }
}

/// The network in units: nothing is normalised. In `f32` or in integers.
fn blob<F: Format>(net: &Net, output: Output, ranges: &[Range]) -> AlignedBytes {
    let layers: Vec<_> = net
        .layers
        .iter()
        .map(|layer| LayerWeights { kernel: &layer.kernel, recurrent: &layer.recurrent, bias: &layer.bias })
        .collect();
    let contents = contents(net, output, &layers, &net.golden);
    match F::STORAGE {
        grulet::spec::Storage::Int8 => write_int8(&contents, ranges).unwrap(),
        _ => write(&contents).unwrap(),
    }
}

/// The network with layer `index` alone: of a bidirectional one the given direction.
fn alone(net: &Net, index: usize, direction: usize) -> Net {
    let mut layer = net.layers[index].clone();
    if let Some(gru) = layer.spec.direction() {
        layer.spec = gru;
        for weights in [&mut layer.kernel, &mut layer.recurrent, &mut layer.bias] {
            let half = weights.len() / 2;
            *weights = weights[direction * half..][..half].to_vec();
        }
    }
    let inputs = layer.spec.inputs();
    Net { layers: vec![layer], golden: vec![0.5; 2 * inputs], ..net.clone() }
}

/// Outputs in units of a network of one layer at each step, whose inputs are these units.
fn stream<F: Format>(net: &Net, range: Range, xs: &[Vec<f64>], unit: f64) -> Vec<Vec<f64>>
where
    F::Unit: Into<f64>,
{
    let bytes = blob::<F>(net, Output::EveryStep, &[range]);
    let model = AnyModel::<F>::from_blob(&bytes).unwrap();
    let mut stream = model.heap_stream();
    let step = |x: &Vec<f64>| {
        let x: Vec<f32> = x.iter().map(|x| (x * unit) as f32).collect();
        let mut seen = Vec::new();
        stream.step_observed(&x, |_, _, y| seen = y.iter().map(|&y| y.into()).collect()).unwrap();
        seen
    };
    xs.iter().map(step).collect()
}

/// What a network gives in units, layer by layer, each run alone by a stream; a bidirectional one as two.
fn reference<F: Format>(net: &Net, output: Output, ranges: &[Range], samples: &[f32]) -> Vec<Vec<f64>>
where
    F::Unit: Into<f64>,
{
    let int8 = F::STORAGE == grulet::spec::Storage::Int8;
    let specs: Vec<LayerSpec> = net.layers.iter().map(|layer| layer.spec).collect();
    let scales = scales(&common::header(&specs), ranges).unwrap();
    let last = specs.iter().rposition(|spec| spec.state() > 0).unwrap_or(0);
    // The first layer's inputs in its units.
    let unit = if int8 { scales[0].input } else { 1.0 };
    let mut xs: Vec<Vec<f64>> = samples
        .chunks_exact(net.inputs())
        .map(|x| {
            let units = x.iter().map(|&x| {
                let x = f64::from(x) / unit;
                if int8 { x.round() } else { x }
            });
            units.collect()
        })
        .collect();
    for (index, spec) in specs.iter().enumerate() {
        let unit = if int8 { scales[index].input } else { 1.0 };
        let range = Range { input: (scales[index].input * 32_767.0) as f32, ..ranges[index] };
        let only = output == Output::LastStep && index == last;
        let LayerSpec::Bidirectional { merge, .. } = *spec else {
            xs = stream::<F>(&alone(net, index, 0), range, &xs, unit);
            if only {
                xs = vec![xs.pop().unwrap()];
            }
            continue;
        };
        let reversed: Vec<Vec<f64>> = xs.iter().rev().cloned().collect();
        let forward = stream::<F>(&alone(net, index, 0), range, &xs, unit);
        let mut backward = stream::<F>(&alone(net, index, 1), range, &reversed, unit);
        let pairs: Vec<_> = if only {
            vec![(forward.last().unwrap(), backward.last().unwrap())]
        } else {
            backward.reverse();
            forward.iter().zip(&backward).collect()
        };
        xs = pairs.into_iter().map(|(f, b)| merged(merge, f, b, int8)).collect();
    }
    xs
}

fn merged(merge: Merge, f: &[f64], b: &[f64], int8: bool) -> Vec<f64> {
    if merge == Merge::Concat {
        return [f, b].concat();
    }
    let element = |(&f, &b): (&f64, &f64)| match (merge, int8) {
        (Merge::Sum, false) => f64::from(f as f32 + b as f32),
        (Merge::Mul, false) => f64::from(f as f32 * b as f32),
        (_, false) => f64::from((f as f32 + b as f32) / 2.0),
        // To the nearest, ties up.
        (Merge::Mul, true) => (f * b / 32_768.0 + 0.5).floor().min(32_767.0),
        (_, true) => ((f + b) / 2.0 + 0.5).floor(),
    };
    f.iter().zip(b).map(element).collect()
}

/// What a window gives in units.
fn window<F: Format>(blob: &AlignedBytes, samples: &[f32]) -> Vec<Vec<f64>>
where
    F::Unit: Into<f64>,
{
    let model = AnyModel::<F>::from_blob(blob).unwrap();
    model.self_test_on_heap().unwrap();
    let steps = samples.len() / model.header().inputs();
    let mut window = model.heap_window(steps);
    let last = model.header().layers.len() - 1;
    // Twice, because a window is empty again.
    let mut runs = Vec::new();
    for _ in 0..2 {
        for sample in samples.chunks_exact(model.header().inputs()) {
            window.push(sample).unwrap();
        }
        let mut seen: Vec<Vec<f64>> = Vec::new();
        let reals = window
            .finish_observed(|layer, _, y| {
                if layer == last {
                    seen.push(y.iter().map(|&y| y.into()).collect());
                }
            })
            .unwrap()
            .to_vec();
        runs.push((reals, seen));
    }
    assert!(runs[0] == runs[1]);
    let (reals, seen) = runs.remove(0);
    let affine = Blob::parse(blob.as_ref()).unwrap().affine().output_scale[0];
    if model.header().layers[last].direction().is_none() && model.header().output == Output::EveryStep {
        let expected: Vec<f32> = seen.iter().flatten().map(|&y| y as f32 * affine).collect();
        assert_eq!(bits(&reals), bits(&expected));
    }
    assert_eq!(model.run_series(samples, |_, _, _| {}).unwrap(), reals);
    // In units: exact, because the scale is one number for all.
    reals.chunks(model.header().outputs()).map(|y| y.iter().map(|&y| f64::from(y)).collect()).collect()
}

fn check<F: Format>(specs: &[LayerSpec], seed: u64)
where
    F::Unit: Into<f64>,
{
    let mut random = Random(seed);
    let net = Net::random(specs, &mut random);
    let ranges = vec![RANGE; specs.len()];
    for output in OUTPUTS {
        let blob = blob::<F>(&net, output, &ranges);
        let scale = Blob::parse(blob.as_ref()).unwrap().affine().output_scale[0];
        for steps in [1, 2, 7] {
            // Whole units, so that `f32` and `f64` round them to the same.
            let unit = scales(&common::header(specs), &ranges).unwrap()[0].input;
            let samples: Vec<f32> = (0..steps * net.inputs())
                .map(|_| ((f64::from(random.float(2.5)) / unit).round() * unit) as f32)
                .collect();
            let expected: Vec<Vec<f32>> = reference::<F>(&net, output, &ranges, &samples)
                .iter()
                .map(|y| y.iter().map(|&y| y as f32 * scale).collect())
                .collect();
            let found: Vec<Vec<f32>> =
                window::<F>(&blob, &samples).iter().map(|y| y.iter().map(|&y| y as f32).collect()).collect();
            assert_eq!(found, expected, "{output:?}, {steps} steps, {specs:?}");
        }
    }
}

#[test]
fn every_merge_is_of_two_streams() {
    for (seed, reset) in (0..).zip(RESETS) {
        for merge in MERGES {
            for candidate in [Candidate::Tanh, Candidate::Relu, Candidate::Linear] {
                let specs = [bidirectional(3, 5, reset, candidate, merge)];
                check::<Exact>(&specs, seed);
                check::<Int8>(&specs, seed);
                #[cfg(feature = "micromath")]
                check::<Fast>(&specs, seed);
            }
        }
    }
}

#[test]
fn layers_before_and_after_see_what_they_should() {
    for merge in MERGES {
        let (o, twice) = if merge == Merge::Concat { (6, 8) } else { (3, 4) };
        let networks = [
            // Stacked, with a head that runs once where the last output alone counts.
            vec![
                dense(2, 3, Activation::Tanh),
                tanh(3, 3, Reset::After, merge),
                tanh(o, 4, Reset::Before, merge),
                dense(twice, 3, Activation::Relu),
                dense(3, 2, Activation::Linear),
            ],
            // A pool and a GRU see every step.
            vec![tanh(2, 3, Reset::Before, merge), pool(o, Pooling::Max), dense(o, 2, Activation::Sigmoid)],
            vec![tanh(2, 3, Reset::Before, merge), pool(o, Pooling::Mean)],
            vec![plain_gru(2, 4, Reset::After), tanh(4, 3, Reset::Before, merge), plain_gru(o, 2, Reset::Before)],
        ];
        for (seed, specs) in (10..).zip(networks) {
            check::<Exact>(&specs, seed);
            check::<Int8>(&specs, seed);
        }
    }
}

#[test]
fn a_typed_window_gives_the_same_bits() {
    fn check<F: Format>()
    where
        Firmware<F>: WindowNetwork<Format = F, Input = [F::Unit; 3], Output = [F::Unit; 2]>,
        [F::Unit; 3]: grulet::layer::Frame<F, Real = [f32; 3]>,
        [F::Unit; 2]: grulet::layer::Frame<F, Real = [f32; 2]>,
    {
        let mut random = Random(21);
        let net = Net::random(&firmware(), &mut random);
        for output in OUTPUTS {
            let blob = blob::<F>(&net, output, &[RANGE; 4]);
            let (model, typed) = (AnyModel::<F>::from_blob(&blob).unwrap(), Model::<Firmware<F>>::from_blob(&blob));
            let mut typed = typed.unwrap().window::<9>().unwrap();
            typed.self_test().unwrap();
            let mut any = model.window::<1024>(9).unwrap();
            model.self_test::<1024>().unwrap();
            for steps in [9, 1, 4, 0] {
                for _ in 0..steps {
                    let sample = [(); 3].map(|()| random.float(2.5));
                    typed.push(&sample).unwrap();
                    any.push(&sample).unwrap();
                }
                assert_eq!((typed.len(), any.len()), (steps, steps));
                let outputs: Vec<f32> = typed.clone().finish().flatten().collect();
                let expected = any.finish().unwrap();
                assert_eq!(bits(&outputs), bits(expected));
                let answers = if output == Output::EveryStep { steps } else { steps.min(1) };
                assert_eq!((typed.finish_raw().len(), expected.len()), (answers, 2 * answers));
                assert!(typed.is_empty() && any.is_empty());
            }
        }
    }
    check::<Exact>();
    check::<Int8>();
}

#[test]
fn without_a_bidirectional_layer_a_window_is_a_stream() {
    type Net1 = (Dense<2, 4, Tanh>, Gru<4, 5>, Pool<5, Mean>, Dense<5, 3>);
    type Net2 = (Dense<2, 3, Tanh>,);
    let first = [
        dense(2, 4, Activation::Tanh),
        plain_gru(4, 5, Reset::Before),
        pool(5, Pooling::Mean),
        dense(5, 3, Activation::Linear),
    ];
    fn check<N>(specs: &[LayerSpec])
    where
        N: Network<Format = Exact, Input = [f32; 2], Output = [f32; 3]>,
    {
        let mut random = Random(5);
        let net = Net::random(specs, &mut random);
        for output in OUTPUTS {
            let blob = net.blob_with(Header { output, ..net.header() });
            let (model, any) = (Model::<N>::from_blob(&blob).unwrap(), AnyModel::<Exact>::from_blob(&blob).unwrap());
            let (mut window, mut stream) = (model.window::<8>().unwrap(), model.stream());
            window.self_test().unwrap();
            let mut any_window = any.window::<512>(8).unwrap();
            let samples: Vec<[f32; 2]> = (0..8).map(|_| [random.float(3.0), random.float(3.0)]).collect();
            let all: Vec<[f32; 3]> = samples.iter().map(|sample| stream.step(sample)).collect();
            for sample in &samples {
                window.push(sample).unwrap();
                any_window.push(sample).unwrap();
            }
            let expected = if output == Output::EveryStep { &all[..] } else { &all[7..] };
            let found: Vec<[f32; 3]> = window.finish().collect();
            assert_eq!(bits(found.as_flattened()), bits(expected.as_flattened()));
            assert_eq!(bits(any_window.finish().unwrap()), bits(expected.as_flattened()));
            let series = any.run_series(samples.as_flattened(), |_, _, _| {}).unwrap();
            assert_eq!(bits(&series), bits(expected.as_flattened()));
        }
    }
    check::<Net1>(&first);
    check::<Net2>(&[dense(2, 3, Activation::Tanh)]);
}

#[test]
fn a_window_refuses_what_does_not_fit() {
    let net = Net::random(&firmware(), &mut Random(3));
    let blob = blob::<Exact>(&net, Output::LastStep, &[RANGE; 4]);
    let (model, any) = (Model::<Firmware>::from_blob(&blob).unwrap(), AnyModel::<Exact>::from_blob(&blob).unwrap());
    let mut window = model.window::<2>().unwrap();
    // The self-test has 5 steps.
    assert_eq!(window.self_test().unwrap_err(), Error::Full { steps: 2 });
    window.clear();
    let samples = [[0.5, -1.0, 2.0], [1.0, 0.25, f32::NAN]];
    window.push(&samples[0]).unwrap();
    window.push(&samples[1]).unwrap();
    let error = window.push(&samples[0]).unwrap_err();
    assert_eq!(error, Error::Full { steps: 2 });
    assert_helpful(&error);
    // And it is as it was before.
    let outputs: Vec<[f32; 2]> = window.finish().collect();
    assert!(outputs.len() == 1 && outputs[0].iter().all(|y| y.is_finite()), "{outputs:?}");
    let mut heap = any.heap_window(2);
    assert!(matches!(heap.push(&[1.0]), Err(Error::Length { what: "sample", expected: 3, found: 1 })));
    heap.push(&samples[0]).unwrap();
    heap.push(&[1.0, 0.25, 0.0]).unwrap();
    assert_eq!(heap.push(&samples[0]).unwrap_err(), Error::Full { steps: 2 });
    assert_eq!(bits(heap.finish().unwrap()), bits(&outputs[0]));
    heap.push(&samples[0]).unwrap();
    heap.clear();
    assert!(heap.finish().unwrap().is_empty());

    let needed = any.window_capacity(6);
    assert!(any.window::<1000>(6).is_ok_and(|_| needed <= 1000));
    let error = any.window::<8>(6).unwrap_err();
    assert_eq!(error, Error::Capacity { needed, found: 8 });
    assert!(any.self_test::<8>().is_err());
    assert!(any.window::<8>(usize::MAX).is_err());

    let error = any.stream::<1000>().unwrap_err();
    assert_eq!(error, Error::Bidirectional { layer: 0 });
    assert!(error.to_string().contains("window"), "{error}");
    assert_eq!(any.heap_stream().step(&samples[0]).unwrap_err(), error);
}

#[test]
fn weights_are_read_back_as_written() {
    let net = Net::random(&firmware(), &mut Random(4));
    let blob = net.blob();
    let weights = unpack(&Blob::parse(blob.as_ref()).unwrap()).unwrap();
    for (found, written) in weights.iter().zip(&net.layers) {
        assert_eq!((&found.kernel, &found.recurrent), (&written.kernel, &written.recurrent));
    }
    assert_eq!(weights[0].bias, net.layers[0].bias);
    // With the reset gate after the matmul, z's and r's two biases are one sum: the same model, if not the same numbers.
    assert_eq!(weights[2].bias.len(), net.layers[2].bias.len());
    let layers: Vec<_> = weights.iter().map(|layer| layer.borrow()).collect();
    let again = Contents {
        header: net.header(),
        layers: &layers,
        mean: &net.mean,
        scale: &net.scale,
        output_scale: &net.output_scale,
        output_offset: &net.output_offset,
        golden: &net.golden,
    };
    assert!(write(&again).unwrap().as_ref() == blob.as_ref());
    let wrong = [LayerWeights { kernel: &weights[0].kernel[1..], ..layers[0] }];
    let header = common::header(&firmware()[..1]);
    let text = write(&Contents { header, layers: &wrong, ..again }).unwrap_err().to_string();
    assert!(text.contains("layer 0: kernel: expected 90 elements, found 89"), "{text}");
}

#[test]
fn another_merge_is_another_network() {
    type Other = (
        Bidirectional<3, 5, 10>,
        Dense<10, 4, Relu>,
        Bidirectional<4, 3, 3, Sum, Exact, ResetAfter>,
        Dense<3, 2, Softmax>,
    );
    let blob = Net::random(&firmware(), &mut Random(4)).blob();
    let error = Model::<Other>::from_blob(&blob).unwrap_err();
    assert_helpful(&error);
    let text = error.to_string();
    assert!(text.contains("Bidirectional<4, 3, 3, Sum>") && text.contains("Bidirectional<4, 3, 3, Ave>"), "{text}");
    assert_eq!(<Other as WindowNetwork>::SPECS[0].parameters(), 2 * 3 * 5 * (3 + 5 + 1));
    assert_eq!(<Other as WindowNetwork>::SPECS[2].parameters(), 2 * 3 * 3 * (4 + 3 + 2));
    assert_eq!(<Other as WindowNetwork>::SPECS[2].macs(), 2 * 3 * 3 * (4 + 3));
}

/// The models that `firmware-example/src/bin/window.rs` runs on every core.
#[test]
fn the_firmwares_models_are_these() {
    let net = Net::random(&firmware(), &mut Random(8));
    let blobs = [
        ("window.gru", blob::<Exact>(&net, Output::EveryStep, &[RANGE; 4])),
        ("window_int8.gru", blob::<Int8>(&net, Output::LastStep, &[RANGE; 4])),
    ];
    for (name, blob) in blobs {
        let path = Path::new("tests/models").join(name);
        if std::env::var_os("GRULET_OVERWRITE").is_some() {
            std::fs::write(&path, &blob).unwrap();
        }
        let file = std::fs::read(&path).unwrap();
        assert!(file == blob.as_ref(), "{name} is another; GRULET_OVERWRITE=1 renews it");
    }
}
