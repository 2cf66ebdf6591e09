//! A network from a blob alone, in memory of fixed capacity.

mod common;

use common::{Net, Random, assert_helpful, bits, dense, plain_gru};
use grulet::spec::{Activation, Reset};
use grulet::{AnyModel, Error, Exact};

/// All states, two frames of the widest layer, a GRU's inputs beside its state, its sums, and the outputs.
const CAP: usize = (5 + 6) + 2 * 9 + (5 + 6) + 3 * 6 + 9;

fn blob() -> grulet::blob::AlignedBytes {
    let specs = [plain_gru(3, 5, Reset::Before), plain_gru(5, 6, Reset::After), dense(6, 9, Activation::Softmax)];
    Net::random(&specs, &mut Random(1)).blob()
}

#[test]
fn exactly_the_capacity_needed_is_enough() {
    let blob = blob();
    let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
    assert_eq!(model.capacity(), CAP);
    assert_eq!(model.self_test::<CAP>(), Ok(()));
    let (mut fixed, mut heap) = (model.stream::<CAP>().unwrap(), model.heap_stream());
    for t in 0..10 {
        let x = [t as f32, -1.0, 0.5];
        assert_eq!(bits(fixed.step(&x).unwrap()), bits(heap.step(&x).unwrap()));
    }
    assert_eq!(size_of_val(&fixed), size_of_val(&model.stream::<{ CAP + 2 }>().unwrap()) - 8);
}

#[test]
fn one_less_is_an_error_that_names_the_capacity_needed() {
    let blob = blob();
    let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
    let error = Error::Capacity { needed: CAP, found: CAP - 1 };
    assert_eq!(model.stream::<{ CAP - 1 }>().unwrap_err(), error);
    assert_eq!(model.self_test::<{ CAP - 1 }>(), Err(error));
    assert_helpful(&error);
    assert!(error.to_string().contains(&format!("raise its CAP to {CAP}")), "{error}");
}

#[test]
fn a_saved_state_goes_on_alike_and_wrong_lengths_are_named() {
    let blob = blob();
    let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
    let mut stream = model.stream::<CAP>().unwrap();
    for t in 0..4 {
        stream.step(&[t as f32, 1.0, 2.0]).unwrap();
    }
    let saved = stream.state().to_vec();
    assert_eq!(saved.len(), 11);
    let mut clone = stream.clone();
    let next = bits(stream.step(&[0.3, 0.2, 0.1]).unwrap());
    assert_eq!(bits(clone.step(&[0.3, 0.2, 0.1]).unwrap()), next);
    let mut other = model.heap_stream();
    other.set_state(&saved).unwrap();
    assert_eq!(bits(other.step(&[0.3, 0.2, 0.1]).unwrap()), next);
    other.reset();
    assert_eq!(other.state(), [0.0; 11]);

    let sample = Error::Length { what: "sample", expected: 3, found: 2 };
    assert_eq!(stream.step(&[1.0, 2.0]), Err(sample));
    assert_helpful(&sample);
    let state = Error::Length { what: "state", expected: 11, found: 12 };
    assert_eq!(stream.set_state(&[0.0; 12]), Err(state));
    assert_eq!(bits(stream.step(&[0.5; 3]).unwrap()), bits(clone.step(&[0.5; 3]).unwrap()));
}

#[test]
fn a_run_has_the_bits_of_its_steps_and_wrong_lengths_are_named() {
    let blob = blob();
    let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
    let samples: Vec<f32> = (0..5 * 3).map(|k| (k % 7) as f32 * 0.4 - 1.0).collect();
    let mut outputs = [0.0; 5 * 9];
    let mut stream = model.stream::<CAP>().unwrap();
    stream.run(&samples[..6], &mut outputs[..18]).unwrap();
    stream.run(&samples[6..], &mut outputs[18..]).unwrap();
    let mut steps = model.heap_stream();
    for (x, y) in samples.chunks(3).zip(outputs.chunks(9)) {
        assert_eq!(bits(steps.step(x).unwrap()), bits(y));
    }

    let before = bits(stream.state());
    let part_of_a_step = Error::Length { what: "samples of `run`", expected: 12, found: 14 };
    assert_eq!(stream.run(&samples[..14], &mut outputs[..36]), Err(part_of_a_step));
    for found in [35, 44, 46, 54] {
        let other = Error::Length { what: "outputs of `run`", expected: 45, found };
        assert_eq!(stream.run(&samples, &mut vec![0.0; found]), Err(other));
    }
    assert_eq!(bits(stream.state()), before);
    assert_eq!(stream.run(&[], &mut []), Ok(()));
}

#[test]
fn a_raw_step_is_a_step_without_normalisation() {
    let specs = [plain_gru(3, 5, Reset::Before), plain_gru(5, 6, Reset::After), dense(6, 9, Activation::Softmax)];
    let mut net = Net::random(&specs, &mut Random(1));
    (net.mean, net.scale) = (vec![0.5, -1.0, 2.0], vec![2.0, 0.25, 1.0]);
    (net.output_scale, net.output_offset) = (vec![1.0; 9], vec![0.0; 9]);
    let blob = net.blob();
    let model = AnyModel::<Exact>::from_blob(&blob).unwrap();
    let (mut raw, mut real) = (model.stream::<CAP>().unwrap(), model.stream::<CAP>().unwrap());
    // What `(x - mean)·scale` is exactly.
    for (x, sample) in [([1.0, -0.25, 0.5], [1.0, -2.0, 2.5]), ([0.0, 2.0, -4.0], [0.5, 7.0, -2.0])] {
        let expected = bits(real.step(&sample).unwrap());
        assert_eq!(bits(raw.step_raw(&x).unwrap()), expected);
    }
    // NaN counts as 0 where a step takes it as the mean.
    let expected = bits(real.step(&[f32::NAN, 7.0, 2.5]).unwrap());
    assert_eq!(bits(raw.step_raw(&[f32::NAN, 2.0, 0.5]).unwrap()), expected);
    let length = Error::Length { what: "sample", expected: 3, found: 2 };
    assert_eq!(raw.step_raw(&[0.0; 2]), Err(length));
}
