//! A network that pools over time, in `f32` and in integers: the self-tests compare with the bits of the host.
#![no_std]
#![no_main]

use grulet::layer::Frame;
use grulet::*;
use grulet_firmware::{board, entry, println};

static MODEL: &Aligned<[u8]> = include_model!("../../../tests/models/pool.gru");
static MODEL_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/pool_int8.gru");

type Net<F = Exact> = (Gru<3, 5, F>, Pool<5, Max, F>, Dense<5, 4, Relu, F>, Pool<4, Mean, F>, Dense<4, 2, Softmax, F>);

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
    N: Network<Input: Frame<N::Format, Real = [f32; 3]>>,
{
    let model = Model::<N>::from_blob(blob)?;
    model.self_test()?;
    let mut stream = model.stream();
    let mut hash = BitHash::new();
    for t in 0..100 {
        let x = t as f32 * 0.03;
        hash.update(stream.step(&[x - 1.0, 0.5 - x, (t % 7) as f32 * 0.4 - 1.0]).as_ref());
    }
    println!("{name}: self-test passed, hash {:016x}", hash.finish());
    Ok(())
}
