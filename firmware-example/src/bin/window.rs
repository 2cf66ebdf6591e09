//! Bidirectional layers over windows, in `f32` with an answer at every step, and in integers with one answer for all: the
//! self-tests compare with the bits of the host.
#![no_std]
#![no_main]

use grulet::layer::Frame;
use grulet::*;
use grulet_firmware::{board, entry, println};

static MODEL: &Aligned<[u8]> = include_model!("../../../tests/models/window.gru");
static MODEL_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/window_int8.gru");

type Net<F = Exact> = (
    Bidirectional<3, 5, 10, Concat, F>,
    Dense<10, 4, Relu, F>,
    Bidirectional<4, 3, 3, Ave, F, ResetAfter>,
    Dense<3, 2, Softmax, F>,
);

#[entry]
fn main() -> ! {
    let result = run::<Net>("f32", MODEL).and_then(|()| run::<Net<Int8>>("Int8", MODEL_INT8));
    if let Err(error) = result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn run<N>(name: &str, blob: &Aligned<[u8]>) -> Result<(), Error>
where
    N: WindowNetwork<Input: Frame<N::Format, Real = [f32; 3]>>,
{
    let mut window = Model::<N>::from_blob(blob)?.window::<16>()?;
    window.self_test()?;
    let (mut hash, mut answers) = (BitHash::new(), 0);
    for length in [16, 1, 7] {
        for t in 0..length {
            let x = t as f32 * 0.2;
            window.push(&[x - 1.0, 0.5 - x, (t % 7) as f32 * 0.4 - 1.0])?;
        }
        for y in window.finish() {
            hash.update(y.as_ref());
            answers += 1;
        }
    }
    println!("{name}: self-test passed, {answers} answers, hash {:016x}", hash.finish());
    Ok(())
}
