//! The proof that nothing in the runtime can panic: this links only if no panic is left in the program.
//!
//! The panic handler calls a function that does not exist. Loader, self-test, typed and run-time networks are all called
//! on bytes that the compiler knows nothing about.
#![no_std]
#![no_main]
#![allow(unsafe_code)]

use core::hint::black_box;
use core::panic::PanicInfo;

use grulet::layer::Frame;
use grulet::{
    AnyModel, AnySeq2Seq, Bidirectional, Concat, Dense, Embedding, Error, Exact, Format, Gru, HardSigmoid, Int8, Max,
    Mean, Model, Mul, Network, OneHot, Pool, Relu, ResetAfter, Seq2Seq, Softmax, WindowNetwork, include_model,
};
use grulet_firmware::{board, entry};

type Net = (Gru<2, 16>, Dense<16, 2>);
type Integers = (Gru<2, 16, Int8>, Dense<16, 2, Softmax, Int8>);
type Tokens = (Embedding<9, 4>, Gru<4, 5>);
type IntegerTokens = (Embedding<9, 4, Int8>, Gru<4, 5, Int8, ResetAfter>);
type OneHots<F> = (OneHot<Gru<9, 16, F, ResetAfter>>, Dense<16, 3, Relu, F>);
type OneHotDense<F> = (OneHot<Dense<9, 4, Relu, F>>, Gru<4, 5, F>);
type OneHotBefore<F> = (OneHot<Gru<9, 17, F>>,);
type OneHotBoth<F> = (OneHot<Bidirectional<9, 3, 6, Concat, F>>,);
type Pools = (Pool<2, Mean>, Pool<2, Max>);
type IntegerPools = (Pool<2, Mean, Int8>, Pool<2, Max, Int8>);
type Bidirectionals<F> =
    (Bidirectional<2, 5, 10, Concat, F>, Bidirectional<10, 3, 3, Mul, F, ResetAfter>, Dense<3, 2, Relu, F>);
type Encoder<F> = (Embedding<9, 4, F>, Gru<4, 5, F>);
type Decoder<F> = (Embedding<7, 3, F>, Gru<3, 5, F, ResetAfter>, Dense<5, 7, Softmax, F>);
type Other = (Dense<2, 7, Relu>, Gru<7, 9, Exact, ResetAfter, HardSigmoid>, Dense<9, 3, Softmax>);

#[entry]
fn main() -> ! {
    let bytes: &[u8] = black_box(&include_model!(env!("GRULET_MODEL")).0);
    let result = typed(bytes).and_then(|()| any::<Exact>(bytes));
    // The blob of another network is refused, but the code is in the program and in the proof.
    black_box(other::<Other, 2>(bytes).is_err());
    black_box(other::<Integers, 2>(bytes).is_err());
    black_box(other::<Tokens, 1>(bytes).is_err());
    black_box(other::<IntegerTokens, 1>(bytes).is_err());
    black_box(other::<OneHots<Exact>, 1>(bytes).is_err());
    black_box(other::<OneHots<Int8>, 1>(bytes).is_err());
    black_box(other::<OneHotDense<Exact>, 1>(bytes).is_err());
    black_box(other::<OneHotDense<Int8>, 1>(bytes).is_err());
    black_box(other::<OneHotBefore<Exact>, 1>(bytes).is_err());
    black_box(other::<OneHotBefore<Int8>, 1>(bytes).is_err());
    black_box(window::<OneHotBoth<Exact>, 1>(bytes).is_err());
    black_box(window::<OneHotBoth<Int8>, 1>(bytes).is_err());
    black_box(other::<Pools, 2>(bytes).is_err());
    black_box(other::<IntegerPools, 2>(bytes).is_err());
    black_box(any::<Int8>(bytes).is_err());
    black_box(window::<Bidirectionals<Exact>, 2>(bytes).is_err());
    black_box(window::<Bidirectionals<Int8>, 2>(bytes).is_err());
    black_box(window::<Net, 2>(bytes).is_err());
    black_box(any_window::<Exact>(bytes).is_err());
    black_box(any_window::<Int8>(bytes).is_err());
    black_box(pair::<Exact, Encoder<Exact>, Decoder<Exact>>(bytes).is_err());
    black_box(pair::<Int8, Encoder<Int8>, Decoder<Int8>>(bytes).is_err());
    black_box(any_pair::<Exact>(bytes).is_err());
    black_box(any_pair::<Int8>(bytes).is_err());
    board::exit(result.map_err(|_| ()))
}

fn typed(bytes: &[u8]) -> Result<(), Error> {
    let model = Model::<Net>::from_blob(bytes)?;
    model.self_test()?;
    let mut stream = model.stream();
    let samples = black_box([[0.5, f32::NAN], [f32::INFINITY, -1.0]]);
    let mut outputs = [[0.0; 2]; 2];
    stream.run(&samples, &mut outputs)?;
    let state = *stream.state();
    stream.reset();
    stream.set_state(black_box(state));
    black_box(stream.step(&samples[0]));
    Ok(())
}

fn pair<F: Format, E, D>(bytes: &[u8]) -> Result<(), Error>
where
    E: Network<Format = F, Input: Frame<F, Real = [f32; 1]>>,
    D: Network<Format = F>,
{
    let model = Seq2Seq::<E, D>::from_blob(bytes)?;
    model.self_test()?;
    let mut encoder = model.encoder();
    encoder.step(&black_box([f32::NAN]));
    let mut decoder = encoder.decoder();
    black_box(decoder.decode::<4>());
    black_box(decoder.step(black_box(u16::MAX)));
    black_box(decoder.has_stopped());
    encoder.reset();
    Ok(())
}

fn any_pair<F: Format>(bytes: &[u8]) -> Result<(), Error> {
    let model = AnySeq2Seq::<F>::from_blob(bytes)?;
    model.self_test::<256>()?;
    let mut encoder = model.encoder::<256>()?;
    encoder.step(&black_box([f32::NAN]))?;
    let mut decoder = model.decoder::<256>(&encoder)?;
    black_box(decoder.step(black_box(u16::MAX))?.len());
    black_box(decoder.next_token()?);
    Ok(())
}

fn other<N: Network<Input: Frame<N::Format, Real = [f32; I]>>, const I: usize>(bytes: &[u8]) -> Result<(), Error> {
    let model = Model::<N>::from_blob(bytes)?;
    model.self_test()?;
    let mut stream = model.stream();
    black_box(stream.step(&black_box([0.5; I])));
    stream.set_state(black_box(*stream.state()));
    black_box(stream.step(&black_box([0.5; I])));
    Ok(())
}

fn any<F: Format>(bytes: &[u8]) -> Result<(), Error> {
    let model = AnyModel::<F>::from_blob(bytes)?;
    model.self_test::<256>()?;
    let mut stream = model.stream::<256>()?;
    black_box(stream.step(&black_box([0.5, -0.5]))?);
    black_box(stream.step_raw(&black_box([F::Unit::default(); 2]))?);
    let mut outputs = [0.0; 4];
    stream.run(&black_box([0.5, f32::NAN, f32::INFINITY, -1.0]), &mut outputs)?;
    black_box(outputs);
    let state = black_box([F::Unit::default(); 32]);
    black_box(stream.set_state(&state).is_err());
    stream.reset();
    Ok(())
}

fn window<N, const I: usize>(bytes: &[u8]) -> Result<(), Error>
where
    N: WindowNetwork<Input: Frame<N::Format, Real = [f32; I]>>,
{
    let mut window = Model::<N>::from_blob(bytes)?.window::<20>()?;
    window.self_test()?;
    for _ in 0..black_box(30) {
        black_box(window.push(&black_box([f32::NAN; I])).is_err());
    }
    window.finish().for_each(|y| _ = black_box(y));
    window.push_raw(&black_box(N::Input::ZERO))?;
    black_box(window.finish_raw());
    window.clear();
    Ok(())
}

fn any_window<F: Format>(bytes: &[u8]) -> Result<(), Error> {
    let model = AnyModel::<F>::from_blob(bytes)?;
    let mut window = model.window::<512>(black_box(10))?;
    for _ in 0..black_box(30) {
        black_box(window.push(&black_box([f32::NAN, 0.5])).is_err());
    }
    black_box(window.finish()?.len());
    window.clear();
    Ok(())
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_can_be_reached() -> !;
    }
    // SAFETY: the function does not exist, so that a program in which this call is left does not link.
    unsafe { a_panic_can_be_reached() }
}
