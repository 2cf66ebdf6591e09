//! The layer that takes tokens, against the network behind it that is given the vectors themselves.
#![cfg(feature = "alloc")]

mod common;

use std::path::Path;

use common::{Net, Random, TOKENS_OF_SEVEN, assert_helpful, bits, dense, embedding, plain_gru};
use grulet::blob::{Contents, LayerWeights, Range, WriteError, write, write_int8};
use grulet::spec::{Activation, Reset};
use grulet::*;

type Typed = (Embedding<7, 5>, Gru<5, 6>, Dense<6, 3, Softmax>);

fn net() -> Net {
    let specs = [embedding(7, 5), plain_gru(5, 6, Reset::Before), dense(6, 3, Activation::Softmax)];
    let mut net = Net::random(&specs, &mut Random(3));
    net.golden = vec![0.0, 5.0, 2.0, 6.0];
    net
}

#[test]
fn a_token_is_its_vector() {
    let net = net();
    let mut behind = Net { layers: net.layers[1..].to_vec(), ..net.clone() };
    (behind.mean, behind.scale, behind.golden) = (vec![0.0; 5], vec![1.0; 5], Vec::new());
    let (blob, behind) = (net.blob(), behind.blob());
    let (model, typed) = (AnyModel::<Exact>::from_blob(&blob).unwrap(), Model::<Typed>::from_blob(&blob).unwrap());
    typed.self_test().unwrap();
    model.self_test::<64>().unwrap();
    let behind = AnyModel::<Exact>::from_blob(&behind).unwrap();
    let (mut stream, mut typed, mut behind) = (model.heap_stream(), typed.stream(), behind.heap_stream());
    for (sample, token) in TOKENS_OF_SEVEN {
        let expected = bits(behind.step(&net.layers[0].kernel[token * 5..][..5]).unwrap());
        assert_eq!(bits(stream.step(&[sample]).unwrap()), expected, "{sample}");
        assert_eq!(bits(&typed.step(&[sample])), expected, "{sample}");
    }
}

#[test]
fn in_integers_a_vector_is_within_half_a_step() {
    let spec = embedding(7, 5);
    let net = Net::random(&[spec], &mut Random(4));
    let table = &net.layers[0].kernel;
    let range = table.iter().fold(0f32, |max, w| max.max(w.abs()));
    let contents = Contents {
        header: net.header(),
        layers: &[LayerWeights { kernel: table, recurrent: &[], bias: &[] }],
        mean: &[],
        scale: &[],
        output_scale: &[],
        output_offset: &[],
        golden: &[1.0, 2.0],
    };
    let blob = write_int8(&contents, &[Range { input: 0.0, output: range }]).unwrap();
    let typed = Model::<(Embedding<7, 5, Int8>,)>::from_blob(&blob).unwrap();
    typed.self_test().unwrap();
    let model = AnyModel::<Int8>::from_blob(&blob).unwrap();
    let (mut typed, mut any) = (typed.stream(), model.heap_stream());
    for (sample, token) in TOKENS_OF_SEVEN {
        let found = typed.step(&[sample]);
        assert_eq!(bits(any.step(&[sample]).unwrap()), bits(&found));
        for (found, expected) in found.iter().zip(&table[token * 5..]) {
            assert!((found - expected).abs() <= 0.501 * range / 127.0, "{sample}: {found} for {expected}");
        }
        if sample.is_finite() && sample.abs() < 1e4 {
            assert_eq!(typed.step_raw(&[sample.round() as i16]), typed.step_raw(&[token as i16]));
        }
    }

    let many = write_int8(
        &Contents {
            header: common::header(&[embedding(32_769, 1)]),
            layers: &[LayerWeights { kernel: &vec![1.0; 32_769], recurrent: &[], bias: &[] }],
            golden: &[],
            ..contents
        },
        &[Range { input: 0.0, output: 1.0 }],
    );
    assert_eq!(many.err(), Some(WriteError::Vocabulary { layer: 0, found: 32_769 }));
}

#[test]
fn another_vocabulary_is_another_network() {
    let blob = net().blob();
    let error = Model::<(Embedding<8, 5>, Gru<5, 6>, Dense<6, 3, Softmax>)>::from_blob(&blob).unwrap_err();
    assert_helpful(&error);
    let text = error.to_string();
    assert!(text.contains("Embedding<8, 5>") && text.contains("Embedding<7, 5>"), "{text}");
}

/// The models that `firmware-example/src/bin/tokens.rs` runs on every core.
#[test]
fn the_firmwares_models_are_these() {
    let net = net();
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
    let int8 = write_int8(&contents, &[Range { input: 0.0, output: 1.0 }; 3]).unwrap();
    for (name, blob) in [("tokens.gru", write(&contents).unwrap()), ("tokens_int8.gru", int8)] {
        let path = Path::new("tests/models").join(name);
        if std::env::var_os("GRULET_OVERWRITE").is_some() {
            std::fs::write(&path, &blob).unwrap();
        }
        let file = std::fs::read(&path).unwrap();
        assert!(file == blob.as_ref(), "{name} is another; GRULET_OVERWRITE=1 renews it");
    }
}
