//! This one compiles, so that the others fail for their own reasons.
use grulet::{Aligned, Dense, Gru, Model, Softmax, fits, include_model};

type Net = (Gru<2, 16>, Dense<16, 2>);
type Six = (Dense<1, 2>, Gru<2, 3>, Gru<3, 4>, Dense<4, 5>, Gru<5, 6>, Dense<6, 2, Softmax>);

static MODEL: &Aligned<[u8]> = include_model!("../models/gait_phase.gru");
const _: () = assert!(fits::<Net>(MODEL));
const _: () = assert!(!fits::<Six>(MODEL));

fn main() {
    let [_, _] = Model::<Net>::from_blob(MODEL).expect("it is sound").stream().step(&[0.0, 1.0]);
}
