//! Streams recorded samples through a model and prints how good and how costly it is, and a hash of all output bits.
#![no_std]
#![no_main]

use grulet::{Aligned, Dense, Gru, fits, include_model};
use grulet_firmware::{Samples, board, entry, println, stream};

// The line to edit: the network that the model was trained as; `grulet inspect` prints it.
type Net = (Gru<2, 16>, Dense<16, 2>);

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));
const _: () = assert!(fits::<Net>(MODEL), "the model was exported for another network than `Net`");
static SAMPLES: &[u8] = include_bytes!(env!("GRULET_SAMPLES"));

#[entry]
fn main() -> ! {
    let samples = Samples::new(SAMPLES).expect("the samples have the model's inputs and outputs");
    board::exit(stream::run::<Net, 2, 2>(&MODEL.0, &samples).map_err(|error| println!("error: {error}")))
}
