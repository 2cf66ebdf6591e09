//! How long a step takes on this board, in `f32` and in integers: instructions in QEMU, cycles on a chip.
#![no_std]
#![no_main]

use core::hint::black_box;

use grulet::layer::Frame;
use grulet::*;
use grulet_firmware::board::{self, Counter};
use grulet_firmware::{counted, entry, println};

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));
static MODEL_INT8: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL_INT8"));

// The lines to edit: the networks that the models were trained as; `grulet inspect` prints them.
type Net = (Gru<2, 16>, Dense<16, 2>);
type Int8Net = (Gru<2, 16, Int8>, Dense<16, 2, Linear, Int8>);

const STEPS: u32 = 1000;

#[entry]
fn main() -> ! {
    let mut counter = Counter::start().expect("this core has the counter that its board.rs names");
    println!("board: {}", board::NAME);
    let result =
        time::<Net, 2>("f32", MODEL, &mut counter).and_then(|()| time::<Int8Net, 2>("Int8", MODEL_INT8, &mut counter));
    if let Err(error) = result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn time<N, const I: usize>(format: &str, blob: &Aligned<[u8]>, counter: &mut Counter) -> Result<(), Error>
where
    N: Network<Input: Frame<N::Format, Real = [f32; I]>>,
{
    let model = Model::<N>::from_blob(blob)?;
    model.self_test()?;
    let macs = model.header()?.macs();
    let mut stream = model.stream();
    let (mut least, mut most) = (u64::MAX, 0);
    for t in 0..STEPS {
        let x: [f32; I] = core::array::from_fn(|i| ((7 * t + 3 * i as u32) % 17) as f32 / 8.0 - 1.0);
        let start = counter.begin();
        black_box(stream.step(black_box(&x)));
        let count = counted(counter.since(start).into());
        (least, most) = (least.min(count), most.max(count));
    }
    let per_mac = |count| count as f32 / macs as f32;
    println!("{} per step, {format}: {least} to {most}", board::UNIT);
    println!("{} per MAC, {format}: {:.2} to {:.2}", board::UNIT, per_mac(least), per_mac(most));
    Ok(())
}
