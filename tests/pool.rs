//! Pooling over time, against loops over all steps so far.
#![cfg(feature = "alloc")]

mod common;

use std::path::Path;

use common::{Net, Random, assert_helpful, bits, dense, plain_gru, pool};
use grulet::blob::{AlignedBytes, Blob, Contents, LayerWeights, Range, WriteError, unpack, write, write_int8};
use grulet::layer::State;
use grulet::layer::pool::{LIMIT, MaxState, MeanState};
use grulet::spec::{Activation, LayerSpec, Pooling, Reset};
use grulet::*;

type Typed<F = Exact> =
    (Gru<3, 5, F>, Pool<5, Max, F>, Dense<5, 4, Relu, F>, Pool<4, Mean, F>, Dense<4, 2, Softmax, F>);

/// Ranges of which the pools' are missing, because they need none.
const RANGES: [Range; 5] = [
    Range { input: 4.0, output: 0.0 },
    Range { input: 0.0, output: 0.0 },
    Range { input: 0.0, output: 6.0 },
    Range { input: 0.0, output: 0.0 },
    Range { input: 0.0, output: 0.0 },
];

fn net() -> Net {
    let specs = [
        plain_gru(3, 5, Reset::Before),
        pool(5, Pooling::Max),
        dense(5, 4, Activation::Relu),
        pool(4, Pooling::Mean),
        dense(4, 2, Activation::Softmax),
    ];
    Net::random(&specs, &mut Random(8))
}

/// The same in `f32` and in integers.
fn blobs(net: &Net, ranges: &[Range]) -> (AlignedBytes, AlignedBytes) {
    let layers: Vec<_> = net
        .layers
        .iter()
        .map(|layer| LayerWeights { kernel: &layer.kernel, recurrent: &layer.recurrent, bias: &layer.bias })
        .collect();
    let contents = Contents {
        header: net.header(),
        layers: &layers,
        mean: &[],
        scale: &[],
        output_scale: &[],
        output_offset: &[],
        golden: &net.golden,
    };
    (write(&contents).unwrap(), write_int8(&contents, ranges).unwrap())
}

/// A network of nothing but one pool of two channels.
fn alone(over: Pooling) -> (AlignedBytes, AlignedBytes) {
    blobs(&Net::random(&[pool(2, over)], &mut Random(9)), &[Range { input: 32_767.0, output: 0.0 }])
}

/// Samples that go up and down.
fn samples(steps: usize, seed: u64) -> Vec<[f32; 3]> {
    let mut random = Random(seed);
    (0..steps).map(|_| [(); 3].map(|()| random.float(3.0))).collect()
}

/// A layer's inputs and outputs at each step.
type Seen<U> = Vec<(Vec<U>, Vec<U>)>;

/// Runs `samples` through a model, typed and not, which must agree; returns inputs and outputs of each layer at each step.
fn watch<F: Format>(blob: &AlignedBytes, samples: &[[f32; 3]]) -> Vec<Seen<F::Unit>>
where
    Typed<F>: Network<Format = F, Input = [F::Unit; 3], Output = [F::Unit; 2]>,
    [F::Unit; 3]: grulet::layer::Frame<F, Real = [f32; 3]>,
    [F::Unit; 2]: grulet::layer::Frame<F, Real = [f32; 2]>,
{
    let (model, typed) = (AnyModel::<F>::from_blob(blob).unwrap(), Model::<Typed<F>>::from_blob(blob).unwrap());
    typed.self_test().unwrap();
    model.self_test::<100>().unwrap();
    let (mut stream, mut typed) = (model.heap_stream(), typed.stream());
    let mut seen = vec![Vec::new(); 5];
    for sample in samples {
        let outputs = stream.step_observed(sample, |layer, x, y| seen[layer].push((x.to_vec(), y.to_vec()))).unwrap();
        assert_eq!(bits(outputs), bits(&typed.step(sample)));
    }
    seen
}

#[test]
fn in_f32_it_is_what_a_loop_gives() {
    let seen = watch::<Exact>(&blobs(&net(), &RANGES).0, &samples(300, 1));
    let of = |layer: usize, t: usize, channel: usize| seen[layer][t].0[channel];
    let found = |layer: usize, t: usize, channel: usize| seen[layer][t].1[channel];
    for t in 0..300 {
        for channel in 0..5 {
            let max = (0..=t).map(|t| of(1, t, channel)).fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(found(1, t, channel), max, "step {t}");
        }
        for channel in 0..4 {
            let sum: f64 = (0..=t).map(|t| f64::from(of(3, t, channel))).sum();
            let largest = (0..=t).map(|t| of(3, t, channel).abs()).fold(0.0, f32::max);
            let error = f64::from(found(3, t, channel)) - sum / (t + 1) as f64;
            assert!(error.abs() <= 2.0 * f64::from(f32::EPSILON * largest), "step {t}: {error:e}");
        }
    }
    // And the bits are those of the definition.
    for channel in 0..4 {
        let (mut high, mut low) = (0.0f32, 0.0f32);
        for t in 0..300 {
            let change = ((of(3, t, channel) - high) - low) * (1.0 / (t + 1) as f32) + low;
            let sum = high + change;
            low = change - (sum - high);
            high = sum;
            assert_eq!(found(3, t, channel).to_bits(), sum.to_bits(), "step {t}");
        }
    }
}

#[test]
fn in_integers_it_is_exact() {
    // And near what `f32` gives, in the same units.
    let (blob, int8) = blobs(&net(), &RANGES);
    let float = watch::<Exact>(&blob, &samples(300, 2));
    for (layer, unit) in [(1, 1.0 / 32_768.0), (3, 6.0 / 32_767.0)] {
        for ((_, found), (_, expected)) in watch::<Int8>(&int8, &samples(300, 2))[layer].iter().zip(&float[layer]) {
            for (&found, expected) in found.iter().zip(expected) {
                assert!((f32::from(found) * unit - expected).abs() < 0.05, "layer {layer}: {found}, {expected}");
            }
        }
    }
    let seen = watch::<Int8>(&blobs(&net(), &RANGES).1, &samples(300, 2));
    let mut varies = false;
    for t in 0..300 {
        for channel in 0..5 {
            assert_eq!(Some(seen[1][t].1[channel]), seen[1][..=t].iter().map(|(x, _)| x[channel]).max());
        }
        for channel in 0..4 {
            let sum: i64 = seen[3][..=t].iter().map(|(x, _)| i64::from(x[channel])).sum();
            let n = t as i64 + 1;
            assert_eq!(i64::from(seen[3][t].1[channel]), (2 * sum + n).div_euclid(2 * n), "step {t}");
            varies |= seen[3][t].1[channel] > 500;
        }
    }
    assert!(varies);
}

#[test]
fn a_long_stream_fades_and_stays_in_its_range() {
    let (blob, int8) = alone(Pooling::Mean);
    let model = Model::<(Pool<2, Mean>,)>::from_blob(&blob).unwrap();
    let int8 = Model::<(Pool<2, Mean, Int8>,)>::from_blob(&int8).unwrap();
    let (mut stream, mut integers) = (model.stream(), int8.stream());
    let (mut mean, mut sum, limit) = (0.0, 0i64, i64::from(LIMIT));
    let mut random = Random(5);
    for step in 1..=5 * limit {
        // One channel at the end of its range throughout, one anywhere, and elsewhere after a while.
        let unit = (random.next() % 20_000) as i16 - if step < 2 * limit { 20_000 } else { 0 };
        let n = step.min(limit);
        let [least, found] = integers.step_raw(&[i16::MIN, unit]);
        sum += i64::from(unit) - if step > limit { (sum + limit / 2).div_euclid(limit) } else { 0 };
        assert_eq!(least, i16::MIN);
        assert_eq!(i64::from(found), (2 * sum + n).div_euclid(2 * n), "step {step}");

        let [largest, found] = stream.step_raw(&[f32::INFINITY, unit.into()]);
        mean += (f64::from(unit) - mean) / n as f64;
        assert_eq!(largest, grulet::math::LIMIT);
        assert!((f64::from(found) - mean).abs() < 0.005, "step {step}: {found} for {mean}");
    }
    assert_eq!(integers.state().0.count as u16, LIMIT as u16);
    assert_eq!(stream.state().0.count, LIMIT as f32);
    assert!(mean > 5000.0, "it follows: {mean}");
}

#[test]
fn the_first_of_equals_and_the_negative_are_maxima() {
    let (blob, int8) = alone(Pooling::Max);
    let mut stream = Model::<(Pool<2, Max>,)>::from_blob(&blob).unwrap().stream();
    assert_eq!(stream.step_raw(&[-3.0, -0.0]), [-3.0, 0.0]);
    assert_eq!(bits(&stream.step_raw(&[-4.0, 0.0])), bits(&[-3.0, -0.0]));
    assert_eq!(stream.step_raw(&[f32::NAN, f32::NEG_INFINITY]), [0.0, 0.0]);
    let mut stream = Model::<(Pool<2, Max, Int8>,)>::from_blob(&int8).unwrap().stream();
    assert_eq!(stream.step_raw(&[i16::MIN, -5]), [i16::MIN, -5]);
    assert_eq!(stream.step_raw(&[i16::MAX, -6]), [i16::MAX, -5]);
    stream.reset();
    assert_eq!(stream.step_raw(&[-7, -8]), [-7, -8]);
}

#[test]
fn a_saved_state_goes_on_alike() {
    fn check<F: Format>(blob: &AlignedBytes)
    where
        Typed<F>: Network<Format = F>,
        <Typed<F> as WindowNetwork>::Input: grulet::layer::Frame<F, Real = [f32; 3]>,
        <Typed<F> as WindowNetwork>::Output: grulet::layer::Frame<F, Real = [f32; 2]>,
    {
        let (model, typed) = (AnyModel::<F>::from_blob(blob).unwrap(), Model::<Typed<F>>::from_blob(blob).unwrap());
        let (mut any, mut stream) = (model.heap_stream(), typed.stream());
        let samples = samples(40, 3);
        for sample in &samples[..20] {
            any.step(sample).unwrap();
            stream.step(sample);
        }
        assert_eq!(any.state().len(), 5 + 6 + 9);
        let (mut other_any, mut other) = (model.heap_stream(), typed.stream());
        other_any.step(&samples[30]).unwrap();
        other_any.set_state(any.state()).unwrap();
        other.set_state(*stream.state());
        for sample in &samples[20..] {
            let expected = bits(&stream.step(sample));
            assert_eq!(bits(&other.step(sample)), expected);
            assert_eq!(bits(any.step(sample).unwrap()), expected);
            assert_eq!(bits(other_any.step(sample).unwrap()), expected);
        }
        other.reset();
        other_any.reset();
        let mut fresh = typed.stream();
        for sample in &samples {
            let expected = bits(&fresh.step(sample));
            assert_eq!(
                (bits(&other.step(sample)), bits(other_any.step(sample).unwrap())),
                (expected.clone(), expected)
            );
        }
    }
    let (blob, int8) = blobs(&net(), &RANGES);
    check::<Exact>(&blob);
    check::<Int8>(&int8);
}

#[test]
fn a_hostile_state_does_no_harm() {
    let (blob, int8) = alone(Pooling::Mean);
    let (model, any) =
        (Model::<(Pool<2, Mean>,)>::from_blob(&blob).unwrap(), AnyModel::<Exact>::from_blob(&blob).unwrap());
    let wrong = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 1e30, 0.5, f32::MAX, f32::MIN_POSITIVE];
    let (mut stream, mut any) = (model.stream(), any.heap_stream());
    for (i, &count) in wrong.iter().enumerate() {
        for j in 0..wrong.len() {
            let (high, low) = ([wrong[i], wrong[j]], [wrong[j], wrong[i]]);
            stream.set_state((MeanState { high, low, count },));
            any.set_state(&[high[0], high[1], low[0], low[1], count]).unwrap();
            for _ in 0..10 {
                let y = stream.step_raw(&[1.0, f32::MAX]);
                assert!(y.iter().all(|y| y.abs() <= grulet::math::LIMIT), "{high:?} {low:?} {count}: {y:?}");
            }
            let MeanState { high, low, count } = stream.state().0;
            assert!(high.iter().chain(&low).all(|x| x.is_finite()) && (10.0..=LIMIT as f32).contains(&count));
            for _ in 0..10 {
                any.step(&[1.0, f32::MAX]).unwrap();
            }
            assert_eq!(any.state(), [&high[..], &low[..], &[count]].concat());
        }
    }

    // The sum of three steps cannot be that large.
    let (model, any) =
        (Model::<(Pool<2, Mean, Int8>,)>::from_blob(&int8).unwrap(), AnyModel::<Int8>::from_blob(&int8).unwrap());
    let (mut stream, mut any) = (model.stream(), any.heap_stream());
    let state = MeanState { high: [i16::MAX, i16::MIN], low: [-1, 0], count: 3 };
    stream.set_state((state,));
    any.set_state(&[i16::MAX, i16::MIN, -1, 0, 3]).unwrap();
    for n in 4..100 {
        let y = stream.step_raw(&[0, 0]);
        assert_eq!(y.map(i64::from), [2 * 3 * 32_767 + n, -2 * 3 * 32_768 + n].map(|x: i64| x.div_euclid(2 * n)));
        assert_eq!(any.step(&[0.0, 0.0]).unwrap().len(), 2);
    }
    let MeanState { high, low, count } = stream.state().0;
    assert_eq!(any.state(), [&high[..], &low[..], &[count]].concat());
    // A count beyond the limit is the limit.
    stream.set_state((MeanState { count: -1, ..state },));
    assert_eq!(stream.state().0.count as u16, LIMIT as u16);
    assert_eq!(stream.step_raw(&[i16::MAX, i16::MIN]), [i16::MAX, i16::MIN]);
    let mut max = MaxState { max: [f32::NAN, f32::INFINITY], count: f32::NAN };
    State::<Exact>::sanitize(&mut max);
    assert_eq!(max.max, [0.0, grulet::math::LIMIT]);
}

#[test]
fn it_has_no_weights() {
    let net = net();
    let blob = net.blob();
    let parsed = Blob::parse(blob.as_ref()).unwrap();
    assert_eq!(&parsed.header().layers[..], net.layers.iter().map(|layer| layer.spec).collect::<Vec<_>>());
    let weights = unpack(&parsed).unwrap();
    for (found, written) in weights.iter().zip(&net.layers) {
        assert_eq!((&found.kernel, &found.bias), (&written.kernel, &written.bias));
        if let LayerSpec::Pool { .. } = written.spec {
            assert!(found.kernel.is_empty() && found.recurrent.is_empty() && found.bias.is_empty());
            assert_eq!((written.spec.parameters(), written.spec.macs()), (0, 0));
        }
    }
    let layers = [LayerWeights { kernel: &[1.0], recurrent: &[], bias: &[] }];
    let contents = Contents {
        header: common::header(&[pool(1, Pooling::Max)]),
        layers: &layers,
        mean: &[],
        scale: &[],
        output_scale: &[],
        output_offset: &[],
        golden: &[],
    };
    assert!(matches!(write(&contents), Err(WriteError::Shape { expected: 0, found: 1, .. })));
}

#[test]
fn another_pool_is_another_network() {
    let blob = net().blob();
    let error =
        Model::<(Gru<3, 5>, Pool<5, Mean>, Dense<5, 4, Relu>, Pool<4, Mean>, Dense<4, 2, Softmax>)>::from_blob(&blob)
            .unwrap_err();
    assert_helpful(&error);
    let text = error.to_string();
    assert!(text.contains("Pool<5, Max>") && text.contains("Pool<5, Mean>"), "{text}");
}

/// The models that `firmware-example/src/bin/pool.rs` runs on every core.
#[test]
fn the_firmwares_models_are_these() {
    let (blob, int8) = blobs(&net(), &RANGES);
    for (name, blob) in [("pool.gru", blob), ("pool_int8.gru", int8)] {
        let path = Path::new("tests/models").join(name);
        if std::env::var_os("GRULET_OVERWRITE").is_some() {
            std::fs::write(&path, &blob).unwrap();
        }
        let file = std::fs::read(&path).unwrap();
        assert!(file == blob.as_ref(), "{name} is another; GRULET_OVERWRITE=1 renews it");
    }
}
