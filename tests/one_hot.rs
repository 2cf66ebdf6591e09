//! Layers that take one-hot vectors as tokens, against the same layers that are given the vectors themselves.
#![cfg(feature = "alloc")]

mod common;

use std::path::Path;

use common::{Net, Random, TOKENS_OF_SEVEN, assert_helpful, bits, dense, embedding, one_hot, plain_gru};
use grulet::blob::{AlignedBytes, Contents, Range, WriteError, write, write_int8};
use grulet::spec::{Activation, Candidate, Decoding, Gate, LayerSpec, Merge, Output, Reset};
use grulet::*;

/// An odd number, so that a pair of operands is not full.
const TOKENS: u16 = 7;

fn vector(token: usize, of: u16) -> Vec<f32> {
    (0..usize::from(of)).map(|i| f32::from(u8::from(i == token))).collect()
}

fn bidirectional(inputs: u16, hidden: u16, reset: Reset) -> LayerSpec {
    let (gate, candidate, merge) = (Gate::Sigmoid, Candidate::Tanh, Merge::Concat);
    LayerSpec::Bidirectional { inputs, hidden, reset, gate, candidate, merge }
}

/// Random weights of a one-hot layer of so many tokens before `rest`.
fn net(tokens: u16, rest: &[LayerSpec], seed: u64) -> Net {
    let specs: Vec<_> = [one_hot(tokens)].iter().chain(rest).copied().collect();
    let mut net = Net::random(&specs, &mut Random(seed));
    net.golden = vec![0.0, 5.0, 2.0, 6.0];
    net
}

/// The same network, which takes vectors.
fn of_vectors(net: &Net) -> Net {
    let layers = net.layers[1..].to_vec();
    let (inputs, golden) = (layers[0].spec.inputs(), Vec::new());
    Net { layers, mean: vec![0.0; inputs], scale: vec![1.0; inputs], golden, ..net.clone() }
}

fn with_contents<T>(net: &Net, output: Output, f: impl FnOnce(&Contents<'_>) -> T) -> T {
    net.with_contents(Header { output, ..net.header() }, f)
}

/// In integers: vectors whose 1 has the largest unit, and outputs that need calibration within ±2.
fn int8(net: &Net) -> AlignedBytes {
    let ranges = vec![Range { input: 1.0, output: 2.0 }; net.layers.len()];
    with_contents(net, Output::EveryStep, |contents| write_int8(contents, &ranges).unwrap())
}

/// One run over tokens has the bits of the run over their vectors, at run time and with the types `N`.
fn assert_same<N: Network>(net: &Net, blob: fn(&Net) -> AlignedBytes)
where
    N::Input: layer::Frame<N::Format, Real = [f32; 1]>,
{
    let (tokens, vectors) = (blob(net), blob(&of_vectors(net)));
    let (model, typed) = (AnyModel::<N::Format>::from_blob(&tokens).unwrap(), Model::<N>::from_blob(&tokens).unwrap());
    typed.self_test().unwrap();
    model.self_test_on_heap().unwrap();
    let vectors = AnyModel::<N::Format>::from_blob(&vectors).unwrap();
    assert!(model.capacity() <= vectors.capacity());
    let (mut stream, mut typed, mut expected) = (model.heap_stream(), typed.stream(), vectors.heap_stream());
    let of = net.layers[1].spec.inputs() as u16;
    for (sample, token) in TOKENS_OF_SEVEN {
        if sample.abs() > 6.0 && of > TOKENS {
            continue;
        }
        let expected = bits(expected.step(&vector(token, of)).unwrap());
        assert_eq!(bits(stream.step(&[sample]).unwrap()), expected, "{sample}");
        assert_eq!(bits(typed.step(&[sample]).as_ref()), expected, "{sample}");
    }
}

type Plain<F = Exact> = (OneHot<Gru<7, 21, F>>, Dense<21, 3, Softmax, F>);
type After<F = Exact> = (OneHot<Gru<7, 21, F, ResetAfter>>, Gru<21, 5, F, ResetAfter>, Dense<5, 3, Softmax, F>);
type Alone<F = Exact> = (OneHot<Dense<7, 21, Tanh, F>>, Gru<21, 5, F>);

fn nets(seed: u64) -> [Net; 3] {
    let softmax = |inputs| dense(inputs, 3, Activation::Softmax);
    [
        net(TOKENS, &[plain_gru(7, 21, Reset::Before), softmax(21)], seed),
        net(TOKENS, &[plain_gru(7, 21, Reset::After), plain_gru(21, 5, Reset::After), softmax(5)], seed),
        net(TOKENS, &[dense(7, 21, Activation::Tanh), plain_gru(21, 5, Reset::Before)], seed),
    ]
}

#[test]
fn a_token_is_its_vector_in_every_format() {
    for seed in 0..10 {
        let [plain, after, alone] = nets(seed);
        assert_same::<Plain>(&plain, Net::blob);
        assert_same::<After>(&after, Net::blob);
        assert_same::<Alone>(&alone, Net::blob);
        assert_same::<Plain<Fast>>(&plain, Net::blob);
        assert_same::<Plain<Int8>>(&plain, int8);
        assert_same::<After<Int8>>(&after, int8);
        assert_same::<Alone<Int8>>(&alone, int8);
    }
}

/// A one-hot layer's vectors do not add up, and neither do its multiplications.
#[test]
fn many_tokens_cost_no_more_and_do_not_overflow() {
    let mut net = net(900, &[plain_gru(900, 4, Reset::Before)], 1);
    assert_same::<(OneHot<Gru<900, 4, Int8>>,)>(&net, int8);
    // All of one size, so that each row is 900 times ±127.
    net.layers[1].kernel.iter_mut().for_each(|weight| *weight = weight.signum());
    let (ranges, blob) = ([Range { input: 1.0, output: 2.0 }; 2], int8(&net));
    let model = AnyModel::<Int8>::from_blob(&blob).unwrap();
    assert_eq!(model.header().macs(), 3 * 4 * 4);
    assert!(model.capacity() < 50, "{}: no vector is ever made", model.capacity());
    let vectors = with_contents(&of_vectors(&net), Output::EveryStep, |contents| write_int8(contents, &ranges[1..]));
    assert!(matches!(vectors, Err(WriteError::Overflow { layer: 0, .. })), "{vectors:?}");

    let many =
        with_contents(&self::net(32_769, &[dense(32_769, 1, Activation::Tanh)], 1), Output::EveryStep, |contents| {
            write_int8(contents, &ranges)
        });
    assert_eq!(many.err(), Some(WriteError::Vocabulary { layer: 0, found: 32_769 }));
}

#[test]
fn both_directions_take_tokens() {
    type Both<F> = (OneHot<Bidirectional<7, 5, 10, Concat, F, ResetAfter>>, Dense<10, 3, Softmax, F>);
    fn assert_both<F: Format>(net: &Net, blob: fn(&Net) -> AlignedBytes)
    where
        Both<F>: WindowNetwork<Format = F>,
        <Both<F> as WindowNetwork>::Input: layer::Frame<F, Real = [f32; 1]>,
    {
        let (tokens, vectors) = (blob(net), blob(&of_vectors(net)));
        let (model, vectors) =
            (AnyModel::<F>::from_blob(&tokens).unwrap(), AnyModel::<F>::from_blob(&vectors).unwrap());
        let mut typed = Model::<Both<F>>::from_blob(&tokens).unwrap().window::<12>().unwrap();
        model.self_test_on_heap().unwrap();
        let (mut window, mut expected) = (model.heap_window(12), vectors.heap_window(12));
        for (sample, token) in TOKENS_OF_SEVEN {
            typed.push(&[sample]).unwrap();
            window.push(&[sample]).unwrap();
            expected.push(&vector(token, TOKENS)).unwrap();
        }
        let expected = bits(expected.finish().unwrap());
        assert_eq!(bits(window.finish().unwrap()), expected);
        let found: Vec<f32> = typed.finish().flat_map(|y| y.as_ref().to_vec()).collect();
        assert_eq!(bits(&found), expected);
    }
    let net = net(TOKENS, &[bidirectional(7, 5, Reset::After), dense(10, 3, Activation::Softmax)], 5);
    for output in [Output::EveryStep, Output::LastStep] {
        let blob = match output {
            Output::EveryStep => |net: &Net| with_contents(net, Output::EveryStep, |c| write(c).unwrap()),
            _ => |net: &Net| with_contents(net, Output::LastStep, |c| write(c).unwrap()),
        };
        assert_both::<Exact>(&net, blob);
    }
    assert_both::<Int8>(&net, int8);
}

#[test]
fn a_window_without_a_state_gives_the_last_step() {
    let net = net(TOKENS, &[dense(7, 4, Activation::Linear)], 6);
    let blob = with_contents(&net, Output::LastStep, |contents| write(contents).unwrap());
    let model = Model::<(OneHot<Dense<7, 4>>,)>::from_blob(&blob).unwrap();
    let (mut window, any) = (model.window::<3>().unwrap(), AnyModel::<Exact>::from_blob(&blob).unwrap());
    let mut any = any.heap_window(3);
    for token in [1.0, 2.0, 5.0] {
        window.push(&[token]).unwrap();
        any.push(&[token]).unwrap();
    }
    let expected = bits(&model.stream().step(&[5.0]));
    assert_eq!(bits(&window.finish().flatten().collect::<Vec<_>>()), expected);
    assert_eq!(bits(any.finish().unwrap()), expected);
}

#[test]
fn an_encoder_decoder_takes_tokens() {
    type Encoder = (OneHot<Gru<7, 6, Exact, ResetAfter>>,);
    type Decoder = (OneHot<Gru<5, 6>>, Dense<6, 5, Softmax>);
    let decoding = Decoding { encoder: 2, start: 3, stop: 4, longest: 9 };
    let specs = [
        one_hot(7),
        plain_gru(7, 6, Reset::After),
        one_hot(5),
        plain_gru(5, 6, Reset::Before),
        dense(6, 5, Activation::Softmax),
    ];
    let mut net = Net::random(&specs, &mut Random(8));
    (net.output_scale, net.output_offset) = (vec![1.0; 5], vec![0.0; 5]);
    net.golden = vec![6.0, 0.0, 3.0];
    let blob = with_contents(&net, Output::Sequence(decoding), |contents| write(contents).unwrap());
    let (model, any) =
        (Seq2Seq::<Encoder, Decoder>::from_blob(&blob).unwrap(), AnySeq2Seq::<Exact>::from_blob(&blob).unwrap());
    model.self_test().unwrap();
    any.self_test_on_heap().unwrap();

    // Wired by hand, with vectors: the same weights.
    let parsed = Blob::parse(blob.as_ref()).unwrap();
    let (mut encoder, mut of_any, mut h) = (model.encoder(), any.heap_encoder(), [0.0; 6]);
    for token in [6, 0, 3, 3] {
        encoder.step(&[token as f32]);
        of_any.step(&[token as f32]).unwrap();
        let x = vector(token, 7).try_into().unwrap();
        parsed.layer::<Gru<7, 6, Exact, ResetAfter>>(1).unwrap().step(&mut h, &x);
    }
    let (mut decoder, mut of_any) = (encoder.decoder(), any.heap_decoder(&of_any).unwrap());
    for token in [3u16, 0, 2, 4] {
        let x = vector(token.into(), 5).try_into().unwrap();
        let y = parsed.layer::<Gru<5, 6>>(3).unwrap().step(&mut h, &x);
        let expected = bits(&parsed.layer::<Dense<6, 5, Softmax>>(4).unwrap().step(&mut (), &y));
        assert_eq!(bits(&decoder.step(token)), expected);
        assert_eq!(bits(of_any.step(token).unwrap()), expected);
    }
}

#[test]
fn wired_by_hand_any_gru_takes_tokens() {
    let net = Net::random(&[plain_gru(7, 6, Reset::Before)], &mut Random(9));
    let blob = net.blob();
    let blob = Blob::parse(blob.as_ref()).unwrap();
    let (mut found, mut expected) = ([0.1; 6], [0.1; 6]);
    for token in [4, 1, 6] {
        blob.layer::<OneHot<Gru<7, 6>>>(0).unwrap().step(&mut found, &[token as f32]);
        blob.layer::<Gru<7, 6>>(0).unwrap().step(&mut expected, &vector(token, 7).try_into().unwrap());
        assert_eq!(bits(&found), bits(&expected));
    }
}

#[test]
fn only_a_layer_with_a_kernel_takes_it() {
    let gru = plain_gru(7, 6, Reset::Before);
    for specs in [
        vec![one_hot(7)],
        vec![one_hot(1), embedding(3, 4)],
        vec![one_hot(7), common::pool(7, grulet::spec::Pooling::Mean)],
        vec![one_hot(1), one_hot(7), gru],
        vec![dense(3, 1, Activation::Linear), one_hot(7), gru],
    ] {
        let mut net = Net::random(&specs, &mut Random(1));
        net.golden.clear();
        let error = AnyModel::<Exact>::from_blob(&net.blob()).unwrap_err();
        assert_helpful(&error);
        assert!(error.to_string().contains("one-hot layer"), "{specs:?}: {error}");
    }
    // One that does not fit is no chain, as everywhere.
    let mut net = Net::random(&[one_hot(8), gru], &mut Random(1));
    net.golden.clear();
    let error = AnyModel::<Exact>::from_blob(&net.blob()).unwrap_err();
    assert!(matches!(error, Error::NotAChain { layer: 1, expected: 8, found: 7 }), "{error}");
    // Nor is it the same network as one that takes vectors.
    let blob = nets(1)[0].blob();
    let error = Model::<(Gru<7, 21>, Dense<21, 3, Softmax>)>::from_blob(&blob).unwrap_err();
    assert_helpful(&error);
    assert!(error.to_string().contains("OneHot of 7"), "{error}");
}

/// The models that `firmware-example/src/bin/one_hot.rs` runs on every core.
#[test]
fn the_firmwares_models_are_these() {
    let [net, ..] = nets(3);
    for (name, blob) in [("one_hot.gru", net.blob()), ("one_hot_int8.gru", int8(&net))] {
        let path = Path::new("tests/models").join(name);
        if std::env::var_os("GRULET_OVERWRITE").is_some() {
            std::fs::write(&path, &blob).unwrap();
        }
        let file = std::fs::read(&path).unwrap();
        assert!(file == blob.as_ref(), "{name} is another; GRULET_OVERWRITE=1 renews it");
    }
}
