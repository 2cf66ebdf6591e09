//! A model that was exported for another network, found at compile time.
//~ gait_phase.gru was exported for another network
use grulet::{Aligned, Dense, Gru, fits, include_model};

static MODEL: &Aligned<[u8]> = include_model!("../models/gait_phase.gru");
const _: () = assert!(
    fits::<(Gru<2, 32>, Dense<32, 2>)>(MODEL),
    "gait_phase.gru was exported for another network"
);

fn main() {}
