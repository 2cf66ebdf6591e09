//! `cargo xtask fuzz model`: model files for the chip, whatever their bytes under a checksum that is right.
#![no_main]

use grulet::blob::{AlignedBytes, checksum};
use grulet::{AnyModel, AnySeq2Seq, Exact, Format, Int8};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if let Some(sum) = bytes.len().checked_sub(4) {
        let right = checksum(&bytes[..sum]).to_le_bytes();
        bytes[sum..].copy_from_slice(&right);
    }
    let blob = AlignedBytes::new(&bytes);
    run::<Exact>(&blob);
    run::<Int8>(&blob);
});

fn run<F: Format>(blob: &AlignedBytes) {
    if let Ok(model) = AnyModel::<F>::from_blob(blob) {
        let _ = model.self_test_on_heap();
        let sample = vec![0.5; model.header().inputs()];
        let _ = model.run_series(&sample, |_, _, _| {});
    }
    if let Ok(model) = AnySeq2Seq::<F>::from_blob(blob) {
        let _ = model.self_test_on_heap();
    }
}
