//! What the tests of the numerics share.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod limited;
pub mod reference;
pub mod tolerances;

/// Fails unless `found` is as close to `expected` as [`tolerances`] defines it.
pub fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: elements");
    let largest = expected.iter().fold(0f64, |max, x| max.max(x.abs()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs() / largest;
        assert!(
            difference <= tolerance,
            "{what}[{i}]: {found:e}, expected {expected:e}: {difference:e} of the largest"
        );
    }
}
