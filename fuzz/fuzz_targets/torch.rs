//! `cargo xtask fuzz torch`: files of PyTorch and safetensors, whatever their bytes.
#![no_main]

use std::path::Path;

use grulet_trainer::import::{Options, import_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| drop(import_bytes(bytes.to_vec(), Path::new("fuzzed.pt"), &Options::default())));
