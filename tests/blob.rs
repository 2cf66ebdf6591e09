//! Every wrong blob is a typed error: no panic, no wrong answer.

mod common;

use common::{Net, RESETS, Random, assert_helpful, dense, header, plain_gru};
use grulet::blob::{AlignedBytes, Blob, CHECKSUM, Golden, MAGIC, Names, PREAMBLE, Provenance, VERSION, checksum};
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Output, Reset, fingerprint};
use grulet::{
    Aligned, AnyModel, Dense, Error, Exact, Fast, Gru, HardSigmoid, Header, Model, ResetAfter, Softmax, WindowNetwork,
    fits,
};
use proptest::prelude::*;

type Typed = (Gru<3, 5>, Gru<5, 4, Exact, ResetAfter>, Dense<4, 2, Softmax>);

/// A small model that uses every part of the format.
fn real() -> AlignedBytes {
    let net = Net::random(Typed::SPECS, &mut Random(1));
    net.blob_with(Header {
        output: Output::LastStep,
        name: "steps or none",
        outputs: Names::new("still\nwalking\n"),
        channels: Names::new("x\ny\nz\n"),
        units: Names::new("m/s²\nm/s²\nm/s²\n"),
        sample_rate: 50.0,
        window: 100,
        horizon: 10,
        provenance: Provenance {
            tool: "a test",
            data: "walks.npz",
            seed: 0x1234_5678_9abc_def0,
            epoch: 300,
            metric: "accuracy",
            value: 0.97,
        },
        ..net.header()
    })
}

/// Where the tensors start.
fn tensors_of(blob: &[u8]) -> usize {
    (PREAMBLE + u32::from_le_bytes(blob[12..16].try_into().unwrap()) as usize).next_multiple_of(16)
}

/// Through all three entrances, which must agree; and if one lets it in, it runs on any samples and stays finite.
fn load(bytes: &[u8]) -> Result<(), Error> {
    let blob = Blob::parse(bytes).map(drop);
    let any = AnyModel::<Exact>::from_blob(bytes);
    let fast = AnyModel::<Fast>::from_blob(bytes).map(drop);
    let typed = Model::<Typed>::from_blob(bytes);
    assert_eq!(format!("{:?}", any.as_ref().map(drop)), format!("{fast:?}"));
    if let Err(error) = &blob {
        let expected = format!("Err({error:?})");
        assert_eq!(format!("{:?}", any.as_ref().map(drop)), expected);
        // A typed model looks at its own storage and layers first, and at names and provenance only when asked.
        match &typed {
            Ok(model) => assert_eq!(format!("{:?}", model.header().map(drop)), expected),
            Err(Error::Storage { .. } | Error::Layer { .. })
                if matches!(error, Error::Header { .. } | Error::Weight { .. }) => {}
            Err(_) => assert_eq!(format!("{:?}", typed.as_ref().map(drop)), expected),
        }
    }
    if let Ok(model) = &typed {
        let mut stream = model.stream();
        for x in [[0.0; 3], [f32::NAN, f32::INFINITY, -3e38], [1.0, -1.0, 0.5]] {
            assert!(stream.step(&x).iter().all(|y| y.is_finite()));
        }
        model.self_test().err().as_ref().map(assert_helpful);
    }
    if let Ok(model) = &any {
        let mut stream = model.heap_stream();
        for value in [0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -1.0, 1e-40] {
            let x = vec![value; model.header().inputs()];
            let y = stream.step(&x).unwrap();
            assert_eq!(y.len(), model.header().outputs());
            assert!(y.iter().all(|y| y.is_finite()), "{value} gives {y:?}");
        }
        assert!(stream.state().iter().all(|h| h.is_finite()));
        model.self_test_on_heap().err().as_ref().map(assert_helpful);
    }
    blob.inspect_err(assert_helpful)
}

/// The bytes with their total length and checksum made right: what is still wrong, the header must show.
fn reseal(mut bytes: Vec<u8>) -> AlignedBytes {
    let end = bytes.len() - CHECKSUM;
    let total = (bytes.len() as u32).to_le_bytes();
    bytes[24..28].copy_from_slice(&total);
    let sum = checksum(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    AlignedBytes::new(&bytes)
}

/// The same with the fingerprint made right too, if the header can be read.
fn reseal_fingerprint(mut bytes: Vec<u8>) -> AlignedBytes {
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let encoded = bytes.get(PREAMBLE..).and_then(|rest| rest.get(..length));
    let print =
        encoded.and_then(|encoded| postcard::from_bytes::<Header>(encoded).ok()).map(|header| header.fingerprint());
    if let Some(print) = print {
        bytes[16..24].copy_from_slice(&print.to_le_bytes());
    }
    reseal(bytes)
}

/// A blob of any header, however wrong, and so many tensor bytes.
fn sealed(header: &Header, tensors: &[u8]) -> AlignedBytes {
    let encoded = postcard::to_allocvec(header).unwrap();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((encoded.len() as u32).to_le_bytes());
    bytes.extend(fingerprint(header.storage, &header.layers).to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(encoded);
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    bytes.extend(tensors);
    bytes.extend([0; CHECKSUM]);
    reseal(bytes)
}

#[test]
fn a_right_blob_is_read() {
    let blob = real();
    assert_eq!(load(blob.as_ref()), Ok(()));
    let model = Model::<Typed>::from_blob(&blob).unwrap();
    assert_eq!(model.self_test(), Ok(()));
    let header = model.header().unwrap();
    assert_eq!(header.name, "steps or none");
    assert_eq!(header.outputs.iter().collect::<Vec<_>>(), ["still", "walking"]);
    assert_eq!((header.units.get(2), header.units.get(3), header.channels.len()), (Some("m/s²"), None, 3));
    assert_eq!((header.sample_rate, header.window, header.horizon, header.output), (50.0, 100, 10, Output::LastStep));
    assert_eq!((header.provenance.seed, header.golden.steps), (0x1234_5678_9abc_def0, 5));
    assert_eq!(header.parameters(), 3 * 5 * 9 + 3 * 4 * 11 + 10);
}

#[test]
fn the_checksum_is_crc_32c() {
    // The check value of CRC-32/ISCSI in the catalogue of parametrised CRC algorithms.
    assert_eq!(checksum(b"123456789"), 0xe306_9283);
}

#[test]
fn every_change_of_one_byte_is_an_error_of_its_kind() {
    let blob = real();
    let right = blob.as_ref();
    let mut changed = right.to_vec();
    for at in 0..right.len() {
        // Every other value before the tensors; behind them each bit, all bits, and the value 0.
        let all = (1..=255u8).map(|change| right[at] ^ change);
        let some = (0..8).map(|bit| right[at] ^ (1 << bit)).chain([!right[at], 0]);
        let values: Vec<u8> = if at < tensors_of(right) { all.collect() } else { some.collect() };
        for value in values.into_iter().filter(|value| *value != right[at]) {
            changed[at] = value;
            let copy = AlignedBytes::new(&changed);
            let error = load(copy.as_ref()).expect_err(&format!("byte {at} as {value:#04x}"));
            let (now, then) = (|from| u32::from_le_bytes(changed[from..from + 4].try_into().unwrap()), right.len());
            match (at, error) {
                (0..8, Error::NotAModel) => (),
                (8..12, Error::Version { found }) => assert_eq!(found, now(8)),
                (24..28, Error::Truncated { expected, found }) => {
                    assert!(expected == now(24) as usize && expected > found && found == then);
                }
                (24..28, Error::TrailingBytes { expected, found }) => {
                    assert!(expected == now(24) as usize && expected < found && found == then);
                }
                (12..24 | 28.., Error::Checksum { stored, computed }) => {
                    assert_eq!((stored, computed), (now(then - 4), checksum(&changed[..then - 4])));
                }
                (at, error) => panic!("byte {at} as {value:#04x}: {error:?}"),
            }
        }
        changed[at] = right[at];
    }
}

#[test]
fn every_truncation_is_named() {
    let blob = real();
    let right = blob.as_ref();
    assert_eq!(load(&[]), Err(Error::NotAModel));
    for length in 1..right.len() {
        let expected = if length < PREAMBLE + CHECKSUM { PREAMBLE + CHECKSUM } else { right.len() };
        assert_eq!(load(&right[..length]), Err(Error::Truncated { expected, found: length }));
    }
}

#[test]
fn trailing_bytes_are_named() {
    let blob = real();
    for more in [1, 4, 15, 16, 1000] {
        let mut bytes = blob.as_ref().to_vec();
        bytes.resize(bytes.len() + more, 0xff);
        let error = Error::TrailingBytes { expected: blob.as_ref().len(), found: bytes.len() };
        assert_eq!(load(AlignedBytes::new(&bytes).as_ref()), Err(error));
    }
}

#[test]
fn every_misalignment_is_named() {
    let blob = real();
    for offset in 1..16 {
        let mut bytes = vec![0; offset];
        bytes.extend(blob.as_ref());
        assert_eq!(load(&AlignedBytes::new(&bytes).as_ref()[offset..]), Err(Error::Misaligned { offset }));
    }
}

#[test]
fn another_network_is_an_error_with_layer_expected_and_found() {
    let blob = real();
    fn error<N: WindowNetwork>(blob: &AlignedBytes) -> Error {
        let error = Model::<N>::from_blob(blob).unwrap_err();
        assert_helpful(&error);
        error
    }
    type L0 = Gru<3, 5>;
    type L1 = Gru<5, 4, Exact, ResetAfter>;
    type L2 = Dense<4, 2, Softmax>;
    let layer = |layer, expected, found| Error::Layer { layer, expected, found };
    let after = |hidden| Some(plain_gru(5, hidden, Reset::After));
    let softmax = Some(dense(4, 2, Activation::Softmax));
    assert_eq!(error::<(L0, L1)>(&blob), layer(2, None, softmax));
    assert_eq!(error::<(L0, L1, L2, Dense<2, 7>)>(&blob), layer(3, Some(dense(2, 7, Activation::Linear)), None));
    assert_eq!(error::<(L0, Gru<5, 6, Exact, ResetAfter>, Dense<6, 2, Softmax>)>(&blob), layer(1, after(6), after(4)));
    assert_eq!(error::<(L0, Gru<5, 4>, L2)>(&blob), layer(1, Some(plain_gru(5, 4, Reset::Before)), after(4)));
    assert_eq!(
        error::<(L0, Gru<5, 4, Exact, ResetAfter, HardSigmoid>, L2)>(&blob),
        layer(1, Some(common::gru(5, 4, Reset::After, Gate::HardSigmoid, Candidate::Tanh)), after(4))
    );
    assert_eq!(error::<(L0, L1, Dense<4, 2>)>(&blob), layer(2, Some(dense(4, 2, Activation::Linear)), softmax));
    let message = error::<(L0, Gru<5, 4>, L2)>(&blob).to_string();
    for part in ["layer 1", "Gru<5, 4> (reset Before", "Gru<5, 4> (reset After", "change the network type or"] {
        assert!(message.contains(part), "{message}");
    }

    let blob = Blob::parse(blob.as_ref()).unwrap();
    assert!(blob.layer::<L1>(1).is_ok());
    assert_eq!(blob.layer::<L1>(0).unwrap_err(), layer(0, after(4), Some(plain_gru(3, 5, Reset::Before))));
    assert_eq!(blob.layer::<L1>(3).unwrap_err(), layer(3, after(4), None));
}

#[test]
fn fits_agrees_with_from_blob() {
    const LENGTH: usize = 1412;
    fn aligned<const N: usize>(bytes: &[u8]) -> Aligned<[u8; N]> {
        Aligned(core::array::from_fn(|i| bytes.get(i).copied().unwrap_or(0)))
    }
    let blob = real();
    assert_eq!(blob.as_ref().len(), LENGTH, "the length has changed: put it into LENGTH");
    let right: Aligned<[u8; LENGTH]> = aligned(blob.as_ref());
    assert!(fits::<Typed>(&right));
    assert!(!fits::<(Gru<3, 5>,)>(&right));
    assert!(!fits::<(Gru<3, 5>, Gru<5, 4>, Dense<4, 2, Softmax>)>(&right));
    assert!(!fits::<Typed>(&aligned::<{ LENGTH + 1 }>(blob.as_ref())));
    assert!(!fits::<Typed>(&aligned::<{ LENGTH - 1 }>(blob.as_ref())));
    assert!(!fits::<Typed>(&aligned::<7>(blob.as_ref())));
    assert!(!fits::<Typed>(&aligned::<0>(blob.as_ref())));
    for at in (0..12).chain(16..28) {
        let mut wrong = right;
        wrong.0[at] ^= 0x40;
        assert!(!fits::<Typed>(&wrong), "byte {at}");
    }
}

#[test]
fn a_header_that_contradicts_itself_is_an_error_that_says_how() {
    let blob = real();
    let with = |at: usize, value: u8| {
        let mut bytes = blob.as_ref().to_vec();
        bytes[at] = value;
        load(reseal(bytes).as_ref())
    };
    let what = |what| Err(Error::Header { what });
    let length = blob.as_ref()[12];
    assert_eq!(with(15, 0xff), what("it is longer than the model"));
    assert_eq!(with(12, length - 1), what("it is not what postcard wrote"));
    assert_eq!(with(12, length + 1), what("it is shorter than its length says"));
    for at in 28..32 {
        assert_eq!(with(at, 1), what("its reserved field is not 0"));
    }
    for at in 16..24 {
        let value = blob.as_ref()[at] ^ 1;
        assert_eq!(with(at, value), what("the fingerprint is not that of its layers"));
    }
    // The header's bytes: storage, layer count, then the first layer's tag.
    assert_eq!(with(PREAMBLE, 200), what("it is not what postcard wrote"));
    assert_eq!(with(PREAMBLE + 1, 9), what("it is not what postcard wrote"));
    assert_eq!(with(PREAMBLE + 2, 2), what("it is not what postcard wrote"));

    let right = Blob::parse(blob.as_ref()).unwrap().header().clone();
    let tensors = &blob.as_ref()[tensors_of(blob.as_ref())..blob.as_ref().len() - CHECKSUM];
    let case = |change: &dyn Fn(&mut Header)| {
        let mut header = right.clone();
        change(&mut header);
        load(sealed(&header, tensors).as_ref())
    };
    assert_eq!(case(&|_| ()), Ok(()));
    assert_eq!(case(&|header| header.layers.clear()), what("it has no layers"));
    let no_size = what("a layer has no inputs or no outputs");
    assert_eq!(case(&|header| header.layers[2] = dense(4, 0, Activation::Linear)), no_size);
    assert_eq!(case(&|header| header.layers[0] = plain_gru(0, 5, Reset::Before)), no_size);
    assert_eq!(
        case(&|header| header.outputs = Names::new("still\n")),
        what("there are not as many output names as outputs")
    );
    let channels = what("there are not as many channel names or units as inputs");
    assert_eq!(case(&|header| header.channels = Names::new("x\ny\nz\nw\n")), channels);
    assert_eq!(case(&|header| header.units = Names::new("g\n")), channels);
    for rate in [-1.0, f32::NAN, f32::INFINITY] {
        let found = case(&|header| header.sample_rate = rate);
        assert_eq!(found, what("the sample rate is negative, infinite or NaN"));
    }
    let sizes = what("its layers do not add up to the model's length");
    for steps in [0, 4, 7, u32::MAX] {
        assert_eq!(case(&|header| header.golden.steps = steps), sizes);
    }
    let huge = plain_gru(65_535, 65_535, Reset::After);
    assert_eq!(case(&|header| header.layers[1] = plain_gru(5, 5, Reset::After)), sizes);
    assert_eq!(
        case(&|header| {
            header.layers = [huge; 8].into_iter().collect();
            (header.outputs, header.channels, header.units) = Default::default();
        }),
        sizes
    );
}

#[test]
fn weights_that_are_no_numbers_are_refused_with_their_place() {
    let blob = real();
    let first = tensors_of(blob.as_ref());
    let golden = blob.as_ref().len() - CHECKSUM - 64;
    for offset in (first..golden).step_by(4) {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.1e12, -1.1e12] {
            let mut bytes = blob.as_ref().to_vec();
            bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
            let error = load(reseal(bytes).as_ref()).unwrap_err();
            assert_eq!(format!("{error:?}"), format!("{:?}", Error::Weight { offset, found: value }));
        }
    }
    // The largest that is let in, everywhere at once.
    for value in [1_099_511_627_776.0f32, -1_099_511_627_776.0] {
        let mut bytes = blob.as_ref().to_vec();
        bytes[first..golden].chunks_exact_mut(4).for_each(|weight| weight.copy_from_slice(&value.to_le_bytes()));
        assert_eq!(load(reseal(bytes).as_ref()), Ok(()));
    }
}

#[test]
fn layers_that_form_no_chain_are_wired_by_hand() {
    let net = Net::random(&[plain_gru(3, 5, Reset::Before), plain_gru(2, 5, Reset::Before)], &mut Random(2));
    let blob = net.blob();
    assert!(Blob::parse(blob.as_ref()).is_ok());
    let error = AnyModel::<Exact>::from_blob(&blob).unwrap_err();
    assert_eq!(error, Error::NotAChain { layer: 1, expected: 5, found: 2 });
    assert_helpful(&error);
}

#[test]
fn a_wrong_golden_hash_fails_the_self_test() {
    let blob = real();
    let right = Blob::parse(blob.as_ref()).unwrap();
    let tensors = &blob.as_ref()[tensors_of(blob.as_ref())..blob.as_ref().len() - CHECKSUM];
    let Golden { steps, exact: Some(exact), fast: Some(fast) } = right.header().golden else {
        panic!("{:?}", right.header().golden);
    };
    assert_ne!(exact, fast);

    let swapped = Header { golden: Golden { steps, exact: Some(fast), fast: Some(exact) }, ..right.header().clone() };
    let swapped = sealed(&swapped, tensors);
    let error = Error::SelfTest { expected: fast, found: exact };
    assert_eq!(Model::<Typed>::from_blob(&swapped).unwrap().self_test(), Err(error));
    assert_eq!(AnyModel::<Exact>::from_blob(&swapped).unwrap().self_test_on_heap(), Err(error));
    let error = Error::SelfTest { expected: exact, found: fast };
    assert_eq!(AnyModel::<Fast>::from_blob(&swapped).unwrap().self_test::<100>(), Err(error));
    assert_helpful(&error);

    let none = Header { golden: Golden { steps, exact: None, fast: Some(fast) }, ..right.header().clone() };
    let none = sealed(&none, tensors);
    assert_eq!(Model::<Typed>::from_blob(&none).unwrap().self_test(), Err(Error::NoSelfTest));
    assert_eq!(AnyModel::<Exact>::from_blob(&none).unwrap().self_test_on_heap(), Err(Error::NoSelfTest));
    assert_eq!(AnyModel::<Fast>::from_blob(&none).unwrap().self_test_on_heap(), Ok(()));
    assert_helpful(&Error::NoSelfTest);
}

fn any_layer() -> impl Strategy<Value = LayerSpec> {
    let size = || prop_oneof![8 => 1..6u16, 1 => Just(0u16), 1 => any::<u16>()];
    let kind = (0..2usize, 0..2usize, 0..3usize, 0..6usize, 0..5usize);
    (size(), size(), kind).prop_map(|(inputs, outputs, (reset, gate, candidate, activation, kind))| match kind {
        0 | 1 => common::gru(inputs, outputs, RESETS[reset], common::GATES[gate], common::CANDIDATES[candidate]),
        2 | 3 => dense(inputs, outputs, common::ACTIVATIONS[activation]),
        _ => common::embedding(inputs, outputs),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(load(AlignedBytes::new(&bytes).as_ref()).is_err());
    }

    #[test]
    fn random_bytes_behind_a_right_preamble_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 24..300),
        length in prop_oneof![(0..300u32).boxed(), any::<u32>().boxed()],
        right_fingerprint: bool,
    ) {
        let mut blob = MAGIC.to_vec();
        blob.extend(VERSION.to_le_bytes());
        blob.extend(bytes);
        blob[12..16].copy_from_slice(&length.to_le_bytes());
        blob[28..32].fill(0);
        let blob = if right_fingerprint { reseal_fingerprint(blob) } else { reseal(blob) };
        let _ = load(blob.as_ref());
    }

    #[test]
    fn damage_with_a_right_checksum_is_harmless(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        in_header: bool,
        cut in prop_oneof![3 => Just(0usize), 1 => 0..200usize],
        right_fingerprint: bool,
    ) {
        let mut bytes = real().as_ref().to_vec();
        let end = if in_header { tensors_of(&bytes) } else { bytes.len() - CHECKSUM };
        for (at, value) in changes {
            bytes[12 + at.index(end - 12)] = value;
        }
        bytes.truncate(bytes.len() - cut);
        let blob = if right_fingerprint { reseal_fingerprint(bytes) } else { reseal(bytes) };
        let _ = load(blob.as_ref());
    }

    #[test]
    fn any_header_over_any_tensors_is_harmless(
        layers in prop::collection::vec(any_layer(), 0..=8),
        chained: bool,
        steps in prop_oneof![8 => 0..4u32, 1 => any::<u32>()],
        golden: Option<u64>,
        difference in prop_oneof![6 => Just(0i64), 1 => -40..40i64],
        weights in prop::collection::vec(any::<f32>(), 1..50),
        scale in prop_oneof![Just(1.0f32), Just(1e-30), Just(1e12)],
    ) {
        let mut layers = layers;
        for at in 1..if chained { layers.len() } else { 0 } {
            let before = layers[at - 1].outputs() as u16;
            match &mut layers[at] {
                LayerSpec::Gru { inputs, .. } | LayerSpec::Dense { inputs, .. } => *inputs = before,
                _ => (),
            }
        }
        let header = Header { golden: Golden { steps, exact: golden, fast: golden }, ..header(&layers) };
        let lines = layers.iter().map(|layer| layer.lines(header.storage)).sum::<u64>()
            + 2 * (header.inputs().div_ceil(4) + header.outputs().div_ceil(4)) as u64
            + (u64::from(steps) * header.inputs() as u64).div_ceil(4);
        // As many bytes as the layers need, or a few less or more; not so many that it would take long.
        let count = (lines.min(2000) as i64 * 16 + difference).max(0) as usize;
        let floats = weights.iter().cycle().map(|weight| (weight * scale).clamp(-1.2e12, 1.2e12));
        let tensors: Vec<u8> = floats.flat_map(f32::to_le_bytes).take(count).collect();
        let result = load(sealed(&header, &tensors).as_ref());
        let fit = difference == 0 && lines <= 2000;
        let sound = !layers.is_empty() && layers.iter().all(|layer| layer.inputs() > 0 && layer.parameters() > 0);
        if !fit || !sound {
            prop_assert!(result.is_err());
        } else {
            prop_assert!(matches!(result, Ok(()) | Err(Error::Weight { .. })), "{result:?}");
        }
    }
}
