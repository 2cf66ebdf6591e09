//! Files that are no models, or not any more: an error, and never a panic.

use std::io::Write;
use std::path::Path;

use grulet_trainer::import::{ImportError, Options, import};
use grulet_trainer::nn::Rng;

use crate::common::limited::refused_within_256_megabytes;
use crate::support::vector;

/// Damaged copies of each file.
const COPIES: usize = 400;

/// Imports `bytes` as a file; panics are the test's failure.
fn import_bytes(folder: &Path, bytes: &[u8]) -> Result<(), ImportError> {
    let path = folder.join("damaged");
    std::fs::write(&path, bytes).unwrap();
    import(&path, &Options::default()).map(drop)
}

#[test]
fn damaged_keras_files_are_refused_or_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["keras_cls_ra1.keras", "keras_cls_ra1.h5", "keras2_hard.h5", "keras3_sequence_tokens.keras"] {
        let good = std::fs::read(vector(&format!("models/{name}"))).unwrap();
        let mut rng = Rng::new(9, 0);
        let mut below = |limit: usize| (rng.uniform() * limit as f64) as usize;
        let mut refused = 0;
        for copy in 0..COPIES {
            let mut bytes = good.clone();
            match copy % 4 {
                // Cut off, a byte changed, several changed, a length or address made huge.
                0 => bytes.truncate(below(good.len())),
                1 => bytes[below(good.len())] ^= 1 << below(8),
                2 => (0..16).for_each(|_| bytes[below(good.len())] = below(256) as u8),
                _ => {
                    let at = below(good.len() - 8) & !7;
                    bytes[at..at + 8].copy_from_slice(&[0xff; 8][..]);
                }
            }
            refused += usize::from(import_bytes(folder.path(), &bytes).is_err());
        }
        assert!(refused > COPIES / 8, "{name}: only {refused} of {COPIES} damaged copies were refused");
    }
}

/// The 8-byte words of an HDF5 file that may be an address, a size or a count.
fn words(file: &[u8]) -> impl Iterator<Item = usize> {
    let value = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    (0..file.len() / 8).map(|index| 8 * index).filter(move |&at| (1..1 << 32).contains(&value(at)))
}

/// Every address of a file becomes that of the root's header, that of the word itself, or one beyond the end; every size and
/// count becomes a huge one: groups that hold themselves, trees that are their own branches, arrays larger than all memory.
#[test]
fn whatever_an_hdf5_file_points_to_it_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["keras_cls_ra1.h5", "keras2_hard.h5"] {
        let good = std::fs::read(vector(&format!("models/{name}"))).unwrap();
        // Of the superblock's version 0: the root's object header.
        let root: [u8; 8] = good[64..72].try_into().unwrap();
        let (mut refused, mut copies) = (0, 0);
        for at in words(&good) {
            let itself = (at as u64).to_le_bytes();
            for value in [root, itself, (1u64 << 22).to_le_bytes(), (1u64 << 40).to_le_bytes(), [0xff; 8]] {
                let mut bytes = good.clone();
                bytes[at..at + 8].copy_from_slice(&value);
                refused += usize::from(import_bytes(folder.path(), &bytes).is_err());
                copies += 1;
            }
        }
        assert!(refused > copies / 4, "{name}: only {refused} of {copies} copies were refused");
    }
}

/// Where a B-tree of groups says which level its node is of, and the address of its first branch.
fn trees(file: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let node = |at: &usize| file[*at..].starts_with(b"TREE\0");
    (0..file.len()).filter(node).map(|at| (at + 5, at + 32))
}

#[test]
fn trees_and_arrays_without_end_are_errors_within_256_megabytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let good = std::fs::read(vector("models/keras_cls_ra1.h5")).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let Err(error) = import(&path, &Options::default()) else { return false };
        if let Some(limited) = refused_within_256_megabytes(&path) {
            assert!(limited.contains(&error.to_string()), "{limited}, and with more memory: {error}");
        }
        true
    };
    let mut endless = 0;
    for (level, branch) in trees(&good) {
        let mut bytes = good.clone();
        bytes[level] = 1;
        bytes[branch..branch + 8].copy_from_slice(&(level as u64 - 5).to_le_bytes());
        endless += usize::from(refused(&bytes));
    }
    // Those of the root, of the weights, of both layers and of what is within them; others are not read.
    assert!(endless >= 4, "{endless}");
    // The kernel of the GRU has 3 × 24 elements, its recurrent kernel 8 × 24.
    let is = |at: &usize, value: u64| good[*at..].starts_with(&value.to_le_bytes());
    let shapes: Vec<usize> = words(&good).filter(|at| is(at, 8) && is(&(at + 8), 24)).collect();
    assert!(!shapes.is_empty());
    for at in shapes {
        for elements in [1u64 << 20, 1 << 23, 1 << 40] {
            let mut bytes = good.clone();
            // Twice: the size, and the largest size.
            for at in [at, at + 16] {
                bytes[at..at + 8].copy_from_slice(&elements.to_le_bytes());
            }
            assert!(refused(&bytes), "{elements} rows");
        }
    }
    // The largest file, of which most is nothing.
    let mut bytes = good.clone();
    bytes.resize(60 << 20, 0);
    assert!(refused(&archive(&[("config.json", b"{}"), ("model.weights.h5", &bytes)])));
    let numbers = format!("[{}0]", "0,".repeat((1 << 19) - 2));
    assert!(refused(&archive(&[("config.json", numbers.as_bytes()), ("model.weights.h5", &good)])));
}

#[test]
fn other_files_are_refused_by_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |bytes: &[u8]| import_bytes(folder.path(), bytes).unwrap_err().to_string();
    assert!(refuse(b"").contains("neither a Keras"));
    assert!(refuse(b"\x1c\0\0\0TFL3\0\0").contains("import the .keras file"));
    assert!(refuse(&std::fs::read(vector("keras_cls_ra0_f32.npz")).unwrap()).contains("neither Keras's config.json"));
    assert!(refuse(b"\x89HDF\r\n\x1a\n").contains("damaged"));
    let error = import(Path::new("/no/such.keras"), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("check the path"), "{error}");
}

/// A zip archive of these files.
pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, contents) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(contents).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn hostile_archives_cost_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    // 200 MB of zeros in 200 KB.
    let bomb = vec![0; 200 << 20];
    let error = import_bytes(folder.path(), &archive(&[("config.json", b"{}"), ("model.weights.h5", &bomb)]));
    assert!(matches!(error, Err(ImportError::TooLarge { .. })), "{error:?}");
    let error = import_bytes(folder.path(), &archive(&[("config.json", &bomb), ("model.weights.h5", b"")]));
    assert!(matches!(error, Err(ImportError::TooLarge { .. })), "{error:?}");
    // A JSON document of a million brackets.
    let deep = "[".repeat(1 << 20);
    let error = import_bytes(folder.path(), &archive(&[("config.json", deep.as_bytes()), ("model.weights.h5", b"")]));
    assert!(matches!(error, Err(ImportError::Damaged(_))), "{error:?}");
}

/// A .keras file with another architecture and the weights of a real one.
fn with_config(change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(vector("models/keras_cls_ra1.keras")).unwrap()).unwrap();
    let mut read = |name: &str| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut zip.by_name(name).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let config = change(&String::from_utf8(read("config.json")).unwrap());
    archive(&[("config.json", config.as_bytes()), ("model.weights.h5", &read("model.weights.h5"))])
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |from: &str, to: &str| {
        let bytes = with_config(|text| {
            assert!(text.contains(from), "{from} is not in {text}");
            text.replacen(from, to, 1)
        });
        import_bytes(folder.path(), &bytes).unwrap_err().to_string()
    };
    let cases = [
        (r#""class_name": "GRU""#, r#""class_name": "LSTM""#, "the layer LSTM is not supported; train it with a GRU"),
        (r#""class_name": "Dense""#, r#""class_name": "Lambda""#, "the layer Lambda is not supported"),
        (r#""activation": "tanh""#, r#""activation": "elu""#, r#"the activation "elu" is not supported; use linear"#),
        (r#""recurrent_activation": "sigmoid""#, r#""recurrent_activation": "relu""#, "the gates' activation Relu"),
        (r#""units": 8"#, r#""units": 9"#, "expected the shape [3, 27], found [3, 24]"),
        (r#""reset_after": true"#, r#""reset_after": false"#, "expected the shape [24], found [2, 24]"),
        (r#""class_name": "Functional""#, r#""class_name": "MyModel""#, r#"a model of the class "MyModel""#),
        (r#""units": 4"#, r#""units": 99999"#, "it has no units"),
    ];
    for (from, to, expected) in cases {
        let error = refuse(from, to);
        assert!(error.contains(expected), "{to}: {error}");
    }
}
