//! The self-test of the models, in `f32` and in integers: this compiler and this core give the bits that the trainer saw.
#![no_std]
#![no_main]

use grulet::*;
use grulet_firmware::{board, entry, println};

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));
static MODEL_INT8: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL_INT8"));

// The lines to edit: the networks that the models were trained as; `grulet inspect` prints them.
type Net = (Gru<2, 16>, Dense<16, 2>);
type Int8Net = (Gru<2, 16, Int8>, Dense<16, 2, Linear, Int8>);

#[entry]
fn main() -> ! {
    let results = [
        ("f32", Model::<Net>::from_blob(MODEL).and_then(|model| model.self_test())),
        ("Int8", Model::<Int8Net>::from_blob(MODEL_INT8).and_then(|model| model.self_test())),
    ];
    for (format, result) in results {
        match result {
            Ok(()) => println!("{format}: self-test passed"),
            Err(error) => println!("{format}: error: {error}"),
        }
    }
    let passed = results.iter().all(|(_, result)| result.is_ok());
    board::exit(if passed { Ok(()) } else { Err(()) })
}
