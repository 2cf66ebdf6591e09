//! A sample of another length than the network's inputs.
//~ expected an array with a size of 2, found one with a size of 3
use grulet::{Gru, Stream};

fn three(stream: &mut Stream<'_, (Gru<2, 16>,)>) {
    stream.step(&[0.0, 1.0, 2.0]);
}

fn main() {}
