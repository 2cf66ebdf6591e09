//! Eight sensors, one model: the weights stay in flash once, and each stream is a state in RAM.
#![no_std]
#![no_main]

use grulet::*;
use grulet_firmware::{board, entry, println};

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL_INT8"));

// The line to edit: the network that the model was trained as; `grulet inspect` prints it.
type Net = (Gru<2, 16, Int8>, Dense<16, 2, Linear, Int8>);

const SENSORS: usize = 8;
// A stream is the state, 16 units of 2 bytes, and a reference to the weights.
const _: () = assert!(size_of::<Stream<'static, Net>>() == 16 * size_of::<i16>() + size_of::<&[u8]>());

#[entry]
fn main() -> ! {
    let result = run();
    if let Err(error) = result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn run() -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let mut streams: [_; SENSORS] = core::array::from_fn(|_| model.stream());
    let one = size_of::<Stream<'_, Net>>();
    assert_eq!(size_of_val(&streams), SENSORS * one);
    println!("RAM: {} bytes for {SENSORS} streams, {one} each", size_of_val(&streams));

    // A sample of each sensor in turn.
    let sample = |sensor: usize, t: usize| [(sensor as f32 - 4.0) * 0.2, (t % 9) as f32 * 0.5 - 2.0];
    let mut hashes: [_; SENSORS] = core::array::from_fn(|_| BitHash::new());
    for t in 0..100 {
        for (sensor, (stream, hash)) in streams.iter_mut().zip(&mut hashes).enumerate() {
            hash.update(&stream.step(&sample(sensor, t)));
        }
    }
    for (sensor, hash) in hashes.into_iter().map(|hash| hash.finish()).enumerate() {
        // The same as if it had a model to itself.
        let (mut stream, mut alone) = (model.stream(), BitHash::new());
        (0..100).for_each(|t| alone.update(&stream.step(&sample(sensor, t))));
        assert_eq!(alone.finish(), hash);
        println!("sensor {sensor}: {hash:016x}");
    }
    Ok(())
}
