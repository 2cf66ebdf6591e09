//! An activation that is none of a gate.
//~ the trait bound `grulet::Softmax: GateActivation` is not satisfied
use grulet::{Exact, Gru, Model, ResetBefore, Softmax};

fn takes(_: Model<'_, (Gru<2, 16, Exact, ResetBefore, Softmax>,)>) {}

fn main() {}
