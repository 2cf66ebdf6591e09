//! Prints the bits of every output, one step a line, for a comparison step by step.
#![no_std]
#![no_main]

use core::fmt::Write;

use grulet::*;
use grulet_firmware::{Samples, board, entry, println};

// `type Net = …;`, chosen by the build.
include!(concat!(env!("OUT_DIR"), "/net.rs"));

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));
static SAMPLES: &[u8] = include_bytes!(env!("GRULET_SAMPLES"));

#[entry]
fn main() -> ! {
    let model = Model::<Net>::from_blob(MODEL).expect("the model is sound");
    let samples = Samples::<2, 2>::new(SAMPLES).expect("the samples have the model's inputs and outputs");
    let mut stream = model.stream();
    for (sample, _) in samples.iter() {
        let mut line = heapless::String::<128>::new();
        for output in stream.step(&sample) {
            // Eight digits and a space for each: there is room for 14 outputs.
            let _ = write!(line, "{}{:08x}", if line.is_empty() { "" } else { " " }, output.to_bits());
        }
        println!("{line}");
    }
    board::exit(Ok(()))
}
