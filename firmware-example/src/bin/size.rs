//! A network and nothing else: what it adds to the empty program is the code of loader, self-test and step.
#![no_std]
#![no_main]

use core::hint::black_box;

use grulet::*;
use grulet_firmware::{board, entry};

// `type Net = …;`, chosen by the build.
include!(concat!(env!("OUT_DIR"), "/net.rs"));

#[entry]
fn main() -> ! {
    board::exit(run(black_box(&include_model!(env!("GRULET_MODEL")).0)).map_err(|_| ()))
}

fn run(bytes: &[u8]) -> Result<(), Error> {
    let model = Model::<Net>::from_blob(bytes)?;
    model.self_test()?;
    black_box(model.stream().step(black_box(&sample())));
    Ok(())
}

/// A sample of as many inputs as the network has.
fn sample<const N: usize>() -> [f32; N] {
    [0.0; N]
}
