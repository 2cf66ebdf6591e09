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
