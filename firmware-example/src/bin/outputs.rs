//! Prints the bits of every output, one step a line, for a comparison step by step.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use grulet::{Aligned, Dense, Gru, Model, include_model};
use grulet_firmware::{Samples, board, println};

// The line to edit: the network that the model was trained as; `grulet inspect` prints it.
type Net = (Gru<2, 16>, Dense<16, 2>);

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));
static SAMPLES: &[u8] = include_bytes!(env!("GRULET_SAMPLES"));

#[entry]
fn main() -> ! {
    let model = Model::<Net>::from_blob(MODEL).expect("the model is sound");
    let samples = Samples::<2, 2>::new(SAMPLES).expect("the samples have the model's inputs and outputs");
    let mut stream = model.stream();
    for (sample, _) in samples.iter() {
        let [a, b] = stream.step(&sample).map(f32::to_bits);
        println!("{a:08x} {b:08x}");
    }
    board::exit(Ok(()))
}
