//! Encoder-decoders: the typed one, the one at run time and layers wired by hand have the same bits; nothing breaks the loader.
#![cfg(feature = "alloc")]

mod common;

use common::{Net, Random, assert_helpful, bits, dense, embedding, plain_gru};
use grulet::blob::{AlignedBytes, CHECKSUM, PREAMBLE, Range, checksum, write, write_int8};
use grulet::spec::{Activation, Decoding, LayerSpec, Output, Reset};
use grulet::*;

const DECODING: Decoding = Decoding { encoder: 3, start: 5, stop: 6, longest: 9 };

type Encoder<F> = (Embedding<8, 3, F>, Gru<3, 6, F>, Gru<6, 5, F, ResetAfter>);
type Decoder<F> = (Embedding<7, 4, F>, Gru<4, 6, F>, Gru<6, 5, F, ResetAfter>, Dense<5, 7, Softmax, F>);
type Pair<'a, F = Exact> = Seq2Seq<'a, Encoder<F>, Decoder<F>>;

const SOURCE: [u16; 5] = [7, 0, 3, 3, 6];

fn specs() -> [LayerSpec; 7] {
    [
        embedding(8, 3),
        plain_gru(3, 6, Reset::Before),
        plain_gru(6, 5, Reset::After),
        embedding(7, 4),
        plain_gru(4, 6, Reset::Before),
        plain_gru(6, 5, Reset::After),
        dense(5, 7, Activation::Softmax),
    ]
}

fn net(seed: u64) -> Net {
    let mut net = Net::random(&specs(), &mut Random(seed));
    (net.output_scale, net.output_offset) = (vec![1.0; 7], vec![0.0; 7]);
    net.golden = SOURCE.map(f32::from).to_vec();
    net
}

fn header(decoding: Decoding) -> Header<'static> {
    Header { output: Output::Sequence(decoding), ..common::header(&specs()) }
}

fn f32_blob(seed: u64) -> AlignedBytes {
    net(seed).with_contents(header(DECODING), |contents| write(contents).unwrap())
}

fn int8_blob(seed: u64) -> AlignedBytes {
    let net = net(seed);
    let range = |layer: &common::Layer| layer.kernel.iter().fold(0f32, |max, w| max.max(w.abs()));
    let ranges: Vec<Range> = net.layers.iter().map(|layer| Range { input: 1.0, output: range(layer) }).collect();
    net.with_contents(header(DECODING), |contents| write_int8(contents, &ranges).unwrap())
}

/// Scores of each step of greedy decoding with layers wired by hand, and the tokens.
fn by_hand<F: Format>(
    blob: &AlignedBytes,
    token: impl Fn(u16) -> F::Unit,
    real: impl Fn(F::Unit) -> f32,
) -> (Vec<u32>, Vec<u16>)
where
    Gru<3, 6, F>: Layer<Format = F, Input = [F::Unit; 3], Output = [F::Unit; 6], State = [F::Unit; 6]>,
    Gru<6, 5, F, ResetAfter>: Layer<Format = F, Input = [F::Unit; 6], Output = [F::Unit; 5], State = [F::Unit; 5]>,
    Gru<4, 6, F>: Layer<Format = F, Input = [F::Unit; 4], Output = [F::Unit; 6], State = [F::Unit; 6]>,
    Embedding<8, 3, F>: Layer<Format = F, Input = [F::Unit; 1], Output = [F::Unit; 3], State = ()>,
    Embedding<7, 4, F>: Layer<Format = F, Input = [F::Unit; 1], Output = [F::Unit; 4], State = ()>,
    Dense<5, 7, Softmax, F>: Layer<Format = F, Input = [F::Unit; 5], Output = [F::Unit; 7], State = ()>,
{
    let blob = Blob::parse(blob.as_ref()).unwrap();
    let (mut a, mut b) = ([F::Unit::default(); 6], [F::Unit::default(); 5]);
    for source in SOURCE {
        let x = blob.layer::<Embedding<8, 3, F>>(0).unwrap().step(&mut (), &[token(source)]);
        let x = blob.layer::<Gru<3, 6, F>>(1).unwrap().step(&mut a, &x);
        blob.layer::<Gru<6, 5, F, ResetAfter>>(2).unwrap().step(&mut b, &x);
    }
    let (mut next, mut scores, mut tokens) = (DECODING.start, Vec::new(), Vec::new());
    while tokens.len() <= DECODING.longest.into() {
        let x = blob.layer::<Embedding<7, 4, F>>(3).unwrap().step(&mut (), &[token(next)]);
        let x = blob.layer::<Gru<4, 6, F>>(4).unwrap().step(&mut a, &x);
        let x = blob.layer::<Gru<6, 5, F, ResetAfter>>(5).unwrap().step(&mut b, &x);
        let y = blob.layer::<Dense<5, 7, Softmax, F>>(6).unwrap().step(&mut (), &x).map(&real);
        scores.extend(bits(&y));
        next = (0..7u16).fold(0, |best, token| if y[usize::from(token)] > y[usize::from(best)] { token } else { best });
        if next == DECODING.stop {
            break;
        }
        tokens.push(next);
    }
    tokens.truncate(DECODING.longest.into());
    (scores, tokens)
}

/// What the model at run time decodes.
fn at_run_time<F: Format>(blob: &AlignedBytes) -> Vec<u16> {
    let model = AnySeq2Seq::<F>::from_blob(blob).unwrap();
    model.self_test_on_heap().unwrap();
    model.self_test::<64>().unwrap();
    let mut encoder = model.encoder::<64>().unwrap();
    for token in SOURCE {
        encoder.step(&[token.into()]).unwrap();
    }
    let mut decoder = model.decoder::<64>(&encoder).unwrap();
    std::iter::from_fn(|| decoder.next_token().unwrap()).collect()
}

#[test]
fn all_ways_to_run_it_have_the_same_bits() {
    let (mut stopped, mut cut) = (0, 0);
    for seed in 0..30 {
        let (float, int8) = (f32_blob(seed), int8_blob(seed));
        let pair = Pair::<Exact>::from_blob(&float).unwrap();
        pair.self_test().unwrap();
        let mut encoder = pair.encoder();
        SOURCE.iter().for_each(|&token| encoder.step(&[token.into()]));
        let mut decoder = encoder.decoder();
        let tokens: Vec<u16> = decoder.by_ref().collect();
        assert_eq!(decoder.next(), None, "nothing comes after the end");
        (stopped, cut) = (stopped + usize::from(decoder.has_stopped()), cut + usize::from(!decoder.has_stopped()));

        let (scores, expected) = by_hand::<Exact>(&float, f32::from, |y| y);
        assert_eq!(tokens, expected, "{seed}");
        assert_eq!(at_run_time::<Exact>(&float), expected, "{seed}");
        let mut decoder = encoder.decoder();
        let mut found = Vec::new();
        for token in std::iter::once(DECODING.start).chain(expected.iter().copied()) {
            found.extend(bits(&decoder.step(token)));
        }
        assert_eq!(found, scores, "{seed}");
        let room: heapless::Vec<u16, 2> = encoder.decoder().decode();
        assert_eq!(room, expected[..expected.len().min(2)]);

        let pair = Pair::<Int8>::from_blob(&int8).unwrap();
        pair.self_test().unwrap();
        let mut encoder = pair.encoder();
        encoder.step(&[3.0]);
        encoder.reset();
        SOURCE.iter().for_each(|&token| encoder.step(&[token.into()]));
        let (_, expected) = by_hand::<Int8>(&int8, |token| token as i16, |y| f32::from(y) / 32_768.0);
        assert_eq!(encoder.decoder().collect::<Vec<_>>(), expected, "{seed}");
        assert_eq!(at_run_time::<Int8>(&int8), expected, "{seed}");
    }
    assert!(stopped > 3 && cut > 3, "{stopped} sequences end by themselves, {cut} are cut");
}

/// With room for the longest sequence, one that just fills it is known to be whole, or to be cut.
#[test]
fn a_sequence_that_fills_its_room_is_known_to_be_whole() {
    let (mut whole, mut cut) = (0, 0);
    for seed in 0..60 {
        let decoding = Decoding { longest: 2, ..DECODING };
        let blob = net(seed).with_contents(header(decoding), |contents| write(contents).unwrap());
        let pair = Pair::<Exact>::from_blob(&blob).unwrap();
        let mut encoder = pair.encoder();
        SOURCE.iter().for_each(|&token| encoder.step(&[token.into()]));
        let (mut one_by_one, mut at_once) = (encoder.decoder(), encoder.decoder());
        let tokens: Vec<u16> = one_by_one.by_ref().collect();
        assert_eq!(at_once.decode::<2>()[..], tokens);
        assert_eq!(at_once.has_stopped(), one_by_one.has_stopped(), "{seed}");
        let full = usize::from(tokens.len() == 2);
        if one_by_one.has_stopped() { whole += full } else { cut += full }
    }
    assert!(whole > 1 && cut > 1, "{whole} full ones are whole, {cut} are cut");
}

#[test]
fn a_capacity_that_is_too_small_is_named() {
    let blob = f32_blob(1);
    let model = AnySeq2Seq::<Exact>::from_blob(&blob).unwrap();
    let needed = model.capacity();
    let error = model.encoder::<8>().unwrap_err();
    assert!(matches!(error, Error::Capacity { needed: n, found: 8 } if n <= needed), "{error}");
    let encoder = model.encoder::<128>().unwrap();
    assert!(
        matches!(model.decoder::<8>(&encoder).unwrap_err(), Error::Capacity { needed: n, found: 8 } if n <= needed)
    );
}

#[test]
fn another_model_is_an_error_that_says_what_to_load_it_as() {
    let float = f32_blob(1);
    assert_eq!(AnyModel::<Exact>::from_blob(&float).err(), Some(Error::Sequence { expected: false }));
    assert!(matches!(Pair::<Int8>::from_blob(&float), Err(Error::Storage { .. })));
    let chain = Net::random(&[embedding(8, 3), plain_gru(3, 6, Reset::Before)], &mut Random(1)).blob();
    assert_eq!(AnySeq2Seq::<Exact>::from_blob(&chain).err(), Some(Error::Sequence { expected: true }));
    assert_eq!(Pair::<Exact>::from_blob(&chain).err(), Some(Error::Sequence { expected: true }));
    type Other<'a> =
        Seq2Seq<'a, Encoder<Exact>, (Embedding<7, 4>, Gru<4, 6>, Gru<6, 5, Exact, ResetAfter>, Dense<5, 7>)>;
    assert!(matches!(Other::from_blob(&float), Err(Error::Layer { layer: 6, .. })));
    type Earlier<'a> = Seq2Seq<'a, (Embedding<8, 3>, Gru<3, 6>), (Embedding<7, 4>, Gru<4, 6>, Dense<6, 7, Softmax>)>;
    assert_eq!(
        Earlier::from_blob(&float).err(),
        Some(Error::Length { what: "layers of the encoder", expected: 2, found: 3 })
    );
    for error in [Error::Sequence { expected: true }, Error::Sequence { expected: false }] {
        assert_helpful(&error);
    }
}

#[test]
fn what_does_not_fit_together_cannot_be_loaded() {
    for wrong in [
        Decoding { start: 7, ..DECODING },
        Decoding { stop: 7, ..DECODING },
        Decoding { encoder: 2, ..DECODING },
        Decoding { encoder: 0, ..DECODING },
        Decoding { encoder: 7, ..DECODING },
        Decoding { encoder: 200, ..DECODING },
    ] {
        let blob = net(1).with_contents(header(wrong), write);
        if let Ok(blob) = blob {
            let error = AnySeq2Seq::<Exact>::from_blob(&blob).err().unwrap_or_else(|| panic!("{wrong:?} is loaded"));
            assert_helpful(&error);
            assert!(Pair::<Exact>::from_blob(&blob).is_err());
        }
    }
}

/// Whatever is let in runs and stays finite.
fn load(bytes: &AlignedBytes) {
    if let Ok(pair) = Pair::<Exact>::from_blob(bytes) {
        let mut encoder = pair.encoder();
        for x in [0.0, f32::NAN, f32::INFINITY, -3e38, 6.0] {
            encoder.step(&[x]);
        }
        assert!(encoder.decoder().take(100).count() <= usize::from(pair.decoding().longest));
        assert!(encoder.decoder().step(u16::MAX).iter().all(|y| y.is_finite()));
        _ = pair.self_test();
    }
    if let Ok(model) = AnySeq2Seq::<Exact>::from_blob(bytes) {
        // A hostile length of the longest sequence is as long as it says.
        if model.decoding().longest < 1000 {
            _ = model.self_test_on_heap();
        }
        let mut encoder = model.heap_encoder();
        encoder.step(&vec![f32::NAN; model.header().inputs()]).unwrap();
        let mut decoder = model.heap_decoder(&encoder).unwrap();
        assert!(decoder.step(u16::MAX).unwrap().iter().all(|y| y.is_finite()));
    }
}

#[test]
fn no_change_of_a_byte_breaks_the_loader() {
    let good = f32_blob(2);
    let end = good.as_ref().len() - CHECKSUM;
    let header = PREAMBLE + u32::from_le_bytes(good.as_ref()[12..16].try_into().unwrap()) as usize;
    for at in 0..header {
        for value in [0, 1, 2, 3, 7, 0x7f, 0x80, 0xff] {
            let mut bytes = good.as_ref().to_vec();
            bytes[at] = value;
            // With everything made right that a writer would make right.
            for _ in 0..2 {
                let sum = checksum(&bytes[..end]);
                bytes[end..].copy_from_slice(&sum.to_le_bytes());
                load(&AlignedBytes::new(&bytes));
                if let Ok((header, _)) = postcard::take_from_bytes::<Header<'_>>(&bytes[PREAMBLE..]) {
                    let print = header.fingerprint();
                    bytes[16..24].copy_from_slice(&print.to_le_bytes());
                }
            }
        }
    }
    for length in 0..good.as_ref().len() {
        assert!(Pair::<Exact>::from_blob(&AlignedBytes::new(&good.as_ref()[..length])).is_err());
    }
}

/// What the boards print, by the same models on the host.
fn answers<F: Format>(name: &str, file: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(file);
    let blob = AlignedBytes::new(&std::fs::read(path).unwrap());
    let model = AnySeq2Seq::<F>::from_blob(&blob).unwrap();
    model.self_test_on_heap().unwrap();
    let names: Vec<&str> = model.header().outputs.iter().collect();
    let answer = |question: &str| {
        let mut encoder = model.heap_encoder();
        for character in question.chars() {
            let token = names.iter().position(|name| *name == character.to_string()).unwrap();
            encoder.step(&[token as f32]).unwrap();
        }
        let mut decoder = model.heap_decoder(&encoder).unwrap();
        let tokens = std::iter::from_fn(|| decoder.next_token().unwrap());
        let text: String = tokens.map(|token| names[usize::from(token)]).collect();
        format!("{name}: {question} = {text}\n")
    };
    ["76+941", "0+7", "999+999", "508+493"].map(answer).concat()
}

#[test]
fn the_boards_answer_as_the_host_does() {
    let printed = answers::<Exact>("f32", "addition.gru") + &answers::<Int8>("Int8", "addition_int8.gru");
    assert_eq!(printed, include_str!("../firmware-example/src/bin/addition.out"));
}
