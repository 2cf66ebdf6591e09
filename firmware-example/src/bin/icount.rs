//! Counts the instructions of a step over random and extreme inputs and states, and how deep its stack goes.
#![no_std]
#![no_main]

use core::hint::black_box;

use grulet::*;
use grulet_firmware::board::{self, Counter};
use grulet_firmware::{counted, entry, println, stack};
use oorandom::Rand32;

// `type Net = …;`, a single GRU, and how often to measure: chosen by the build.
include!(concat!(env!("OUT_DIR"), "/net.rs"));

static MODEL: &Aligned<[u8]> = include_model!(env!("GRULET_MODEL"));

#[entry]
fn main() -> ! {
    match Model::<Net>::from_blob(MODEL) {
        Ok(model) => count(model),
        Err(error) => {
            println!("error: {error}");
            board::exit(Err(()))
        }
    }
}

fn count(model: Model<'static, Net>) -> ! {
    let mut counter = Counter::start().expect("nobody else uses the counter");
    let mut random = Rand32::new(1);
    let mut stream = model.stream();
    let paint = stack::paint::<{ board::PAINT }>();
    step(&mut stream, &units(true, &mut random));
    // What is more than was painted is too large for any table.
    let depth = paint.used().unwrap_or(usize::MAX);

    let (mut least, mut most) = (u32::MAX, 0);
    for input in 0..INPUTS {
        // Every eighth is all extremes.
        let extreme = input % 8 == 7;
        let x: <Net as WindowNetwork>::Input = units(extreme, &mut random);
        let mut state = *stream.state();
        state.0 = units(extreme, &mut random);
        let start = counter.begin();
        for _ in 0..REPEATS {
            stream.set_state(state);
            step(&mut stream, &x);
        }
        let with_restore = counter.since(start);
        let start = counter.begin();
        for _ in 0..REPEATS {
            stream.set_state(black_box(state));
        }
        let ticks = with_restore.saturating_sub(counter.since(start));
        (least, most) = (least.min(ticks), most.max(ticks));
    }
    let of_step = |ticks: u32| counted(u64::from(ticks)) / u64::from(REPEATS);
    println!("instructions min: {}", of_step(least));
    println!("instructions max: {}", of_step(most));
    // Two ticks, rounded up.
    println!("resolution: {}", of_step(2) + 1);
    println!("scratch: {}", Net::SCRATCH);
    println!("stack: {depth}");
    println!("state: {}", size_of::<<Net as Network>::State>());
    board::exit(Ok(()))
}

/// A step with a stack frame of its own.
#[inline(never)]
fn step(stream: &mut Stream<'_, Net>, x: &<Net as WindowNetwork>::Input) -> <Net as WindowNetwork>::Output {
    black_box(stream.step_raw(black_box(x)))
}

/// A unit of a network's inputs or state.
trait Unit {
    /// One anywhere in its range, or at an end of it.
    fn random(extreme: bool, random: &mut Rand32) -> Self;
}

impl Unit for f32 {
    fn random(extreme: bool, random: &mut Rand32) -> Self {
        let x = 2.0 * random.rand_float() - 1.0;
        if extreme { x.signum() } else { x }
    }
}

impl Unit for i16 {
    fn random(extreme: bool, random: &mut Rand32) -> Self {
        if !extreme {
            random.rand_u32() as i16
        } else if random.rand_u32() % 2 == 0 {
            -i16::MAX
        } else {
            i16::MAX
        }
    }
}

fn units<U: Unit, const N: usize>(extreme: bool, random: &mut Rand32) -> [U; N] {
    core::array::from_fn(|_| U::random(extreme, random))
}
