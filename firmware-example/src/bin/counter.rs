//! The board's counter counts work that takes longer than the 24 bits of a SysTick.
#![no_std]
#![no_main]

use core::hint::black_box;

use grulet_firmware::board::{self, Counter};
use grulet_firmware::{entry, println};

/// Work that takes a part of 2²⁴ ticks at any clock.
const WORK: u32 = 100_000;

#[entry]
fn main() -> ! {
    let mut counter = Counter::start().expect("nobody else uses the counter");
    let once = ticks(&mut counter, WORK);
    // Two and a half times round.
    let times = (5 << 23) / once;
    let all = ticks(&mut counter, times * WORK);
    let ratio = all as f32 / (times as f32 * once as f32);
    println!("{times} times {WORK} loops take {all} ticks, {ratio:.3} times what they should");
    board::exit(if (0.99..1.01).contains(&ratio) { Ok(()) } else { Err(()) })
}

#[inline(never)]
fn ticks(counter: &mut Counter, loops: u32) -> u32 {
    let start = counter.begin();
    for index in 0..loops {
        black_box(index);
    }
    counter.since(start)
}
