//! The least: one sample into a model, one answer out.
#![no_std]
#![no_main]

use grulet::{Aligned, Dense, Gru, Model, include_model};
use grulet_firmware::{board, entry, println};

// The line to edit: the network that the model was trained as; `grulet inspect` prints it.
type Net = (Gru<2, 16>, Dense<16, 2>);

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));

#[entry]
fn main() -> ! {
    match Model::<Net>::from_blob(MODEL) {
        Ok(model) => {
            let mut stream = model.stream();
            let outputs = stream.step(&[0.1, -0.5]);
            println!("{outputs:?}");
            board::exit(Ok(()))
        }
        Err(error) => {
            println!("error: {error}");
            board::exit(Err(()))
        }
    }
}
