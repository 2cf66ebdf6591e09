//! The files, and one comparison for all of them.

use std::path::{Path, PathBuf};

use grulet_trainer::data::Npz;
use grulet_trainer::export::export;
use grulet_trainer::import::check::{self, Difference, Given};
use grulet_trainer::import::{Options, import};

/// Largest difference from a source's own outputs that passes.
pub const TOLERANCE: f64 = 2e-6;

/// A file of `tests/vectors`.
pub fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(name)
}

/// The differences of the imported `model` from its own graph and from the outputs in `outputs`.
pub fn differences(model: &str, outputs: &str, options: &Options) -> [Difference; 2] {
    let imported =
        import(&vector(&format!("models/{model}")), options).unwrap_or_else(|error| panic!("{model}: {error}"));
    let blob = export(&imported.checkpoint).unwrap();
    let mut npz = Npz::open(&vector(outputs)).unwrap();
    let tokens = npz.has("tokens").then(|| npz.array("tokens", "").unwrap());
    let (x, y) = (npz.array("x", "").unwrap(), npz.array("out", "").unwrap());
    let given = Given { x: &x, tokens: tokens.as_ref(), y: &y, time_major: false };
    [
        check::against_graph(&imported, &blob, TOLERANCE).unwrap(),
        check::against_outputs(&blob, given, TOLERANCE).unwrap(),
    ]
}

/// Fails unless the imported `model` gives the outputs in `outputs`.
pub fn assert_gives(model: &str, outputs: &str, options: &Options) {
    for (difference, what) in differences(model, outputs, options).into_iter().zip(["its graph", "its source"]) {
        assert!(difference.answers > 0 && difference.largest > 0.01, "{model}: {difference:?}");
        assert!(difference.max <= TOLERANCE, "{model} against {what}: {difference:?}");
    }
}
