//! `cargo xtask fuzz keras`: archives and HDF5 files of Keras, whatever their bytes.
#![no_main]

use std::path::Path;

use grulet_trainer::import::{Options, import_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| drop(import_bytes(bytes.to_vec(), Path::new("fuzzed.keras"), &Options::default())));
