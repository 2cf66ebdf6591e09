//! The core's kernels against the portable ones, to the bit: all sizes, random and extreme values.
#![no_std]
#![no_main]

use grulet::kernel::suite::{self, Difference};
use grulet_firmware::{board, entry, println};

const N: usize = board::LARGEST_PRODUCT;

#[entry]
fn main() -> ! {
    let float = compared("f32", suite::float::<N, { N * (N + 1) }>());
    let integer = compared("Int8", suite::integer::<N, { (N / 4 + 1) * (N + 10) }>().and_then(|_| suite::large_sums()));
    let short = suite::too_few::<64>().is_ok();
    println!("too few weights: {}", if short { "no sum is touched" } else { "sums are touched" });
    board::exit(if float && integer && short { Ok(()) } else { Err(()) })
}

fn compared(format: &str, result: Result<usize, Difference>) -> bool {
    match result {
        Ok(_) => println!("{format}: every product is the portable one's"),
        Err(difference) => println!("{format}: {difference:?}"),
    }
    result.is_ok()
}
