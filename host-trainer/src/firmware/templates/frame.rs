//! @ABOUT@
#![no_std]
#![no_main]

mod board;

use cortex_m_rt::entry;
use grulet::*;

static MODEL: &Aligned<[u8]> = include_model!("../model.gru");

macro_rules! println {
    ($($arguments:tt)*) => { board::print(format_args!("{}\n", format_args!($($arguments)*))) };
}

@BODY@
#[entry]
fn main() -> ! {
    let result = run();
    if let Err(error) = &result {
        println!("error: {error}");
    }
    board::exit(result.map_err(|_| ()))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    board::exit(Err(()))
}
