//! Streams recorded samples through a model and prints how good and how costly it is, and a hash of all output bits.
#![no_std]
#![no_main]

use core::mem::size_of;

use cortex_m_rt::entry;
use grulet::{Aligned, BitHash, Dense, Gru, Model, Stream, fits, include_model};
use grulet_firmware::board::{self, Counter};
use grulet_firmware::{Samples, println};

// The line to edit: the network that the model was trained as; `grulet inspect` prints it.
type Net = (Gru<2, 16>, Dense<16, 2>);

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));
const _: () = assert!(fits::<Net>(MODEL), "the model was exported for another network than `Net`");
static SAMPLES: &[u8] = include_bytes!(env!("GRULET_SAMPLES"));

#[entry]
fn main() -> ! {
    board::exit(run().map_err(|error| println!("error: {error}")))
}

fn run() -> Result<(), grulet::Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    println!("model: {}, {} bytes", model.header()?.name, MODEL.0.len());
    model.self_test()?;
    println!("self-test: passed");

    let samples = Samples::<2, 2>::new(SAMPLES).expect("the samples have the model's inputs and outputs");
    let counter = Counter::start().expect("nobody else uses the counter");
    let mut stream = model.stream();
    let (mut hash, mut squares, mut steps, mut ticks) = (BitHash::new(), 0.0, 0u32, 0u64);
    for (sample, target) in samples.iter() {
        let start = counter.now();
        let outputs = stream.step(&sample);
        ticks += u64::from(counter.since(start));
        hash.update(&outputs);
        // In f64, as on the host, so that the sum is the same to the last bit.
        for (y, t) in outputs.into_iter().zip(target) {
            let error = f64::from(y) - f64::from(t);
            squares += error * error;
        }
        steps += 1;
    }
    println!("steps: {steps}");
    println!("mse: {:.6}", squares / (f64::from(steps * 2)));
    println!("hash of all output bits: {:016x}", hash.finish());
    println!("RAM of the stream: {} bytes", size_of::<Stream<Net>>());
    println!("instructions per step: {}", ticks * board::INSTRUCTIONS_PER_TICK / u64::from(steps));
    Ok(())
}
