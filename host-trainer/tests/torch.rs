//! Networks that PyTorch has saved, in every way that it does: `tests/vectors/models/torch_*`, with the outputs that it gave.

mod common;

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use common::limited::refused_within_256_megabytes;
use grulet::spec::{Activation, LayerSpec, Output};
use grulet_trainer::data::Npz;
use grulet_trainer::export::export;
use grulet_trainer::import::check::{Given, against_outputs};
use grulet_trainer::import::{Imported, Options, import};
use zip::write::SimpleFileOptions;

/// The largest difference from PyTorch's outputs.
const CLOSE: f64 = 2e-6;

fn vectors(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors")).join(name)
}

fn model(name: &str) -> PathBuf {
    vectors("models").join(name)
}

/// Imports `file` and compares it with the arrays `x` and `out` of `npz`.
fn check(file: &str, npz: &str, x: &str, out: &str, options: &Options) -> Imported {
    let imported = import(&model(file), options).unwrap_or_else(|error| panic!("{file}: {error}"));
    let blob = export(&imported.checkpoint).unwrap();
    let mut npz = Npz::open(&vectors(npz)).unwrap();
    let (x, out) = (npz.array(x, "x").unwrap(), npz.array(out, "out").unwrap());
    let given = Given { x: &x, tokens: None, y: &out, time_major: false };
    let difference = against_outputs(&blob, given, 1e-5).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(difference.max < CLOSE && difference.answers > 0, "{file}: {difference:?}");
    imported
}

/// `file`, one of the variants, against its own arrays.
fn variant(file: &str, options: &Options) -> Imported {
    let name = file.split('.').next().unwrap();
    check(&format!("torch_v_{file}"), "torch_variants.npz", &format!("{name}_x"), &format!("{name}_out"), options)
}

fn refused(file: &Path, options: &Options) -> String {
    match import(file, options) {
        Ok(imported) => panic!("{}: {:?}", file.display(), imported.rows),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_reference_networks_give_what_pytorch_gave() {
    let sigmoid = Options { activation: Some(Activation::Sigmoid), ..Options::default() };
    let last = Options { output: Some(Output::LastStep), ..Options::default() };
    for (file, npz, options) in [
        ("torch_seq.pt", "torch_seq_f32.npz", &sigmoid),
        ("torch_seq.safetensors", "torch_seq_f32.npz", &sigmoid),
        ("torch_reg2.pt", "torch_reg2_f32.npz", &last),
        ("torch_reg2.safetensors", "torch_reg2_f32.npz", &last),
    ] {
        check(file, npz, "x", "out", options);
    }
}

#[test]
fn every_way_to_save_a_network_is_read() {
    for file in [
        "legacy.pt",
        "protocol4.pt",
        "f16.pt",
        "f16.safetensors",
        "bf16.pt",
        "bf16.safetensors",
        "f64.pt",
        "f64.safetensors",
        "module.pt",
        "module_legacy.pt",
        "cell.pt",
        "no_bias.pt",
        "two.pt",
        "shared.pt",
        "embedding.pt",
        "norm.pt",
    ] {
        let imported = variant(file, &Options::default());
        assert!(imported.guesses.iter().any(|guess| guess.contains("every step")), "{file}: {:?}", imported.guesses);
    }
}

#[test]
fn of_a_checkpoint_the_network_alone_is_taken() {
    let imported = variant("checkpoint.pt", &Options { output: Some(Output::LastStep), ..Options::default() });
    assert!(imported.skipped.iter().any(|skipped| skipped.contains("optimizer")), "{:?}", imported.skipped);
    assert!(imported.rows.iter().any(|row| row.origin.source == "gru.weight_ih_l0"), "{:?}", imported.rows);
}

#[test]
fn a_description_takes_the_place_of_guesses() {
    let folder = tempfile::tempdir().unwrap();
    let like = folder.path().join("like.toml");
    let text =
        "[model]\noutput = \"every_step\"\nlayers = [{ type = \"gru\", units = 4 }, { type = \"dense\", units = 2 }]\n";
    std::fs::write(&like, text).unwrap();
    let options = Options { like: Some(like.clone()), ..Options::default() };
    assert_eq!(variant("f64.safetensors", &options).guesses, [""; 0]);
    std::fs::write(&like, text.replace("units = 4", "units = 5")).unwrap();
    assert!(refused(&model("torch_v_legacy.pt"), &options).contains("network of --like"));
    std::fs::write(&like, text.replace("units = 4", "units = 4, reset = \"before\"")).unwrap();
    assert!(refused(&model("torch_v_legacy.pt"), &options).contains("reset gate after the matmul"));
}

/// A safetensors file of tensors whose elements are all the same.
fn constants(tensors: &[(&str, &[usize], f32)]) -> Vec<u8> {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, shape, value) in tensors {
        let from = data.len();
        (0..shape.iter().product::<usize>()).for_each(|_| data.extend(value.to_le_bytes()));
        entries.push(format!(
            "{name:?}:{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{from},{}]}}",
            data.len()
        ));
    }
    let header = format!("{{{}}}", entries.join(","));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data[..]].concat()
}

/// What `save_model` of safetensors leaves out and notes, what an `AveragedModel` adds, and weights that are made of others.
#[test]
fn tensors_that_are_not_as_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let gru: [(&str, &[usize], f32); 4] = [
        ("gru.weight_ih_l0", &[9, 3], 0.1),
        ("gru.weight_hh_l0", &[9, 3], 0.2),
        ("gru.bias_ih_l0", &[9], 0.3),
        ("gru.bias_hh_l0", &[9], 0.4),
    ];
    let with = |more: &[(&str, &[usize], f32)], metadata: &str| {
        let file = constants(&[&gru[..], more].concat());
        let (length, rest) = file.split_at(8);
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let header = String::from_utf8(rest[..length].to_vec()).unwrap().replacen('{', &format!("{{{metadata}"), 1);
        std::fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &rest[length..]].concat())
            .unwrap();
        import(&path, &Options { order: ["embed", "gru", "head"].map(str::to_owned).to_vec(), ..Options::default() })
    };
    let head: [(&str, &[usize], f32); 1] = [("head.weight", &[6, 3], 0.5)];
    let tied = with(&head, "\"__metadata__\":{\"embed.weight\":\"head.weight\",\"format\":\"pt\"},").unwrap();
    assert!(matches!(tied.checkpoint.card.layers[0], LayerSpec::Embedding { vocabulary: 6, outputs: 3 }));
    let (table, kernel) = (&tied.checkpoint.params[..18], &tied.checkpoint.params[tied.checkpoint.params.len() - 24..]);
    assert!(table.iter().chain(&kernel[..18]).all(|&weight| weight == 0.5));
    assert!(with(&head, "").is_err(), "there is no embed");
    // A weight as `torch.nn.utils.parametrizations` and its forerunners store it.
    for name in ["head.parametrizations.weight.original0", "head.weight_g", "head.weight_orig"] {
        let error = with(&[("head.bias", &[6], 0.0), (name, &[6, 1], 1.0)], "").unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("remove_parametrizations"), "{error}");
    }
    let averaged =
        with(&[&head[..], &[("embed.weight", &[6, 3], 1.0), ("n_averaged", &[], 4.0)]].concat(), "").unwrap();
    assert!(averaged.skipped.iter().any(|skipped| skipped.contains("n_averaged")), "{:?}", averaged.skipped);
}

/// As most networks have it; a file of tensors does not say.
#[test]
fn a_normalisation_comes_before_the_activation() {
    let folder = tempfile::tempdir().unwrap();
    let (path, like) = (folder.path().join("a.safetensors"), folder.path().join("like.toml"));
    let norm: [(&str, &[usize], f32); 4] =
        [("c.weight", &[2], 1.0), ("c.bias", &[2], 0.0), ("c.running_mean", &[2], 1.0), ("c.running_var", &[2], 1.0)];
    let gru: [(&str, &[usize], f32); 4] = [
        ("a.weight_ih_l0", &[6, 1], 0.5),
        ("a.weight_hh_l0", &[6, 2], 0.5),
        ("a.bias_ih_l0", &[6], 0.0),
        ("a.bias_hh_l0", &[6], 0.0),
    ];
    let linear: [(&str, &[usize], f32); 2] = [("b.weight", &[2, 2], 0.5), ("b.bias", &[2], 0.0)];
    std::fs::write(&path, constants(&[&gru[..], &linear, &norm].concat())).unwrap();
    let layers = "{ type = \"gru\", units = 2 }, { type = \"dense\", units = 2, activation = \"relu\" }";
    std::fs::write(&like, format!("[model]\noutput = \"every_step\"\nlayers = [{layers}]\n")).unwrap();
    let order = ["a", "b", "c"].map(str::to_owned).to_vec();
    let by_like = Options { like: Some(like), order: order.clone(), ..Options::default() };
    let by_name = Options { activation: Some(Activation::Relu), order, ..Options::default() };
    for options in [by_like, by_name] {
        let imported = import(&path, &options).unwrap();
        let card = &imported.checkpoint.card;
        assert!(matches!(card.layers[..], [_, LayerSpec::Dense { activation: Activation::Relu, .. }]), "{card:?}");
        // The mean is taken off the sum, and not off what the activation has made of it.
        let bias = imported.checkpoint.params.last().unwrap();
        assert!((bias + 1.0).abs() < 1e-4, "{bias}");
        let told = imported.guesses.iter().any(|guess| guess.contains("c comes before the activation"));
        assert!(told || options.like.is_none(), "{:?}", imported.guesses);
    }
}

#[test]
fn a_pool_of_the_steps_so_far_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let like = folder.path().join("like.toml");
    let pool = "{ type = \"gru\", units = 4 }, { type = \"pool\", over = \"mean\" }, { type = \"dense\", units = 2 }";
    let options = Options { like: Some(like.clone()), ..Options::default() };
    std::fs::write(&like, format!("[model]\noutput = \"last_step\"\nlayers = [{pool}]\n")).unwrap();
    import(&model("torch_v_legacy.pt"), &options).unwrap();
    std::fs::write(&like, format!("[model]\noutput = \"every_step\"\nlayers = [{pool}]\n")).unwrap();
    assert!(refused(&model("torch_v_legacy.pt"), &options).contains("a pool makes one step of all"));
}

#[test]
fn both_directions_are_one_layer() {
    let imported = variant("bidirectional.pt", &Options::default());
    assert_eq!(imported.rows.iter().filter(|row| row.target.contains(".backward.")).count(), 4);
}

#[test]
fn the_order_can_be_said() {
    let order =
        |names: &[&str]| Options { order: names.iter().map(|&name| name.into()).collect(), ..Options::default() };
    let imported = variant("legacy.pt", &order(&["gru", "head"]));
    assert!(!imported.guesses.iter().any(|guess| guess.contains("order")), "{:?}", imported.guesses);
    assert!(refused(&model("torch_v_legacy.pt"), &order(&["head", "gru"])).contains("--order"));
    assert!(refused(&model("torch_v_legacy.pt"), &order(&["gru"])).contains("the file has gru,head"));
}

#[test]
fn what_is_no_gru_is_refused_by_name() {
    let message = refused(&model("torch_v_lstm.pt"), &Options::default());
    assert!(message.contains("an LSTM") && message.contains("nn.GRU"), "{message}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let header = r#"{"conv.weight":{"dtype":"F32","shape":[1,1,1],"data_offsets":[0,4]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat();
    std::fs::write(&path, bytes).unwrap();
    let message = refused(&path, &Options::default());
    assert!(message.contains("conv.weight [1, 1, 1]"), "{message}");
}

/// All files of the folder.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(vectors("models")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("torch_") && (name.ends_with(".pt") || name.ends_with(".safetensors")) {
            files.push((name, std::fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn damaged_files_are_errors_and_no_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pt");
    // xorshift64, Marsaglia 2003.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut read, mut errors) = (0, 0);
    for (name, good) in files() {
        for _ in 0..100 {
            let mut bad = good.clone();
            match random(4) {
                0 => bad.truncate(random(good.len())),
                1 => drop(bad.drain(..random(good.len()))),
                _ => {
                    for _ in 0..=random(6) {
                        let at = random(bad.len());
                        bad[at] ^= 1 << random(8);
                    }
                }
            }
            std::fs::write(&path, bad).unwrap();
            match std::panic::catch_unwind(|| import(&path, &Options::default()).map(drop)) {
                Ok(Ok(())) => read += 1,
                Ok(Err(error)) => {
                    assert!(!error.to_string().is_empty());
                    errors += 1;
                }
                Err(_) => panic!("{name}: see the panic above"),
            }
        }
    }
    assert!(read > 0 && errors > 0, "{read} read, {errors} errors");
}

/// An archive of `torch.save` with this pickle.
fn archive(pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let entries = [("a/data.pkl".to_owned(), pickle)].into_iter();
    let entries = entries.chain(storages.iter().map(|(key, bytes)| (format!("a/data/{key}"), &bytes[..])));
    for (name, bytes) in entries {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A state_dict of one tensor, whose storage has `elements`.
fn one_tensor(elements: u32, offset: u32, shape: [u32; 2], strides: [u32; 2]) -> Vec<u8> {
    let tensor = tensor(elements, offset, shape, strides, b"");
    [b"\x80\x02}X\x0c\x00\x00\x00weight_ih_l0".to_vec(), tensor, b"s.".to_vec()].concat()
}

/// A tensor on the stack of a pickle; `marks` is what comes after its hooks.
fn tensor(elements: u32, offset: u32, shape: [u32; 2], strides: [u32; 2], marks: &[u8]) -> Vec<u8> {
    let int = |value: u32| [b"J".as_slice(), &value.to_le_bytes()].concat();
    let pair = |pair: [u32; 2]| [int(pair[0]), int(pair[1]), b"\x86".to_vec()].concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage".to_vec(),
        b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu".to_vec(),
        int(elements),
        b"tQ".to_vec(),
        int(offset),
        pair(shape),
        pair(strides),
        b"\x89N".to_vec(),
        marks.to_vec(),
        b"tR".to_vec(),
    ]
    .concat()
}

/// The key of a dictionary on the stack of a pickle.
fn key(name: &str) -> Vec<u8> {
    [b"X", &(name.len() as u32).to_le_bytes()[..], name.as_bytes()].concat()
}

/// Tensors stand beside the network in many checkpoints: a loss, a state of the random numbers, a mean.
#[test]
fn tensors_beside_a_network_are_no_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pt");
    let (matrix, other) = (tensor(12, 0, [3, 4], [4, 1], b""), tensor(12, 0, [1, 2], [2, 1], b""));
    let network = [b"}".to_vec(), key("head.weight"), matrix, b"s".to_vec()].concat();
    let settings = [b"}".to_vec(), key("layers"), b"K\x02s".to_vec()].concat();
    for (name, beside, value) in
        [("state_dict", "loss", other.clone()), ("model_state_dict", "rng", other), ("weights", "model", settings)]
    {
        let pickle = [&b"\x80\x02}"[..], &key(beside), &value, b"s", &key(name), &network, b"s."].concat();
        std::fs::write(&path, archive(&pickle, &[("0", vec![0; 48])])).unwrap();
        let imported = import(&path, &Options::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(imported.skipped.iter().any(|note| note.starts_with(beside)), "{name}: {:?}", imported.skipped);
        assert_eq!(imported.rows[0].origin.source, "head.weight", "{name}");
    }
}

/// Hostile files, and a part of what is said of each.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    let system = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00exit\x85R.".to_vec();
    let cycle = b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.".to_vec();
    let module = b"\x80\x02c__main__\nNet\n)\x81q\x00}X\x08\x00\x00\x00_modules}X\x01\x00\x00\x00ah\x00ssb.".to_vec();
    let small = vec![0; 400];
    let negated = tensor(100, 0, [4, 4], [4, 1], b"}X\x03\x00\x00\x00neg\x88s");
    let negated = [b"\x80\x02}X\x0c\x00\x00\x00weight_ih_l0".to_vec(), negated, b"s.".to_vec()].concat();
    let object = |class: &str, state: Vec<u8>| [b"c", class.as_bytes(), b"\n)\x81", &state[..], b"b"].concat();
    let norm = object("torch.nn.modules.normalization\nLayerNorm", b"}".to_vec());
    let parts = [b"}".to_vec(), key("ln"), norm, b"s".to_vec()].concat();
    let net = object("__main__\nNet", [b"}".to_vec(), key("_modules"), parts, b"s".to_vec()].concat());
    let norm = [b"\x80\x02", &net[..], b"."].concat();
    let bomb = archive(&[b"\x80\x02".to_vec(), vec![b'}'; 90 << 20], b".".to_vec()].concat(), &[]);
    let storages = archive(&one_tensor(25 << 20, 0, [4, 4], [4, 1]), &[("0", vec![0; 100 << 20])]);
    let json = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 64]].concat();
    let tensor = |name: &str, shape: &str, from: u64, to: u64| {
        format!("{name:?}:{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
    };
    vec![
        ("code", archive(&system, &[]), "os.system"),
        ("code in a legacy file", [legacy.clone(), system].concat(), "os.system"),
        ("a dictionary in itself", archive(&cycle, &[]), "very deep"),
        ("a module in itself", archive(&module, &[]), "very deep"),
        ("a negated view", archive(&negated, &[("0", small.clone())]), "a negated or conjugated view"),
        ("a norm without parameters", archive(&norm, &[]), "ln: a LayerNorm without parameters"),
        ("a missing storage", archive(&one_tensor(100, 0, [4, 4], [4, 1]), &[]), "data/0"),
        ("a short storage", archive(&one_tensor(100, 0, [4, 4], [4, 1]), &[("0", vec![0; 40])]), "not 400"),
        ("strides", archive(&one_tensor(100, 0, [4, 4], [99, 1]), &[("0", small.clone())]), "outside"),
        ("an offset", archive(&one_tensor(100, 99, [4, 4], [4, 1]), &[("0", small.clone())]), "outside"),
        ("a large shape", archive(&one_tensor(100, 0, [1 << 30, 1 << 30], [0, 0]), &[("0", small)]), "more than"),
        ("many opcodes", [legacy, vec![b'}'; 60 << 20]].concat(), "longer than"),
        ("a bomb", bomb, "more than"),
        ("a bomb of a storage", storages, "more than"),
        ("a long header", [&(60u64 << 20).to_le_bytes()[..], b"{", &vec![b' '; 61 << 20]].concat(), "more than"),
        ("a header beyond the end", [&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "neither"),
        (
            "offsets over each other",
            json(&format!("{{{},{}}}", tensor("a.weight", "[4,4]", 0, 64), tensor("b.weight", "[4,4]", 0, 64))),
            "safetensors",
        ),
        (
            "a shape that overflows",
            json(&format!("{{{}}}", tensor("a", "[4294967296,4294967296]", 0, 64))),
            "safetensors",
        ),
    ]
}

#[test]
fn hostile_files_are_errors_within_256_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    for (what, bytes, says) in hostile() {
        let path = folder.path().join("a.pt");
        std::fs::write(&path, bytes).unwrap();
        let message = refused(&path, &Options::default());
        assert!(message.contains(says), "{what}: {message}");
        if let Some(error) = refused_within_256_megabytes(&path) {
            assert!(error.contains(says), "{what}: {error}");
        }
    }
}
