//! Networks that take tokens, as an embedding or as one-hot vectors, in `f32` and in integers: the self-tests compare with the bits of the host.
#![no_std]
#![no_main]

use grulet::layer::Frame;
use grulet::*;
use grulet_firmware::{board, entry, println};

static MODEL: &Aligned<[u8]> = include_model!("../../../tests/models/tokens.gru");
static MODEL_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/tokens_int8.gru");
static ONE_HOT: &Aligned<[u8]> = include_model!("../../../tests/models/one_hot.gru");
static ONE_HOT_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/one_hot_int8.gru");

type Net = (Embedding<7, 5>, Gru<5, 6>, Dense<6, 3, Softmax>);
type Int8Net = (Embedding<7, 5, Int8>, Gru<5, 6, Int8>, Dense<6, 3, Softmax, Int8>);
type OneHotNet = (OneHot<Gru<7, 21>>, Dense<21, 3, Softmax>);
type OneHotInt8Net = (OneHot<Gru<7, 21, Int8>>, Dense<21, 3, Softmax, Int8>);

#[entry]
fn main() -> ! {
    let result = run::<Net>("f32", MODEL)
        .and_then(|()| run::<Int8Net>("Int8", MODEL_INT8))
        .and_then(|()| run::<OneHotNet>("one-hot, f32", ONE_HOT))
        .and_then(|()| run::<OneHotInt8Net>("one-hot, Int8", ONE_HOT_INT8));
    if let Err(error) = result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn run<N>(name: &str, blob: &Aligned<[u8]>) -> Result<(), Error>
where
    N: Network<Input: Frame<N::Format, Real = [f32; 1]>>,
{
    let model = Model::<N>::from_blob(blob)?;
    model.self_test()?;
    let mut stream = model.stream();
    let mut hash = BitHash::new();
    // All tokens, and what is none.
    for token in [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, -1.0, f32::NAN, 2.4] {
        hash.update(stream.step(&[token]).as_ref());
    }
    println!("{name}: self-test passed, hash {:016x}", hash.finish());
    Ok(())
}
