//! Nothing but the board: what a firmware takes without a model.
#![no_std]
#![no_main]

mod board;

use cortex_m_rt::entry;

#[entry]
fn main() -> ! {
    board::print(format_args!("done\n"));
    board::exit(Ok(()))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    board::print(format_args!("{info}\n"));
    board::exit(Err(()))
}
