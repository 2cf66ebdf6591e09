//! Models on a core: a hash of their outputs, and what a step costs. `cargo xtask cores` compares all cores with each other
//! and with the host.
#![no_std]
#![no_main]

use core::hint::black_box;

use grulet::layer::Frame;
use grulet::*;
use grulet_firmware::board::{self, Counter};
use grulet_firmware::{counted, entry, println, stack};

static GAIT: &Aligned<[u8]> = include_model!("../../../tests/models/gait_phase.gru");
static GAIT_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/gait_phase_int8.gru");
static TOKENS: &Aligned<[u8]> = include_model!("../../../tests/models/tokens.gru");
static TOKENS_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/tokens_int8.gru");
static POOL: &Aligned<[u8]> = include_model!("../../../tests/models/pool.gru");
static POOL_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/pool_int8.gru");
static KERAS: &Aligned<[u8]> = include_model!("../../../tests/models/imported_keras.gru");
static KERAS_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/imported_keras_int8.gru");
static TORCH: &Aligned<[u8]> = include_model!("../../../tests/models/imported_torch.gru");
static TORCH_INT8: &Aligned<[u8]> = include_model!("../../../tests/models/imported_torch_int8.gru");

type Gait<F = Exact> = (Gru<2, 16, F>, Dense<16, 2, Linear, F>);
type Tokens<F = Exact> = (Embedding<7, 5, F>, Gru<5, 6, F>, Dense<6, 3, Softmax, F>);
type Pools<F = Exact> =
    (Gru<3, 5, F>, Pool<5, Max, F>, Dense<5, 4, Relu, F>, Pool<4, Mean, F>, Dense<4, 2, Softmax, F>);
type Keras<F = Exact> = (Gru<3, 8, F, ResetAfter>, Dense<8, 4, Softmax, F>);
type Torch<F = Exact> = (Gru<5, 7, F, ResetAfter>, Gru<7, 6, F, ResetAfter>, Dense<6, 2, Linear, F>);

const STEPS: u32 = 200;

#[entry]
fn main() -> ! {
    let result = rows();
    if let Err(error) = result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn rows() -> Result<(), Error> {
    let mut counter = Counter::start().expect("nobody else uses the counter");
    row::<Gait, 2>(GAIT, &mut counter)?;
    row::<Gait<Int8>, 2>(GAIT_INT8, &mut counter)?;
    row::<Tokens, 1>(TOKENS, &mut counter)?;
    row::<Tokens<Int8>, 1>(TOKENS_INT8, &mut counter)?;
    row::<Pools, 3>(POOL, &mut counter)?;
    row::<Pools<Int8>, 3>(POOL_INT8, &mut counter)?;
    row::<Keras, 3>(KERAS, &mut counter)?;
    row::<Keras<Int8>, 3>(KERAS_INT8, &mut counter)?;
    row::<Torch, 5>(TORCH, &mut counter)?;
    row::<Torch<Int8>, 5>(TORCH_INT8, &mut counter)
}

fn row<N, const I: usize>(blob: &Aligned<[u8]>, counter: &mut Counter) -> Result<(), Error>
where
    N: Network<Input: Frame<N::Format, Real = [f32; I]>>,
{
    let model = Model::<N>::from_blob(blob)?;
    model.self_test()?;
    let mut stream = model.stream();
    let (mut hash, mut ticks, mut depth) = (BitHash::new(), 0, 0);
    for t in 0..STEPS {
        // Between -1 and 9, as `cargo xtask cores` makes them too: of tokens, all there are, and some that are none.
        let x: [f32; I] = core::array::from_fn(|i| ((7 * t + 3 * i as u32) % 41) as f32 / 4.0 - 1.0);
        let paint = (t == STEPS - 1).then(stack::paint::<{ board::PAINT }>);
        let start = counter.begin();
        let outputs = step(&mut stream, &x);
        ticks += u64::from(counter.since(start));
        hash.update(outputs.as_ref());
        // What is more than was painted is too large for any table.
        depth = paint.map_or(0, |paint| paint.used().unwrap_or(usize::MAX));
    }
    println!(
        "{} {} {} {} {:016x}",
        counted(ticks) / u64::from(STEPS),
        size_of::<Stream<'_, N>>(),
        depth,
        blob.0.len(),
        hash.finish()
    );
    Ok(())
}

/// A step with a stack frame of its own.
#[inline(never)]
fn step<N, const I: usize>(stream: &mut Stream<'_, N>, x: &[f32; I]) -> <N::Output as Frame<N::Format>>::Real
where
    N: Network<Input: Frame<N::Format, Real = [f32; I]>>,
{
    stream.step(black_box(x))
}
