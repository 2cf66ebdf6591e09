//! A dense layer that takes another number of inputs than the GRU before it gives.
//~ expected an array with a size of 16, found one with a size of 15
use grulet::{Dense, Gru, Model};

fn takes(_: Model<'_, (Gru<2, 16>, Dense<15, 2>)>) {}

fn main() {}
