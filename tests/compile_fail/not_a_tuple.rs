//! A layer alone, without the comma that makes it a tuple.
//~ `grulet::Gru<2, 16>` is not a network
//~ a single layer is `(Gru<6, 32>,)`
use grulet::{Gru, Model};

fn takes(_: Model<'_, Gru<2, 16>>) {}

fn main() {}
