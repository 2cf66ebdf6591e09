//! Recorded samples through a model: how good it is, how costly, and a hash of all output bits.

use core::mem::size_of;

use grulet::layer::Frame;
use grulet::{BitHash, Error, Model, Network, Stream};

use crate::board::Counter;
use crate::{Samples, board, counted, println};

/// Streams `samples` through the model in `blob` and prints what comes of it.
///
/// # Errors
/// If the blob holds no such model, or its self-test fails.
pub fn run<N, const I: usize, const O: usize>(blob: &[u8], samples: &Samples<'_, I, O>) -> Result<(), Error>
where
    N: Network<Input: Frame<N::Format, Real = [f32; I]>, Output: Frame<N::Format, Real = [f32; O]>>,
{
    let model = Model::<N>::from_blob(blob)?;
    println!("model: {}, {} bytes", model.header()?.name, blob.len());
    model.self_test()?;
    println!("self-test: passed");

    let mut counter = Counter::start().expect("nobody else uses the counter");
    let mut stream = model.stream();
    let (mut hash, mut squares, mut steps, mut ticks) = (BitHash::new(), 0.0, 0u32, 0u64);
    for (sample, target) in samples.iter() {
        let start = counter.begin();
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
    println!("mse: {:.6}", squares / f64::from(steps * O as u32));
    println!("hash of all output bits: {:016x}", hash.finish());
    println!("RAM of the stream: {} bytes", size_of::<Stream<'_, N>>());
    println!("{} per step: {}", board::UNIT, counted(ticks) / u64::from(steps));
    Ok(())
}
