//! What the tests of the numerics share.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod limited;
pub mod reference;
pub mod tolerances;

use grulet_trainer::checkpoint::{Card, Checkpoint, Origin};
use grulet_trainer::nn::{Epsilon, Network, Optimizer, Rule};

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

/// A network as a training leaves it.
pub fn checkpoint(network: &Network<f32>) -> Checkpoint {
    Checkpoint {
        card: Card { layers: network.layers().to_vec(), output: network.output(), ..Card::default() },
        epoch: 1,
        value: 0.0,
        params: network.params().to_vec(),
        optimizer: Optimizer::new(network.params().len(), Rule::Adam(Epsilon::Keras)),
        origin: Origin::default(),
    }
}
