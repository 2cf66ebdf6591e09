//! The imported models that every emulated core runs, in `f32` and in integers: those that the commands make today.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::vector;

/// What to import, its outputs, and options that the file leaves open.
const MODELS: [(&str, &str, &str, &[&str]); 2] = [
    ("keras", "keras_cls_ra1.keras", "keras_cls_ra1_f32.npz", &[]),
    ("torch", "torch_reg2.pt", "torch_reg2_f32.npz", &["--answers", "last_step"]),
];

/// Runs `grulet`; a failure is the test's.
fn grulet(arguments: &[&Path]) {
    let output = Command::new(env!("CARGO_BIN_EXE_grulet")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A file of `tests/models`.
fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models").join(name).with_extension("gru")
}

#[test]
fn the_firmwares_models_are_these() {
    let folder = tempfile::tempdir().unwrap();
    for (name, file, outputs, options) in MODELS {
        let (source, outputs) = (vector(&format!("models/{file}")), vector(outputs));
        let (f32, int8) = (folder.path().join(name), folder.path().join(format!("{name}_int8")));
        let import = ["import", "--keys", "x,out", "--tolerance", "2e-6", "--name", name];
        let mut arguments: Vec<&Path> = import.iter().chain(options).map(Path::new).collect();
        arguments.extend([&source, Path::new("--check"), &outputs, Path::new("-o"), &f32]);
        grulet(&arguments);
        grulet(&[Path::new("quantize"), &f32, Path::new("--calib"), &outputs, Path::new("-o"), &int8]);
        for (made, committed) in [(f32, format!("imported_{name}")), (int8, format!("imported_{name}_int8"))] {
            let (made, path) = (fs::read(made).unwrap(), self::committed(&committed));
            if std::env::var_os("GRULET_OVERWRITE").is_some() {
                fs::write(&path, &made).unwrap();
            }
            assert!(fs::read(&path).unwrap() == made, "{committed} is another; GRULET_OVERWRITE=1 renews it");
        }
    }
}
