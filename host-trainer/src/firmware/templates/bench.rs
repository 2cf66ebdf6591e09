//! Counts what steps of a model take.
#![no_std]
#![no_main]

mod board;

use core::hint::black_box;

use board::Counter;
use cortex_m_rt::entry;
use grulet::*;

static MODEL: &Aligned<[u8]> = include_model!("../model.gru");
type Net = @NET@;

macro_rules! println {
    ($($arguments:tt)*) => { board::print(format_args!("{}\n", format_args!($($arguments)*))) };
}

#[entry]
fn main() -> ! {
    let result = run();
    if let Err(error) = &result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

fn run() -> Result<(), Error> {
    let model = Model::<Net>::from_blob(MODEL)?;
    let counter = Counter::start().expect("this core has the counter that its board.rs names");
    let mut stream = model.stream();
    let (mut least, mut most, mut all) = (u64::MAX, 0_u64, 0_u64);
    let paint = stack::paint::<{ board::PAINT }>();
    for step in 0..@STEPS@_usize {
        let sample: [f32; @INPUTS@] = @SAMPLE@;
        let start = counter.now();
        black_box(stream.step(black_box(&sample)));
        let ticks = u64::from(counter.since(start));
        (least, most, all) = (least.min(ticks), most.max(ticks), all + ticks);
    }
    println!("stack: {}", paint.used());
    println!("state: {}", size_of::<Stream<Net>>());
    println!("ticks: {least} {most} {all}");
    println!("per1000: {}", board::TICKS_PER_1000);
    println!("unit: {}", board::UNIT);
    Ok(())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    board::exit(Err(()))
}
