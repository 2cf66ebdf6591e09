//! Layers of two formats in one network.
//~ expected `Exact`, found `Fast`
use grulet::{Dense, Exact, Fast, Gru, Linear, Model};

fn takes(_: Model<'_, (Gru<2, 16, Exact>, Dense<16, 2, Linear, Fast>)>) {}

fn main() {}
