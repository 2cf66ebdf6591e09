//! ONNX files of three exporters: their outputs, their traps, and what damage does.

mod common;

use std::path::{Path, PathBuf};

use common::limited::refused_within_256_megabytes;
use common::tolerances::RUNTIME;
use grulet::spec::{Activation, Candidate, Gate, LayerSpec, Merge, Output, Pooling, Reset};
use grulet_trainer::checkpoint::Checkpoint;
use grulet_trainer::export::{export, with_contents};
use grulet_trainer::import::check::{self, Given};
use grulet_trainer::import::{Imported, Options, import, import_bytes};
use grulet_trainer::interop::model::load;
use grulet_trainer::interop::onnx;

/// Each file, and the arrays that its source gave.
const FILES: [(&str, &str); 10] = [
    ("onnx_cls_lbr0.onnx", "keras_cls_ra0_f32.npz"),
    ("onnx_cls_lbr1.onnx", "keras_cls_ra1_f32.npz"),
    ("onnx_reg2_lbr0.onnx", "keras_reg2_ra0_f32.npz"),
    ("onnx_reg2_lbr1.onnx", "keras_reg2_ra1_f32.npz"),
    ("onnx_seq_lbr0.onnx", "keras_seq_ra0_f32.npz"),
    ("onnx_seq_lbr1.onnx", "keras_seq_ra1_f32.npz"),
    ("torch_reg2.legacy.onnx", "torch_reg2_f32.npz"),
    ("torch_reg2.dynamo.onnx", "torch_reg2_f32.npz"),
    ("torch_seq.legacy.onnx", "torch_seq_f32.npz"),
    ("torch_seq.dynamo.onnx", "torch_seq_f32.npz"),
];

/// Files of bidirectional GRUs.
const BOTH: [(&str, &str); 6] = [
    ("torch_both_every.legacy.onnx", "models/torch_both_every.npz"),
    ("torch_both_every.dynamo.onnx", "models/torch_both_every.npz"),
    ("torch_both_states.legacy.onnx", "models/torch_both_states.npz"),
    ("torch_both_states.dynamo.onnx", "models/torch_both_states.npz"),
    ("torch_both_ends.legacy.onnx", "models/torch_both_ends.npz"),
    ("torch_both_ends.dynamo.onnx", "models/torch_both_ends.npz"),
];

/// Files of PyTorch's `y[:, -1]` of both directions.
const LAST: [&str; 2] = ["torch_both_last.legacy.onnx", "torch_both_last.dynamo.onnx"];

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

fn model(name: &str) -> PathBuf {
    vectors().join("models").join(name)
}

fn read(name: &str) -> Imported {
    import(&model(name), &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The largest difference from the arrays `x` and `out`, absolute.
fn difference(imported: &Imported, arrays: &str) -> f64 {
    let mut npz = grulet_trainer::data::Npz::open(&vectors().join(arrays)).unwrap();
    let (x, y) = (npz.array("x", "").unwrap(), npz.array("out", "").unwrap());
    let blob = export(&imported.checkpoint).unwrap();
    let given = Given { x: &x, tokens: None, y: &y, time_major: false };
    check::against_outputs(&blob, given, 1.0).unwrap().max
}

#[test]
fn every_file_gives_the_outputs_of_its_source() {
    for (file, arrays) in FILES.into_iter().chain(BOTH) {
        let imported = read(file);
        let off = difference(&imported, arrays);
        assert!(off <= RUNTIME, "{file}: {off:.2e}");
        assert_eq!(imported.guesses, [""; 0], "{file}");
        let blob = export(&imported.checkpoint).unwrap();
        let graph = check::against_graph(&imported, &blob, 1e-5).unwrap();
        assert_eq!(graph.first, None, "{file}");
    }
}

#[test]
fn all_files_at_hand_are_named_above() {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(vectors().join("models")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let real = name.starts_with("onnx_") || name.starts_with("torch_");
        if real && name.ends_with(".onnx") {
            found.push(name);
        }
    }
    found.sort();
    let mut named: Vec<_> = FILES.into_iter().chain(BOTH).map(|(file, _)| file).chain(LAST).collect();
    named.sort_unstable();
    assert_eq!(found, named);
}

#[test]
fn the_last_step_of_both_directions_is_refused_with_what_to_use_instead() {
    for file in LAST {
        let error = import(&model(file), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("has read one step") && error.contains("h_n"), "{file}: {error}");
    }
}

#[test]
fn a_loop_is_refused_with_what_to_import_instead() {
    for file in ["keras_cls_ra1.tf2onnx.onnx", "keras_reg2_ra0.tf2onnx.onnx", "keras_seq_ra0.tf2onnx.onnx"] {
        let error = import(&model(file), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("Loop") && error.contains("import the .keras file"), "{file}: {error}");
    }
}

#[test]
fn the_reset_variant_may_be_said_otherwise() {
    let told = Options { linear_before_reset: Some(true), ..Options::default() };
    let imported = import(&model("onnx_reg2_lbr0.onnx"), &told).unwrap();
    assert!(imported.skipped[0].contains("--linear-before-reset 1"), "{:?}", imported.skipped);
    // The files have the same weights but for the biases, which are of Keras's two variants.
    let off = difference(&imported, "keras_reg2_ra0_f32.npz");
    assert!(off > 1e-3, "{off}");
}

#[test]
fn what_is_written_as_onnx_is_read_as_it_was() {
    for (file, arrays) in FILES {
        let first = read(file);
        let bytes = with_contents(&first.checkpoint, |contents| Ok(onnx::write(contents))).unwrap().unwrap();
        let second = import_bytes(bytes, Path::new(file), &Options::default()).unwrap();
        let (a, b) = (&first.checkpoint, &second.checkpoint);
        assert_eq!((&a.params, &a.card.layers, a.card.output), (&b.params, &b.card.layers, b.card.output), "{file}");
        assert!(difference(&second, arrays) <= RUNTIME, "{file}");
    }
}

/// A checkpoint of these layers with weights that are all different.
fn checkpoint(layers: &[LayerSpec], output: Output) -> Checkpoint {
    let mut checkpoint = read("onnx_cls_lbr0.onnx").checkpoint;
    let count = layers.iter().map(LayerSpec::parameters).sum();
    checkpoint.params = (0..count).map(|index| ((index * 7 % 31) as f32 - 15.0) / 40.0).collect();
    (checkpoint.card.layers, checkpoint.card.output) = (layers.to_vec(), output);
    checkpoint
}

#[test]
fn every_variant_of_a_layer_is_written_and_read() {
    use Activation::{HardSigmoid, Linear, Relu, Sigmoid, Softmax, Tanh};
    let gru = |inputs, hidden, reset, gate, candidate| LayerSpec::Gru { inputs, hidden, reset, gate, candidate };
    let dense = |inputs, outputs, activation| LayerSpec::Dense { inputs, outputs, activation };
    let mut checkpoints = Vec::new();
    for reset in [Reset::Before, Reset::After] {
        for gate in [Gate::Sigmoid, Gate::HardSigmoid] {
            for candidate in [Candidate::Tanh, Candidate::Relu, Candidate::Linear] {
                let layers = [dense(2, 4, Tanh), gru(4, 3, reset, gate, candidate), dense(3, 1, Relu)];
                checkpoints.push(checkpoint(&layers, Output::EveryStep));
            }
        }
    }
    let plain = |inputs, hidden| gru(inputs, hidden, Reset::After, Gate::Sigmoid, Candidate::Tanh);
    for activation in [HardSigmoid, Linear, Sigmoid, Softmax, Tanh] {
        checkpoints.push(checkpoint(&[plain(2, 3), dense(3, 2, activation)], Output::LastStep));
    }
    for over in [Pooling::Mean, Pooling::Max] {
        let layers = [plain(2, 3), LayerSpec::Pool { inputs: 3, over }, dense(3, 2, Sigmoid)];
        checkpoints.push(checkpoint(&layers, Output::LastStep));
    }
    for merge in [Merge::Concat, Merge::Sum, Merge::Mul, Merge::Ave] {
        for (gate, candidate) in [(Gate::Sigmoid, Candidate::Tanh), (Gate::HardSigmoid, Candidate::Linear)] {
            let both = |inputs, reset| LayerSpec::Bidirectional { inputs, hidden: 3, reset, gate, candidate, merge };
            let first = both(2, Reset::Before);
            let outputs = first.outputs() as u16;
            let layers = [first, both(outputs, Reset::After), dense(outputs, 2, Tanh)];
            checkpoints.push(checkpoint(&layers, Output::EveryStep));
            checkpoints.push(checkpoint(&layers, Output::LastStep));
            let pool = LayerSpec::Pool { inputs: outputs, over: Pooling::Mean };
            checkpoints.push(checkpoint(&[first, pool, dense(outputs, 2, Tanh)], Output::LastStep));
        }
    }
    let table = LayerSpec::Embedding { vocabulary: 5, outputs: 4 };
    checkpoints.push(checkpoint(&[table, plain(4, 1), plain(1, 2)], Output::EveryStep));
    let hot = LayerSpec::OneHot { vocabulary: 4 };
    checkpoints.push(checkpoint(&[hot, plain(4, 1), plain(1, 2)], Output::LastStep));
    checkpoints.push(checkpoint(&[hot, dense(4, 3, Tanh), plain(3, 2)], Output::EveryStep));
    let mut scaled = checkpoint(&[plain(2, 3), dense(3, 2, Tanh)], Output::LastStep);
    (scaled.card.mean, scaled.card.std) = (vec![1.0, -3.0], vec![0.5, 4.0]);
    (scaled.card.target_mean, scaled.card.target_std) = (vec![7.0, 0.25], vec![3.0, 1.5]);
    checkpoints.push(scaled);
    for written in &checkpoints {
        let bytes = with_contents(written, |contents| Ok(onnx::write(contents))).unwrap().unwrap();
        let found = import_bytes(bytes, Path::new("m.onnx"), &Options::default()).unwrap();
        let (a, b) = (&written.card, &found.checkpoint.card);
        assert_eq!((&a.layers, a.output), (&b.layers, b.output));
        assert_eq!(written.params, found.checkpoint.params, "{:?}", a.layers);
        assert_eq!((&a.mean, &a.std), (&b.mean, &b.std));
        assert_eq!((&a.target_mean, &a.target_std), (&b.target_mean, &b.target_std));
        let blob = export(&found.checkpoint).unwrap();
        let (folder, name) = (tempfile::tempdir().unwrap(), "model.gru");
        std::fs::write(folder.path().join(name), blob.as_ref()).unwrap();
        let again = export(&load(&folder.path().join(name)).unwrap()).unwrap();
        assert!(again.as_ref() == blob.as_ref(), "{:?}", a.layers);
        assert_eq!(check::against_graph(&found, &blob, 1e-5).unwrap().first, None, "{:?}", a.layers);
    }
}

#[test]
fn other_values_than_0_and_1_are_not_one_hot() {
    let layers =
        [LayerSpec::OneHot { vocabulary: 4 }, LayerSpec::Dense { inputs: 4, outputs: 2, activation: Activation::Tanh }];
    let written = checkpoint(&layers, Output::EveryStep);
    let mut bytes = with_contents(&written, |contents| Ok(onnx::write(contents))).unwrap().unwrap();
    let values = [0.0f32, 1.0].map(f32::to_le_bytes).concat();
    let at = bytes.windows(8).position(|window| window == values).unwrap();
    bytes[at + 4..at + 8].copy_from_slice(&2.0f32.to_le_bytes());
    let error = import_bytes(bytes, Path::new("m.onnx"), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("other values than 0 and 1"), "{error}");
}

#[test]
fn a_pool_of_the_steps_so_far_is_not_written() {
    let layer = |inputs| LayerSpec::Gru {
        inputs,
        hidden: 3,
        reset: Reset::Before,
        gate: Gate::Sigmoid,
        candidate: Candidate::Tanh,
    };
    let pool = LayerSpec::Pool { inputs: 3, over: Pooling::Mean };
    for (layers, output) in [
        (vec![layer(2), pool], Output::EveryStep),
        (vec![layer(2), pool, layer(3)], Output::LastStep),
        (vec![layer(2), pool, pool], Output::LastStep),
    ] {
        let found = with_contents(&checkpoint(&layers, output), |contents| Ok(onnx::write(contents))).unwrap();
        assert!(found.unwrap_err().to_string().contains("a pool of the steps so far"));
    }
}

/// The bytes of `torch_reg2.legacy.onnx` without its two `linear_before_reset = 1`.
fn without_variant() -> Vec<u8> {
    let mut bytes = std::fs::read(model("torch_reg2.legacy.onnx")).unwrap();
    let name = b"linear_before_reset";
    let places: Vec<usize> = (0..bytes.len() - name.len()).filter(|&at| bytes[at..].starts_with(name)).collect();
    assert_eq!(places.len(), 2);
    for at in places {
        // Another attribute, which nobody knows.
        bytes[at] = b'L';
    }
    bytes
}

#[test]
fn files_of_pytorch_without_the_variant_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    std::fs::write(&path, without_variant()).unwrap();
    let imported = import(&path, &Options::default()).unwrap();
    assert_eq!(imported.guesses.len(), 2);
    assert!(imported.guesses[0].contains("--linear-before-reset 1"), "{:?}", imported.guesses);
    assert!(difference(&imported, "torch_reg2_f32.npz") > 1e-3);
    let told = Options { linear_before_reset: Some(true), ..Options::default() };
    let imported = import(&path, &told).unwrap();
    assert_eq!(imported.guesses, [""; 0]);
    assert!(difference(&imported, "torch_reg2_f32.npz") <= RUNTIME);
}

#[test]
fn data_beside_the_model_stay_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let name = "torch_reg2.dynamo.onnx.data";
    let bytes = std::fs::read(model("torch_reg2.dynamo.onnx")).unwrap();
    let path = inner.join("m.onnx");
    std::fs::write(&path, &bytes).unwrap();
    let error = || import(&path, &Options::default()).unwrap_err().to_string();
    assert!(error().contains(name), "{}", error());
    let data = std::fs::read(model(name)).unwrap();
    std::fs::write(inner.join(name), &data[..data.len() - 400]).unwrap();
    assert!(error().contains("beyond the end"), "{}", error());
    std::fs::write(inner.join(name), &data).unwrap();
    import(&path, &Options::default()).unwrap();

    // The same file by a way that leaves the folder.
    std::fs::rename(inner.join(name), folder.path().join("torch_reg2.dynamo.onnx.d")).unwrap();
    let way = b"../torch_reg2.dynamo.onnx.d";
    assert_eq!(way.len(), name.len());
    let mut bytes = bytes;
    for at in 0..bytes.len() - way.len() {
        if bytes[at..].starts_with(name.as_bytes()) {
            bytes[at..at + way.len()].copy_from_slice(way);
        }
    }
    std::fs::write(&path, &bytes).unwrap();
    assert!(error().contains("outside of the model's folder"), "{}", error());
    // Nor does anything tell whether there is such a file.
    let other = folder.path().join("other.onnx.d");
    std::fs::rename(folder.path().join("torch_reg2.dynamo.onnx.d"), &other).unwrap();
    assert!(error().contains("outside of the model's folder"), "{}", error());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../other.onnx.d", inner.join(name)).unwrap();
        std::fs::write(&path, std::fs::read(model("torch_reg2.dynamo.onnx")).unwrap()).unwrap();
        assert!(error().contains("outside of the model's folder"), "{}", error());
    }
}

#[test]
fn damaged_files_end_in_an_error_or_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let data = "torch_seq.dynamo.onnx.data";
    std::fs::copy(model(data), folder.path().join(data)).unwrap();
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut errors = 0;
    for file in ["onnx_cls_lbr0.onnx", "torch_reg2.legacy.onnx", "torch_seq.dynamo.onnx", "keras_seq_ra0.tf2onnx.onnx"]
    {
        let whole = std::fs::read(model(file)).unwrap();
        for round in 0..250 {
            let mut bytes = whole.clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            if round % 5 == 0 {
                bytes.truncate(random(bytes.len()));
            }
            std::fs::write(&path, &bytes).unwrap();
            // Whatever it is now: an error that says something, or a model.
            match import(&path, &Options::default()) {
                Ok(imported) => drop(export(&imported.checkpoint)),
                Err(error) => {
                    errors += 1;
                    assert!(error.to_string().len() > 20, "{error}");
                }
            }
        }
    }
    assert!(errors > 250, "{errors}");
}

/// A field of a protobuf message, which is a message itself.
fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = body.len();
    while length > 127 {
        bytes.push(length as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn hostile_files_are_errors_within_256_megabytes() {
    const GRAPH: u8 = 7;
    let version: &[u8] = b"\x08\x08";
    let of = |graph: &[u8]| [version, &field(GRAPH, graph)].concat();
    let millions = 8 << 20;
    let cases = [
        ("a graph beyond the end", [version, b"\x3a\xff\xff\xff\xff\x0f"].concat()),
        ("a graph longer than all memory", [version, b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"].concat()),
        ("millions of nodes", of(&b"\x0a\x00".repeat(millions))),
        ("millions of attributes", of(&field(1, &b"\x2a\x00".repeat(millions)))),
        ("millions of dimensions", of(&field(5, &b"\x08\x01".repeat(millions)))),
        ("a tensor within itself", of(&(0..1000).fold(Vec::new(), |body, _| field(6, &field(1, &field(5, &body)))))),
        ("a file of 65 MB", of(&vec![0; 65 << 20])),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    for (what, bytes) in cases {
        std::fs::write(&path, &bytes).unwrap();
        let error = import(&path, &Options::default()).expect_err(what).to_string();
        assert!(error.len() > 20, "{what}: {error}");
        if let Some(limited) = refused_within_256_megabytes(&path) {
            assert!(limited.contains(&error), "{what}: {limited}, and with more memory: {error}");
        }
    }
}
